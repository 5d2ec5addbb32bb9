"""Peers: other people's servers, fetched on demand and asked the same questions."""
