"""Workflows: what enrolls a record, what is then done with it, and how that survives anything."""
