"""By what records and items are found to be the same, and which of them are synced at all."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from engine.sync import apps, commands, conditions, matching
from engine.sync.connectors.protocol import Item, RemoteField
from engine.sync.matching import One, Several, choose, key, may_match
from engine.sync.rules import Condition, Matcher, Options, Rules, Side
from engine.sync.rules import Test as Asks
from storage.database import Database
from storage.sync.syncs import SyncRow
from tests.sync_rules import mapping, prop, rules, theirs
from tests.sync_shop import ORDERS, Keeper, Shop, keeper


@pytest.fixture
def shop() -> Iterator[Shop]:
    with apps.registered(Shop()) as found:
        yield found


@pytest.fixture
async def it(db: Database, shop: Shop) -> Keeper:
    return await keeper(db, shop)


async def rules_of(it: Keeper, sync: SyncRow) -> Rules:
    """A sync's rules as they are now."""
    async with it.db.read(it.crm.account) as reader:
        row = await commands.get(reader, sync.id)
        return (await commands.bound(reader, await it.db.catalogue(it.crm.account), row)).rules


# --- matching ----------------------------------------------------------------------------------------------------


def matcher(name: str = "it", field: str = "", **other: Any) -> Matcher:
    return Matcher(prop(name, field=field, **other), theirs(name.title()))


@pytest.mark.parametrize(
    ("one", "ours", "others", "equal"),
    [
        (matcher("email", "EMAIL"), "Ann@X.de", " ann@x.DE ", True),
        (matcher("email", "EMAIL"), "ann@x.de", "bob@x.de", False),
        (matcher("domain", "DOMAIN"), "x.de", "https://www.X.de:443/about?a#b", True),
        (matcher("domain", "DOMAIN"), "x.de", "shop.x.de", False),
        (matcher("name"), "Müller  GmbH", " müller gmbh", True),
        (matcher("name"), "Straße", "STRASSE", True),
        (matcher("code", is_unique=True), "AB1", " AB1", True),
        (matcher("code", is_unique=True), "AB1", "ab1", False),
        (matcher("number", type="NUMBER"), 7, 7.0, True),
        (matcher("phone", type="PHONE"), "+49 (30) 12", "004930-12", True),
        (matcher("day", type="DATE"), "2026-01-31", "2026-01-31T00:00:00.000Z", True),
    ],
)
def test_keys_are_what_means_the_same(one: Matcher, ours: Any, others: Any, equal: bool) -> None:
    assert (key(one, ours) == key(one, others)) is equal
    if equal and isinstance(ours, str) and one.property.type == "STRING":
        # An exact index finds it, as it is written or as most write it.
        assert any(key(one, spelling) == key(one, ours) for spelling in matching.spellings(one, others))


@pytest.mark.parametrize("value", [None, "", "  ", []])
def test_what_says_nothing_has_no_key(value: Any) -> None:
    for one in (matcher("email", "EMAIL"), matcher("domain", "DOMAIN"), matcher("name")):
        assert key(one, value) is None
        assert matching.spellings(one, value) == []


def test_of_several_candidates_none_is_guessed() -> None:
    domain, name = matcher("domain", "DOMAIN"), matcher("name")
    both = (domain, name)
    assert choose(both, ((), ())) is None
    assert choose(both, ((1,), (2,))) == One(1, domain)
    assert choose(both, ((), (2, 2))) == One(2, name)
    # The better one is ambiguous: a worse one does not decide.
    assert choose(both, ((1, 2), (3,))) == Several((1, 2), domain)


async def test_companies_match_by_domain_or_name_and_never_by_website(it: Keeper) -> None:
    connection = await it.connect()
    sync = await it.make(connection.id, {}, "companies", "firms")

    async def found() -> list[tuple[str, str]]:
        matchers = (await rules_of(it, sync)).matchers
        return [(one.property.name, one.field.name) for one in matchers]

    assert await found() == [("domain", "host"), ("name", "title")]
    rules = await rules_of(it, sync)
    item = Item("f1", {"title": "ACME", "host": "www.acme.de", "site": "https://acme.de"})
    assert matching.keys_of_item(rules.matchers, item) == ["domain:acme.de", "name:acme"]
    # The domain is a key only while its default mapping is on.
    off = [
        {"property": "domain", "field": "host", "enabled": False},
        {"property": "phone", "field": "title"},
    ]
    sync = await it.update(sync, {"mappings": off})
    assert await found() == [("name", "title")]
    custom = [{"property": "domain", "field": "site"}, {"property": "name", "field": "title"}]
    sync = await it.update(sync, {"mappings": custom})
    assert await found() == [("name", "title")]
    companies = (await it.db.catalogue(it.crm.account)).by_name["companies"]
    assert not may_match(companies, companies.properties["website"])
    assert may_match(companies, companies.properties["email"])


