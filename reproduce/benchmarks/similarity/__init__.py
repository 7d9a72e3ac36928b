"""Part-region similarity, measured: against its peers, compiled without a GPU, under a sanitizer."""
