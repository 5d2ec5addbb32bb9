"""What is known of records when filters are answered in Python: read once for all of them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.filters.testing import Values
from storage.filters.tree import Property, Reach


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An event that occurred to a record."""

    id: int
    at: datetime


@dataclass(slots=True)
class Facts:
    """What filters need to know of some records and of those that they reach.

    `records`: the properties of visible records. `counts`: {(record, association type): visible records}, absent
    where there never was one. `edges`: {(record, object type): {other end: association types}}.
    """

    records: dict[int, Values] = field(default_factory=dict)
    counts: dict[tuple[int, int], int] = field(default_factory=dict)
    edges: dict[tuple[int, int], dict[int, set[int]]] = field(default_factory=lambda: defaultdict(dict))
    # The moments of the records themselves: {record: {column: moment}}.
    columns: dict[int, Mapping[str, datetime | None]] = field(default_factory=dict)
    # {(record, property name): the values that it ever had, null where it was cleared, each with its last time}
    history: dict[tuple[int, str], list[tuple[Any, datetime]]] = field(default_factory=dict)
    # {record: (whether it made the record, kind of source, its id)}
    sources: dict[int, set[tuple[bool, str, str | None]]] = field(default_factory=dict)
    # {(record, segment): since when it is in it}
    members: dict[tuple[int, int], datetime] = field(default_factory=dict)
    # {(record, workflow): the statuses of its enrollments}
    enrolled: dict[tuple[int, int], frozenset[str]] = field(default_factory=dict)
    # {(record, event type): its events, oldest first}
    occurred: dict[tuple[int, int], list[Occurrence]] = field(default_factory=lambda: defaultdict(list))
    # What filters on events need to know of these: their properties, by their ids, in place of records.
    inside: "Facts | None" = None
    # What nested filters answered, so that a record which many reach is looked at once.
    answers: dict[object, dict[int, Any]] = field(default_factory=lambda: defaultdict(dict))

    def reached(self, record_id: int, reach: Reach) -> Iterable[int]:
        """The visible records that a leaf regards from `record_id`, each once."""
        wanted = set(reach.type_ids)
        for other, types in self.edges.get((record_id, reach.to_object_type_id), {}).items():
            if other in self.records and (types == wanted if reach.only else not wanted.isdisjoint(types)):
                yield other

    def ever(self, record_id: int, reach: Reach) -> bool:
        """Whether the record ever had such an association."""
        return any((record_id, type_id) in self.counts for type_id in reach.type_ids)

    def now(self, record_id: int, reach: Reach) -> bool:
        """Whether the record has one now, labels beside it or not."""
        return any(self.counts.get((record_id, type_id), 0) > 0 for type_id in reach.type_ids)

    def updated(self, record_id: int, prop: Property) -> datetime | None:
        """When a property of the record was last set or cleared."""
        return max((at for _, at in self.history.get((record_id, prop.name), ())), default=None)
