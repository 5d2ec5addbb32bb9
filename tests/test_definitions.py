"""Object types and properties: custom ones join everything, names never change, searchable values are filled."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from engine import accounts, indexing, object_types, properties
from engine.naming import MalformedName, MalformedText, NameTaken
from engine.object_types import CoreObjectType, NotDisplayProperty
from engine.problems import NotFound, Problem
from engine.properties import (
    FieldDoesNotFit,
    FlagDoesNotFit,
    Option,
    OptionDuplicate,
    OptionsMissing,
    OptionsNotPossible,
    PropertyArchived,
    PropertyNamesRecords,
    UnknownPropertyType,
)
from storage import property_values
from storage.catalogue import ObjectTypeRow, PropertyRow
from storage.database import Actor, Database, Transaction
from tests.crm import rows_alone

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADMIN = Actor("API")


@pytest.fixture
async def account(db: Database) -> int:
    return await accounts.create(db, "demo", now=T0)


async def packages(db: Database, account: int, name: str = "packages") -> ObjectTypeRow:
    async with db.transaction(account, now=T0, actor=ADMIN, defining=True) as tx:
        return await object_types.create(tx, name=name, singular="Package", plural="Packages")


async def added(db: Database, account: int, **words: Any) -> PropertyRow:
    async with db.transaction(account, now=T0, actor=ADMIN, defining=True) as tx:
        given = {"name": "section", "label": "Section", "type": "STRING"} | words
        return await properties.create(tx, "contacts", **given)


async def changed(db: Database, account: int, name: str, **words: Any) -> PropertyRow:
    async with db.transaction(account, now=T0, actor=ADMIN, defining=True) as tx:
        return await properties.update(tx, "contacts", name, **words)


async def indexed(db: Database, account: int) -> None:
    """Let changes of indexes come to their end."""
    await indexing.run_all(db, account, now=T0)
    await indexing.run_all(db, account, now=T0 + indexing.GRACE)


async def test_a_custom_object_type_is_associable_with_everything_at_once(db: Database, account: int) -> None:
    await packages(db, account, "sources")
    made = await packages(db, account)
    catalogue = await db.catalogue(account)
    assert len(catalogue.object_types) == 23
    for other in catalogue.object_types.values():
        there, back = catalogue.unlabelled(made.id, other.id), catalogue.unlabelled(other.id, made.id)
        assert (there.inverse_id, back.inverse_id) == (back.id, there.id)
    assert catalogue.unlabelled(made.id, made.id).symmetric
    primary = catalogue.label(made.id, catalogue.by_name["companies"].id, "primary")
    assert primary is not None
    assert primary.primary
    assert catalogue.label(made.id, catalogue.by_name["sources"].id, "primary") is None


@pytest.mark.parametrize(
    "name", ["", "Packages", "1st", "with space", "naïve", "a" * 64, "a-b", "a\n", "_a", "a\x00"]
)
async def test_a_malformed_internal_name_is_refused(db: Database, account: int, name: str) -> None:
    with pytest.raises(MalformedName) as told:
        await packages(db, account, name)
    assert told.value.message.encode()
    with pytest.raises(MalformedName):
        await added(db, account, name=name)


async def test_a_name_is_taken_once_even_in_a_race(db: Database, account: int) -> None:
    outcomes = await asyncio.gather(*(packages(db, account) for _ in range(4)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [*["NameTaken"] * 3, "ObjectTypeRow"]
    answers = await asyncio.gather(*(added(db, account) for _ in range(4)), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == [*["NameTaken"] * 3, "PropertyRow"]
    with pytest.raises(NameTaken):
        await packages(db, account, "contacts")


async def test_names_for_people_change_and_the_internal_name_stays(db: Database, account: int) -> None:
    async with db.transaction(account, now=T0, actor=ADMIN, defining=True) as tx:
        row = await object_types.update(
            tx, "listings", singular="Haus", plural="Häuser", description=" Zu mieten ", active=True
        )
    assert (row.name, row.singular, row.plural, row.description) == (
        "listings",
        "Haus",
        "Häuser",
        "Zu mieten",
    )
    assert row.active
    assert (await db.catalogue(account)).by_name["listings"] == row
    async with db.transaction(account, now=T0, actor=ADMIN, defining=True) as tx:
        again = await object_types.update(tx, "listings", description=None)
    assert (again.plural, again.description) == ("Häuser", None)


async def test_an_update_that_cannot_be_is_refused(db: Database, account: int) -> None:
    async def update(name: str, **words: Any) -> None:
        async with db.transaction(account, now=T0, actor=ADMIN, defining=True) as tx:
            await object_types.update(tx, name, **words)

    with pytest.raises(CoreObjectType):
        await update("contacts", active=False)
    with pytest.raises(NotFound):
        await update("ships", singular="Ship")
    with pytest.raises(MalformedText):
        await update("contacts", singular=" ")
    with pytest.raises(NotDisplayProperty):
        await update("contacts", primary_display_property="nothing")
    with pytest.raises(NotDisplayProperty):
        await update("contacts", primary_display_property="interests")


async def test_a_property_that_names_records_is_not_archived(db: Database, account: int) -> None:
    async with db.transaction(account, now=T0, actor=ADMIN, defining=True) as tx:
        row = await object_types.update(tx, "contacts", primary_display_property="jobtitle")
        assert row.display == (("jobtitle",),)
        with pytest.raises(PropertyNamesRecords):
            await properties.archive(tx, "contacts", "jobtitle")
        await object_types.update(tx, "contacts", primary_display_property=None)
        assert (await properties.archive(tx, "contacts", "jobtitle")).archived_at == T0
        assert tx.catalogue.by_name["contacts"].live("jobtitle") is None


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"type": "TEXT"}, UnknownPropertyType),
        ({"type": "STRING", "field": "CURRENCY"}, FieldDoesNotFit),
        ({"type": "ENUMERATION"}, OptionsMissing),
        ({"type": "STRING", "options": [Option("a")]}, OptionsNotPossible),
        ({"type": "ENUMERATION", "options": [Option("a"), Option(" a ")]}, OptionDuplicate),
        ({"type": "ENUMERATION", "options": [Option("")]}, MalformedText),
        ({"type": "ENUMERATION", "options": [Option("a")], "field": "CHECKBOXES"}, FieldDoesNotFit),
        ({"type": "STRING", "multiple": True}, FlagDoesNotFit),
        ({"type": "JSON", "unique": True}, FlagDoesNotFit),
        ({"type": "BOOLEAN", "unique": True}, FlagDoesNotFit),
        ({"type": "ENUMERATION", "options": [Option("a")], "multiple": True, "unique": True}, FlagDoesNotFit),
        ({"type": "JSON", "searchable": True}, FlagDoesNotFit),
        ({"label": ""}, MalformedText),
        ({"label": "a\x00b"}, MalformedText),
        ({"group": "\ud800"}, MalformedText),
    ],
)
async def test_a_property_that_cannot_be_is_refused_and_leaves_nothing(
    db: Database, account: int, words: dict[str, Any], problem: type[Problem]
) -> None:
    with pytest.raises(problem) as told:
        await added(db, account, **words)
    assert told.value.message
    assert "section" not in (await db.catalogue(account)).by_name["contacts"].properties


async def test_a_problem_with_an_option_says_which(db: Database, account: int) -> None:
    with pytest.raises(OptionDuplicate) as told:
        await added(db, account, type="ENUMERATION", options=[Option("a"), Option("b"), Option("a")])
    assert told.value.path == ("options", 2, "value")


async def test_options_left_out_are_archived_since_records_may_hold_them(db: Database, account: int) -> None:
    await added(db, account, type="ENUMERATION", options=[Option("a", "A"), Option("b")])
    row = await changed(db, account, "section", options=[Option("c"), Option("a", "Alpha")])
    assert row.options == (
        {"value": "c", "label": "c"},
        {"value": "a", "label": "Alpha"},
        {"value": "b", "label": "b", "archived": True},
    )
    back = await changed(db, account, "section", options=[Option("b")])
    assert [option["value"] for option in back.options if not option.get("archived")] == ["b"]
    assert {option["value"] for option in back.options} == {"a", "b", "c"}


async def test_an_archived_property_keeps_its_name_and_cannot_be_changed(db: Database, account: int) -> None:
    await added(db, account)
    async with db.transaction(account, now=T0, actor=ADMIN, defining=True) as tx:
        await properties.archive(tx, "contacts", "section")
        assert (await properties.archive(tx, "contacts", "section")).archived_at == T0
        with pytest.raises(NotFound):
            await properties.archive(tx, "contacts", "nothing")
    with pytest.raises(NameTaken):
        await added(db, account)
    with pytest.raises(PropertyArchived):
        await changed(db, account, "section", label="New")


async def people(tx: Transaction, *found: dict[str, Any]) -> list[int]:
    """Contacts as rows, without the command that makes them: these tests are about the side table alone."""
    ids = list(await tx.new_ids(len(found)))
    await rows_alone(tx, tx.catalogue.by_name["contacts"], zip(ids, found, strict=True))
    return ids


async def values(db: Database, account: int, prop: PropertyRow) -> list[tuple[Any, ...]]:
    async with db.read(account) as reader:
        rows = await reader.fetch(
            """
            SELECT v.record_id, v.position, v.text_value, v.number_value FROM property_value AS v
             WHERE v.account_id = $1 AND v.property_id = $2 ORDER BY v.record_id, v.position
            """,
            prop.id,
        )
    return [tuple(row) for row in rows]


HELD: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "text": ({"type": "STRING"}, ["Zürich", "x" * 300, "10", "𝄞" * 257]),
    "number": ({"type": "NUMBER"}, [3, -2.5, 0, 1e21, 12345678901234567]),
    "flag": ({"type": "BOOLEAN"}, [True, False]),
    "moment": ({"type": "DATETIME"}, ["2026-01-31T09:30:00.000Z"]),
    "choices": (
        {"type": "ENUMERATION", "multiple": True, "options": [Option("a"), Option("b")]},
        [["a", "b"], ["b"], ["a"]],
    ),
}


@pytest.mark.parametrize("kind", HELD)
async def test_a_fill_writes_what_the_records_commands_would_have_written(
    db: Database, account: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "CHUNK", 2)
    words, held = HELD[kind]
    filled = await added(db, account, name="filled", **words)
    kept = await added(db, account, name="kept", searchable=True, **words)
    async with db.transaction(account, now=T0, actor=ADMIN) as tx:
        ids = await people(tx, {}, *({"filled": value} for value in held), {"other": 1})
        pairs = list(zip(ids[1:], held, strict=False))
        await property_values.replace(tx, [(number, kept, value) for number, value in pairs], fresh=True)
        # Not searchable yet: passed over.
        await property_values.replace(tx, [(number, filled, value) for number, value in pairs])
    assert await values(db, account, filled) == []
    filled = await changed(db, account, "filled", searchable=True)
    assert filled.searchable
    await indexed(db, account)
    assert await values(db, account, filled) == await values(db, account, kept) != []
    await changed(db, account, "filled", searchable=False)
    await indexed(db, account)
    assert await values(db, account, filled) == []


async def test_replacing_a_value_leaves_nothing_of_the_old_one(db: Database, account: int) -> None:
    choice = await added(
        db, account, type="ENUMERATION", multiple=True, searchable=True, options=[Option("a"), Option("b")]
    )
    async with db.transaction(account, now=T0, actor=ADMIN) as tx:
        one, other, third = await people(tx, {}, {}, {})
        await property_values.replace(
            tx, [(one, choice, ["a", "b"]), (other, choice, ["a"]), (third, choice, ["b"])]
        )
        await property_values.replace(tx, [(one, choice, ["b"]), (other, choice, None)])
    assert [row[:3] for row in await values(db, account, choice)] == [(one, 0, "b"), (third, 0, "b")]


async def test_archiving_a_property_forgets_its_searchable_values(db: Database, account: int) -> None:
    prop = await added(db, account, searchable=True)
    async with db.transaction(account, now=T0, actor=ADMIN, defining=True) as tx:
        (one,) = await people(tx, {"section": "games"})
        await property_values.replace(tx, [(one, prop, "games")])
        await properties.archive(tx, "contacts", "section")
    await indexed(db, account)
    assert await values(db, account, prop) == []
