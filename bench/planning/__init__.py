"""Which runs are wanted: a protocol under a preset becomes run specs. No torch."""
