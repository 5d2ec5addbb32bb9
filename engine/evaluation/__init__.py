"""Evaluating changes: each is claimed once, for the workflows that it may enroll in and the segments that follow it."""
