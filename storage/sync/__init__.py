"""Data sync: what is kept of connections, syncs, links, plans and attempts."""
