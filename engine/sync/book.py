"""What a transaction of a runner writes about links: gathered one by one, written set by set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from engine.sync import backoff
from engine.sync.categories import Category
from engine.sync.decide import Decision, Kind
from engine.sync.rules import Rules
from storage.changes import Event, EventKind
from storage.database import Transaction
from storage.sync import attempts, conflicts, dirty, keys, links
from storage.sync.attempts import Attempt
from storage.sync.conflicts import ConflictRow
from storage.sync.links import CONFLICT, EXCLUDED, FAILED, IN_SYNC, PENDING, LinkRow

OURS, THEIRS = dirty.OURS, dirty.THEIRS

# Longer than a transaction of a runner takes.
SOON = timedelta(seconds=5)

_TOLD = {
    IN_SYNC: EventKind.RECORD_SYNCED,
    FAILED: EventKind.RECORD_SYNC_FAILED,
    EXCLUDED: EventKind.RECORD_SYNC_EXCLUDED,
    CONFLICT: EventKind.SYNC_CONFLICTED,
}


@dataclass(slots=True)
class Book:
    """Links that are new, changed or forgotten, and all that goes with them."""

    tx: Transaction
    rules: Rules
    new: list[LinkRow] = field(default_factory=list)
    changed: dict[int, LinkRow] = field(default_factory=dict)
    planned: dict[int, LinkRow] = field(default_factory=dict)
    forgotten: dict[int, LinkRow] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    dirty: list[tuple[int, str, str, datetime, int]] = field(default_factory=list)
    keys: dict[int, list[str]] = field(default_factory=dict)
    keys_gone: set[int] = field(default_factory=set)
    asked: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)
    waits: list[tuple[int, str, str, int]] = field(default_factory=list)
    linked: list[LinkRow] = field(default_factory=list)
    told: dict[tuple[EventKind, str | None], list[LinkRow]] = field(default_factory=dict)

    def keep(self, link: LinkRow) -> None:
        """The link has changed."""
        if link.created_at is not None:
            self.changed[link.id] = link

    def plan(self, link: LinkRow, planned: dict[str, Any]) -> None:
        """Something is about to be sent; nothing else of the link has changed by that."""
        link.planned = planned
        if link.created_at is not None:
            self.planned[link.id] = link

    def settle(self, link: LinkRow, decision: Decision) -> None:
        """Let the link stand as was decided, and tell of it where that is news."""
        before = (link.state, link.category, link.message)
        link.state = decision.state
        link.category, link.message = decision.category, decision.message
        link.failed_side = decision.failed_side
        link.details = dict(decision.details) if decision.details is not None else None
        if link.deleted is not None and decision.deleted is None:
            # It is back: whoever is associated with it is told, as of one that is new.
            self.linked.append(link)
        link.deleted = decision.deleted
        if decision.base_ours is not None and decision.base_theirs is not None:
            link.base_ours, link.base_theirs = dict(decision.base_ours), dict(decision.base_theirs)
        news = (link.state, link.category, link.message) != before
        if link.state == FAILED:
            link.failed_at = self.tx.now
            # What was to be tried again was PENDING until now.
            link.attempts += news
        else:
            link.attempts, link.failed_at = 0, None
        self.keep(link)
        if news and link.state in (FAILED, EXCLUDED, CONFLICT):
            self.note(link, link.state, side=link.failed_side, category=link.category, message=link.message)
            self.tell(link)

    def fail(
        self,
        link: LinkRow,
        category: Category,
        message: str,
        side: str,
        *,
        details: Mapping[str, Any] | None = None,
        look: str | None = None,
        after: timedelta | None = None,
    ) -> datetime | None:
        """It did not work. `look`: which half is looked at again where that may help; when it will be."""
        link.state, link.category, link.message, link.failed_side = FAILED, category.value, message, side
        link.details = dict(details) if details is not None else None
        link.attempts += 1
        link.failed_at = self.tx.now
        self.keep(link)
        self.note(link, FAILED, side=side, category=category.value, message=message)
        self.tell(link)
        due = backoff.due(category, link.attempts, str(link.id), self.tx.now, after=after)
        if due is not None and look is not None:
            self.look(link, look, due)
        return due

    def look(self, link: LinkRow, side: str, due: datetime, attempts: int = 0) -> None:
        """Let one half of the link be looked at; the other where it has no such half."""
        if side == THEIRS and link.external_id is not None:
            self.dirty.append((self.rules.sync_id, THEIRS, link.external_id, due, attempts))
        elif link.record_id is not None:
            self.dirty.append((self.rules.sync_id, OURS, str(link.record_id), due, attempts))

    def synced(
        self, link: LinkRow, did: str, side: str | None, changed: Mapping[str, Any] | None = None
    ) -> None:
        """Something was written, or the two were linked."""
        link.synced_at = self.tx.now
        self.note(link, did, side=side, changed=dict(changed) if changed else None)
        if link.state == IN_SYNC:
            self.tell(link)
        self.keep(link)

    def note(
        self,
        link: LinkRow,
        did: str,
        *,
        side: str | None = None,
        category: str | None = None,
        message: str | None = None,
        changed: dict[str, Any] | None = None,
    ) -> None:
        """Note an attempt."""
        self.attempts.append(Attempt(link.id, did, side, category, message, changed))

    def tell(self, link: LinkRow) -> None:
        """Tell watchers how the link stands now."""
        if link.state != PENDING:
            self.told.setdefault((_TOLD[link.state], link.category), []).append(link)

    def conflicts(self, link: LinkRow, decision: Decision, known: Sequence[ConflictRow]) -> None:
        """Ask about what is in conflict, and no longer about what is not."""
        if not known and not decision.merged.conflicts:
            return
        if decision.kind is Kind.EXCLUDE or (decision.deleted == OURS and decision.state != EXCLUDED):
            # Nothing was merged: once our record is back, it is not known any more what both sides had changed.
            return
        open_ = {one.mapping_id for one in decision.merged.conflicts}
        held = {one.mapping_id: one for one in known}
        self.settled += [one.id for one in held.values() if one.mapping_id not in open_]
        for one in decision.merged.conflicts:
            values = {"ours": one.ours, "theirs": one.theirs, "agreed": one.agreed}
            if one.mapping_id not in held or held[one.mapping_id].held != values:
                self.asked.append((link.id, one.mapping_id, values))

    async def write(self) -> None:
        """Write all of it: a statement for each kind of thing, however many there are."""
        tx, sync_id = self.tx, self.rules.sync_id
        await links.delete(tx, sync_id, list(self.forgotten.values()))
        await links.update(tx, [link for link in self.changed.values() if link.id not in self.forgotten])
        written = self.changed.keys() | self.forgotten.keys()
        await links.plan(tx, [link for link in self.planned.values() if link.id not in written])
        await links.insert(tx, self.new)
        await keys.remove(tx, sync_id, self.keys_gone)
        await keys.put(tx, sync_id, self.keys)
        await conflicts.remove(tx, self.settled)
        await conflicts.put(tx, sync_id, self.asked)
        unsure = await dirty.wait(tx, sync_id, self.waits)
        if unsure:
            self._look_soon({link_id for other, _, _, link_id in self.waits if other in unsure})
        await dirty.add_to_many(tx, self.dirty)
        await dirty.arrived(
            tx,
            sync_id,
            [link.record_id for link in self.linked if link.record_id is not None],
            [link.external_id for link in self.linked if link.external_id is not None],
        )
        await attempts.add(tx, sync_id, self.attempts, {link.id for link in self.new})
        self._tell()

    def _look_soon(self, link_ids: set[int]) -> None:
        """Let links that wait be looked at once what is at work now is done."""
        for link in (*self.changed.values(), *self.new):
            if link.id in link_ids:
                self.look(link, THEIRS, self.tx.now + SOON)

    def _tell(self) -> None:
        object_type_id = self.rules.object_type.id
        for (kind, category), rows in self.told.items():
            plain: dict[str, Any] = {} if category is None else {"category": category}
            for link in rows:
                payload = plain if link.record_id is not None else {**plain, "externalId": link.external_id}
                self.tx.happened(Event(kind, object_type_id, link.record_id, self.rules.sync_id, payload))
