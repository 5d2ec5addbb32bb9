"""The outside world: mails and calls of webhooks, and the sender that makes them."""
