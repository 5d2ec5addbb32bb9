"""Webhook events: addresses to which other systems post, and what becomes of it."""
