"""Data sync's runners: each leases a sync, holds its app's connector open, and steps while anything is due."""

from server.sync.keeper import Keeper

__all__ = ["Keeper"]
