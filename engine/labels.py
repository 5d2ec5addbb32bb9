"""Labels: association types with a name, made in both directions at once, with texts and limits that can change."""

from dataclasses import dataclass, replace
from typing import Any

from engine import accounts, ids, label_names, naming
from engine.object_types import KEEP, Keep
from engine.problems import InvalidInput, NotFound, Problem, UnknownObjectType, at
from storage import association_types, labels
from storage.catalogue import AssociationTypeRow, Catalogue, ObjectTypeRow
from storage.database import Queryable, Transaction
from storage.labels import LabelChange

LARGEST_LIMIT = 2**31 - 1


class TooManyLabels(Problem):
    """{from_type} and {to_type} have as many labels as this account allows ({limit}); a pair counts once."""


class LimitOutOfRange(Problem):
    """The limit {limit} is not possible here: it must be {allowed}."""


class SystemLabelFixed(Problem):
    """The label "{name}" belongs to the system: it is not changed, replaced or deleted."""


@dataclass(frozen=True, slots=True)
class Label:
    """Both directions of an association type; the same row twice where it is symmetric."""

    there: AssociationTypeRow
    back: AssociationTypeRow
    warnings: tuple[str, ...] = ()


async def create(
    tx: Transaction,
    from_type: str,
    to_type: str,
    *,
    label: str,
    inverse_label: str | None = None,
    name: str | None = None,
    inverse_name: str | None = None,
    max_count: int | None = None,
    inverse_max_count: int | None = None,
    exclusivity_group: str | None = None,
) -> Label:
    """A new label from one object type to another, and its inverse; both read at their `from` record.

    With an `inverse_label` it is paired, else the text is the same on both sides. Internal names are derived
    from the texts where none are given. `max_count` is how many `to` records a `from` record may have, None:
    many. Raises `UnknownObjectType`, `MalformedText`, `MalformedName`, `NameTaken`, `NameReserved`, `TooManyLabels`,
    `LimitOutOfRange`, `InvalidInput`.
    """
    await tx.redefine()
    near, far = _object_type(tx.catalogue, from_type, "from"), _object_type(tx.catalogue, to_type, "to")
    there_text = _text(label, "label")
    back_text = there_text if inverse_label is None else _text(inverse_label, "inverseLabel")
    symmetric = near.id == far.id and back_text == there_text
    if symmetric:
        if inverse_name not in (None, name):
            raise InvalidInput(
                reason="A label that reads the same on both sides of one object type has one internal name.",
                path=("inverseName",),
            )
        inverse_max_count = _shared(max_count, inverse_max_count)
        max_count = inverse_max_count
    names = label_names.of_halves(
        (there_text, name),
        (back_text, inverse_name),
        single=back_text == there_text,
        taken=label_names.between(tx.catalogue, near, far),
    )
    await _check_number(tx, near, far)
    _check_limit(tx.catalogue, near.id, far.id, max_count, "maxCount")
    _check_limit(tx.catalogue, far.id, near.id, inverse_max_count, "inverseMaxCount")
    group = None if exclusivity_group is None else _text(exclusivity_group, "exclusivityGroup")
    first, second = await tx.new_ids(2)
    there = AssociationTypeRow(
        id=first,
        from_object_type_id=near.id,
        to_object_type_id=far.id,
        inverse_id=first if symmetric else second,
        pair_id=first,
        name=names[0],
        label=there_text,
        category="USER_DEFINED",
        max_count=max_count,
        exclusivity_group=group,
        created_at=tx.now,
        created_by=tx.actor.user_id,
    )
    back = replace(
        there,
        id=second,
        from_object_type_id=far.id,
        to_object_type_id=near.id,
        inverse_id=first,
        name=names[1],
        label=back_text,
        max_count=inverse_max_count,
    )
    await association_types.insert(tx, [there] if symmetric else [there, back])
    made = Label(there, there if symmetric else back, _warnings(there_text, back_text))
    told = {"from": near.name, "to": far.name, **fields(made)}
    changed = {field: [None, value] for field, value in told.items() if value is not None}
    await labels.tell(tx, there.pair_id, there.id, "CREATED", changed)
    await tx.reload()
    return made


