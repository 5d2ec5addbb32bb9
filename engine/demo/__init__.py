"""A demo account: lifelike, linked, labelled, the same each time; nobody and nothing in it is real."""

from engine.demo.build import build

__all__ = ["build"]
