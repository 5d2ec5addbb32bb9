"""Segments: sets of records that follow a filter, are chosen by hand, or were filtered once."""
