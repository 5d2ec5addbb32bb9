"""Who holds which unique value while a batch goes on: each input sees what the ones before it took and gave up."""

from collections.abc import Sequence
from typing import Any

from engine import ids, values
from engine.problems import Problem
from engine.records.drafts import Draft, Item
from engine.records.problems import UniqueValueArchived, UniqueValueRepeated, UniqueValueTaken
from storage import unique_values
from storage.database import Transaction
from storage.unique_values import Holder, Key


class Ledger:
    """The unique values that a batch wants: claimed at once, settled input by input, put right at the end."""

    __slots__ = ("_foreign", "_new", "_owner", "_rows", "_taken")

    def __init__(self) -> None:
        # What the database's row of a value names, and who owns it as the batch goes on (None: nobody).
        self._rows: dict[Key, int] = {}
        self._owner: dict[Key, int | None] = {}
        # Values that changed hands here, and those that others held when the batch began.
        self._taken: set[Key] = set()
        self._foreign: dict[Key, Holder] = {}
        self._new: set[int] = set()

    async def claim(self, tx: Transaction, items: Sequence[Item]) -> dict[Key, Holder]:
        """Take what the inputs want and the batch's own records do not hold; who holds the rest."""
        wanted: dict[Key, int] = {}
        for item in items:
            if item.draft is None or item.problems:
                continue
            if item.draft.before is None:
                self._new.add(item.draft.record_id)
            item.keys = item.draft.form.keys(item.changes)
            for name, key in item.keys.items():
                if held := _held(item.draft, name):
                    self._rows[held] = self._owner[held] = item.draft.record_id
                if key is not None:
                    wanted.setdefault(key, item.draft.record_id)
        wanted = {key: record_id for key, record_id in wanted.items() if key not in self._owner}
        if not wanted:
            return {}
        self._foreign = await unique_values.claim(tx, wanted)
        for key, record_id in wanted.items():
            holder = self._foreign.get(key)
            self._rows[key] = holder.row_id if holder else record_id
            self._owner[key] = holder.record_id if holder else None
        return self._foreign

    def take(self, item: Item) -> list[Problem]:
        """Let one input have its values, if all of them are free; the problems of those that are not."""
        draft = item.draft
        assert draft is not None  # only inputs with a record come here
        keys = item.keys
        if not keys:
            return []
        problems = [
            self._problem(name, item.changes[name], key, owner)
            for name, key in keys.items()
            if key is not None and (owner := self._owner.get(key)) is not None and owner != draft.record_id
        ]
        if not problems:
            for name, key in keys.items():
                old = draft.form.key(draft.form.object_type.properties[name], draft.properties.get(name))
                if old is not None and old != key:
                    self._owner[old] = None
                if key is not None:
                    self._owner[key] = draft.record_id
                    self._taken.add(key)
        return problems

    def _problem(self, name: str, value: Any, key: Key, owner: int) -> Problem:
        told = {"property": name, "value": values.shown(value)}
        if owner in self._new:
            return UniqueValueRepeated(path=("properties", name), **told)
        holder = self._foreign.get(key)
        archived = holder is not None and holder.record_id == owner and holder.archived
        kind = UniqueValueArchived if archived else UniqueValueTaken
        return kind(path=("properties", name), holder=ids.encode("record", owner), **told)

    async def write(self, tx: Transaction) -> None:
        """Put the rows right that do not name their owner: those given up, handed over, or claimed in vain."""
        moves = {
            key: owner
            for key in self._taken
            if (owner := self._owner[key]) is not None and owner != self._rows[key]
        }
        await unique_values.move(tx, moves)
        await unique_values.release(tx, [key for key, owner in self._owner.items() if owner is None])


def _held(draft: Draft, name: str) -> Key | None:
    """The unique value that a record holds before the batch."""
    if draft.before is None:
        return None
    prop = draft.form.object_type.properties[name]
    return draft.form.key(prop, draft.before.properties.get(name))
