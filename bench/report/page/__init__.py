"""The report: one page made from records, with what was found in front and everything behind it to look into."""
