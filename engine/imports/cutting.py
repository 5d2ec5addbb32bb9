"""How a file is cut, so that several hands bring it in and rows that depend on their order keep it. Pure.

A file is read in windows of rows, and each window is cut into parts, one for each lane at most. A lane does its parts
in the order of the file; lanes do not wait for each other, except for parts that name what an earlier one named.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine import tables
from engine.associations.kinds import kinds_of
from engine.imports.files import Row
from engine.imports.plan import Doing, End, Key, Link, Part, Plan
from storage.catalogue import Catalogue

# Lanes of one import: twice as many as hands, mostly, so that a hand that is done finds the next part waiting.
LANES = 8
# Rows of a part: statements stay short, and what is lost when one is tried again stays little.
BATCH = 4_000
# A file with fewer rows is not worth cutting.
FEW = 5_000
# Characters of a window; with more it ends.
LONG = 16 << 20
# Types whose values are equal where their texts are, but for case and spaces; numbers need not be.
TEXTS = ("STRING", "PHONE")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done at a time: the most lanes, rows of a part, and how many rows are too few to be cut."""

    lanes: int = LANES
    batch: int = BATCH
    few: int = FEW


@dataclass(frozen=True, slots=True)
class Way:
    """What rows can be told apart by: one of these columns (none: nothing), and where their order matters."""

    by: tuple[int, ...]
    ordered: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Cut:
    """How one import's file is cut. Kept with it: whoever goes on with it cuts the same way.

    A window is as many batches of `rows`, or fewer where these are large; `by`: the column whose cell tells the lane,
    if any; `ordered`: columns of keys, rows that name one of which keep their order.
    """

    lanes: int
    rows: int
    by: int | None = None
    ordered: tuple[int, ...] = ()

    def document(self, done: Sequence[int]) -> dict[str, Any]:
        """As it is kept, with how far each lane has come; nothing where there is but one."""
        if self.lanes == 1:
            return {}
        return {
            "rows": self.rows, "by": self.by, "ordered": list(self.ordered), "done": list(done)
        }  # fmt: skip

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Cut | None":
        """The cut that is kept in `document`, if one is."""
        if not document:
            return None
        return cls(len(document["done"]), document["rows"], document["by"], tuple(document["ordered"]))


@dataclass(slots=True, eq=False)
class Portion:
    """What one lane does of one window; what it names in columns where order matters."""

    lane: int
    # The number of the window's last row, and how much of the file has been read with that.
    end: int
    share: float
    rows: list[Row] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)


def way(plan: Plan, catalogue: Catalogue) -> Way | None:
    """How the rows of this plan can be told apart; None where each may depend on all before it."""
    if not plan.links and len(plan.parts) == 1:
        return _of_records(plan.parts[0])
    if not plan.parts and len(plan.links) == 1:
        return _of_associations(plan.links[0], catalogue)
    return None


def _of_records(part: Part) -> Way | None:
    unique = [column for column in part.columns if column.property.is_unique]
    key = part.key
    if key is None:
        # Of two rows with one unique value the first would have it.
        return Way(()) if part.doing is Doing.CREATE and not unique else None
    if any(column.property is not key.property for column in unique) or not _textual(key):
        return None
    return Way((key.index,))


def _of_associations(link: Link, catalogue: Catalogue) -> Way | None:
    near, far = link.near, link.far
    if near.key is None or far.key is None:
        return None
    ordered = tuple(
        key.index for end, other, key in ((near, far, near.key), (far, near, far.key))
        if _bounded(end, other, catalogue)
    )  # fmt: skip
    if not ordered and _exclusive(near, far, catalogue):
        # It matters which label a pair gets first, and cells with several keys may name a pair again.
        ordered = (near.key.index,)
    if ordered and (len(ordered) > 1 or near.object_type.id == far.object_type.id):
        return None
    if any(key.index in ordered and not _textual(key) for key in (near.key, far.key)):
        return None
    return Way((near.key.index, far.key.index), ordered)


