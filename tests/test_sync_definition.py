"""What a sync is to do: proposed, written down, checked against both sides, changed with review, overtaken."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from engine import ids, label_removal, labels, properties
from engine.problems import NotFound, Refused
from engine.sync import apps, commands
from engine.sync.binding import Binding
from engine.sync.checking import check, settled
from engine.sync.connectors.protocol import FieldType, RemoteField
from engine.sync.definition import Definition, MappingPart, kept, of, read
from engine.sync.problems import (
    ConnectionBroken,
    StaleSync,
    SyncBroken,
    SyncExists,
    SyncNotStarted,
    SyncRunning,
    UnknownRemoteObject,
)
from engine.sync.review import differences
from engine.sync.rules import Condition, Direction, Policy
from engine.sync.rules import Test as Asks
from engine.uses import Named
from engine.uses import of as named
from storage.database import Database
from storage.notes import EventKind
from storage.sync import connections, links, mappings, syncs
from storage.sync.links import LinkRow
from storage.sync.syncs import SyncRow
from tests.crm import made as values_of
from tests.sync_rules import mapping, prop, rules, theirs
from tests.sync_shop import CUSTOMERS, FIRMS, ORDERS, Keeper, Shop, keeper


@pytest.fixture
def shop() -> Iterator[Shop]:
    with apps.registered(Shop()) as found:
        yield found


@pytest.fixture
async def it(db: Database, shop: Shop) -> Keeper:
    return await keeper(db, shop)


async def proposal(it: Keeper, object_type: str, remote_object: str) -> Definition:
    connection = await it.connect()
    return commands.proposed(await it.db.catalogue(it.crm.account), connection, object_type, remote_object)


async def bound(it: Keeper, sync: SyncRow) -> Binding:
    """A sync's rules as they are now."""
    async with it.db.read(it.crm.account) as reader:
        row = await commands.get(reader, sync.id)
        return await commands.bound(reader, await it.db.catalogue(it.crm.account), row)


def told(refused: Refused) -> dict[str, str]:
    """What is wrong, by its place."""
    return {".".join(map(str, problem.path)): problem.code for problem in refused.problems}


async def wrong(it: Keeper, document: Mapping[str, Any]) -> dict[str, str]:
    connection = await it.connect()
    with pytest.raises(Refused) as refused:
        await it.make(connection.id, document)
    return told(refused.value)


# --- proposals ---------------------------------------------------------------------------------------------------


async def test_what_the_app_says_goes_before_what_is_called_alike(it: Keeper) -> None:
    found = await proposal(it, "contacts", "customers")
    assert found.direction is Direction.BOTH
    assert [(one.property, one.field, one.direction) for one in found.mappings] == [
        ("email", "mail", Direction.BOTH),
        ("firstname", "first", Direction.BOTH),
        ("lastname", "Last_Name", Direction.BOTH),
        ("score", "score", Direction.BOTH),
    ]
    # The primary company, as the app's main role; orders are read only over there.
    assert [(one.role, one.to, one.label, one.direction) for one in found.roles] == [
        ("employer", "companies", "primary", Direction.BOTH),
        ("orders", "orders", None, Direction.IN),
    ]


async def test_of_two_ends_that_know_an_association_one_keeps_it(it: Keeper) -> None:
    found = await proposal(it, "companies", "firms")
    # Contacts know their companies; that one company is another's parent is told by names alone.
    assert [(one.role, one.to, one.label) for one in found.roles] == [("parent", "companies", "parent")]


async def test_what_can_only_be_read_comes_in(it: Keeper) -> None:
    found = await proposal(it, "orders", "orders")
    assert found.direction is Direction.IN


async def test_a_sync_that_says_nothing_is_as_proposed(it: Keeper) -> None:
    connection = await it.connect()
    sync = await it.make(connection.id)
    rules = (await bound(it, sync)).rules
    assert (sync.phase, sync.enabled, sync.revision) == ("CONFIGURED", False, 1)
    assert [(one.property.name, one.field.name, one.custom) for one in rules.mappings] == [
        ("email", "mail", False),
        ("firstname", "first", False),
        ("lastname", "Last_Name", True),
        ("score", "score", True),
    ]
    assert [(one.property.name, one.field.name) for one in rules.matchers] == [("email", "mail")]
    assert sync.created_by == it.crm.actor.user_id


