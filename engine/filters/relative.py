"""Binding what is said in units of time: so long ago, so long from now, in this unit, so long after another value."""

from collections.abc import Collection, Mapping
from datetime import tzinfo
from typing import Any

from engine.filters.binding import text_at
from engine.filters.operators import Operator
from engine.filters.problems import MalformedLeaf, UnknownUnit
from engine.values import shown
from storage.filters.times import DAYS, EXACT, MONTHS, Edge, Shift, Start, Unit
from storage.filters.tree import Bound, Offset, Within

# A thousand years.
MOST = {
    Unit.MINUTE: 525_960_000,
    Unit.HOUR: 8_766_000,
    Unit.DAY: 365_250,
    Unit.WEEK: 52_178,
    Unit.MONTH: 12_000,
    Unit.QUARTER: 4_000,
    Unit.YEAR: 1_000,
}
CALENDAR_UNITS = tuple(unit for unit in Unit if unit not in EXACT)


def from_now(kind: str, operator: Operator, type_: str, given: Mapping[str, Any], zone: tzinfo) -> Within:
    """Less or more than so many units ago or from now; `type_` is DATE or DATETIME.

    Ago ends with the present moment or day, from now begins with it: today is in both.
    """
    unit = unit_at(kind, given, _units(type_))
    less = operator in (Operator.LESS_THAN_AGO, Operator.LESS_THAN_FROM_NOW)
    amount = amount_at(kind, given, "value", unit, 1 if less else 0)
    present = Bound(Shift(Unit.DAY if type_ == "DATE" else Unit.MINUTE, 0, zone), included=True)
    match operator:
        case Operator.LESS_THAN_AGO:
            return Within(Bound(Shift(unit, -amount, zone), included=False), present)
        case Operator.MORE_THAN_AGO:
            return Within(None, Bound(Shift(unit, -amount, zone), included=False))
        case Operator.LESS_THAN_FROM_NOW:
            return Within(present, Bound(Shift(unit, amount, zone), included=False))
        case _:
            return Within(Bound(Shift(unit, amount, zone), included=False), None)


def calendar(kind: str, operator: Operator, given: Mapping[str, Any], zone: tzinfo) -> Within:
    """In this, the last or the next day, week, month, quarter or year."""
    unit = unit_at(kind, given, CALENDAR_UNITS)
    ahead = {Operator.IN_LAST: -1, Operator.IN_THIS: 0, Operator.IN_NEXT: 1}[operator]
    return Within(
        Bound(Start(unit, ahead, zone), included=True), Bound(Start(unit, ahead + 1, zone), included=False)
    )


def since(kind: str, given: Mapping[str, Any], zone: tzinfo) -> Edge:
    """So many units ago."""
    unit = unit_at(kind, given, tuple(Unit))
    return Shift(unit, -amount_at(kind, given, "value", unit, 1), zone)


def offset(kind: str, type_: str, given: Mapping[str, Any]) -> Offset | None:
    """The span that is added to another property's value; None where there is none."""
    if "offset" not in given:
        no_unit(kind, given)
        return None
    if type_ not in ("DATE", "DATETIME"):
        raise MalformedLeaf(reason='"offset" goes with dates and moments', path=(kind, "offset"))
    unit = unit_at(kind, given, _units(type_))
    amount = amount_at(kind, given, "offset", unit, -MOST[unit])
    if amount == 0:
        return None
    if unit in MONTHS:
        return Offset(months=amount * MONTHS[unit])
    if unit in DAYS:
        return Offset(days=amount * DAYS[unit])
    return Offset(minutes=amount * (60 if unit is Unit.HOUR else 1))


def unit_at(kind: str, given: Mapping[str, Any], units: Collection[Unit]) -> Unit:
    """The unit of a leaf that must have one. Raises `MalformedLeaf` and `UnknownUnit`."""
    name = text_at(kind, given, "unit")
    if name not in units:
        raise UnknownUnit(unit=shown(name), known=[unit.value for unit in units], path=(kind, "unit"))
    return Unit(name)


def no_unit(kind: str, given: Mapping[str, Any]) -> None:
    """Refuse a unit, and a span, that say nothing."""
    for key in ("unit", "offset"):
        if key in given:
            reason = f'"{key}" goes with a number of units, or with "other"'
            raise MalformedLeaf(reason=reason, path=(kind, key))


def amount_at(kind: str, given: Mapping[str, Any], key: str, unit: Unit, least: int) -> int:
    """A whole number of units. Raises `MalformedLeaf`."""
    value = given.get(key)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST[unit]:
        reason = f'"{key}" must be a whole number from {least} to {MOST[unit]} ({unit}), not {shown(given.get(key))}'
        raise MalformedLeaf(reason=reason, path=(kind, key))
    return value


def _units(type_: str) -> tuple[Unit, ...]:
    return CALENDAR_UNITS if type_ == "DATE" else tuple(Unit)
