"""Texts found by their parts: nobody is left out, whatever the letters, and it is kept up while others write."""

import asyncio
import random
from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from engine import indexing, properties
from engine.filters import matches
from engine.properties import FlagDoesNotFit, PropertyBeingIndexed
from resolvers import listings
from storage import property_parts
from storage.database import Database
from storage.filters import ways
from storage.filters.tree import Index, Place, PropertyLeaf
from storage.selection import sources
from storage.selection.plans import compile
from storage.selection.tree import (
    Connection,
    EdgeFact,
    Edges,
    Identity,
    PageFact,
    PageInfo,
    RecordParts,
    Selection,
    Total,
)
from tests.crm import T0, Crm, crm, made, rows_alone
from tests.face import opened
from tests.filtering import MISSHAPEN, PHONES, TEXTS, World, associated, leaf, world
from tests.online import flag, meanwhile, prop, reach, read_by
from tests.plans import explained
from tests.test_property_indexes import both, touched

LETTERS = st.text(st.sampled_from("aábB% _\\'😀日"), max_size=12)

# --- what is kept of a text, and what is looked for ----------------------------------------------------------


def has(text: str, place: Place, part: str) -> bool:
    """Whether a text has another at a place."""
    match place:
        case Place.ANYWHERE:
            return part in text
        case Place.START:
            return text.startswith(part)
        case Place.END:
            return text.endswith(part)


def found(text: str, place: Place, part: str, seed: int = 3) -> bool:
    """Whether looking for a part at a place leads to a text."""
    kept = set(property_parts.parts_of(text, seed))
    return any(
        {int(one) for one in array[1:-1].split(",")} <= kept
        for array in property_parts.looked_up(place, (part,), seed)
    )


@given(LETTERS, LETTERS, LETTERS, st.sampled_from(Place))
def test_whoever_has_a_text_is_found_by_its_parts(before: str, part: str, after: str, place: Place) -> None:
    text = before * (place is not Place.START) + part + after * (place is not Place.END)
    assert has(text, place, part)
    if property_parts.narrows(place, part):
        assert found(text, place, part)


@given(LETTERS, LETTERS, st.sampled_from(Place))
def test_whoever_lacks_a_part_of_it_is_not_found(text: str, part: str, place: Place) -> None:
    # What is hashed is three letters; of those that stand in the text in this order, all are there.
    marked = f"{property_parts.MARK}{text}{property_parts.MARK}"
    asked = (
        f"{property_parts.MARK * (place is Place.START)}{part}{property_parts.MARK * (place is Place.END)}"
    )
    pieces = {asked[n : n + 3] for n in range(len(asked) - 2)}
    if property_parts.narrows(place, part):
        assert found(text, place, part) is all(piece in marked for piece in pieces)


def test_a_long_text_is_found_whatever_is_looked_for_and_little_is_kept_of_it() -> None:
    long = "x" * (property_parts.KEPT + 1)
    assert len(property_parts.parts_of(long, 3)) == 1
    assert found(long, Place.ANYWHERE, "abc")
    assert found(long, Place.ANYWHERE, long)
    assert found(long[1:], Place.ANYWHERE, long[1:])
    assert not found(long[1:], Place.ANYWHERE, "abc")


def test_no_two_properties_share_their_parts() -> None:
    seeds = {property_parts.seed(account, number) for account in range(1, 50) for number in range(1, 50)}
    assert len(seeds) == 49 * 49
    assert not set(property_parts.parts_of("example", 1)) & set(property_parts.parts_of("example", 2))


# --- records -----------------------------------------------------------------------------------------------


async def exact(of: Crm, name: str) -> int:
    """What is kept is what the records hold; how many there are."""
    row = (await of.db.catalogue(of.account)).by_name["contacts"].properties[name]
    records = await of.table("SELECT r.id, r.properties FROM record AS r WHERE r.account_id = $1")
    async with of.db.read(of.account) as reader:
        kept = await reader.fetch(
            "SELECT v.record_id, v.parts FROM property_part AS v WHERE v.account_id = $1 AND v.property_id = $2",
            row.id,
        )
    expected = {
        number: set(property_parts.parts_of(held[name], row.parts_seed))
        for number, held in records
        if name in held and row.writes_parts
    }
    assert {one[0]: set(one[1]) for one in kept} == expected
    return len(expected)


