"""Words that every room uses: specs, registry, errors, whole-or-absent files, claims."""