# --- documents ---------------------------------------------------------------------------------------------------

FULL: dict[str, Any] = {
    "direction": "IN",
    "policy": "ASK",
    "mappings": [
        {"property": "email", "field": "mail"},
        {
            "property": "lifecyclestage",
            "field": "stage",
            "direction": "IN",
            "policy": "THEIRS",
            "options": [{"ours": "opportunity", "theirs": "C"}],
        },
        {"property": "city", "field": "colour", "enabled": False},
    ],
    "roles": [{"role": "employer", "to": "companies", "label": "primary"}],
    "filterOurs": {"property": {"name": "city", "operator": "KNOWN"}},
    "filterTheirs": [{"field": "colour", "test": "IS_ANY_OF", "values": ["Red"]}],
    "matchers": ["email"],
    "options": {
        "withoutEmail": True,
        "deletes": "IN",
        "deleteShare": 0.5,
        "paceSeconds": 30,
        "sweepSeconds": 3600,
    },
}


async def test_a_definition_is_kept_as_it_was_written(it: Keeper) -> None:
    connection = await it.connect()
    sync = await it.make(connection.id, FULL)
    rules = (await bound(it, sync)).rules
    assert (rules.direction, rules.policy) == (Direction.IN, Policy.ASK)
    assert [(one.property.name, one.direction, one.policy) for one in rules.mappings] == [
        ("email", Direction.BOTH, Policy.ASK),
        ("lifecyclestage", Direction.IN, Policy.THEIRS),
    ]
    assert rules.mappings[1].options == {"opportunity": "C"}
    assert [one.association_type.name for one in rules.roles] == ["primary"]
    assert rules.filter_ours is not None
    assert rules.filter_theirs == (Condition("colour", Asks.IS_ANY_OF, ("Red",)),)
    assert rules.options.without_email
    assert rules.options.pace is not None
    assert rules.options.pace.total_seconds() == 30
    async with it.db.read(it.crm.account) as reader:
        rows = (await mappings.of_syncs(reader, [sync.id]))[sync.id]
    contacts = (await it.db.catalogue(it.crm.account)).by_name["contacts"]
    before = of(sync, rows, contacts)
    # Written down again it is the same, and changes nothing.
    assert read(kept(before), before) == before
    assert differences(before, before) == []


async def test_everything_that_is_no_definition_is_told_at_its_place() -> None:
    with pytest.raises(Refused) as refused:
        read(
            {
                "direction": "SIDEWAYS",
                "mappings": [{"property": "email"}, {"property": 1, "field": "x", "policy": "NOBODY"}],
                "roles": {},
                "filterOurs": "all",
                "filterTheirs": [{"field": "x"}, {"field": "x", "test": "IS_KNOWN", "values": "y"}],
                "matchers": "email",
                "options": {"withoutEmail": "yes", "deleteShare": 2, "paceSeconds": 0, "sweepSeconds": True},
            },
            Definition(),
        )
    assert sorted(told(refused.value)) == sorted(
        [
            "direction",
            "mappings.0.field",
            "mappings.1.property",
            "mappings.1.policy",
            "roles",
            "filterOurs",
            "filterTheirs.0.test",
            "filterTheirs.1.values",
            "matchers",
            "options.withoutEmail",
            "options.deleteShare",
            "options.paceSeconds",
            "options.sweepSeconds",
        ]
    )
    # Numbers as people write them.
    assert any("from 60 to 2678400." in one.message for one in refused.value.problems)


