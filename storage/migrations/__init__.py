"""Migrations, oldest first; run by `storage.migrate`."""
