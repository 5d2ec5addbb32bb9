"""The associated records that an action is about: which ones, held until the commit, for a whole batch at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine import filters
from engine.problems import Problem, UnknownObjectType
from engine.workflows.definition.parts import Associated, OneAssociated, Pick
from engine.workflows.triggers import bind_where
from storage import associations as stored_associations
from storage import neighbours, records
from storage.catalogue import AssociationTypeRow, Catalogue, ObjectTypeRow
from storage.database import Transaction
from storage.enrollments import EnrollmentRow
from storage.filters.tree import Filter, Reach
from storage.records import RecordRow

# How many associated records one transaction deals with; an enrollment with more of them goes on in the next.
PAIRS_A_BATCH = 2_000
# How often what was picked is held and looked at again, before it is taken as it is.
LOOKS = 5


class NoLabel(Problem):
    """There is no label "{label}" from {object_type} to {to}; an action can name: {known}."""


@dataclass(frozen=True, slots=True)
class BoundAssociated:
    """`Associated` with what it names."""

    to: ObjectTypeRow
    reach: Reach
    where: Filter | None


@dataclass(frozen=True, slots=True)
class BoundOne:
    """`OneAssociated` with what it names."""

    to: ObjectTypeRow
    reach: Reach
    where: Filter | None
    pick: Pick


@dataclass(frozen=True, slots=True)
class Found:
    """The associated records of a batch's enrollments, all of them and the enrolled ones held.

    `pages` are those that were looked at for each enrollment, up to `limit`; `chosen` those of them that are meant.
    `rows` are the records as they stand, by id.
    """

    rows: Mapping[int, RecordRow]
    pages: Sequence[Sequence[int]]
    chosen: Sequence[Sequence[int]]
    limit: int

    def goes_on(self, n: int) -> int | None:
        """Behind which record enrollment number `n` goes on next time; None where this was all."""
        page = self.pages[n]
        return page[-1] if len(page) == self.limit else None


# --- what is named ------------------------------------------------------------------------------------------


def bind_type(name: str, catalogue: Catalogue) -> ObjectTypeRow:
    """The object type under `to`."""
    found = catalogue.by_name.get(name)
    if found is None:
        raise UnknownObjectType(name=name, path=("to",))
    return found


def bind_label(
    name: str, object_type: ObjectTypeRow, to: ObjectTypeRow, catalogue: Catalogue, *path: str | int
) -> AssociationTypeRow:
    """The label that is called `name` at records of `object_type`."""
    found = catalogue.label(object_type.id, to.id, name)
    if found is None:
        known = [row.name for row in catalogue.between(object_type.id, to.id) if row.name is not None]
        raise NoLabel(
            label=name,
            object_type=object_type.name,
            to=to.name,
            known=known or "none",
            path=path or ("label",),
        )
    return found


def bind_reach(
    labels: Sequence[str] | None, object_type: ObjectTypeRow, to: ObjectTypeRow, catalogue: Catalogue
) -> Reach:
    """Those under any of `labels`; None: all, nothing: those without a label."""
    if labels:
        rows = [bind_label(name, object_type, to, catalogue, "labels", n) for n, name in enumerate(labels)]
        types = list({row.id: row for row in rows}.values())
    else:
        # It stands beside every label, so it is all of them; alone it is the rest.
        types = [catalogue.unlabelled(object_type.id, to.id)]
    return Reach(
        object_type.id,
        to.id,
        tuple(row.id for row in types),
        tuple(row.inverse_id for row in types),
        only=labels is not None and not labels,
    )


def bind(of: Associated, object_type: ObjectTypeRow, catalogue: Catalogue) -> BoundAssociated:
    """Associated records, standing at records of `object_type`; problems' paths begin within `of`."""
    to = bind_type(of.to, catalogue)
    return BoundAssociated(
        to, bind_reach(of.labels, object_type, to, catalogue), bind_where(of.where, to, catalogue)
    )