async def update(
    tx: Transaction,
    type_id: int,
    *,
    label: str | Keep = KEEP,
    inverse_label: str | Keep = KEEP,
    max_count: int | Keep | None = KEEP,
    inverse_max_count: int | Keep | None = KEEP,
    exclusivity_group: str | Keep | None = KEEP,
) -> Label:
    """Change texts, limits and exclusivity group, told from the direction `type_id`; of unlabelled types limits only.

    A single label keeps one text: changing one side changes both. Raises `NotFound`, `SystemLabelFixed`,
    `MalformedText`, `LimitOutOfRange`, `InvalidInput`. Limits and groups are not retroactive.
    """
    await tx.redefine()
    before = both(tx.catalogue, type_id)
    worded = not all(isinstance(given, Keep) for given in (label, inverse_label))
    if before.there.category == "SYSTEM" and (
        worded or not isinstance(exclusivity_group, Keep) or not before.there.unlabelled
    ):
        raise SystemLabelFixed(name=before.there.name or "unlabelled", path=("id",))
    after = _reworded(before, label, inverse_label) if worded else before
    after = _limited(tx.catalogue, after, max_count, inverse_max_count)
    after = _grouped(after, exclusivity_group)
    old, new = fields(before), fields(after)
    changed = {field: [old[field], new[field]] for field in old if old[field] != new[field]}
    if changed:
        for row in {after.there.id: after.there, after.back.id: after.back}.values():
            await labels.update(tx, row)
        await labels.tell(tx, after.there.pair_id, after.there.id, "UPDATED", changed)
        await tx.reload()
    return after


async def set_limits(
    tx: Transaction,
    type_id: int,
    *,
    max_count: int | Keep | None = KEEP,
    inverse_max_count: int | Keep | None = KEEP,
) -> Label:
    """Set the limits of a label or, with an unlabelled type, those of its object pair. See `update`."""
    return await update(tx, type_id, max_count=max_count, inverse_max_count=inverse_max_count)


def both(catalogue: Catalogue, type_id: int) -> Label:
    """A type with its inverse; raises `NotFound`."""
    there = catalogue.association_types.get(type_id)
    if there is None:
        raise NotFound(kind="association type", name=ids.encode("association type", type_id))
    return Label(there, catalogue.association_types[there.inverse_id])


def listing(catalogue: Catalogue, from_type: str, to_type: str) -> list[AssociationTypeRow]:
    """The types of a directed object pair, the unlabelled one first; raises `UnknownObjectType`."""
    near, far = _object_type(catalogue, from_type, "from"), _object_type(catalogue, to_type, "to")
    return sorted(catalogue.between(near.id, far.id), key=lambda row: (not row.unlabelled, row.id))


async def history(reader: Queryable, row: AssociationTypeRow) -> list[LabelChange]:
    """The timeline of a label (or of an object pair's limits), oldest first."""
    return (await labels.histories(reader, [row.pair_id]))[0]


WORDS = {"label": "label", "inverseLabel": "inverse label", "exclusivityGroup": "exclusivity group"}


def _text(value: str, field: str) -> str:
    """A text for people; raises `MalformedText` at the field of the input."""
    with at(field):
        return naming.text(value, WORDS[field])


def _object_type(catalogue: Catalogue, name: str, end: str) -> ObjectTypeRow:
    found = catalogue.by_name.get(name)
    if found is None:
        raise UnknownObjectType(name=name[:100], path=(end,))
    return found


async def _check_number(tx: Transaction, near: ObjectTypeRow, far: ObjectTypeRow) -> None:
    rows = tx.catalogue.between(near.id, far.id)
    pairs = {row.pair_id for row in rows if row.category == "USER_DEFINED"}
    limit = (await accounts.read(tx)).settings.labels_per_pair
    if len(pairs) >= limit:
        raise TooManyLabels(from_type=near.name, to_type=far.name, limit=limit)


