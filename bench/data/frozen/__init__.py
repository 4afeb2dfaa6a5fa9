"""What a frozen network makes of a view, computed once and kept."""