async def test_parts_follow_whatever_is_written(db: Database) -> None:
    of = await world(db)
    await of.define(name="nick", parts_searchable=True)
    await of.make(
        ann={"nick": "Annie"}, bob={"text": "x"}, cy={"nick": "Änn\t\\ {1}, 日本"}, dan={"nick": "Dan"}
    )
    ann, bob, cy, dan = (of.ids[name] for name in ("ann", "bob", "cy", "dan"))
    assert await exact(of, "nick") == 3
    made(await of.update((ann, {"nick": "Anna"}), (dan, {"nick": None})))
    await of.merge(bob, cy)
    await of.archive(ann)
    # The survivor has it now, and so has, put away, the other.
    assert await exact(of, "nick") == 3
    # A batch as large as imports make.
    made(await of.create(*({"nick": text} for text in (*TEXTS, "y" * 2_000) * 3)))
    assert await exact(of, "nick") == 3 + 3 * (len(TEXTS) + 1)


async def test_an_index_of_parts_is_made_and_given_up_while_others_write(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "CHUNK", 7)
    of = await world(db)
    chance = random.Random(3)
    pool = ("Annabel", "Annette", "Isabel", "Mabel", "Abe")
    ids = [row.id for row in made(await of.create(*({"text": chance.choice(pool)} for _ in range(60))))]

    async def write() -> None:
        one, other = chance.sample(ids, 2)
        made(await of.update((one, {"text": chance.choice(pool)}), (other, {"text": None})))
        ids.append(await of.contact(text=chance.choice(pool)))
        # The definitions may be older ones by the time it is asked.
        for words in (("CONTAINS", "nab"), ("ENDS_WITH", "abel")):
            assert await listed(of, leaf("text", *words)) is not None

    async with meanwhile(write) as written:
        for wanted, end in ((True, "READY"), (False, "NONE"), (True, "READY")):
            await flag(of, "text", parts_searchable=wanted)
            await reach(of, "text", parts_state=end)
            await written()
    assert await exact(of, "text")
    assert await agreed(of, leaf("text", "CONTAINS", "abel"))
    await flag(of, "text", parts_searchable=False)
    await reach(of, "text", parts_state="NONE")
    assert await exact(of, "text") == 0


async def test_parts_are_read_when_all_are_there_and_written_as_long_as_anybody_reads_them(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "CHUNK", 2)
    of = await world(db)
    await of.make(ann={"text": "Annabel"}, bob={"text": "Bob"}, cy={"text": "Isabel"})

    abel = leaf("text", "CONTAINS", "abel")
    await flag(of, "text", parts_searchable=True)
    assert await indexing.run_once(of.db, of.account, now=of.now)
    assert await read_by(of, abel) is None
    with pytest.raises(PropertyBeingIndexed):
        await flag(of, "text", parts_searchable=False)
    await reach(of, "text", parts_state="READY")
    assert await read_by(of, abel) is Index.PARTS
    await flag(of, "text", parts_searchable=False)
    assert await read_by(of, abel) is None
    await of.make(dan={"text": "Mabel"})
    assert await exact(of, "text") == 4
    # Whoever reads them has time to end.
    assert not await indexing.run_once(of.db, of.account, now=of.now)
    # Put away in the middle, it leaves nothing behind.
    await flag(of, "found", parts_searchable=True)
    async with db.transaction(of.account, now=of.now, actor=of.actor, defining=True) as tx:
        await properties.archive(tx, "contacts", "text")
    await reach(of, "text", parts_state="NONE")
    assert await exact(of, "text") == 0
    await reach(of, "found", parts_state="READY")
    assert (await prop(of, "text")).parts_state == "NONE"


