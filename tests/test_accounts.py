"""Accounts: everything that every account has is there at once, and nothing of one is seen from another."""

import asyncio
from collections import Counter
from datetime import UTC, datetime

import pytest

from engine import accounts
from engine.accounts import AccountExists, InvalidSetting, UnknownSetting
from engine.naming import MalformedText
from storage.database import Actor, Database

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADMIN = Actor("API")


async def test_an_account_begins_with_every_standard_object_type(db: Database) -> None:
    account = await accounts.create(db, "demo", now=T0)
    catalogue = await db.catalogue(account)
    assert {row.name for row in catalogue.object_types.values() if row.category == "ACTIVITY"} == {
        "meetings",
        "tasks",
        "notes",
        "emails",
        "calls",
    }
    assert len(catalogue.object_types) == 21
    off = {row.name for row in catalogue.object_types.values() if not row.active}
    assert off == {"leads", "appointments", "listings"}
    assert catalogue.by_name["contacts"].properties["email"].is_unique
    for row in catalogue.object_types.values():
        assert row.display, f"records of {row.name} would have no name"


async def test_every_pair_of_object_types_has_one_unlabelled_type_and_its_inverse(db: Database) -> None:
    catalogue = await db.catalogue(await accounts.create(db, "demo", now=T0))
    pairs = Counter(
        (row.from_object_type_id, row.to_object_type_id)
        for row in catalogue.association_types.values()
        if row.unlabelled
    )
    assert set(pairs.values()) == {1}
    assert set(pairs) == {(one, other) for one in catalogue.object_types for other in catalogue.object_types}
    for row in catalogue.association_types.values():
        inverse = catalogue.association_types[row.inverse_id]
        assert inverse.inverse_id == row.id
        assert inverse.pair_id == row.pair_id
        there, back = (row.from_object_type_id, row.to_object_type_id), (inverse.from_object_type_id,)
        assert there == (inverse.to_object_type_id, *back)
        if row.unlabelled:
            assert row.symmetric == (row.from_object_type_id == row.to_object_type_id)


async def test_only_the_half_at_the_record_is_limited_to_one_primary_company(db: Database) -> None:
    catalogue = await db.catalogue(await accounts.create(db, "demo", now=T0))
    names = {row.id: row.name for row in catalogue.object_types.values()}
    primaries = {
        (names[row.from_object_type_id], names[row.to_object_type_id])
        for row in catalogue.association_types.values()
        if row.primary and row.max_count == 1
    }
    assert primaries == {(name, "companies") for name in ("contacts", "deals", "tickets")}
    companies, contacts = (catalogue.by_name[name].id for name in ("companies", "contacts"))
    back = catalogue.label(companies, contacts, "primary")
    assert back is not None
    assert back.primary
    assert back.max_count is None
    parent = catalogue.label(companies, companies, "parent")
    assert parent is not None
    assert (parent.max_count, catalogue.association_types[parent.inverse_id].name) == (1, "child")


async def test_a_name_is_given_to_one_account_even_in_a_race(db: Database) -> None:
    outcomes = await asyncio.gather(
        *(accounts.create(db, "demo", now=T0) for _ in range(4)), return_exceptions=True
    )
    made = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert len(made) == 1
    assert sum(isinstance(outcome, AccountExists) for outcome in outcomes) == 3
    assert await accounts.find(db, "demo") == made[0]
    assert await accounts.find(db, "nobody") is None
    assert await accounts.names(db) == ["demo"]


async def test_an_account_is_renamed_unless_the_name_is_taken(db: Database) -> None:
    one, _ = [await accounts.create(db, name, now=T0) for name in ("one", "other")]
    async with db.transaction(one, now=T0, actor=ADMIN) as tx:
        await accounts.rename(tx, "first")
    with pytest.raises(AccountExists):
        async with db.transaction(one, now=T0, actor=ADMIN) as tx:
            await accounts.rename(tx, "other")
    assert await accounts.find(db, "first") == one
    assert await accounts.names(db) == ["first", "other"]


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\x00b", "half \ud800"])
async def test_a_name_that_nobody_can_read_is_refused(db: Database, name: str) -> None:
    with pytest.raises(MalformedText):
        await accounts.create(db, name, now=T0)


async def test_settings_are_checked_and_kept(db: Database) -> None:
    account = await accounts.create(db, "demo", now=T0, settings={"time_zone": "Europe/Berlin"})
    async with db.transaction(account, now=T0, actor=ADMIN) as tx:
        await accounts.change_settings(tx, {"labels_per_pair": 5})
    async with db.read(account) as reader:
        found = await accounts.read(reader)
    assert (found.id, found.name, found.created_at) == (account, "demo", T0)
    assert (found.settings.time_zone, found.settings.labels_per_pair) == ("Europe/Berlin", 5)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"time_zone": "Mars/Olympus"}, InvalidSetting),
        ({"time_zone": "../../etc/passwd"}, InvalidSetting),
        ({"time_zone": 3}, InvalidSetting),
        ({"labels_per_pair": -1}, InvalidSetting),
        ({"labels_per_pair": True}, InvalidSetting),
        ({"labels_per_pair": "many"}, InvalidSetting),
        ({"colour": "red"}, UnknownSetting),
    ],
)
async def test_a_setting_that_cannot_be_is_refused(
    db: Database, changes: dict[str, object], problem: type[Exception]
) -> None:
    account = await accounts.create(db, "demo", now=T0)
    with pytest.raises(problem):
        async with db.transaction(account, now=T0, actor=ADMIN) as tx:
            await accounts.change_settings(tx, changes)


async def test_accounts_share_nothing_but_their_shape(db: Database) -> None:
    one, other = [await accounts.create(db, name, now=T0) for name in ("one", "other")]
    assert abs(one - other) > 1_000, "ids of accounts must not be guessable from each other"
    first, second = await db.catalogue(one), await db.catalogue(other)
    assert first.object_types.keys() == second.object_types.keys()
    async with db.transaction(one, now=T0, actor=ADMIN) as tx:
        await accounts.change_settings(tx, {"time_zone": "Asia/Tokyo"})
    async with db.read(other) as reader:
        assert (await accounts.read(reader)).settings.time_zone == "UTC"