async def test_everything_that_does_not_fit_is_told_at_its_place(it: Keeper) -> None:
    found = await wrong(
        it,
        {
            "mappings": [
                {"property": "email", "field": "mail"},
                {"property": "email", "field": "mail"},
                {"property": "nothing", "field": "nowhere"},
                {"property": "score", "field": "first"},
                {"property": "city", "field": "made", "direction": "OUT"},
                {
                    "property": "lifecyclestage",
                    "field": "stage",
                    "options": [{"ours": "unheard", "theirs": "C"}, {"ours": "lead", "theirs": "X"}],
                },
                {"property": "city", "field": "first", "options": [{"ours": "a", "theirs": "b"}]},
            ],
            "roles": [
                {"role": "nobody", "to": "companies", "label": "primary"},
                {"role": "employer", "to": "ghosts"},
                {"role": "firms", "to": "companies", "label": "unheard"},
                {"role": "firms", "to": "companies"},
                {"role": "orders", "to": "orders", "direction": "BOTH"},
            ],
            "filterOurs": {"property": {"name": "nothing", "operator": "KNOWN"}},
            "filterTheirs": [
                {"field": "nowhere", "test": "IS_KNOWN"},
                {"field": "colour", "test": "IS_KNOWN", "values": ["x"]},
                {"field": "colour", "test": "CONTAINS"},
            ],
            "matchers": ["city", "jobtitle"],
        },
    )
    assert found == {
        "mappings.1": "MAPPING_REPEATED",
        "mappings.1.property": "WRITTEN_TWICE",
        "mappings.1.field": "WRITTEN_TWICE",
        "mappings.2.property": "UNKNOWN_MAPPED_PROPERTY",
        "mappings.2.field": "UNKNOWN_FIELD",
        # A number becomes text and never comes back; it then goes out, beside another that writes the same field.
        "mappings.4.direction": "MAPPING_DOES_NOT_FIT",
        "mappings.5.options.0.ours": "UNKNOWN_OPTION",
        "mappings.5.options.1.theirs": "UNKNOWN_OPTION",
        "mappings.6.options": "OPTIONS_NOT_MAPPABLE",
        "mappings.6.field": "WRITTEN_TWICE",
        "roles.0.role": "UNKNOWN_ROLE",
        "roles.1.to": "UNKNOWN_OBJECT_TYPE",
        "roles.2.label": "UNKNOWN_SYNC_LABEL",
        "roles.3": "ROLE_REPEATED",
        "roles.3.label": "ROLE_DOES_NOT_FIT",
        "roles.4.direction": "ROLE_DOES_NOT_FIT",
        "filterOurs.property.name": "UNKNOWN_PROPERTY",
        "filterTheirs.0.field": "UNKNOWN_FIELD",
        "filterTheirs.1.values": "OPTION_NOT_POSSIBLE",
        "filterTheirs.2.values": "OPTION_NOT_POSSIBLE",
        "matchers.0": "MATCHER_DOES_NOT_FIT",
        "matchers.1": "MATCHER_DOES_NOT_FIT",
    }


async def test_what_an_app_cannot_do_is_refused(it: Keeper) -> None:
    connection = await it.connect()
    with pytest.raises(Refused) as refused:
        await it.make(connection.id, {"direction": "BOTH", "options": {"deletes": "OUT"}}, "orders", "orders")
    found = told(refused.value)
    assert found["direction"] == "DIRECTION_NOT_POSSIBLE"
    assert found["options.deletes"] == "OPTION_NOT_POSSIBLE"
    with pytest.raises(Refused) as refused:
        await it.make(connection.id, {"mappings": []})
    assert told(refused.value) == {"mappings": "NOTHING_MAPPED"}


async def test_all_companies_are_for_whoever_chooses_them(it: Keeper) -> None:
    connection = await it.connect()
    roles = [{"role": "firms", "to": "companies"}]
    with pytest.raises(Refused):
        await it.make(connection.id, {"roles": roles})
    sync = await it.make(connection.id, {"roles": roles, "options": {"allCompanies": True}})
    assert [one.association_type.name for one in (await bound(it, sync)).rules.roles] == [None]
    # The option alone is taken back: what stood on it is told.
    with pytest.raises(Refused):
        await it.update(sync, {"options": {"allCompanies": False}})


async def test_one_sync_of_an_object_type_and_an_object(it: Keeper) -> None:
    connection = await it.connect()
    await it.make(connection.id)
    with pytest.raises(SyncExists):
        await it.make(connection.id)
    with pytest.raises(UnknownRemoteObject):
        await it.make(connection.id, {}, "contacts", "carts")
    with pytest.raises(NotFound):
        await it.make(10**9)
    # Another connection of the same app is another sync.
    await it.make((await it.connect("Second")).id)


# --- life --------------------------------------------------------------------------------------------------------