# --- the same answers --------------------------------------------------------------------------------------


async def listed(of: Crm, where: Any, kind: str = "contacts", **asked: Any) -> tuple[list[int], int]:
    """The records of a list, all of them on one page, and how many the list says that there are."""
    catalogue = await of.db.catalogue(of.account)
    given = {"where": where, "first": 500, **asked}
    listing = listings.records(catalogue, catalogue.by_name[kind], listings.Asked(**given))
    node = RecordParts((("id", Identity("")),))
    facts = PageInfo((("hasNextPage", PageFact.HAS_NEXT),))
    parts = (
        ("edges", Edges((("cursor", EdgeFact.CURSOR), ("node", node)))),
        ("pageInfo", facts),
        ("total", Total()),
    )
    plan = compile(Selection((("records", Connection(listing, parts)),)))
    async with of.db.read(of.account) as reader:
        row = await reader.fetchrow(plan.sql, *plan.params)
    assert row is not None
    answer = orjson.loads(row["answer"])["records"]
    assert answer["pageInfo"]["hasNextPage"] is False
    return [int(edge["node"]["id"]) for edge in answer["edges"]], answer["total"]


async def agreed(of: World, where: Any, kind: str = "contacts") -> list[int]:
    """Whom a filter finds: every list says the same as the fold in Python, record by record."""
    bound = await of.bind(where, kind)
    catalogue = await of.catalogue()
    every = [row[0] for row in await of.table("SELECT r.id FROM record AS r WHERE r.account_id = $1")]
    async with of.db.snapshot(of.account) as reader:
        met = await matches(reader, bound, every, catalogue.by_name[kind].id, now=of.now)
    expected = sorted(number for number, holds in met.items() if holds)
    assert await listed(of, where, kind) == (expected, len(expected))
    name = "points" if kind == "contacts" else "name"
    for order in ({"property": name}, {"field": "UPDATED_AT", "direction": "DESC"}):
        found, total = await listed(of, where, kind, order_by=[order])
        assert (sorted(found), total) == (expected, len(expected))
    return expected


@st.composite
def definitions(draw: Any, depth: int = 2) -> Any:
    """Filters by parts of texts, alone and beside others."""
    texts = st.one_of(
        st.sampled_from((*TEXTS, "nn", "Ann", "日本", "\\%", "0 123", "x" * 20)), LETTERS.filter(bool)
    )
    match draw(st.sampled_from(["one", "one", "several", "far", "and", "or", "not"][: 7 if depth else 3])):
        case "several":
            words = draw(st.lists(texts, min_size=2, max_size=3))
        case "far":
            return associated("companies", leaf("name", "CONTAINS", draw(texts)))
        case "and" | "or" as key:
            return {key: [draw(definitions(depth - 1)) for _ in range(2)]}
        case "not":
            return {"not": draw(definitions(depth - 1))}
        case _:
            words = [draw(texts)]
    name = draw(st.sampled_from(["text", "found", "mobile"]))
    operators = ["CONTAINS", "CONTAINS", "ENDS_WITH", "STARTS_WITH", "NOT_CONTAINS"]
    # What is no phone number is none's.
    operators += ["ANY_OF"] if name != "mobile" else []
    return leaf(name, draw(st.sampled_from(operators)), *words)


