"""`relata demo`, `relata import`, `relata schema`: data in, and the schema out."""

from server.cli.words import out


def schema() -> None:
    """Print the GraphQL schema in its definition language."""
    from schema.root import SDL

    out.print(SDL, markup=False)
