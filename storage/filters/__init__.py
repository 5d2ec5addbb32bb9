"""Filters: the bound tree, and what of it is SQL (its condition, and the facts that the other fold reads)."""
