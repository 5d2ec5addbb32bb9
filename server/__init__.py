"""The composition root: settings, the ASGI application, authentication, command line, workers, PostgreSQL."""
