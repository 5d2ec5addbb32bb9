"""Kinto: collections of JSON records in a bucket. docs/sync-kinto.md says how they become objects."""

from engine.sync.connectors.kinto.app import KintoApp

APP = KintoApp()
