"""CardDAV: contacts of Nextcloud, iCloud, Radicale and others (RFC 6352, with RFC 6578 where a server has it)."""

from engine.sync.connectors.carddav.app import APP

__all__ = ["APP"]
