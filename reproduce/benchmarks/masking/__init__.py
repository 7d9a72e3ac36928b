"""The masking operations, measured: against their peers, compiled without a GPU, under a sanitizer."""
