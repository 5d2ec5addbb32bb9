"""What a browser sees at /graphql."""

from strawberry.http.ides import get_graphql_ide_html


def page() -> str:
    """GraphiQL's page. It takes its scripts from the address that its makers name, so it needs the Internet."""
    html = get_graphql_ide_html(graphql_ide="graphiql")
    return html.replace("<title>Strawberry GraphiQL</title>", "<title>Relata</title>")
