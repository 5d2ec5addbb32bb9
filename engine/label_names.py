"""Internal names of labels: chosen or derived from their texts, and never changed."""

import re
import unicodedata
from collections.abc import Collection

from engine import naming
from engine.problems import Problem, at
from storage.catalogue import Catalogue, ObjectTypeRow

# Words that mean something else wherever labels are named.
RESERVED = frozenset({"primary", "unlabelled", "unlabeled", "any", "all", "none"})


class NameReserved(Problem):
    """The internal name "{name}" has a meaning of its own; take another one."""


def derived(text: str, taken: Collection[str]) -> str:
    """An internal name made from a text, one that is not `taken`. Pure."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[: naming.LONGEST_NAME - 4].rstrip("_")
    if not name or not name[0].isalpha():
        name = f"label_{name}".rstrip("_")[: naming.LONGEST_NAME - 4]
    if name in RESERVED:
        name = f"{name}_label"
    candidate, n = name, 1
    while candidate in taken:
        n += 1
        candidate = f"{name}_{n}"
    return candidate


def between(catalogue: Catalogue, near: ObjectTypeRow, far: ObjectTypeRow) -> set[str]:
    """The names that labels of an object pair have, in either direction."""
    rows = (*catalogue.between(near.id, far.id), *catalogue.between(far.id, near.id))
    return {row.name for row in rows if row.name is not None}


def of_halves(
    there: tuple[str, str | None], back: tuple[str, str | None], *, single: bool, taken: Collection[str]
) -> tuple[str, str]:
    """The internal names of both halves, each given as (text, chosen name); one name for a single label.

    Raises `MalformedName`, `NameReserved`, `NameTaken`.
    """
    for (_, chosen), field in ((there, "name"), (back, "inverseName")):
        if chosen is None:
            continue
        with at(field):
            naming.internal_name(chosen)
        if chosen in RESERVED:
            raise NameReserved(name=chosen, path=(field,))
        if chosen in taken:
            raise naming.NameTaken(kind="label", name=chosen, path=(field,))
    # A chosen name goes first: what is derived makes way for it.
    others = {*taken, *((back[1],) if back[1] is not None and not single else ())}
    first = there[1] or (back[1] if single and back[1] else derived(there[0], others))
    if single:
        return first, back[1] or first
    second = back[1] or derived(back[0], {*taken, first})
    if first == second:
        raise naming.NameTaken(kind="label", name=second, path=("inverseName",))
    return first, second