def _textual(key: Key) -> bool:
    # An id has one text.
    return key.property is None or key.property.type in TEXTS


def _bounded(end: End, other: End, catalogue: Catalogue) -> bool:
    """Whether it matters at this end which association comes first: to a limit, or to who becomes the primary."""
    kinds = kinds_of(catalogue)
    return any(
        kinds[row.id].limit is not None or kinds[row.id].holder
        for row in catalogue.between(end.object_type.id, other.object_type.id)
    )


def _exclusive(near: End, far: End, catalogue: Catalogue) -> bool:
    return any(
        row.exclusivity_group is not None
        for row in catalogue.between(near.object_type.id, far.object_type.id)
    )


def windows(batches: Iterator[list[Row]], lanes: int) -> Iterator[list[Row]]:
    """So many batches at a time, fewer where they are long. Where reading breaks off, what was read comes first."""
    broken: Exception | None = None
    ended = False
    while not ended:
        window, length = list[Row](), 0
        for _ in range(lanes):
            try:
                batch = next(batches, None)
            except Exception as error:
                batch, broken = None, error
            if batch is None:
                ended = True
                break
            window += batch
            length += sum(len(cell) for row in batch for cell in row.cells)
            if length > LONG:
                break
        if window:
            yield window
    if broken is not None:
        raise broken


def decided(found: Way | None, sample: Sequence[Row], size: Size) -> Cut:
    """The cut for a file that begins with `sample`, a whole window (then there is more) or all there is."""
    if found is None or len(sample) < size.few or size.lanes == 1:
        return Cut(1, size.batch)
    # What comes most often is what writers would meet at: its rows go one after the other.
    by = min(found.by, key=lambda index: len({_text(row, index) for row in sample}), default=None)
    return Cut(size.lanes, size.batch, by, found.ordered)


def cut(rows: Sequence[Row], how: Cut, share: float) -> list[Portion]:
    """The portions of a window, those without rows left out."""
    if how.lanes == 1:
        return [Portion(0, rows[-1].number, share, list(rows))]
    made = [Portion(lane, rows[-1].number, share) for lane in range(how.lanes)]
    if how.by is None:
        step = -(-len(rows) // how.lanes)
        for n, portion in enumerate(made):
            portion.rows = list(rows[n * step : (n + 1) * step])
    elif not how.ordered:
        by, lanes = how.by, how.lanes
        into = [portion.rows.append for portion in made]
        for row in rows:
            into[_lane(row, by, lanes)](row)
    elif not _in_order(rows, how, made):
        made = [Portion(0, rows[-1].number, share, list(rows), _keys_of(rows, how.ordered))]
    return [portion for portion in made if portion.rows]


def _in_order(rows: Sequence[Row], how: Cut, made: Sequence[Portion]) -> bool:
    """Deal the rows out so that those that name one key are in one portion; whether that was possible."""
    assert how.by is not None
    place: dict[str, int] = {}
    for row in rows:
        keys = _keys_of((row,), how.ordered)
        lanes = {place[key] for key in keys if key in place}
        if len(lanes) > 1:
            return False
        lane = lanes.pop() if lanes else _lane(row, how.by, how.lanes)
        place.update(dict.fromkeys(keys, lane))
        made[lane].rows.append(row)
        made[lane].keys |= keys
    return True


def _lane(row: Row, index: int, lanes: int) -> int:
    # The same on every machine and in every process.
    return zlib.crc32(_text(row, index).encode("utf-8", "surrogatepass")) % lanes


def _text(row: Row, index: int) -> str:
    return "" if row.problem is not None else row.cells[index].strip().lower()


def _keys_of(rows: Iterable[Row], ordered: Sequence[int]) -> set[str]:
    """All that may be a key in the columns where order matters. There is one such column, or the rows' own."""
    keys = set[str]()
    for row in rows:
        for index in ordered:
            text = _text(row, index)
            if ";" in text or "\\" in text:
                keys.update(part.strip() for part in tables.split(text))
            if text:
                keys.add(text)
    return keys
