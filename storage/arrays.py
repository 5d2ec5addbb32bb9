"""Arrays as PostgreSQL writes them down.

As text they travel at a fraction of what the driver takes for arrays of numbers, and an array can hold arrays of
different lengths. Behind a subselect, `(SELECT $2::text)::bigint[]`, the planner cannot count their elements: it finds
no plan for these values better than one for any, and stops to plan the statement anew each time it is run.
"""

from collections.abc import Iterable


def numbers(parts: Iterable[int]) -> str:
    """An array of numbers."""
    return "{" + ",".join(map(str, parts)) + "}"


def texts(parts: Iterable[str]) -> str:
    """An array of texts (of arrays, too: the text of one is an element like any other)."""
    quoted = (part.replace("\\", "\\\\").replace('"', '\\"') for part in parts)
    return "{" + ",".join(f'"{part}"' for part in quoted) + "}"


def lists(parts: Iterable[Iterable[int]]) -> str:
    """An array of texts, each an array of numbers."""
    return "{" + ",".join('"{' + ",".join(map(str, part)) + '}"' for part in parts) + "}"


def flags(parts: Iterable[bool]) -> str:
    """An array of truth values."""
    return "{" + ",".join("t" if part else "f" for part in parts) + "}"
