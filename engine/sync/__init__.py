"""Data sync: two-way, per field, against what both sides last agreed on; previewed, explained, loop-proof."""
