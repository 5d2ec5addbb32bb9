"""Syncs as users of labels: the roles that they map labels to, and the filters by which records are synced."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.labels import Label
from engine.uses.kinds import Exchange, Use, UseKind
from engine.workflows import labels as named
from storage.catalogue import AssociationTypeRow, Catalogue
from storage.changes import Event, EventKind
from storage.database import Queryable, Transaction
from storage.sync import syncs
from storage.sync.syncs import SyncNamed


async def uses(reader: Queryable, catalogue: Catalogue, labels: Sequence[Label]) -> list[Use]:
    """Every place in a sync's definition that names one of the labels, in either direction."""
    pairs = {label.there.pair_id for label in labels}
    found = await syncs.definitions(reader) if pairs else []
    return [use for one in found for use in _uses(one, catalogue) if use.pair_id in pairs]


async def replace(tx: Transaction, asked: Exchange) -> list[Use]:
    """Let roles and filters name the new label. Their runners bind the rules anew."""
    moved: list[Use] = []
    for one in await syncs.definitions(tx):
        found = [use for use in _uses(one, tx.catalogue) if use.pair_id == asked.old.there.pair_id]
        if not found:
            continue
        held = await syncs.lock(tx, one.id)
        assert held is not None  # whoever deletes a sync waits for the definitions, which are held
        await syncs.redefine(tx, one.id, _rewritten(one, tx.catalogue, asked))
        details = {"revision": held.revision + 1, "changes": []}
        tx.happened(Event(EventKind.SYNC_UPDATED, one.object_type_id, None, one.id, details))
        moved += found
    return moved


def _uses(one: SyncNamed, catalogue: Catalogue) -> list[Use]:
    found: list[tuple[AssociationTypeRow, tuple[Any, ...]]] = []
    for n, role in enumerate(one.definition.get("roles", ())):
        label = _label(one, role, catalogue)
        if label is not None and not label.unlabelled:
            found.append((label, ("roles", n, "label")))
    where = one.definition.get("filterOurs")
    if where is not None:
        mentions = named.mentions(where, catalogue.object_types[one.object_type_id], catalogue)
        found += [(mention.type, ("filterOurs", *mention.path)) for mention in mentions]
    return [
        Use(label.pair_id, UseKind.SYNC, subject_id=one.id, name=one.name, path=path) for label, path in found
    ]


def _label(one: SyncNamed, role: Mapping[str, Any], catalogue: Catalogue) -> AssociationTypeRow | None:
    """The label that a role stands for, read at the synced record."""
    other = catalogue.by_name.get(role["to"])
    if other is None or role["label"] is None:
        return None
    return catalogue.label(one.object_type_id, other.id, role["label"])


def _rewritten(one: SyncNamed, catalogue: Catalogue, asked: Exchange) -> dict[str, Any]:
    definition = dict(one.definition)
    roles: list[dict[str, Any]] = []
    for role in definition.get("roles", ()):
        label = _label(one, role, catalogue)
        new = None if label is None else asked.types.get(label.id)
        if new is not None:
            role = {**role, "label": catalogue.association_types[new].name}
        # The new label may have a role already: one of them is enough.
        if (role["to"], role["label"]) not in {(each["to"], each["label"]) for each in roles}:
            roles.append(role)
    definition["roles"] = roles
    if definition.get("filterOurs") is not None:
        object_type = catalogue.object_types[one.object_type_id]
        definition["filterOurs"] = named.exchanged(
            definition["filterOurs"], object_type, catalogue, asked.types
        )
    return definition
