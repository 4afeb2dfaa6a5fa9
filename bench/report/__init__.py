"""Tables and figures: a pure function of records."""
