"""Laws and stories, told on a real PostgreSQL."""
