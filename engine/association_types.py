"""Association types that are there by themselves: the unlabelled one of every object pair, and the system's labels."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from engine.standard import SystemLabel, system_labels
from storage.catalogue import AssociationTypeRow, ObjectTypeRow

SYSTEM = "SYSTEM"


def between_all(
    new: Sequence[ObjectTypeRow], others: Sequence[ObjectTypeRow], numbers: Iterator[int], now: datetime
) -> list[AssociationTypeRow]:
    """The types that join each of `new` with each of `others` (`new` may be among them), both directions."""
    rows: list[AssociationTypeRow] = []
    joined: set[tuple[int, int]] = set()
    for one in new:
        for other in others:
            if (other.id, one.id) in joined:
                continue
            joined.add((one.id, other.id))
            rows += _unlabelled(one, other, numbers, now)
            for near, far in ((one, other), (other, one)) if one.id != other.id else ((one, one),):
                for label in system_labels(near.name, near.category, far.name):
                    rows += _labelled(near, far, label, numbers, now)
    return rows


def _unlabelled(
    one: ObjectTypeRow, other: ObjectTypeRow, numbers: Iterator[int], now: datetime
) -> list[AssociationTypeRow]:
    there = next(numbers)
    # Between records of the same type there is one way only: the type is its own inverse.
    back = there if one.id == other.id else next(numbers)
    rows = [_row(there, one, other, back, there, now)]
    return rows if back == there else [*rows, _row(back, other, one, there, there, now)]


def _labelled(
    near: ObjectTypeRow, far: ObjectTypeRow, label: SystemLabel, numbers: Iterator[int], now: datetime
) -> list[AssociationTypeRow]:
    there, back = next(numbers), next(numbers)
    return [
        _row(there, near, far, back, there, now, label.name, label.label, label.max_count),
        _row(
            back,
            far,
            near,
            there,
            there,
            now,
            label.inverse_name,
            label.inverse_label,
            label.inverse_max_count,
        ),
    ]


def _row(
    number: int,
    near: ObjectTypeRow,
    far: ObjectTypeRow,
    inverse: int,
    pair: int,
    now: datetime,
    name: str | None = None,
    label: str | None = None,
    max_count: int | None = None,
) -> AssociationTypeRow:
    return AssociationTypeRow(
        number, near.id, far.id, inverse, pair, name, label, SYSTEM, max_count, None, now, None
    )
