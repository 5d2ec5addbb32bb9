"""Association types as the rules look at them: with their limits both ways, and which end has one primary."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

from storage.arrays import numbers
from storage.catalogue import AssociationTypeRow, Catalogue


@dataclass(frozen=True, slots=True)
class Kind:
    """An association type standing at one record, and what its inverse allows."""

    id: int
    inverse_id: int
    from_object_type_id: int
    to_object_type_id: int
    name: str | None
    inverse_name: str | None
    label: str | None
    limit: int | None
    inverse_limit: int | None
    group: str | None
    user_defined: bool
    # The label `primary`, in either direction; it moves instead of being refused.
    primary: bool
    # Whether the record at which it stands is the one that has at most one primary.
    holder: bool
    # Whether the rules ask for its counters.
    counted: bool


# How many catalogues' types one process keeps prepared.
KEPT = 256

# How much one catalogue's types remember of what has been asked.
REMEMBERED = 1_000

T = TypeVar("T")

_prepared: "OrderedDict[int, Kinds]" = OrderedDict()


def kinds_of(catalogue: Catalogue) -> "Kinds":
    """The association types of a catalogue; the same ones as long as it is the same catalogue."""
    known = _prepared.get(id(catalogue))
    if known is None or known.catalogue is not catalogue:
        known = _prepared[id(catalogue)] = Kinds(catalogue)
        while len(_prepared) > KEPT:
            _prepared.popitem(last=False)
    return known


class Kinds:
    """The association types of a catalogue, prepared as they are asked for."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._known: dict[int, Kind] = {}
        # What requests have been understood to ask for, by whatever tells them apart (see asks.wishes_of).
        self.wishes: dict[tuple[object, ...], Any] = {}
        self._remembered: dict[Hashable, Any] = {}

    def __getitem__(self, type_id: int) -> Kind:
        known = self._known.get(type_id)
        if known is None:
            known = self._known[type_id] = self._prepare(self.catalogue.association_types[type_id])
        return known

    def plain(self, from_object_type_id: int, to_object_type_id: int) -> Kind:
        """The unlabelled type of a directed pair."""
        return self[self.catalogue.unlabelled(from_object_type_id, to_object_type_id).id]

    def label(self, from_object_type_id: int, to_object_type_id: int, name: str) -> Kind | None:
        """The label called `name` of a directed pair."""
        row = self.catalogue.label(from_object_type_id, to_object_type_id, name)
        return None if row is None else self[row.id]

    def counters(self, labels: tuple[str, ...]) -> str:
        """The types whose counters the rules may ask for, whatever is associated under these labels; as an array."""

        def made() -> str:
            rows = self.catalogue.association_types.values()
            named = [row for row in rows if row.name is None or row.name in labels]
            ids = {end for row in named if self[row.id].counted for end in (row.id, row.inverse_id)}
            return numbers(sorted(ids))

        return self.remembered(("counters", labels), made)

    def remembered(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` made for `key`, which stays the same as long as it is the same catalogue."""
        known: T | None = self._remembered.get(key)
        if known is None:
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            known = self._remembered[key] = make()
        return known

    def primary(self, from_object_type_id: int, to_object_type_id: int) -> Kind | None:
        """The label `primary` of a directed pair, if it has one."""
        row = self.catalogue.label(from_object_type_id, to_object_type_id, "primary")
        return self[row.id] if row is not None and row.primary else None

    def _prepare(self, row: AssociationTypeRow) -> Kind:
        inverse = self.catalogue.association_types[row.inverse_id]
        counted = row.max_count is not None or inverse.max_count is not None
        if row.unlabelled and not counted:
            # The first company becomes primary: whether it is the first, the counter of the plain type tells.
            label = self.catalogue.label(row.from_object_type_id, row.to_object_type_id, "primary")
            counted = label is not None and label.primary
        return Kind(
            row.id,
            row.inverse_id,
            row.from_object_type_id,
            row.to_object_type_id,
            row.name,
            inverse.name,
            row.label,
            row.max_count,
            inverse.max_count,
            row.exclusivity_group,
            row.category == "USER_DEFINED",
            row.primary,
            row.primary and row.max_count is not None,
            counted,
        )
