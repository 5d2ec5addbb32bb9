"""The outside world: mails and calls of webhooks, and the sender that makes them."""

from server.outbox.sender import Options, Sender

__all__ = ["Options", "Sender"]
