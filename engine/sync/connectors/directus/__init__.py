"""Directus: collections, their fields and relations, over its REST API. docs/sync-directus.md says how."""

from engine.sync.connectors.directus.app import DirectusApp

APP = DirectusApp()
