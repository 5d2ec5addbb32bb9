"""What is to be done with one record, one item, or both as one: the one rule for both directions and for previews.

Pure. Whoever asks has read the link, the record and the item as they are now, and carries it out.
"""

import enum
from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.sync.connectors.protocol import Item
from engine.sync.merge import Merged
from engine.sync.rules import Rules
from storage.records import RecordRow
from storage.sync.links import LinkRow


class Kind(enum.StrEnum):
    """What is to be done."""

    # A new record for the item; a new item for the record.
    CREATE_OURS = "CREATE_OURS"
    CREATE_THEIRS = "CREATE_THEIRS"
    # The two belong together, and are linked (and merged) for the first time.
    MATCH = "MATCH"
    # Something is to be written to one of them, or to both.
    UPDATE = "UPDATE"
    # The record is archived, the item deleted: its other half was.
    DELETE_OURS = "DELETE_OURS"
    DELETE_THEIRS = "DELETE_THEIRS"
    # Nothing is written: both changed a field, and a person is asked; it cannot be done; it is not to be done.
    CONFLICT = "CONFLICT"
    FAIL = "FAIL"
    EXCLUDE = "EXCLUDE"
    # They agree already, or nobody cares.
    NONE = "NONE"


@dataclass(frozen=True, slots=True)
class Known:
    """One record, one item, or both, as they are now, with what is known of them.

    `record` None: there is none, or it is gone for good; archived and merged ones are given as they are.
    `item` None: it was not looked at, and is taken to be as the link knows it; one that is gone is `deleted`.
    `candidates`: where one side is missing, for each of `rules.matchers` those of the other side that match and
    are linked with nothing: record ids, or items' ids.
    """

    link: LinkRow | None = None
    record: RecordRow | None = None
    item: Item | None = None
    candidates: tuple[tuple[int | str, ...], ...] = ()
    # The candidate that is met, where there is exactly one of our records: merged with the item.
    match: RecordRow | None = None
    # Whether the record meets `rules.filter_ours`; asked by whoever reads it.
    within: bool = True
    # Mappings on which a person is asked, and {mapping: winning side} of what one has decided.
    open: frozenset[int] = frozenset()
    resolved: Map[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done, and how the link stands afterwards.

    `merged` has what is to be written on both sides. `base_ours` and `base_theirs` are what the link is to hold once
    our side is written and theirs is not yet; once theirs is, too, it is those of `merged`.
    """

    kind: Kind
    state: str
    merged: Merged = Merged()
    base_ours: Map[str, Any] | None = None
    base_theirs: Map[str, Any] | None = None
    # The other half of a MATCH.
    record_id: int | None = None
    external_id: str | None = None
    # The property by which they match.
    matched_by: str | None = None
    category: str | None = None
    message: str | None = None
    failed_side: str | None = None
    details: Map[str, Any] | None = None
    # Which half was deleted: OURS or THEIRS.
    deleted: str | None = None


def decide(rules: Rules, known: Known, now: datetime) -> Decision:
    """What becomes of what is known."""
    raise NotImplementedError
