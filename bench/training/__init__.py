"""One run: a spec goes in, a record comes out."""
