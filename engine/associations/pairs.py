"""What can be asked of two records, and what became of it."""

import enum
from dataclasses import dataclass


class Verb(enum.Enum):
    """What is asked."""

    # Associate, and add the named labels to those that are there.
    ADD = enum.auto()
    # Associate, and hold exactly the named user-defined labels; system labels only come, when named.
    SET = enum.auto()
    # Where the first of two named labels is set, add the second.
    ADD_WHERE = enum.auto()
    # Where the first of two named labels is set, let the second take its place.
    REPLACE = enum.auto()
    # Take the named labels away; the association stays.
    REMOVE = enum.auto()
    # Take the association away where it holds one of the named labels.
    REMOVE_WITH = enum.auto()
    # Take the association away with all its labels.
    DISSOCIATE = enum.auto()


@dataclass(frozen=True, slots=True)
class Pair:
    """Two records; `labels` are internal names that stand at the `from` record."""

    from_id: int
    to_id: int
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AssociationResult:
    """A pair afterwards; all types stand at the `from` record, in id order.

    `type_ids` holds the unlabelled type and the labels, nothing where the two are not associated. `added` and
    `removed` are what this request changed between these two. Merged records are told by their survivors. `unseated`
    lost `primary` to one of these two.
    """

    from_id: int
    to_id: int
    type_ids: tuple[int, ...]
    added: tuple[int, ...]
    removed: tuple[int, ...]
    unseated: int | None = None
