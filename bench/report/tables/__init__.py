"""Tables: described, filled from records, and written in every format."""
