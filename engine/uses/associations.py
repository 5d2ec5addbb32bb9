"""Associations as users of labels: the pairs of records that hold one."""

from collections.abc import Iterator, Sequence

from engine.ids import encode
from engine.labels import Label
from engine.naming import counted
from engine.problems import Problem, Refused
from engine.uses.kinds import Exchange, Use, UseKind
from storage import label_exchange, label_usage
from storage.catalogue import AssociationTypeRow, Catalogue
from storage.changes import AssociationChanges, AssociationEvents, ChangeKind, EventKind, append
from storage.database import Queryable, Transaction
from storage.label_exchange import START, Moved

# Directed associations that one statement moves; parts follow each other until all have moved.
PART = 5_000
# How many of those that do not fit are named.
NAMED = 100


class LimitWouldBePassed(Problem):
    """ "{record}" would have {counted} under the label "{label}"; the limit is {limit}."""


class LabelsWouldExclude(Problem):
    """ "{record}" and "{other}" hold "{held}", beside which "{label}" cannot stand (exclusivity group "{group}")."""


class MoreDoNotFit(Problem):
    """These were the first {shown} of {count} that do not fit."""


async def uses(reader: Queryable, catalogue: Catalogue, labels: Sequence[Label]) -> list[Use]:
    """How many pairs of records hold each label, archived records included; labels that none holds are left out."""
    rows = [row for label in labels for row in (label.there, label.back)]
    found = await label_usage.counts(reader, {row.id for row in rows}) if rows else {}
    return [
        Use(label.there.pair_id, UseKind.ASSOCIATIONS, _pairs(label.there, found[label.there.id]))
        for label in labels
        if label.there.id in found
    ]


def _pairs(row: AssociationTypeRow, directed: int) -> int:
    """A symmetric type stands at both ends of each pair, others once."""
    return directed // 2 if row.symmetric else directed


async def replace(tx: Transaction, asked: Exchange) -> list[Use]:
    """Let all pairs that hold the old label hold the new one. Raises `Refused` where limits do not allow it.

    Each record is told to the evaluators and each pair to the watchers, as if it had been done one by one.
    """
    problems = [*await _over_limit(tx, asked), *await _excluded(tx, asked)]
    if problems:
        raise Refused(problems)
    moved, after = 0, START
    while part := await label_exchange.move(tx, asked.types, after, PART):
        _tell(tx, asked, part)
        # Told at once, so that no more than one part is in memory. The log's lock is taken early by that; nobody
        # waits for it who does not wait for the account's definitions already.
        await append(tx)
        tx.changes.clear()
        tx.events.clear()
        moved, after = moved + len(part), part[-1].place
    await label_exchange.settle(tx, asked.types)
    # Both directions of each pair were moved.
    return [Use(asked.old.there.pair_id, UseKind.ASSOCIATIONS, moved // 2)] if moved else []


async def _over_limit(tx: Transaction, asked: Exchange) -> list[Problem]:
    problems: list[Problem] = []
    for new in {row.id: row for row in (asked.new.there, asked.new.back)}.values():
        if new.max_count is None:
            continue
        object_type = tx.catalogue.object_types[new.to_object_type_id]
        old = [one for one, other in asked.types.items() if other == new.id]
        rows, total = await label_exchange.over_limit(tx, old, new.id, new.max_count, NAMED)
        problems += [
            LimitWouldBePassed(
                record=encode("record", record_id),
                count=count,
                object_type=object_type.name,
                counted=counted(count, object_type.singular, object_type.plural),
                label=new.label,
                limit=new.max_count,
            )
            for record_id, count in rows
        ]
        problems += _more(total, len(rows))
    return problems


async def _excluded(tx: Transaction, asked: Exchange) -> list[Problem]:
    old, new = asked.old.there, asked.new.there
    if new.exclusivity_group is None:
        return []
    types = tx.catalogue.between(new.from_object_type_id, new.to_object_type_id)
    beside = [
        row.id
        for row in types
        if row.exclusivity_group == new.exclusivity_group and row.id not in (new.id, *asked.types)
    ]
    if old.from_object_type_id == old.to_object_type_id and not old.symmetric and not new.symmetric:
        # Who holds both halves of the old label would hold both of the new one: they are of one group.
        beside.append(old.inverse_id)
    rows, total = await label_exchange.excluded(tx, old.id, beside, NAMED, symmetric=old.symmetric)
    problems: list[Problem] = [
        LabelsWouldExclude(
            record=encode("record", record_id),
            other=encode("record", other),
            held=tx.catalogue.association_types[type_id].label,
            label=new.label,
            group=new.exclusivity_group,
        )
        for record_id, other, type_id in rows
    ]
    return [*problems, *_more(total, len(rows))]


def _more(total: int, shown: int) -> Iterator[Problem]:
    if total > shown:
        yield MoreDoNotFit(count=total, shown=shown)


def _tell(tx: Transaction, asked: Exchange, part: Sequence[Moved]) -> None:
    """Note what went and what came: a change for each record, an event for each pair, as many at once as are alike."""
    types = tx.catalogue.association_types
    went: dict[int, list[Moved]] = {}
    # Both halves of a pair may become one symmetric label: what comes, comes once.
    came: dict[int, dict[tuple[int, int], Moved]] = {}
    for one in part:
        went.setdefault(one.type_id, []).append(one)
        if not one.already:
            came.setdefault(asked.types[one.type_id], {})[one.from_id, one.to_id] = one
    for type_id, moved in went.items():
        _note(tx, types[type_id], asked.old, moved, ChangeKind.DISSOCIATED, EventKind.LABEL_REMOVED)
    for type_id, new in came.items():
        moved = list(new.values())
        _note(tx, types[type_id], asked.new, moved, ChangeKind.ASSOCIATED, EventKind.LABEL_ADDED)


def _note(
    tx: Transaction,
    row: AssociationTypeRow,
    label: Label,
    moved: Sequence[Moved],
    change: ChangeKind,
    event: EventKind,
) -> None:
    near = row.from_object_type_id
    froms, tos = [one.from_id for one in moved], [one.to_id for one in moved]
    tx.changed(AssociationChanges(change, near, row.id, froms, tos))
    # Watchers are told of a pair from one of its ends; the other is understood.
    told = [one for one in moved if not row.symmetric or one.from_id < one.to_id]
    if row.id == label.there.id and told:
        payload = {
            "to_object_type_id": row.to_object_type_id,
            "type_id": row.id,
            "inverse_type_id": row.inverse_id,
            "label": row.name,
        }
        froms, tos = [one.from_id for one in told], [one.to_id for one in told]
        tx.happened(AssociationEvents(event, near, froms, tos, payload))
