"""Actions on properties of the enrolled record and of associated ones: set, copy, increment."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from engine import templates
from engine.problems import Problem, Refused, at
from engine.templates import Reference, Template
from engine.values import normalize, parse
from engine.workflows.actions import targets
from engine.workflows.actions.assigning import (
    BoundWrite,
    New,
    News,
    NotWritable,
    UniqueProperty,
    ValueRequired,
    associated,
    find,
    later,
    live,
    writable,
    write_in_order,
    write_of,
    writes,
    written,
)
from engine.workflows.actions.converting import converter
from engine.workflows.actions.handler import Batch, Handler
from engine.workflows.actions.order import Order, order_of
from engine.workflows.actions.tally import gone
from engine.workflows.actions.targets import BoundAssociated, BoundOne, Found
from engine.workflows.advance import Result
from engine.workflows.definition.actions import CopyProperty, IncrementProperty, SetProperty
from storage.catalogue import Catalogue, ObjectTypeRow, PropertyRow
from storage.database import Transaction

__all__ = ["COPY", "INCREMENT", "SET", "NotWritable", "UniqueProperty", "ValueRequired", "gone"]


class SeveralValues(Problem):
    """Name one of a value, a template and the step's time, not several of them."""


class StepTimeNeedsDate(Problem):
    """The property "{property}" is of type {type}: the step's time is a value of dates and datetimes."""


class NotNumeric(Problem):
    """The property "{property}" is of type {type}: only numbers can be incremented."""


@dataclass(frozen=True, slots=True)
class BoundSet:
    """`SetProperty`: the value in its stored form, or the template."""

    write: BoundWrite
    value: Any
    template: Template | None
    step_time: bool


@dataclass(frozen=True, slots=True)
class BoundCopy:
    """`CopyProperty`: from where, and what becomes of the value."""

    write: BoundWrite
    property: PropertyRow
    source: BoundOne | None
    convert: New
    copy_empty: bool


@dataclass(frozen=True, slots=True)
class BoundIncrement:
    """`IncrementProperty`."""

    write: BoundWrite
    by: float


# --- what is named ------------------------------------------------------------------------------------------


def _bind_set(action: SetProperty, object_type: ObjectTypeRow, catalogue: Catalogue) -> BoundSet:
    if (action.value is not None) + (action.template is not None) + action.step_time > 1:
        raise SeveralValues(path=("value" if action.value is not None else "template",))
    of = associated(action.of, "of", object_type, catalogue)
    prop = writable(object_type if of is None else of.to, action.property, "property")
    write = write_of(prop, of, catalogue)
    if action.template is not None:
        if prop.is_unique and of is not None:
            raise UniqueProperty(property=prop.name, path=("property",))
        template, order = _template(action.template, prop, of, object_type, catalogue)
        return BoundSet(later(write, order), None, template, False)
    if action.step_time and prop.type not in ("DATE", "DATETIME"):
        raise StepTimeNeedsDate(property=prop.name, type=prop.type, path=("stepTime",))
    try:
        value = normalize(prop, action.value)
    except Problem as problem:
        problem.path = ("value",)
        raise
    if value is None and prop.required and not action.step_time:
        raise ValueRequired(property=prop.name, path=("value",))
    if (value is not None or action.step_time) and prop.is_unique:
        raise UniqueProperty(property=prop.name, path=("property",))
    return BoundSet(write, value, None, action.step_time)


def _template(
    text: str, prop: PropertyRow, of: BoundAssociated | None, object_type: ObjectTypeRow, catalogue: Catalogue
) -> tuple[Template, Order]:
    """The template, and the order that what it looks at asks for."""
    with at("template"):
        template = templates.parse(text)
    wrong = templates.check(template.references, object_type, catalogue)
    if wrong:
        raise Refused([problem.at("template") for problem in wrong])
    order = Order.FREE
    for reference in template.references:
        if reference.to is not None:
            # Which of several it names depends on which one was written last.
            if catalogue.by_name[reference.to].id == prop.object_type_id:
                return template, Order.ALONE
        elif of is not None and prop.object_type_id == object_type.id and reference.property == prop.name:
            order = Order.SHARED
    return template, order