@pytest.mark.parametrize("size", ["few", "many", "common"])
async def test_lists_by_parts_say_what_the_fold_says(
    db: Database, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With everything found by parts; with more than is begun with; where a sample says that there are many."""
    monkeypatch.setattr(property_parts, "KEPT", 290)
    if size == "many":
        for where, name in ((ways, "FAR"), (ways, "FEW_BY_PARTS"), (sources, "FAR"), (sources, "SEVERAL")):
            monkeypatch.setattr(where, name, 3)
        monkeypatch.setattr(ways, "PROBED", 1)
    monkeypatch.setattr(ways, "COMMON", 2 if size == "common" else 1_000)
    of = await world(db)
    for kind, name in (
        ("contacts", "text"),
        ("contacts", "found"),
        ("contacts", "mobile"),
        ("companies", "name"),
    ):
        await flag(of, name, kind, parts_searchable=True)
    chance = random.Random(size)
    phones = [text for text in PHONES if sum(one.isdigit() for one in text) > 1]
    words = ("abab", "bABá%", "日日a日", "a" * 300, "áB _\\'", "ba😀ab")
    people = {
        f"c{n}": {"text": chance.choice((*TEXTS, *words)), "found": chance.choice((*TEXTS, *words))}
        | ({"mobile": chance.choice(phones), "points": n % 5} if n % 3 else {})
        for n in range(80)
    }
    await of.make(**people)
    await of.make("companies", **{f"o{n}": {"name": chance.choice((*TEXTS[:9], *words))} for n in range(12)})
    await of.join(*{(f"c{n}", f"o{chance.randrange(12)}") for n in range(80)})
    for n, values in enumerate(MISSHAPEN):
        await of.make(**{f"odd{n}": {}})
        await of.misshape(f"odd{n}", values)
    await of.archive(of.ids["c70"], of.ids["c71"])
    for name in ("text", "found", "mobile"):
        await reach(of, name, parts_state="READY")
    await indexing.run_all(db, of.account, now=of.now)
    assert isinstance(one := await of.bind(leaf("mobile", "ENDS_WITH", "67")), PropertyLeaf)
    assert one.index is Index.PARTS
    loop, met = asyncio.get_running_loop(), 0

    @settings(
        max_examples=120,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(definitions())
    def agree(definition: Any) -> None:
        nonlocal met
        met += bool(asyncio.run_coroutine_threadsafe(agreed(of, definition), loop).result())

    await asyncio.to_thread(agree)
    assert met > 20


async def test_only_what_parts_narrow_down_is_looked_for_by_them(db: Database) -> None:
    of = await world(db)
    await flag(of, "text", parts_searchable=True)
    await flag(of, "found", parts_searchable=True)
    await indexing.run_all(db, of.account, now=of.now)
    for definition, index in (
        (leaf("text", "CONTAINS", "abc"), Index.PARTS),
        (leaf("text", "CONTAINS", "abc", "def"), Index.PARTS),
        (leaf("text", "CONTAINS", "日本語"), Index.PARTS),
        (leaf("text", "ENDS_WITH", "ab"), Index.PARTS),
        (leaf("text", "STARTS_WITH", "ab"), Index.PARTS),
        # Its values are in order.
        (leaf("found", "STARTS_WITH", "ab"), Index.VALUES),
        (leaf("found", "STARTS_WITH", "ab", "cd"), Index.PARTS),
        (leaf("text", "CONTAINS", "ab"), None),
        (leaf("text", "CONTAINS", "abc", "de"), None),
        (leaf("text", "ENDS_WITH", "b"), None),
        (leaf("text", "NOT_CONTAINS", "abc"), None),
        (leaf("text", "CONTAINS", "abc", includeEmpty=True), None),
        (leaf("text", "EQUALS", "abc"), Index.KEYS),
    ):
        bound = await of.bind(definition)
        assert isinstance(bound, PropertyLeaf)
        assert bound.index is index, definition


# --- plans -------------------------------------------------------------------------------------------------

ROWS = 60_000
BATCH = list(range(10_000, 11_000))


async def populated(db: Database) -> Crm:
    """Contacts of which all have a common part, one in a thousand one that is rare; then found by parts."""
    of = await crm(db)
    contacts = (await db.catalogue(of.account)).by_name["contacts"]
    held = (
        {"email": f"{'rare' if n % 1_000 == 7 else 'usual'}{n}@example.com", "city": "Rome"}
        for n in range(1_000_000, 1_000_000 + ROWS)
    )
    async with db.transaction(of.account, now=T0, actor=of.actor) as tx:
        await rows_alone(tx, contacts, enumerate(held, 1_000_000))
    await flag(of, "email", parts_searchable=True)
    await indexing.run_all(db, of.account, now=of.now)
    return of


async def test_few_among_many_are_found_without_reading_the_many(db: Database) -> None:
    of = await populated(db)
    async with db.pool.acquire() as session:
        all_of_them = await session.fetchval("SELECT pg_relation_size('record') / 8192")
    rare = leaf("email", "CONTAINS", "rare")
    for what, where, count in (
        ("contains", rare, 50),
        ("ends with", leaf("email", "ENDS_WITH", "re1012007@example.com"), 1),
        ("nobody", leaf("email", "CONTAINS", "xyz"), 0),
        ("one of two", leaf("email", "CONTAINS", "re1012007", "re1013007"), 2),
        ("beside what many have", both(leaf("city", "EQUALS", "Rome"), rare), 50),
        ("either", {"or": [leaf("email", "CONTAINS", "re1012007"), leaf("email", "EQUALS", "x")]}, 1),
        ("common", leaf("email", "CONTAINS", "example"), 50),
    ):
        for mode in ("force_custom_plan", "force_generic_plan"):
            blocks, answer, names = await touched(of, "contacts", mode, where=where, first=50)
            assert len(answer["edges"]) == count, what
            assert "property_part_parts" in names, (what, mode, names)
            # When each is looked for, it is three blocks a record.
            assert blocks < all_of_them // 2, (what, mode, blocks, all_of_them, names)
    # With statistics, too: planners believe that next to nobody has a part of a text, whatever it is.
    async with db.pool.acquire() as session:
        await session.execute("ANALYZE record")
    for asked in ({}, {"order_by": [{"field": "CREATED_AT", "direction": "DESC"}]}):
        for mode in ("force_custom_plan", "force_generic_plan"):
            where = leaf("email", "CONTAINS", "example")
            blocks, answer, names = await touched(of, "contacts", mode, where=where, first=50, **asked)
            assert len(answer["edges"]) == 50
            assert blocks < all_of_them // 2, (asked, mode, blocks, all_of_them, names)


CASES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "delete": (property_parts.DELETE, (BATCH, {str(n): ["2"] for n in BATCH})),
    "put": (property_parts.PUT, (BATCH, [2] * len(BATCH), ["{1,2}"] * len(BATCH))),
}


async def test_a_batch_of_parts_is_written_along_the_primary_key(db: Database) -> None:
    of = await populated(db)
    async with db.pool.acquire() as connection:
        async for name, mode, plan in explained(connection, of.account, CASES):
            assert not any(bad in plan for bad in ("Seq Scan", "Nested Loop", "Hash Join")), (
                name,
                mode,
                plan,
            )


# --- the face ----------------------------------------------------------------------------------------------


async def test_only_texts_have_parts(db: Database) -> None:
    of = await world(db)
    for name in ("grade", "born", "color", "extra"):
        with pytest.raises(FlagDoesNotFit):
            await flag(of, name, parts_searchable=True)
    with pytest.raises(FlagDoesNotFit):
        await of.define(name="sum", type="NUMBER", parts_searchable=True)


async def test_whether_a_property_is_found_by_parts_is_told_and_changed(db: Database) -> None:
    told = "property { name partsSearchable indexing } userErrors { code }"
    async with opened(db) as client:
        made_ = await client.do(
            "createProperty",
            told,
            {
                "objectType": "contacts",
                "name": "nick",
                "label": "Nick",
                "type": "STRING",
                "partsSearchable": True,
            },
        )
        assert made_["property"] == {"name": "nick", "partsSearchable": True, "indexing": False}
        changed = await client.do(
            "updateProperty", told, {"objectType": "contacts", "name": "city", "partsSearchable": True}
        )
        assert changed["property"] == {"name": "city", "partsSearchable": True, "indexing": True}
        refused = await client.do(
            "updateProperty", told, {"objectType": "contacts", "name": "score", "partsSearchable": True}
        )
        assert [one["code"] for one in refused["userErrors"]] == ["FLAG_DOES_NOT_FIT"]