async def test_a_sync_is_made_started_turned_off_and_on_and_deleted(it: Keeper) -> None:
    connection = await it.connect()
    sync = await it.make(connection.id)
    with pytest.raises(SyncNotStarted):
        await it.switch(sync.id, True)
    started = await it.start(sync.id)
    assert (started.phase, started.enabled, started.next_at) == ("INITIAL", True, it.crm.now)
    assert started.progress["done"] == 0
    with pytest.raises(SyncRunning):
        await it.start(sync.id)
    off = await it.switch(sync.id, False)
    assert (off.phase, off.enabled, off.next_at) == ("INITIAL", False, None)
    assert (await it.switch(sync.id, False)) == off
    on = await it.switch(sync.id, True)
    assert (on.enabled, on.next_at) == (True, it.crm.now)
    await it.delete(sync.id)
    with pytest.raises(NotFound):
        await it.switch(sync.id, True)
    told = [(one.kind, one.subject_id, one.source, one.user_id) for one in await it.crm.events()]
    assert told == [
        (kind, sync.id, it.crm.actor.source, it.crm.actor.user_id)
        for kind in (
            EventKind.SYNC_CREATED,
            EventKind.SYNC_STARTED,
            EventKind.SYNC_TURNED_OFF,
            EventKind.SYNC_TURNED_ON,
            EventKind.SYNC_DELETED,
        )
    ]


async def test_a_broken_connection_starts_nothing(it: Keeper) -> None:
    connection = await it.connect()
    sync = await it.make(connection.id)
    async with it.writing() as tx:
        await connections.fail(
            tx, connection.id, status="BROKEN", category="AUTHENTICATION_EXPIRED", message="Who are you?"
        )
    with pytest.raises(ConnectionBroken):
        await it.start(sync.id)


async def linked(it: Keeper, sync: SyncRow) -> int:
    """A link with bases, as a runner leaves it."""
    async with it.writing() as tx:
        (number,) = await tx.new_ids(1)
        bases: dict[str, Any] = {
            "base_ours": {"email": "a@b.de", "firstname": "Ann"},
            "base_theirs": {"mail": "a@b.de", "first": "Ann", "colour": "red"},
        }
        await links.insert(tx, [LinkRow(number, sync.id, 1, "c1", "IN_SYNC", version="7", **bases)])
    return int(number)


async def test_deleting_a_sync_forgets_its_links_and_no_records(it: Keeper) -> None:
    connection = await it.connect()
    sync, other = await it.make(connection.id), await it.make(connection.id, {}, "companies", "firms")
    (record,) = values_of(await it.crm.create({"email": "a@b.de"}))
    await linked(it, sync)
    kept_link = await linked(it, replace(sync, id=other.id))
    await it.delete(sync.id)
    assert await it.crm.table("SELECT l.id FROM sync_link AS l WHERE l.account_id = $1") == [(kept_link,)]
    assert (
        await it.crm.table("SELECT m.sync_id FROM sync_mapping AS m WHERE m.account_id = $1")
        == [(other.id,)] * 3
    )
    assert len(await it.crm.rows(record.id)) == 1


async def test_a_change_is_reviewed_before_it_is_made_and_told_after(it: Keeper) -> None:
    connection = await it.connect()
    sync = await it.make(connection.id)
    document = {
        "policy": "THEIRS",
        "mappings": [
            {"property": "email", "field": "mail", "direction": "BOTH"},
            {"property": "firstname", "field": "first", "direction": "IN"},
            {"property": "city", "field": "colour"},
        ],
        "options": {"withoutEmail": True},
    }
    async with it.db.read(it.crm.account) as reader:
        catalogue = await it.db.catalogue(it.crm.account)
        review = await commands.reviewed(reader, catalogue, sync.id, document)
    seen = {(one.what, one.name, one.did) for one in review.changes}
    assert seen == {
        ("policy", "policy", "CHANGED"),
        ("mapping", "firstname ↔ first", "CHANGED"),
        ("mapping", "lastname ↔ Last_Name", "REMOVED"),
        ("mapping", "score ↔ score", "REMOVED"),
        ("mapping", "city ↔ colour", "ADDED"),
        ("option", "withoutEmail", "CHANGED"),
    }
    # Nothing has been written.
    assert (await bound(it, sync)).rules.policy is not Policy.THEIRS
    changed = await it.update(sync, document)
    assert (changed.revision, changed.policy) == (2, "THEIRS")
    (event,) = [one for one in await it.crm.events() if one.kind is EventKind.SYNC_UPDATED]
    assert event.payload["changes"] == [one.told() for one in review.changes]
    with pytest.raises(StaleSync):
        await it.update(sync, document)
    # The same once more is no change.
    assert (await it.update(changed, document)).revision == 2