def _check_limit(catalogue: Catalogue, near: int, far: int, limit: int | None, field: str) -> None:
    """Raise `LimitOutOfRange` unless `limit` fits below the limit of the object pair."""
    most = catalogue.unlabelled(near, far).max_count
    if limit is None:
        return
    if not 1 <= limit <= (LARGEST_LIMIT if most is None else most):
        allowed = "1 or more" if most is None else f"from 1 to {most}, the limit of the object pair"
        raise LimitOutOfRange(limit=limit, allowed=allowed, path=(field,))


def _check_object_limit(catalogue: Catalogue, near: int, far: int, limit: int | None, field: str) -> None:
    """Raise `LimitOutOfRange` unless every label's limit fits below `limit`."""
    if limit is None:
        return
    own = [row for row in catalogue.between(near, far) if not row.unlabelled and row.max_count is not None]
    largest = max(own, key=lambda row: row.max_count or 0, default=None)
    least = 1 if largest is None or largest.max_count is None else largest.max_count
    if not least <= limit <= LARGEST_LIMIT:
        allowed = f"{least} or more"
        if largest is not None and limit >= 1:
            allowed += f", since the label {largest.name} allows {least}"
        raise LimitOutOfRange(limit=limit, allowed=allowed, path=(field,))


def _reworded(before: Label, label: str | Keep, inverse_label: str | Keep) -> Label:
    there, back = before.there, before.back
    single = there.label == back.label
    first = there.label if isinstance(label, Keep) else _text(label, "label")
    second = back.label if isinstance(inverse_label, Keep) else _text(inverse_label, "inverseLabel")
    if single and isinstance(inverse_label, Keep):
        second = first
    elif single and isinstance(label, Keep):
        first = second
    if there.symmetric and first != second:
        raise InvalidInput(
            reason="This label reads the same on both sides; its two texts cannot differ.",
            path=("inverseLabel",),
        )
    return Label(replace(there, label=first), replace(back, label=second), _warnings(first, second))


def _limited(
    catalogue: Catalogue, label: Label, max_count: int | Keep | None, inverse_max_count: int | Keep | None
) -> Label:
    there, back = label.there, label.back
    if there.symmetric:
        given = [limit for limit in (max_count, inverse_max_count) if not isinstance(limit, Keep)]
        if given:
            max_count = inverse_max_count = _shared(given[0], given[-1])
    first = there.max_count if isinstance(max_count, Keep) else max_count
    second = back.max_count if isinstance(inverse_max_count, Keep) else inverse_max_count
    check = _check_object_limit if there.unlabelled else _check_limit
    for row, limit, field in ((there, first, "maxCount"), (back, second, "inverseMaxCount")):
        if limit != row.max_count:
            check(catalogue, row.from_object_type_id, row.to_object_type_id, limit, field)
    return replace(label, there=replace(there, max_count=first), back=replace(back, max_count=second))


def _shared(max_count: int | None, inverse_max_count: int | None) -> int | None:
    """The one limit of a symmetric type; raises `InvalidInput` where two different ones are given."""
    if max_count is not None and inverse_max_count is not None and max_count != inverse_max_count:
        raise InvalidInput(
            reason="Between records of one object type this has one limit for both ways.",
            path=("inverseMaxCount",),
        )
    return max_count if inverse_max_count is None else inverse_max_count


def _warnings(*texts: str | None) -> tuple[str, ...]:
    return tuple(
        f'The label "{text}" holds ";", which separates labels in imports: write it there as "\\;".'
        for text in dict.fromkeys(texts)
        if text is not None and ";" in text
    )


def _grouped(label: Label, group: str | Keep | None) -> Label:
    if isinstance(group, Keep):
        return label
    chosen = None if group is None else _text(group, "exclusivityGroup")
    there, back = (replace(row, exclusivity_group=chosen) for row in (label.there, label.back))
    return replace(label, there=there, back=back)


def fields(label: Label) -> dict[str, Any]:
    """What a label's history tells of: texts, internal names and limits of both directions, the exclusivity group."""
    return {
        "label": label.there.label,
        "inverseLabel": label.back.label,
        "name": label.there.name,
        "inverseName": label.back.name,
        "maxCount": label.there.max_count,
        "inverseMaxCount": label.back.max_count,
        "exclusivityGroup": label.there.exclusivity_group,
    }
