"""What a run stands on: profile, pictures, store, caches, fingerprints, processes, interruption."""