async def test_a_mapping_that_stays_keeps_what_was_agreed_on(it: Keeper) -> None:
    connection = await it.connect()
    sync = await it.make(connection.id)
    await it.start(sync.id)
    number = await linked(it, sync)
    before = {one.property.name: one.id for one in (await bound(it, sync)).rules.mappings}
    parts = [
        {"property": "email", "field": "mail"},
        # The field held something else until now.
        {"property": "city", "field": "colour"},
        {"property": "firstname", "field": "first", "policy": "ASK"},
    ]
    await it.update(sync, {"mappings": parts})
    after = {one.property.name: one.id for one in (await bound(it, sync)).rules.mappings}
    assert after["email"] == before["email"]
    assert after["firstname"] == before["firstname"]
    rows = await it.crm.table(
        "SELECT l.id, l.base_theirs, l.version, s.swept_at, s.again_before FROM sync_link AS l"
        " JOIN sync AS s ON s.account_id = $1 AND s.id = l.sync_id WHERE l.account_id = $1"
    )
    # And everything is looked at again.
    assert rows == [(number, {"mail": "a@b.de", "first": "Ann"}, None, None, it.crm.now)]


async def test_syncs_of_one_connection_know_each_other_s_ends(it: Keeper) -> None:
    connection = await it.connect()
    sync = await it.make(connection.id)
    assert (await bound(it, sync)).rules.roles[0].other_sync_id is None
    firms = await it.make(connection.id, {}, "companies", "firms")
    assert (await bound(it, sync)).rules.roles[0].other_sync_id == firms.id
    async with it.db.read(it.crm.account) as reader:
        # Whoever has bound the rules before binds them anew.
        assert (await commands.get(reader, sync.id)).revision == 2
    await it.delete(firms.id)
    assert (await bound(it, sync)).rules.roles[0].other_sync_id is None


# --- what changes meanwhile --------------------------------------------------------------------------------------


async def test_what_is_gone_is_told_and_the_rest_goes_on(it: Keeper) -> None:
    connection = await it.connect()
    sync = await it.make(connection.id)
    fields = tuple(
        replace(one, type=FieldType.BOOLEAN)
        if one.name == "score"
        else replace(one, read_only=one.name == "first")
        for one in CUSTOMERS.fields
        if one.name != "Last_Name"
    )
    it.shop.objects = (replace(CUSTOMERS, fields=fields, roles=CUSTOMERS.roles[2:]), FIRMS, ORDERS)
    await it.change(connection.id, {})
    found = await bound(it, sync)
    assert [one.property.name for one in found.rules.mappings] == ["email"]
    assert [(one.property, one.category.value) for one in found.broken if one.mapping_id] == [
        ("firstname", "PROPERTY_READ_ONLY"),
        ("lastname", "PROPERTY_NOT_FOUND"),
        ("score", "TYPE_MISMATCH"),
    ]
    assert [(one.role, one.category.value) for one in found.broken if one.role] == [
        ("employer", "PROPERTY_NOT_FOUND")
    ]


async def test_an_archived_property_is_told_and_the_rest_goes_on(it: Keeper) -> None:
    connection = await it.connect()
    sync = await it.make(connection.id)
    contacts = (await it.db.catalogue(it.crm.account)).by_name["contacts"]
    async with it.db.read(it.crm.account) as reader:
        uses = await named(
            reader, await it.db.catalogue(it.crm.account), Named.PROPERTY, [contacts.properties["score"].id]
        )
    ((use,),) = uses.values()
    assert (use.kind, use.id, use.name, use.path) == (
        "sync",
        sync.id,
        "Shop: customers",
        ("mappings", 3, "property"),
    )
    async with it.writing() as tx:
        await properties.archive(tx, "contacts", "score")
    found = await bound(it, sync)
    assert [(one.property, one.category.value) for one in found.broken] == [("score", "PROPERTY_NOT_FOUND")]
    assert len(found.rules.mappings) == 3


