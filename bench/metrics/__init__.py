"""Numbers from predictions, and which differences mean anything."""
