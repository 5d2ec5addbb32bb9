"""The laws of connectors see what is broken: a checker that finds nothing is none."""

import importlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest

from engine.sync.connectors.protocol import (
    Capabilities,
    ConnectorError,
    Create,
    Gone,
    Item,
    Op,
    Outcome,
    Page,
    Phase,
    RemoteObject,
    Surroundings,
    Update,
    Value,
    Written,
)
from tests.connector_laws import ConnectorLaws, Partner
from tests.test_example_connector import PACKAGE, Directory

LAWS = ConnectorLaws()
Law: TypeAlias = Callable[[Partner], Awaitable[None]]


class Broken:
    """A good connector, with something wrong."""

    def __init__(self, good: Any) -> None:
        self.good = good

    def __getattr__(self, name: str) -> Any:
        return getattr(self.good, name)


class ForgetsTheLast(Broken):
    async def read(self, object_: RemoteObject, phase: Phase, cursor: str | None, limit: int) -> Page:
        page: Page = await self.good.read(object_, phase, cursor, limit)
        return page if page.more else replace(page, items=page.items[:-1])


class NeverEnds(Broken):
    async def read(self, object_: RemoteObject, phase: Phase, cursor: str | None, limit: int) -> Page:
        page: Page = await self.good.read(object_, phase, None, limit)
        return replace(page, more=True, cursor="after:")


class TakesAnyCursor(Broken):
    async def read(self, object_: RemoteObject, phase: Phase, cursor: str | None, limit: int) -> Page:
        known = cursor is None or cursor.startswith("after:")
        page: Page = await self.good.read(object_, phase, cursor if known else None, limit)
        return page


class GivesTooMuch(Broken):
    async def read(self, object_: RemoteObject, phase: Phase, cursor: str | None, limit: int) -> Page:
        page: Page = await self.good.read(object_, phase, cursor, limit + 1)
        return page


class AnswersSorted(Broken):
    async def get(self, object_: RemoteObject, external_ids: Sequence[str]) -> list[Item]:
        items: list[Item] = await self.good.get(object_, sorted(set(external_ids)))
        return items


class LeavesOutTheDeleted(Broken):
    async def get(self, object_: RemoteObject, external_ids: Sequence[str]) -> list[Item]:
        return [item for item in await self.good.get(object_, external_ids) if not item.deleted]


class HasOneVersion(Broken):
    async def get(self, object_: RemoteObject, external_ids: Sequence[str]) -> list[Item]:
        return [replace(item, version="1") for item in await self.good.get(object_, external_ids)]

    async def read(self, object_: RemoteObject, phase: Phase, cursor: str | None, limit: int) -> Page:
        page: Page = await self.good.read(object_, phase, cursor, limit)
        return replace(page, items=tuple(replace(item, version="1") for item in page.items))


class FindsOne(Broken):
    async def find(self, object_: RemoteObject, field_: str, values: Sequence[str]) -> list[tuple[Item, ...]]:
        return [items[:1] for items in await self.good.find(object_, field_, values)]


class FindsOnlyWhatIsThere(Broken):
    async def find(self, object_: RemoteObject, field_: str, values: Sequence[str]) -> list[tuple[Item, ...]]:
        return [items for items in await self.good.find(object_, field_, values) if items]


class StopsAtTheFirstFailure(Broken):
    async def write(self, object_: RemoteObject, ops: Sequence[Op]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for op in ops:
            outcomes += await self.good.write(object_, [op])
            if not isinstance(outcomes[-1], Written):
                return outcomes + [Gone("Not tried.") for _ in ops[len(outcomes) :]]
        return outcomes


class RaisesForOne(Broken):
    async def write(self, object_: RemoteObject, ops: Sequence[Op]) -> list[Outcome]:
        outcomes: list[Outcome] = await self.good.write(object_, ops)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        return outcomes


def changed_ops(change: Callable[[Op], Op]) -> type[Broken]:
    class Changes(Broken):
        async def write(self, object_: RemoteObject, ops: Sequence[Op]) -> list[Outcome]:
            outcomes: list[Outcome] = await self.good.write(object_, [change(op) for op in ops])
            return outcomes

    return Changes


def values(change: Callable[[Mapping[str, Value]], dict[str, Value]]) -> type[Broken]:
    return changed_ops(
        lambda op: replace(op, fields=change(op.fields)) if isinstance(op, Create | Update) else op
    )


NeverEmpties = values(lambda fields: {name: value for name, value in fields.items() if value is not None})
Cuts = values(
    lambda fields: {name: value[:50] if isinstance(value, str) else value for name, value in fields.items()}
)
Rounds = values(
    lambda fields: {name: int(value) if isinstance(value, float) else value for name, value in fields.items()}
)
Shouts = values(
    lambda fields: {
        name: value.upper() if name == "name" and value else value for name, value in fields.items()
    }
)
_KEYS = iter(range(1_000_000))
CreatesTwice = changed_ops(
    lambda op: replace(op, key=f"{op.key}-{next(_KEYS)}") if isinstance(op, Create) else op
)
NeverAssociates = changed_ops(
    lambda op: replace(op, links=type(op.links)()) if isinstance(op, Create | Update) else op
)


class MakesUpVersions(Broken):
    async def write(self, object_: RemoteObject, ops: Sequence[Op]) -> list[Outcome]:
        outcomes: list[Outcome] = await self.good.write(object_, ops)
        return [replace(each, version="new") if isinstance(each, Written) else each for each in outcomes]


class LetsErrorsOut(Broken):
    async def _raw(self, *given: Any) -> Any:
        raise OSError("Nobody is there.")

    check = get = read = find = _raw


class HangsOn(Broken):
    """What was read once is told for ever."""

    async def get(self, object_: RemoteObject, external_ids: Sequence[str]) -> list[Item]:
        known = KNOWN.setdefault(id(object_), {})
        for item in await self.good.get(object_, external_ids):
            known.setdefault(item.external_id, item)
        return [known[each] for each in external_ids]


KNOWN: dict[int, dict[str, Item]] = {}


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Directory]:
    monkeypatch.syspath_prepend(PACKAGE)
    (tmp_path / "files").mkdir()
    yield Directory(importlib.import_module("relata_json_files"), tmp_path / "files")
    sys.modules.pop("relata_json_files", None)


