"""The limits of an installation, as one value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may ask for; what goes beyond is refused, never cut short.

    `page` and `batch` are sizes, `depth` levels of fields, `cost` units (docs/limits.md), `body` bytes, and `files`
    bytes of a file to import; aliases, directives, tokens and fields are numbers in a document.
    """

    depth: int = 50
    cost: int = 250_000
    aliases: int = 100
    directives: int = 50
    tokens: int = 10_000
    fields: int = 5_000
    page: int = 500
    batch: int = 1_000
    body: int = 10_485_760
    files: int = 2_147_483_648
    seconds: float = 30.0
    introspection: bool = True
