"""Another Relata as an app: object types as kinds of items, labels as roles, over its GraphQL API."""

from engine.sync.connectors.relata.app import APP

__all__ = ["APP"]
