"""What is written over there: looked for, and compared, before anything is."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.sync import matching, sifting
from engine.sync.connectors.protocol import (
    Create,
    Item,
    Links,
    Op,
    Outcome,
    Update,
)
from engine.sync.decide import Decision
from engine.sync.rules import Rules, Values
from engine.sync.translate import translation
from engine.sync.turns import Turn
from storage.records import RecordRow
from storage.sync import ends
from storage.sync.dirty import DirtyRow
from storage.sync.links import LinkRow


@dataclass(slots=True)
class Send:
    """A record that is to be written over there."""

    row: DirtyRow
    link: LinkRow
    record: RecordRow
    decision: Decision
    links: Links = field(default_factory=Links)
    base_roles: dict[str, list[str]] | None = None
    # The transaction that has noted it: see `RunRow`.
    writer: int = 0
    # Of a change, where the item is known by another version by now.
    version: str | None = None
    # Of a creation.
    key: str | None = None
    outcome: Outcome | None = None
    # What was found over there instead of what the link knows.
    met: tuple[Item, ...] = ()


async def meet(turn: Turn, sending: Sequence[Send]) -> None:
    """Look first: for items that are there already, and for what has changed since."""
    rules = turn.rules
    creations = [one for one in sending if one.key is not None]
    for matcher in matching.found_by(rules.matchers, rules.remote):
        asked: dict[str, list[Send]] = {}
        for one in creations:
            value = one.record.properties.get(matcher.property.name)
            if isinstance(value, str) and value and not one.met:
                asked.setdefault(value, []).append(one)
        if not asked:
            continue
        turn.at("find")
        answers = await turn.connector.find(rules.remote, matcher.field.name, list(asked))
        turn.at("found")
        for some, items in zip(asked.values(), answers, strict=True):
            for one in some:
                wanted = matching.key(matcher, one.record.properties.get(matcher.property.name))
                one.met = tuple(
                    item
                    for item in items
                    if not item.deleted
                    and matching.key(matcher, item.fields.get(matcher.field.name)) == wanted
                )
    # An app that refuses what has changed meanwhile must be told a version: without one it would take anything.
    conditional = rules.capabilities.conditional
    changes = [
        one for one in sending if one.key is None and not (conditional and one.link.version is not None)
    ]
    if changes:
        turn.at("get")
        present = await turn.connector.get(rules.remote, [one.link.external_id or "" for one in changes])
        turn.at("got")
        pairs = [(one.link, item) for one, item in zip(changes, present, strict=True)]
        changed = await otherwise(turn, pairs)
        for one, item in zip(changes, present, strict=True):
            if item.deleted or one.link.id in changed:
                one.met = (item,)
            elif conditional:
                one.version = item.version


async def otherwise(turn: Turn, pairs: Sequence[tuple[LinkRow, Item]]) -> set[int]:
    """Of links those of which the item is not as they know it."""
    rules = turn.rules
    pairs = [(link, sifting.versioned(rules, item)) for link, item in pairs]
    other = {link.id for link, item in pairs if not item.deleted and _changed(rules, link, item)}
    far = {
        (role.other_sync_id, end, link.id)
        for link, item in pairs
        if link.id not in other and not item.deleted and not _same_version(link, item)
        for role in rules.roles
        if role.role.name in item.associations and role.other_sync_id is not None
        for end in set(item.associations[role.role.name]) ^ set(link.base_roles.get(role.role.name, ()))
    }
    if not far:
        return other
    # What is linked with nothing, or gone, is no change: nothing could be made of it.
    asked = sorted({(sync_id, None, end) for sync_id, end, _ in far})
    async with turn.db.read(turn.account_id) as reader:
        found = await ends.halves(reader, asked)
    linked = {(one.sync_id, one.external_id) for one in found if one.linked}
    return other | {link_id for sync_id, end, link_id in far if (sync_id, end) in linked}


def _same_version(link: LinkRow, item: Item) -> bool:
    return item.version is not None and item.version == link.version


def _changed(rules: Rules, link: LinkRow, item: Item) -> bool:
    return not _same_version(link, item) and not holds(rules, item.fields, link.base_theirs or {})


def holds(rules: Rules, fields: Values, base: Values) -> bool:
    """Whether fields are what they were last known to be, as far as the app keeps what it is given."""
    for one in rules.mappings:
        name = one.field.name
        found, known = fields.get(name), base.get(name)
        # Most are equal, which nobody needs to be asked.
        if found != known and not translation(one).same_theirs(found, known):
            return False
    return True


async def write(turn: Turn, sending: Sequence[Send]) -> None:
    writing = [one for one in sending if not one.met]
    if not writing:
        return
    turn.at("write")
    outcomes = await turn.connector.write(turn.rules.remote, [_op(turn, one) for one in writing])
    turn.at("written")
    for one, outcome in zip(writing, outcomes, strict=True):
        one.outcome = outcome


def _op(turn: Turn, one: Send) -> Op:
    fields = one.decision.merged.theirs
    if one.key is not None:
        given = {name: value for name, value in fields.items() if value is not None}
        return Create(one.key, given, one.links)
    version = (one.version or one.link.version) if turn.rules.capabilities.conditional else None
    key = f"{turn.account_id}-{turn.sync_id}-{one.link.id}-{one.row.token}"
    return Update(one.link.external_id or "", fields, version, one.links, key)
