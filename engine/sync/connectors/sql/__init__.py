"""SQL databases: a table per kind of item, in any PostgreSQL, MySQL, MariaDB or SQLite."""

from engine.sync.connectors.sql.app import APP

__all__ = ["APP"]