def bind_one(of: OneAssociated, object_type: ObjectTypeRow, catalogue: Catalogue) -> BoundOne:
    """One of the associated records; as `bind`."""
    to = bind_type(of.to, catalogue)
    reach = bind_reach(of.labels, object_type, to, catalogue)
    return BoundOne(to, reach, bind_where(of.where, to, catalogue), of.pick)


# --- who is meant -------------------------------------------------------------------------------------------


async def pages_of(
    tx: Transaction, standing: Sequence[EnrollmentRow], reach: Reach
) -> tuple[list[list[int]], int]:
    """The next associated records of each enrollment, archived ones among them, and how many there are at most."""
    # The batch's pairs are shared out evenly; who has fewer is done, who has more goes on next time.
    limit = max(PAIRS_A_BATCH // len(standing), 1)
    starts = [(one.record_id, one.resume_after or 0) for one in standing]
    return await neighbours.pages(tx, starts, reach, limit), limit


async def find(
    tx: Transaction, standing: Sequence[EnrollmentRow], of: BoundAssociated, also: Iterable[int] = ()
) -> Found:
    """The associated records that are meant, with them, the enrolled ones and those in `also` held.

    Records are locked before anything is decided, all in id order: who is associated stays so.
    """
    pages, limit = await pages_of(tx, standing, of.reach)
    ids = {one.record_id for one in standing}
    rows = await records.lock(tx, [*ids, *also, *(other for page in pages for other in page)])
    asked = [
        (one.record_id, other)
        for one, page in zip(standing, pages, strict=True)
        if living(rows, one.record_id)
        for other in page
        if living(rows, other)
    ]
    held = await stored_associations.held(
        tx, [(record_id, of.reach.to_object_type_id, other) for record_id, other in asked]
    )
    still = {pair for pair, types in zip(asked, held, strict=True) if regarded(types, of.reach)}
    met = await meeting(tx, of.where, {other for _, other in still}, of.to.id)
    chosen = [
        [other for other in page if (one.record_id, other) in still and other in met]
        for one, page in zip(standing, pages, strict=True)
    ]
    return Found(rows, pages, chosen, limit)


async def pick(tx: Transaction, one: BoundOne, record_ids: Sequence[int]) -> dict[int, int]:
    """The associated record that is meant, by the one that it is associated with; missing where there is none."""
    return await neighbours.picked(tx, record_ids, one.reach, one.pick.value, one.where, now=tx.now)


async def hold_picked(
    tx: Transaction,
    one: BoundOne,
    record_ids: Sequence[int],
    picked: dict[int, int],
    rows: dict[int, RecordRow],
) -> dict[int, int]:
    """What is picked once it is held; `picked` were held already, with `rows`, to which others are added."""
    for _ in range(LOOKS):
        again = await pick(tx, one, record_ids)
        others = set(again.values()) - rows.keys()
        if not others:
            return again
        # Somebody came first. Held out of order: should two wait for each other, one is told to begin again.
        rows |= await records.lock(tx, list(others))
        picked = again
    return picked


async def meeting(tx: Transaction, where: Filter | None, ids: set[int], object_type_id: int) -> set[int]:
    """Those of the records that meet a filter, if there is one."""
    if where is None or not ids:
        return ids
    (met,) = await filters.matches_many(tx, tx.catalogue, [(where, sorted(ids), object_type_id)], now=tx.now)
    return {record_id for record_id, holds in met.items() if holds}


def regarded(types: Sequence[int], reach: Reach) -> bool:
    """Whether two records that are associated under these types are ones that `reach` regards."""
    return any(type_id in reach.type_ids for type_id in types) and (not reach.only or len(types) == 1)


def living(rows: Mapping[int, RecordRow], record_id: int) -> bool:
    """Whether a record is there."""
    row = rows.get(record_id)
    return row is not None and row.archived_at is None
