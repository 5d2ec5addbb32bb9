"""How the SQL of filters is planned, where a reviewer could not see that a word of it decides."""

from typing import Any

from storage.database import Database
from storage.filters.tree import Filter
from storage.filters.ways import asked
from tests.filtering import World, associated, leaf, world


async def planned(of: World, bound: Filter) -> str:
    """The plan of a page of contacts that meet a filter."""
    given: list[Any] = [(await of.catalogue()).by_name["contacts"].id]

    def add(value: Any, cast: str) -> str:
        given.append(value)
        return f"${len(given) + 1}::{cast}"

    found_by = asked(bound, "r", add)
    sql = (
        f"EXPLAIN SELECT r.id FROM {found_by.tables} WHERE r.object_type_id = $2::bigint"
        f" AND r.archived_at IS NULL AND {found_by.condition} ORDER BY {found_by.ident} LIMIT 50"
    )
    async with of.db.read(of.account) as reader:
        return "\n".join(row[0] for row in await reader.fetch(sql, *given))


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
