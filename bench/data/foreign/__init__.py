"""Splits that others made: from their code's seeds, or from their files."""
