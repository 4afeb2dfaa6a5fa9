"""Tables written out: Markdown, LaTeX, tidy CSV, JSON, and a terminal of any width."""
