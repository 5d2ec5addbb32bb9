"""Connectors to other apps: one protocol, found by entry points."""
