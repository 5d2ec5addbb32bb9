"""Labels in the cells of a file: found by internal name or by text, several separated by `;`."""

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from engine import labels
from engine.imports.problems import AmbiguousLabel, LabelOtherDirection, UnknownLabel
from engine.problems import Problem
from engine.values import tidy
from storage.catalogue import Catalogue
from storage.database import Actor, Database

# Distinct cells whose labels are remembered.
CELLS_KEPT = 1_000
# `;` separates labels; `\;` is one within a label, `\\` a backslash.
PART = re.compile(r"((?:\\[;\\]|[^;])*)(?:;|\Z)")
ESCAPABLE = re.compile(r"([;\\])")
ESCAPED = re.compile(r"\\([;\\])")


class Labels:
    """Finds the labels from one object type to another by internal name or by text."""

    def __init__(self, catalogue: Catalogue, from_type: str, to_type: str) -> None:
        self._types = (from_type, to_type)
        near, far = catalogue.by_name[from_type], catalogue.by_name[to_type]
        self._texts: dict[str, list[str]] = defaultdict(list)
        self._names: set[str] = set()
        # What labels are called from the other side, with what they are called from this one.
        self._inverse: dict[str, str] = {}
        for row in catalogue.between(near.id, far.id):
            if row.name is not None:
                self._names.add(row.name)
                self._texts[(row.label or row.name).casefold()].append(row.name)
                other = catalogue.association_types[row.inverse_id]
                called = row.label or row.name
                self._inverse |= {name.casefold(): called for name in (other.name, other.label) if name}
        for own in (*self._texts, *map(str.casefold, self._names)):
            self._inverse.pop(own, None)
        self._cells: dict[str, tuple[str, ...] | Problem] = {}

    def of(self, cell: str) -> tuple[str, ...] | Problem:
        """The internal names that a cell names, or what is wrong with one of them."""
        known = self._cells.get(cell)
        if known is None:
            try:
                known = tuple(dict.fromkeys(self.name(label) for label in split_labels(cell)))
            except Problem as problem:
                known = problem
            # Cells repeat: a file has few combinations of labels. Wrong ones may be many.
            if len(self._cells) < CELLS_KEPT:
                self._cells[cell] = known
        return known

    def name(self, label: str) -> str:
        """The internal name of one label. Raises `UnknownLabel`, `LabelOtherDirection` and `AmbiguousLabel`."""
        if label in self._names:
            return label
        names = self._texts.get(label.casefold(), [])
        from_type, to_type = self._types
        if len(names) > 1:
            raise AmbiguousLabel(label=tidy(label), from_type=from_type, to_type=to_type, names=names)
        if not names and (inverse := self._inverse.get(label.casefold())) is not None:
            raise LabelOtherDirection(
                label=tidy(label), from_type=from_type, to_type=to_type, inverse=inverse
            )
        if not names:
            known = sorted(self._names) or "none"
            raise UnknownLabel(label=tidy(label), from_type=from_type, to_type=to_type, known=known)
        return names[0]


async def create_missing(
    db: Database,
    account_id: int,
    from_type: str,
    to_type: str,
    wanted: Sequence[tuple[str, str | None]],
    now: datetime,
    user_id: int | None,
) -> None:
    """Make the labels of `wanted`, (text, text of the other direction or None), that are not there."""
    if not wanted:
        return
    async with db.transaction(account_id, now=now, actor=Actor("IMPORT", None, user_id), defining=True) as tx:
        await tx.redefine()
        for text, inverse in wanted:
            known = Labels(tx.catalogue, from_type, to_type)
            if isinstance(known.of(ESCAPABLE.sub(r"\\\1", text)), UnknownLabel | LabelOtherDirection):
                await labels.create(tx, from_type, to_type, label=text, inverse_label=inverse)


def split_labels(cell: str) -> list[str]:
    """The labels in a cell, in order, without spaces around them."""
    parts = (ESCAPED.sub(r"\1", part).strip() for part in PART.findall(cell))
    return [part for part in parts if part]
