"""Which items are news: what a feed tells may be known already, older than what is known, or not how things are now."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

from engine.sync.book import THEIRS
from engine.sync.connectors.protocol import Item
from engine.sync.rules import Rules
from engine.sync.translate import translation
from storage.sync.links import CONFLICT, EXCLUDED, FAILED, LinkRow


def last(rules: Rules, items: Sequence[Item]) -> list[Item]:
    """Each item once: the newest where that can be told, else the one that came last."""
    found: dict[str, Item] = {}
    for item in (versioned(rules, one) for one in items):
        other = found.get(item.external_id)
        if (
            other is not None
            and rules.capabilities.ordered_versions
            and (other.version or "") > (item.version or "")
        ):
            continue
        found[item.external_id] = item
    return list(found.values())


def versioned(rules: Rules, item: Item) -> Item:
    """Where an app has no versions, what an item holds is one: it says whether something is known of it already."""
    able = rules.capabilities
    if item.version is not None or item.deleted or able.conditional or able.ordered_versions:
        return item
    held = {role: sorted(some) for role, some in item.associations.items()}
    text = json.dumps([item.fields, held], sort_keys=True, default=str)
    return replace(item, version="=" + hashlib.blake2b(text.encode(), digest_size=16).hexdigest())


def known(rules: Rules, link: LinkRow, item: Item, full: bool) -> bool:
    """Whether nothing new can come of the item."""
    if item.deleted and link.deleted == THEIRS:
        return True
    if item.version is None or item.deleted:
        return False
    if (
        link.state == FAILED
        and not full
        and link.details is not None
        and link.details.get("tried") == item.version
    ):
        return True
    if full and link.version == item.version and _new_ends(rules, link, item):
        return False
    return link.version == item.version and not (full and link.state in (FAILED, EXCLUDED, CONFLICT))


def _new_ends(rules: Rules, link: LinkRow, item: Item) -> bool:
    """Whether it has ends in a role that was not looked at before: its other side is synced since."""
    return any(
        one.other_sync_id is not None
        and one.role.name not in link.base_roles
        and bool(item.associations.get(one.role.name))
        for one in rules.roles
    )


def older(link: LinkRow, item: Item) -> bool:
    return link.version is not None and item.version is not None and item.version < link.version


def unsure(rules: Rules, link: LinkRow, item: Item) -> bool:
    """Whether the item may be as it was before, or gone and back: versions that do not compare say no more.

    What holds what the link knows is no news, whenever it was read.
    """
    if link.record_id is None:
        return item.deleted
    if item.deleted:
        return True
    base = link.base_theirs
    if base is None:
        return True
    same = all(
        translation(one).same_theirs(item.fields.get(one.field.name), base.get(one.field.name))
        for one in rules.mappings
    )
    return not (same and _same_roles(rules, link, item))


def confirm(rules: Rules, link: LinkRow, item: Item) -> None:
    """Something was sent, and nobody heard what came of it: what the item holds of it has arrived."""
    planned, link.planned = link.planned or {}, None
    base_ours, base_theirs = dict(link.base_ours or {}), dict(link.base_theirs or {})
    theirs = planned.get("theirs", {})
    for one in rules.mappings:
        name, prop = one.field.name, one.property.name
        if name in theirs and translation(one).same_theirs(item.fields.get(name), theirs[name]):
            base_ours[prop], base_theirs[name] = planned["ours"].get(prop), item.fields.get(name)
    if link.base_ours is not None:
        link.base_ours, link.base_theirs = base_ours, base_theirs
    for role, some in planned.get("roles", {}).items():
        if role in item.associations and set(item.associations[role]) == set(some):
            link.base_roles = {**link.base_roles, role: sorted(some)}


def _same_roles(rules: Rules, link: LinkRow, item: Item) -> bool:
    return all(
        set(item.associations[one.role.name]) == set(link.base_roles.get(one.role.name, ()))
        for one in rules.roles
        if one.role.name in item.associations
    )