def with_wrong(partner: Directory, wrong: type[Broken]) -> Partner:
    """The same partner, whose connector has something wrong."""
    good = partner.app

    @asynccontextmanager
    async def opened(settings: Mapping[str, str], surroundings: Surroundings) -> AsyncIterator[Any]:
        async with good.open(settings, surroundings) as connector:
            yield wrong(connector)

    said = {name: getattr(good, name) for name in ("name", "title", "about", "settings", "capabilities")}
    partner.app = SimpleNamespace(**said, open=opened)  # type: ignore[assignment]
    return partner


async def reads_in_pairs(it: Partner) -> None:
    await LAWS.test_a_full_read_meets_every_item_in_any_page_size(it, 2)


FOUND: list[tuple[type[Broken], Law]] = [
    (ForgetsTheLast, reads_in_pairs),
    (NeverEnds, reads_in_pairs),
    (GivesTooMuch, reads_in_pairs),
    (TakesAnyCursor, LAWS.test_a_cursor_that_nobody_knows_is_lost),
    (AnswersSorted, LAWS.test_items_are_got_in_the_order_asked),
    (LeavesOutTheDeleted, LAWS.test_items_are_got_in_the_order_asked),
    (LeavesOutTheDeleted, LAWS.test_ids_that_are_nobodys_are_told_as_deleted),
    (HasOneVersion, LAWS.test_versions_change_exactly_with_the_item),
    (HangsOn, LAWS.test_versions_change_exactly_with_the_item),
    (FindsOne, LAWS.test_all_items_with_a_value_are_found),
    (FindsOnlyWhatIsThere, LAWS.test_items_are_found_by_their_values),
    (StopsAtTheFirstFailure, LAWS.test_what_fails_spoils_nothing_else),
    (RaisesForOne, LAWS.test_what_fails_spoils_nothing_else),
    (RaisesForOne, LAWS.test_what_the_app_refuses_is_told_and_spoils_nothing),
    (MakesUpVersions, LAWS.test_outcomes_come_in_the_order_asked),
    (NeverEmpties, LAWS.test_none_empties_a_field),
    (Cuts, LAWS.test_values_come_back_as_they_were_written),
    (Rounds, LAWS.test_values_come_back_as_they_were_written),
    (Shouts, LAWS.test_only_what_is_named_changes),
    (CreatesTwice, LAWS.test_a_creation_repeated_creates_nothing_new),
    (CreatesTwice, LAWS.test_a_creation_whose_answer_was_lost_can_be_told),
    (NeverAssociates, LAWS.test_associations_are_written),
    (LetsErrorsOut, LAWS.test_an_app_that_is_not_there_disconnects_soon),
]


async def obeys(partner: Partner, law: Law) -> bool:
    """Whether a law holds. Nothing is skipped here: that would hold anything."""
    try:
        await law(partner)
    except pytest.skip.Exception as skipped:
        raise AssertionError("the law was not asked") from skipped
    except (AssertionError, pytest.fail.Exception, ConnectorError, OSError):
        return False
    return True


@pytest.mark.parametrize(("wrong", "law"), FOUND)
async def test_what_is_wrong_is_found(directory: Directory, wrong: type[Broken], law: Law) -> None:
    assert not await obeys(with_wrong(directory, wrong), law)


@pytest.mark.parametrize("law", dict.fromkeys(law for _, law in FOUND))
async def test_nothing_is_found_where_nothing_is_wrong(directory: Directory, law: Law) -> None:
    assert await obeys(with_wrong(directory, Broken), law)


async def test_promises_are_held_to(directory: Directory) -> None:
    """Whoever promises what the app does not keep is told."""
    partner = with_wrong(directory, Broken)
    partner.app.capabilities = Capabilities(changes=True, tombstones=True, conditional=True, push=False)  # type: ignore[misc]
    for law in (
        LAWS.test_changes_tell_what_was_deleted,
        LAWS.test_a_change_of_what_has_changed_is_refused,
    ):
        with pytest.raises((AssertionError, KeyError)):
            await law(partner)