async def test_a_filter_that_breaks_never_lets_everything_in(it: Keeper) -> None:
    connection = await it.connect()
    where = {"property": {"name": "score", "operator": "KNOWN"}}
    sync = await it.make(
        connection.id, {"filterOurs": where, "mappings": [{"property": "email", "field": "mail"}]}
    )
    theirs_too = await it.make((await it.connect("Second")).id, {"filterTheirs": FULL["filterTheirs"]})
    async with it.writing() as tx:
        await properties.archive(tx, "contacts", "score")
    with pytest.raises(SyncBroken):
        await bound(it, sync)
    with pytest.raises(SyncBroken):
        await it.start(sync.id)
    it.shop.objects = (replace(CUSTOMERS, fields=CUSTOMERS.fields[:3]), FIRMS)
    await it.change(theirs_too.connection_id, {})
    with pytest.raises(SyncBroken):
        await bound(it, theirs_too)
    it.shop.objects = (FIRMS,)
    await it.change(theirs_too.connection_id, {})
    with pytest.raises(SyncBroken):
        await bound(it, theirs_too)


async def test_a_label_in_use_is_not_deleted_and_another_takes_its_place(it: Keeper) -> None:
    async with it.writing() as tx:
        old = await labels.create(
            tx, "contacts", "companies", label="Pays", name="pays", inverse_label="Paid by"
        )
        new = await labels.create(
            tx, "contacts", "companies", label="Bills", name="bills", inverse_label="Billed"
        )
    connection = await it.connect()
    associated = {"associated": {"to": "companies", "labels": ["pays"]}}
    sync = await it.make(
        connection.id,
        {
            "roles": [{"role": "firms", "to": "companies", "label": "pays"}],
            "options": {"allCompanies": True},
            "filterOurs": associated,
        },
    )
    async with it.writing() as tx:
        with pytest.raises(label_removal.LabelInUse) as used:
            await label_removal.delete(tx, old.there.id)
    assert 'in the sync "Shop: customers"' in used.value.message
    assert [(one["kind"], one["id"], one["path"]) for one in used.value.details["uses"]] == [
        ("SYNC", ids.encode("sync", sync.id), ["roles", 0, "label"]),
        ("SYNC", ids.encode("sync", sync.id), ["filterOurs", "associated", "labels", 0]),
    ]
    async with it.writing() as tx:
        replaced = await label_removal.take_place(tx, old.there.id, new.there.id, deleting=True)
    assert len(replaced.moved) == 2
    found = await bound(it, sync)
    assert [one.association_type.id for one in found.rules.roles] == [new.there.id]
    assert not found.broken
    async with it.db.read(it.crm.account) as reader:
        row = await commands.get(reader, sync.id)
    assert row.revision == 2
    assert row.definition["filterOurs"]["associated"]["labels"] == ["bills"]


async def test_names_in_a_sync_s_filter_are_uses(it: Keeper) -> None:
    connection = await it.connect()
    where = {"property": {"name": "city", "operator": "KNOWN"}}
    sync = await it.make(connection.id, {"filterOurs": where})
    catalogue = await it.db.catalogue(it.crm.account)
    city = catalogue.by_name["contacts"].properties["city"].id
    async with it.db.read(it.crm.account) as reader:
        found = (await named(reader, catalogue, Named.PROPERTY, [city]))[city]
        everybody = await syncs.definitions(reader)
    assert [(one.kind, one.id, one.path) for one in found] == [
        ("sync", sync.id, ("filterOurs", "property", "name"))
    ]
    assert [one.name for one in everybody] == ["Shop: customers"]


def test_what_is_left_open_goes_both_ways_where_it_can() -> None:
    from engine.sync.checking import Sides
    from engine.sync.connectors.protocol import RemoteObject
    from storage.catalogue import Catalogue

    of_type = rules(mapping(prop("a", "NUMBER"), theirs("A"))).object_type
    remote = RemoteObject("x", "X", (RemoteField("A", "A"),))
    sides = Sides(Catalogue(1, 1, {1: of_type}, {}), of_type, remote)
    found = settled(Definition(mappings=(MappingPart("a", "A"),)), sides)
    assert [one.direction for one in found.mappings] == [Direction.OUT]
    assert check(found, sides) == []
