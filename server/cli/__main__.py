"""`python -m server.cli`: the same as `relata`, for processes that we start ourselves."""

from server.cli import app

app(prog_name="relata")
