"""The way to compiled answers: whole operations at once, or single fields spliced into ordinary execution."""