def _bind_copy(action: CopyProperty, object_type: ObjectTypeRow, catalogue: Catalogue) -> BoundCopy:
    source, holder = None, object_type
    if action.source is not None:
        with at("source"):
            source = targets.bind_one(action.source, object_type, catalogue)
        holder = source.to
    prop = live(holder, action.property, "property")
    of = associated(action.target, "target", object_type, catalogue)
    into = writable(object_type if of is None else of.to, action.into, "into")
    with at("into"):
        convert = converter(prop, into, catalogue.time_zone)
    if action.copy_empty and into.required:
        raise ValueRequired(property=into.name, path=("into",))
    if into.is_unique and of is not None:
        raise UniqueProperty(property=into.name, path=("into",))
    write = later(write_of(into, of, catalogue), _order_of_source(prop, source, into, of, catalogue))
    return BoundCopy(write, prop, source, convert, action.copy_empty)


def _order_of_source(
    prop: PropertyRow,
    source: BoundOne | None,
    into: PropertyRow,
    of: BoundAssociated | None,
    catalogue: Catalogue,
) -> Order:
    if source is None:
        return Order.SHARED if of is not None and prop.id == into.id else Order.FREE
    if source.to.id == into.object_type_id:
        # What is written may be what is copied next, and tells which one was updated last.
        return Order.ALONE
    found = order_of(writes(into), [(source.where, source.to.id)], catalogue)
    return Order.FREE if found is Order.FREE else Order.ALONE


def _bind_increment(
    action: IncrementProperty, object_type: ObjectTypeRow, catalogue: Catalogue
) -> BoundIncrement:
    of = associated(action.of, "of", object_type, catalogue)
    prop = writable(object_type if of is None else of.to, action.property, "property")
    if prop.type != "NUMBER":
        raise NotNumeric(property=prop.name, type=prop.type, path=("property",))
    if prop.is_unique and of is not None:
        raise UniqueProperty(property=prop.name, path=("property",))
    try:
        by = normalize(prop, action.by)
    except Problem as problem:
        problem.path = ("by",)
        raise
    return BoundIncrement(write_of(prop, of, catalogue), by)


# --- what is written ----------------------------------------------------------------------------------------


async def _set(batch: Batch, bound: BoundSet) -> list[Result]:
    async def news(some: Batch, found: Found) -> News:
        if bound.template is None:
            value = _step_time(bound.write.property, some.tx) if bound.step_time else bound.value
            return [lambda _: value] * len(some.standing)
        ids = [one.record_id for one in some.standing]
        values = await templates.values_for(some.tx, bound.template.references, ids)
        return [_rendered(bound.write.property, bound.template, values[record_id]) for record_id in ids]

    async def work(some: Batch) -> list[Result]:
        found = await find(some, bound.write)
        return await written(some, bound.write, found, await news(some, found))

    return await write_in_order(batch, bound.write, work)


def _step_time(prop: PropertyRow, tx: Transaction) -> str:
    if prop.type == "DATE":
        return tx.now.astimezone(ZoneInfo(tx.catalogue.time_zone)).date().isoformat()
    return tx.now.isoformat()


def _rendered(prop: PropertyRow, template: Template, values: Mapping[Reference, Any]) -> New:
    return lambda _: parse(prop, template.render(values))


async def _copy(batch: Batch, bound: BoundCopy) -> list[Result]:
    async def work(some: Batch) -> list[Result]:
        tx, ids = some.tx, [one.record_id for one in some.standing]
        picked: dict[int, int] = {record_id: record_id for record_id in ids}
        if bound.source is not None:
            picked = await targets.pick(tx, bound.source, ids)
        found = await find(some, bound.write, picked.values())
        rows = dict(found.rows)
        if bound.source is not None:
            picked = await targets.hold_picked(tx, bound.source, ids, picked, rows)
        news: list[New | None] = []
        for record_id in ids:
            # Where there is no record to copy from, there is nothing to copy, not even that it is empty.
            source = picked.get(record_id)
            value = None if source is None else rows[source].properties.get(bound.property.name)
            nothing = source is None or (value is None and not bound.copy_empty)
            news.append(None if nothing else _copied(bound, value))
        return await written(some, bound.write, found, news)

    return await write_in_order(batch, bound.write, work)


def _copied(bound: BoundCopy, value: Any) -> New:
    return lambda _: None if value is None else bound.convert(value)


async def _increment(batch: Batch, bound: BoundIncrement) -> list[Result]:
    def more(now: Any) -> Any:
        # As people add: a tenth and two tenths are three tenths.
        total = Decimal(str(now or 0)) + Decimal(str(bound.by))
        return int(total) if total == int(total) else float(total)

    async def work(some: Batch) -> list[Result]:
        found = await find(some, bound.write)
        return await written(some, bound.write, found, [more] * len(some.standing))

    return await write_in_order(batch, bound.write, work)


SET = Handler(_bind_set, _set)
COPY = Handler(_bind_copy, _copy)
INCREMENT = Handler(_bind_increment, _increment)
