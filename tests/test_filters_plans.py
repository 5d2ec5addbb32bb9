"""How the SQL of filters is planned, where a reviewer could not see that a word of it decides."""

from typing import Any

import hypothesis.strategies as st
from hypothesis import given

from storage.database import Database
from storage.filters.indexes import LAST, beyond
from storage.filters.tree import Filter
from storage.filters.ways import asked, both_ways, counted
from tests.filtering import World, associated, leaf, world


async def planned(of: World, bound: Filter) -> str:
    """The plan of a page of contacts that meet a filter."""
    values: list[Any] = [(await of.catalogue()).by_name["contacts"].id]

    def add(value: Any, cast: str) -> str:
        values.append(value)
        return f"${len(values) + 1}::{cast}"

    found_by = asked(bound, "r", add)
    sql = (
        f"EXPLAIN SELECT r.id FROM {found_by.tables} WHERE r.object_type_id = $2::bigint"
        f" AND r.archived_at IS NULL AND {found_by.condition} ORDER BY {found_by.ident} LIMIT 50"
    )
    async with of.db.read(of.account) as reader:
        return "\n".join(row[0] for row in await reader.fetch(sql, *values))


async def test_a_page_of_one_value_follows_its_index(db: Database) -> None:
    found = await world(db)
    for definition in (
        leaf("found", "EQUALS", "a"),
        leaf("points", "EQUALS", 1),
        leaf("died", "ON", "2026-01-31"),
    ):
        plan = await planned(found, await found.bind(definition))
        assert "property_value" in plan
        # Nothing collects every record of the value before the first of a page.
        assert not any(word in plan for word in ("Semi", "Aggregate", "Sort"))


async def test_only_positive_equality_of_short_values_without_empty_ones_uses_the_index(db: Database) -> None:
    found = await world(db)
    for definition in (
        leaf("text", "EQUALS", "a"),
        leaf("found", "NOT_EQUALS", "a"),
        leaf("found", "EQUALS", "a", includeEmpty=True),
        leaf("found", "EQUALS", "a" * 256),
        leaf("found", "CONTAINS", "a"),
    ):
        assert "property_value" not in await planned(found, await found.bind(definition))


async def nearby(of: World, bound: Filter) -> str | None:
    """The plan of what is looked at first, where there are two ways."""
    values: list[Any] = []

    def add(value: Any, cast: str) -> str:
        values.append(value)
        return f"${len(values) + 1}::{cast}"

    ways = both_ways(bound, "r", add, "near")
    if ways is None:
        return None
    # The parameters of the other way stand behind: they are not asked here.
    used = [value for n, value in enumerate(values) if f"${n + 2}::" in ways.near]
    async with of.db.read(of.account) as reader:
        return "\n".join(row[0] for row in await reader.fetch(f"EXPLAIN {ways.near} LIMIT 1001", *used))


async def test_the_beginning_of_a_text_is_a_range_of_its_index(db: Database) -> None:
    found = await world(db)
    plan = await nearby(found, await found.bind(leaf("found", "STARTS_WITH", "Ann")))
    assert plan is not None
    assert "Scan using property_value_text" in plan
    assert "(text_value >= 'Ann'::text) AND (text_value < 'Ano'::text)" in plan
    for other in (
        leaf("text", "STARTS_WITH", "Ann"),
        leaf("found", "STARTS_WITH", "Ann", "Bob"),
        leaf("found", "STARTS_WITH", chr(LAST)),
        leaf("found", "STARTS_WITH", "a" * 256),
        leaf("found", "ENDS_WITH", "Ann"),
    ):
        assert await nearby(found, await found.bind(other)) is None


@given(st.text(), st.text())
def test_a_text_begins_with_another_where_it_lies_before_what_is_beyond_it(text: str, start: str) -> None:
    end = beyond(start)
    if end is not None:
        assert start.encode() < end.encode()
        assert (start.encode() <= text.encode() < end.encode()) is text.startswith(start)
        assert (start.encode() <= (start + text).encode() < end.encode()) is True
    else:
        assert start == chr(LAST) * len(start)


async def test_ranges_far_away_are_looked_at_before_every_record_is_asked(db: Database) -> None:
    found = await world(db)
    many = leaf("points", "GREATER_THAN", 5)
    for definition in (
        associated("contacts", many),
        associated("contacts", {"and": [leaf("text", "CONTAINS", "x"), many]}),
        associated("contacts", leaf("found", "STARTS_WITH", "x")),
        {"and": [leaf("city", "CONTAINS", "x"), associated("contacts", many)]},
    ):
        plan = await nearby(found, await found.bind(definition, "companies"))
        assert plan is not None
        assert "Scan using property_value" in plan
        assert "Seq Scan" not in plan
    # Not for what is not known to be few, where nobody looks first.
    nobody = {"or": [associated("contacts", many), leaf("city", "CONTAINS", "x")]}
    assert await nearby(found, await found.bind(nobody, "companies")) is None
    # One of the record's own is nearer.
    own = {"and": [associated("companies", leaf("domain", "STARTS_WITH", "x")), many]}
    plan = await nearby(found, await found.bind(own))
    assert plan is not None
    assert "association" not in plan


async def test_a_nested_leaf_that_an_index_answers_is_begun_from_its_end(db: Database) -> None:
    found = await world(db)

    async def per_record(where: Any, **words: Any) -> bool:
        plan = await planned(found, await found.bind(associated("companies", where, **words)))
        return "hashed SubPlan" not in plan

    acme = leaf("name", "EQUALS", "Acme")
    assert not await per_record(acme)
    assert not await per_record({"and": [leaf("city", "CONTAINS", "x"), acme]}, labels=["billing"])
    assert await per_record({"or": [leaf("city", "CONTAINS", "x"), acme]})
    assert await per_record(leaf("industry", "KNOWN"))
    assert await per_record(acme, quantifier="NONE")


async def test_whether_and_how_many_there_are_is_read_from_the_counters(db: Database) -> None:
    found = await world(db)
    for words in (
        {},
        {"labels": ["billing", "advisor"]},
        {"quantifier": "NONE"},
        {"quantifier": "ALL"},
        {"quantifier": "COUNT", "operator": "GREATER_THAN", "count": 5},
    ):
        plan = await planned(found, await found.bind(associated("companies", **words)))
        assert "association_count" in plan
        assert "association_pkey" not in plan
        assert " on association " not in plan


async def test_a_range_that_is_not_short_is_counted_by_reading_all_records(db: Database) -> None:
    found = await world(db)
    many = leaf("points", "GREATER_THAN", 5)
    # Once where it is looked at how many there are, and never as what is followed record by record.
    for definition, ranges in ((many, 1), ({"and": [many, leaf("found", "EQUALS", "x")]}, 0)):
        values: list[Any] = []

        def add(value: Any, cast: str, values: list[Any] = values) -> str:
            values.append(value)
            return f"${len(values) + 2}::{cast}"

        counting = counted(await found.bind(definition), "$2::bigint", "r", add)
        [contacts] = [one for one in (await found.catalogue()).by_name.values() if one.name == "contacts"]
        async with found.db.read(found.account) as reader:
            rows = await reader.fetch(f"EXPLAIN SELECT {counting}", contacts.id, *values)
        plan = "\n".join(row[0] for row in rows)
        assert plan.count("number_value >") == ranges, plan
