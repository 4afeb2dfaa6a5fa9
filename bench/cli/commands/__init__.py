"""One command a file, or a few that belong together: parse, call, print. Nothing heavy is imported at the top."""