async def test_other_records_match_by_what_is_unique_to_them(it: Keeper) -> None:
    await it.crm.define("orders", name="receipt", unique=True)
    it.shop.objects = (replace(ORDERS, fields=(*ORDERS.fields, RemoteField("receipt", "Receipt"))),)
    connection = await it.connect()
    sync = await it.make(connection.id, {}, "orders", "orders")
    found = (await rules_of(it, sync)).matchers
    assert [(one.property.name, one.field.name) for one in found] == [("receipt", "receipt")]


# --- conditions --------------------------------------------------------------------------------------------------

FIELDS: dict[str, Any] = {
    "colour": "Dark  RED",
    "size": 12,
    "tags": ["New", "Old"],
    "on": "2026-01-31T09:30:00.000Z",
    "sold": False,
    "none": None,
}


@pytest.mark.parametrize(
    ("field", "test", "asked", "met"),
    [
        ("colour", Asks.IS_KNOWN, (), True),
        ("none", Asks.IS_KNOWN, (), False),
        ("missing", Asks.IS_UNKNOWN, (), True),
        ("sold", Asks.IS_KNOWN, (), True),
        ("colour", Asks.IS_ANY_OF, ("blue", "dark red"), True),
        ("colour", Asks.IS_ANY_OF, ("red",), False),
        ("tags", Asks.IS_ANY_OF, ("old",), True),
        ("tags", Asks.IS_NONE_OF, ("old",), False),
        ("missing", Asks.IS_NONE_OF, ("old",), True),
        ("sold", Asks.IS_ANY_OF, ("false",), True),
        ("size", Asks.IS_ANY_OF, ("12",), True),
        ("colour", Asks.CONTAINS, ("k re",), True),
        ("colour", Asks.STARTS_WITH, ("DARK",), True),
        ("colour", Asks.ENDS_WITH, ("dark",), False),
        ("size", Asks.AT_LEAST, ("12",), True),
        ("size", Asks.AT_LEAST, ("12.5",), False),
        ("size", Asks.AT_MOST, ("9",), False),
        ("size", Asks.AT_LEAST, ("much",), False),
        ("on", Asks.AT_MOST, ("2026-01-31",), True),
        ("on", Asks.AT_LEAST, ("2026-01-31",), True),
        ("on", Asks.AT_LEAST, ("2026-01-31T10:00:00.000Z",), False),
        ("missing", Asks.AT_MOST, ("9",), False),
        ("missing", Asks.CONTAINS, ("x",), False),
    ],
)
def test_conditions_on_their_fields(field: str, test: Asks, asked: tuple[str, ...], met: bool) -> None:
    assert conditions.meets([Condition(field, test, asked)], FIELDS) is met


def test_contacts_without_a_valid_address_are_left_out_unless_they_are_wanted() -> None:
    sync = rules(mapping(prop("email", field="EMAIL"), theirs("Mail")))
    for value in (None, "", "ann", "ann@", "ann at x.de", "a b@x.de"):
        assert conditions.lacks_email(sync, Side.OURS, {"email": value})
        assert conditions.lacks_email(sync, Side.THEIRS, {"Mail": value})
    assert not conditions.lacks_email(sync, Side.THEIRS, {"Mail": "ann@x.de"})
    wanted = replace(sync, options=Options(without_email=True))
    assert not conditions.lacks_email(wanted, Side.THEIRS, {})
    # An app that knows no addresses is not asked for them; we are.
    without = rules(mapping(prop("firstname"), theirs("First")))
    assert not conditions.lacks_email(without, Side.THEIRS, {"First": "Ann"})
    assert conditions.lacks_email(without, Side.OURS, {"firstname": "Ann"})
    companies = replace(sync, object_type=replace(sync.object_type, name="companies"))
    assert not conditions.lacks_email(companies, Side.OURS, {})
