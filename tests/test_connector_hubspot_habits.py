"""What is HubSpot's alone: its limits, its 207s, its labels, its search that lags, its merges, its webhooks."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from engine.sync.categories import Category
from engine.sync.connectors.hubspot import APP
from engine.sync.connectors.hubspot.budget import Window
from engine.sync.connectors.hubspot.values import decode, encode
from engine.sync.connectors.protocol import (
    Connector,
    Create,
    CursorLost,
    Delete,
    Delivery,
    Disconnected,
    Exists,
    FieldType,
    Gone,
    Hint,
    Item,
    Links,
    Phase,
    Rejected,
    RemoteField,
    RemoteObject,
    Retry,
    Surroundings,
    Unclear,
    Update,
    Written,
)
from tests.connector_laws import changes, done, field_of, full
from tests.hubspot_people import HubSpotPartner, item, signed
from tests.hubspot_portal import CARS, portal
from tests.hubspot_server import Server, served
from tests.hubspot_standin import Portal, Property, iso

WORKS_FOR = "companies:user:5"
EMPLOYS = "contacts:user:7"
BILLING = ("USER_DEFINED", 1)
OTHER_APP = ("INTEGRATOR_DEFINED", 31)


@pytest.fixture
def account() -> Iterator[Portal]:
    made = portal()
    yield made
    assert made.broken == [], "the stand-in knows what to answer"


@pytest.fixture
def server(account: Portal) -> Iterator[Server]:
    with served(account) as found:
        yield found


@asynccontextmanager
async def at_work(
    account: Portal, server: Server, name: str = "contacts", **settings: str
) -> AsyncIterator[tuple[Connector, RemoteObject]]:
    """A connection, and one of its objects."""
    partner = HubSpotPartner(account, server, name, "")
    async with APP.open({**partner.settings(), **settings}, partner.surroundings) as connector:
        kinds = {each.name: each for each in await connector.describe()}
        yield connector, kinds[name]


def roles(kind: RemoteObject, *names: str) -> RemoteObject:
    """The object, with these of its roles alone."""
    return replace(kind, roles=tuple(role for role in kind.roles if role.name in names))


def asked(account: Portal, ending: str) -> list[Any]:
    """The bodies of all requests to a path with this ending."""
    return [body for _, path, body in account.log if path.endswith(ending)]


# --- what there is -----------------------------------------------------------------------------------------------


async def test_properties_are_fields(account: Portal, server: Server) -> None:
    async with at_work(account, server) as (connector, kind):
        cars = {each.name: each for each in await connector.describe()}[CARS]
    fields = {field.name: field for field in kind.fields}
    assert fields["email"].unique
    assert fields["email"].default_property == "email"
    assert fields["email"].lossy
    assert fields["member_no"].unique
    assert fields["interests"].multiple
    assert fields["interests"].type is FieldType.CHOICE
    assert fields["lifecyclestage"].options[0] == ("subscriber", "Subscriber")
    assert not fields["lifecyclestage"].multiple
    assert fields["newsletter"].type is fields["vip"].type is FieldType.BOOLEAN
    assert fields["phone"].type is FieldType.PHONE
    assert fields["hubspot_owner_id"].type is FieldType.STRING, "options that stand elsewhere"
    assert fields["num_associated_deals"].read_only
    assert fields["lastmodifieddate"].read_only
    assert "hs_merged_object_ids" not in fields, "hidden ones are nobody's to map"
    assert kind.found_by == {"email", "member_no"}
    assert field_of(cars, "vin").required
    assert "relata_key" not in {field.name for field in cars.fields}


async def test_stages_of_pipelines_are_options(account: Portal, server: Server) -> None:
    async with at_work(account, server, "deals") as (_, kind):
        assert ("closedwon", "Closedwon") in field_of(kind, "dealstage").options
        assert field_of(kind, "pipeline").options == (("default", "Default"),)
        assert field_of(kind, "dealstage").default_property == "stage"


async def test_every_direction_of_every_label_is_a_role(account: Portal, server: Server) -> None:
    async with at_work(account, server) as (connector, kind):
        kinds = {each.name: each for each in await connector.describe()}
    told = {role.name: role for role in kind.roles}
    assert [(each.name, each.title) for each in kind.roles if each.to == "contacts"] == [
        ("contacts:449", "Contacts"),
        ("contacts:user:9", "Manager"),
        ("contacts:user:11", "Employee"),
        ("contacts:user:13", "Colleague"),
    ]
    assert told["companies:1"].primary
    assert not told["companies:1"].many
    assert told["companies:app:31"].read_only
    assert {role.name: role.title for role in kinds["companies"].roles}[EMPLOYS] == "Employs"
    assert not any(role.primary for role in kinds["companies"].roles), "a contact is nobody's primary company"
    assert [role.many for role in kinds[CARS].roles if role.title == "Owner"] == [False], "as its limit says"


async def test_objects_that_the_token_may_not_see_are_left_out(account: Portal, server: Server) -> None:
    account.scopes -= {"crm.schemas.companies.read", "crm.schemas.custom.read", "tickets"}
    async with at_work(account, server) as (connector, _):
        assert [each.name for each in await connector.describe()] == ["contacts", "deals"]
        account.scopes.clear()
        with pytest.raises(Disconnected) as told:
            await connector.describe()
        assert told.value.category is Category.MISSING_PERMISSION
        assert "crm.schemas.contacts.read" in str(told.value)


async def test_a_missing_scope_is_named(account: Portal, server: Server) -> None:
    account.scopes -= {"crm.objects.contacts.write"}
    async with at_work(account, server) as (connector, kind):
        with pytest.raises(Disconnected) as told:
            await connector.write(kind, [Create("a", item("contacts", 1))])
        assert told.value.category is Category.MISSING_PERMISSION
        assert "crm.objects.contacts.write" in str(told.value)


# --- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        (FieldType.NUMBER, "1.50", 1.5),
        (FieldType.NUMBER, "17.0", 17),
        (FieldType.NUMBER, "a few", "a few"),
        (FieldType.NUMBER, "NaN", "NaN"),
        (FieldType.BOOLEAN, "false", False),
        (FieldType.DATE, "1706659200000", "2024-01-31"),
        (FieldType.DATE, "2024-01-31", "2024-01-31"),
        (FieldType.DATETIME, "1706659200001", "2024-01-31T00:00:00.001Z"),
        (FieldType.DATETIME, "2024-01-31T09:30:00Z", "2024-01-31T09:30:00.000Z"),
        (FieldType.STRING, "", None),
    ],
)
def test_texts_are_values(type_: FieldType, text: str, value: Any) -> None:
    assert decode(RemoteField("a", "A", type_), text) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e22, "10000000000000000000000"), (1e-7, "0.0000001"), (2.5, "2.5"), (True, "true"), (None, "")],
)
def test_values_are_texts(value: Any, text: str) -> None:
    assert encode(None, value) == text


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "category", "field"),
    [
        ({"nothing": "x"}, Category.PROPERTY_NOT_FOUND, "nothing"),
        ({"lifecyclestage": "ghost"}, Category.OPTION_NOT_FOUND, "lifecyclestage"),
        ({"interests": ["pricing", "ghost"]}, Category.OPTION_NOT_FOUND, "interests"),
        ({"num_associated_deals": 3}, Category.PROPERTY_READ_ONLY, "num_associated_deals"),
        ({"email": "no address"}, Category.INVALID_VALUE, "email"),
        ({"score": "much"}, Category.INVALID_VALUE, "score"),
        ({"birthday": "soon"}, Category.INVALID_VALUE, "birthday"),
        ({"newsletter": "perhaps"}, Category.INVALID_VALUE, "newsletter"),
        ({"jobtitle": "x" * 70_000}, Category.VALUE_TOO_LONG, "jobtitle"),
    ],
)
@pytest.mark.parametrize("multi_status", [True, False])
async def test_refusals_have_categories_and_fields(
    account: Portal,
    server: Server,
    fields: dict[str, Any],
    category: Category,
    field: str,
    multi_status: bool,
) -> None:
    account.multi_status = multi_status
    async with at_work(account, server) as (connector, kind):
        (made,) = done(await connector.write(kind, [Create("a", item("contacts", 1))]))
        for ops in (
            [Create("b", item("contacts", 2)), Create("c", {**item("contacts", 3), **fields})],
            [Update(made.external_id, {"firstname": "B"}), Update(made.external_id, fields)],
        ):
            good, bad = await connector.write(kind, ops)
            assert isinstance(good, Written)
            assert isinstance(bad, Rejected), bad
            assert (bad.category, bad.field) == (category, field)
            assert bad.message


async def test_what_is_required_and_missing_is_named(account: Portal, server: Server) -> None:
    async with at_work(account, server, "deals") as (connector, kind):
        (bad,) = await connector.write(kind, [Create("a", {"dealname": "x"})])
        assert isinstance(bad, Rejected)
        assert (bad.category, bad.field) == (Category.REQUIRED_FIELD_MISSING, "dealstage")


async def test_who_has_an_address_already_is_told(account: Portal, server: Server) -> None:
    theirs = account.create("contacts", {"email": "ann@example.com", "member_no": "7"}).id
    async with at_work(account, server) as (connector, kind):
        ops = [Create("a", {"email": "Ann@example.com"}), Create("b", {"email": "bo@example.com"})]
        taken, made = await connector.write(kind, ops)
        assert isinstance(taken, Exists)
        assert taken.external_id == theirs
        assert isinstance(made, Written)
        update = Update(made.external_id, {"member_no": "7"})
        (taken,) = await connector.write(kind, [update])
        assert isinstance(taken, Exists)
        assert (taken.external_id, taken.category) == (theirs, Category.UNIQUE_VALUE_CONFLICT)


async def test_twins_in_a_batch_are_made_once(account: Portal, server: Server) -> None:
    for account.multi_status in (True, False):
        async with at_work(account, server) as (connector, kind):
            fields = {"email": f"twin{account.multi_status}@example.com"}
            one, other = await connector.write(kind, [Create("a", fields), Create("b", fields)])
            assert isinstance(one, Written)
            assert isinstance(other, Exists)
            assert other.external_id == one.external_id


async def test_a_batch_refused_as_a_whole_is_asked_for_in_parts(account: Portal, server: Server) -> None:
    account.multi_status = False
    async with at_work(account, server) as (connector, kind):
        fields = [item("contacts", n) | ({"score": "much"} if n == 13 else {}) for n in range(40)]
        outcomes = await connector.write(kind, [Create(str(n), each) for n, each in enumerate(fields)])
        assert [n for n, each in enumerate(outcomes) if not isinstance(each, Written)] == [13]
        assert len(account.kinds["contacts"].rows) == 39
        assert len(asked(account, "batch/create")) < 20


async def test_changes_of_one_item_follow_each_other(account: Portal, server: Server) -> None:
    id_ = account.create("contacts", {"email": "ann@example.com"}).id
    async with at_work(account, server) as (connector, kind):
        done(await connector.write(kind, [Update(id_, {"score": n}) for n in range(3)]))
        (now,) = await connector.get(kind, [id_])
        assert now.fields["score"] == 2


# --- limits, and answers that do not come ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "policy", "after"),
    [
        ({"Retry-After": "7"}, "DAILY", timedelta(seconds=7)),
        ({}, "DAILY", timedelta(hours=1)),
        ({}, "TEN_SECONDLY_ROLLING", timedelta(seconds=10)),
        ({}, "SECONDLY", timedelta(seconds=1)),
    ],
)
async def test_too_many_calls_pause_the_connection(
    account: Portal, server: Server, headers: dict[str, str], policy: str, after: timedelta
) -> None:
    refusal = {"status": "error", "message": "You have reached your limit.", "policyName": policy}
    async with at_work(account, server) as (connector, kind):
        for ask in (
            lambda: connector.read(kind, Phase.FULL, None, 10),
            lambda: connector.write(kind, [Update("1", {"score": 1})]),
        ):
            account.next.append((429, headers, refusal))
            with pytest.raises(Disconnected) as told:
                await ask()
            assert (told.value.category, told.value.after) == (Category.RATE_LIMITED, after)


async def test_limits_are_not_run_into(
    account: Portal, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the moments at which calls leave; when they arrive is the machine's affair."""
    left: dict[Window, list[float]] = {}
    spend = Window.spend

    def noted(window: Window, now: float) -> None:
        left.setdefault(window, []).append(now)
        spend(window, now)

    monkeypatch.setattr(Window, "spend", noted)
    async with at_work(account, server, calls="100") as (connector, kind):
        kind = replace(kind, roles=())
        _, cursor = await full(connector, kind, 100)
        await asyncio.gather(*(changes(connector, kind, cursor) for _ in range(8)))
    (searches,) = (moments for window, moments in left.items() if window.most == 5)
    assert len(searches) == len(asked(account, "search")) == 8
    assert all(sixth - first > 1.0 for first, sixth in zip(searches, searches[5:], strict=False))


async def test_what_was_done_before_a_pause_is_told(account: Portal, server: Server) -> None:
    async with at_work(account, server) as (connector, kind):
        await connector.created(kind, "so that this is known")
        account.next += [(429, {}, {"policyName": "DAILY"})]
        ops = [Create(str(n), item("contacts", n)) for n in range(150)]
        with pytest.raises(Disconnected):
            await connector.write(kind, ops)
        assert account.kinds["contacts"].rows == {}
        account.next += ["", (429, {}, {"policyName": "DAILY"})]
        outcomes = await connector.write(kind, ops)
        assert [type(each) for each in outcomes] == [Written] * 100 + [Retry] * 50
        assert len(account.kinds["contacts"].rows) == 100


async def test_a_lost_answer_is_unclear_where_it_matters(account: Portal, server: Server) -> None:
    async with at_work(account, server) as (connector, kind):
        await connector.created(kind, "so that this is known")
        account.next.append("lose")
        (outcome,) = await connector.write(kind, [Create("a", item("contacts", 1))])
        assert isinstance(outcome, Unclear)
        ((made,),) = await connector.find(kind, "email", ["person1@example.com"])
        assert len(asked(account, "batch/create")) == 1, "nothing is repeated behind our back"
        account.next.append("lose")
        (outcome,) = await connector.write(kind, [Update(made.external_id, {"score": 5})])
        assert isinstance(outcome, Retry), "a change may be repeated"
        account.next.append("lose")
        with pytest.raises(Disconnected):
            await connector.get(kind, [made.external_id])
        assert (await connector.get(kind, [made.external_id]))[0].fields["score"] == 5


async def test_trouble_over_there(account: Portal, server: Server) -> None:
    async with at_work(account, server) as (connector, kind):
        await connector.created(kind, "so that this is known")
        for status, category in ((500, Category.REMOTE_UNAVAILABLE), (423, Category.RATE_LIMITED)):
            account.next.append((status, {}, {"message": "not now"}))
            with pytest.raises(Disconnected) as told:
                await connector.read(kind, Phase.FULL, None, 10)
            assert told.value.category is category
        for status in (500, 502, 504):
            account.next.append((status, {}, {}))
            (outcome,) = await connector.write(kind, [Create("a", item("contacts", 1))])
            assert isinstance(outcome, Unclear), status
        account.next.append((503, {"Retry-After": "30"}, {}))
        with pytest.raises(Disconnected) as told:
            await connector.write(kind, [Create("a", item("contacts", 1))])
        assert told.value.after == timedelta(seconds=30)
        account.expired = True
        with pytest.raises(Disconnected) as told:
            await connector.check()
        assert told.value.category is Category.AUTHENTICATION_EXPIRED


async def test_nobody_is_led_elsewhere(account: Portal, server: Server) -> None:
    """The token would go along."""
    async with at_work(account, server) as (connector, kind):
        before = len(account.log)
        account.next.append((302, {"Location": f"{server.url}/crm/v3/objects/contacts"}, {}))
        with pytest.raises(Disconnected):
            await connector.read(kind, Phase.FULL, None, 10)
        assert len(account.log) == before + 1


async def test_the_key_property_makes_creations_happen_once(account: Portal, server: Server) -> None:
    async with at_work(account, server, CARS) as (connector, kind):
        await connector.created(kind, "so that this is known")
        account.next.append("lose")
        (outcome,) = await connector.write(kind, [Create("key", item(CARS, 1))])
        assert isinstance(outcome, Unclear)
        made = await connector.created(kind, "key")
        assert made is not None
        (again,) = done(await connector.write(kind, [Create("key", item(CARS, 1))]))
        assert again.external_id == made.external_id
        assert len(account.kinds[CARS].rows) == 1
        assert "relata_key" not in made.fields


# --- labels ------------------------------------------------------------------------------------------------------


@pytest.fixture
def pair(account: Portal) -> tuple[str, str]:
    """A contact and a company, associated by their people as primary and with labels that nobody here maps."""
    contact = account.create("contacts", {"email": "ann@example.com"}).id
    company = account.create("companies", {"name": "Acme"}).id
    account.associate("contacts", contact, "companies", company, [("HUBSPOT_DEFINED", 1), BILLING, OTHER_APP])
    return contact, company


async def test_labels_that_nobody_named_stay(account: Portal, server: Server, pair: tuple[str, str]) -> None:
    """HubSpot replaces the set of labels of a pair: what is not sent along is lost."""
    contact, company = pair
    async with at_work(account, server) as (connector, kind):
        kind = roles(kind, WORKS_FOR)
        here = {WORKS_FOR: (company,)}
        before = account.types_of("contacts", contact, "companies", company)
        done(await connector.write(kind, [Update(contact, {}, links=Links(added=here, all=here))]))
        assert account.types_of("contacts", contact, "companies", company) == before | {("USER_DEFINED", 5)}
        assert ("USER_DEFINED", 7) in account.types_of("companies", company, "contacts", contact)
        removal = Links(removed=here, all={WORKS_FOR: ()})
        done(await connector.write(kind, [Update(contact, {}, links=removal)]))
        assert account.types_of("contacts", contact, "companies", company) == before


async def test_what_stands_already_is_not_written(
    account: Portal, server: Server, pair: tuple[str, str]
) -> None:
    contact, company = pair
    async with at_work(account, server) as (connector, kind):
        here = {"companies:user:1": (company,)}
        done(await connector.write(kind, [Update(contact, {}, links=Links(added=here, all=here))]))
        gone = {WORKS_FOR: (company,)}
        done(await connector.write(kind, [Update(contact, {}, links=Links(removed=gone))]))
    assert asked(account, "companies/batch/create") == []
    assert asked(account, "labels/archive") == []


async def test_a_label_is_written_from_either_side(account: Portal, server: Server) -> None:
    contact = account.create("contacts", {"email": "ann@example.com"}).id
    company = account.create("companies", {"name": "Acme"}).id
    async with at_work(account, server, "companies") as (connector, companies):
        here = {EMPLOYS: (contact,)}
        done(await connector.write(companies, [Update(company, {}, links=Links(added=here, all=here))]))
        contacts = {each.name: each for each in await connector.describe()}["contacts"]
        (ann,) = await connector.get(contacts, [contact])
    assert ann.associations[WORKS_FOR] == (company,)
    assert ann.associations["companies:279"] == (company,), "a label is an association, too"
    assert ann.associations["companies:1"] == (company,), "the first company becomes the primary one"
    assert ann.associations["companies:user:1"] == ()


async def test_halves_of_a_pair_within_one_object_are_told_apart(account: Portal, server: Server) -> None:
    ann, bob = [account.create("contacts", {"email": f"{name}@example.com"}).id for name in ("ann", "bob")]
    async with at_work(account, server) as (connector, kind):
        here = {"contacts:user:9": (bob,)}
        done(await connector.write(kind, [Update(ann, {}, links=Links(added=here, all=here))]))
        one, other = await connector.get(kind, [ann, bob])
    assert one.associations["contacts:user:9"] == (bob,), "Bob is Ann's manager"
    assert one.associations["contacts:user:11"] == ()
    assert other.associations["contacts:user:11"] == (ann,), "Ann is Bob's employee"
    assert other.associations["contacts:user:9"] == ()


async def test_another_company_becomes_the_primary_one(
    account: Portal, server: Server, pair: tuple[str, str]
) -> None:
    contact, company = pair
    other = account.create("companies", {"name": "Other"}).id
    async with at_work(account, server) as (connector, kind):
        kind = roles(kind, "companies:1")
        links = Links({"companies:1": (other,)}, {"companies:1": (company,)}, {"companies:1": (other,)})
        done(await connector.write(kind, [Update(contact, {}, links=links)]))
        (now,) = await connector.get(kind, [contact])
    assert now.associations == {"companies:1": (other,)}
    assert BILLING in account.types_of("contacts", contact, "companies", company), (
        "the former one stays, without"
    )


async def test_a_new_item_comes_with_its_labels(account: Portal, server: Server) -> None:
    company = account.create("companies", {"name": "Acme"}).id
    async with at_work(account, server) as (connector, kind):
        here = {WORKS_FOR: (company,), "companies:user:1": (company,)}
        missing = {WORKS_FOR: ("999999",)}
        ops = [
            Create("a", item("contacts", 1), Links(added=here, all=here)),
            Create("b", item("contacts", 2), Links(added=missing, all=missing)),
        ]
        made, bad = await connector.write(kind, ops)
        assert isinstance(made, Written)
        assert isinstance(bad, Rejected), "not Gone: it was never there"
        assert bad.category is Category.RECORD_NOT_FOUND
        (now,) = await connector.get(kind, [made.external_id])
        assert now.associations[WORKS_FOR] == now.associations["companies:user:1"] == (company,)
    assert len(account.kinds["contacts"].rows) == 1


async def test_an_other_end_that_is_not_there_is_no_deletion(account: Portal, server: Server) -> None:
    ann, bob = [account.create("contacts", {"email": f"{name}@example.com"}).id for name in ("ann", "bob")]
    async with at_work(account, server) as (connector, kind):
        there = account.create("companies", {"name": "Acme"}).id
        ops = [
            Update(id_, {"score": 1}, links=Links(added={WORKS_FOR: (company,)}))
            for id_, company in ((ann, "999999"), (bob, there))
        ]
        bad, fine = await connector.write(kind, ops)
        assert isinstance(bad, Rejected), "Ann is there"
        assert bad.category is Category.RECORD_NOT_FOUND
        assert isinstance(fine, Written)


async def test_a_limit_over_there_is_no_failure_of_others(account: Portal, server: Server) -> None:
    people = [account.create("contacts", {"email": f"p{n}@example.com"}).id for n in range(3)]
    one, other = [account.create(CARS, {"vin": str(n)}).id for n in range(2)]
    account.associate(CARS, one, "contacts", people[0], [("USER_DEFINED", 21)])
    async with at_work(account, server, CARS) as (connector, kind):
        ops = [
            Update(car, {}, links=Links(added={"contacts:user:21": (owner,)}))
            for car, owner in ((one, people[1]), (other, people[2]))
        ]
        full_, fine = await connector.write(kind, ops)
        assert isinstance(full_, Rejected)
        assert "more than 1" in full_.message
        assert isinstance(fine, Written)


async def test_long_lists_of_associations_are_read_to_their_end(account: Portal, server: Server) -> None:
    company = account.create("companies", {"name": "Acme"}).id
    people = [account.create("contacts", {"email": f"p{n}@example.com"}).id for n in range(11)]
    for contact in people:
        account.associate("companies", company, "contacts", contact, [("HUBSPOT_DEFINED", 280)])
    async with at_work(account, server, "companies") as (connector, kind):
        (now,) = await connector.get(kind, [company])
    assert now.associations["contacts:280"] == tuple(people)


async def test_associations_that_are_no_change_have_a_version_still(
    account: Portal, server: Server, pair: tuple[str, str]
) -> None:
    """HubSpot does not say which associations count as changes: whoever looks sees them all the same."""
    contact, company = pair
    account.touches = False
    async with at_work(account, server) as (connector, kind):
        (before,) = await connector.get(kind, [contact])
        account.dissociate("contacts", contact, "companies", company, [BILLING])
        (after,) = await connector.get(kind, [contact])
    assert before.modified_at == after.modified_at
    assert before.version != after.version


# --- changes -----------------------------------------------------------------------------------------------------


async def test_what_search_tells_late_is_told(account: Portal, server: Server) -> None:
    """By then the cursor is behind it; each look begins a while before."""
    ann = account.create("contacts", {"email": "ann@example.com"}).id
    async with at_work(account, server) as (connector, kind):
        kind = replace(kind, roles=())
        _, cursor = await full(connector, kind, 100)
        account.lag = 3_600
        account.change("contacts", ann, {"jobtitle": "Late"})
        # The clock goes on by more than the second that moments are rounded to.
        await asyncio.sleep(1.2)
        told, cursor = await changes(connector, kind, cursor)
        assert ann not in told
        account.lag = 0
        told, _ = await changes(connector, kind, cursor)
        assert told[ann].fields["jobtitle"] == "Late"


async def test_what_search_tells_is_read_as_it_is(account: Portal, server: Server) -> None:
    """Else what we had written would seem to be changed back, as long as search is behind."""
    ann = account.create("contacts", {"email": "ann@example.com", "jobtitle": "Old"}).id
    async with at_work(account, server) as (connector, kind):
        await asyncio.sleep(0.6)
        done(await connector.write(kind, [Update(ann, {"jobtitle": "New"})]))
        account.lag = 0.5
        told, _ = await changes(connector, kind, None)
        assert told[ann].fields["jobtitle"] == "New"


async def test_changes_of_one_moment_are_all_told(account: Portal, server: Server) -> None:
    """As after an import: more than a page, and not in order."""
    for n in range(25):
        account.create("contacts", {"email": f"p{n}@example.com"})
    now = account.moment()
    for row in account.kinds["contacts"].rows.values():
        row.updated = now
        row.properties["lastmodifieddate"] = iso(now)
        row.past = [(now, dict(row.properties))]
    async with at_work(account, server) as (connector, kind):
        kind = replace(kind, roles=())
        told, cursor = await changes(connector, kind, None, limit=4)
        assert set(told) == set(account.kinds["contacts"].rows)
        assert all("after" not in body for body in asked(account, "search")), "no page beyond the first"
        later = account.create("contacts", {"email": "later@example.com"}).id
        assert later in (await changes(connector, kind, cursor, limit=4))[0]


async def test_changes_while_they_are_read_hide_nothing(account: Portal, server: Server) -> None:
    ids = [account.create("contacts", {"email": f"p{n}@example.com"}).id for n in range(9)]
    async with at_work(account, server) as (connector, kind):
        kind = replace(kind, roles=())
        met: dict[str, Item] = {}
        cursor, more, turn = None, True, 0
        while more:
            page = await connector.read(kind, Phase.CHANGES, cursor, 3)
            met |= {each.external_id: each for each in page.items}
            cursor, more, turn = page.cursor, page.more, turn + 1
            if turn <= 4:
                # What was told goes to the end: all that follows moves up by one.
                account.change("contacts", page.items[0].external_id, {"score": str(turn)})
    assert set(met) == set(ids)


@pytest.mark.parametrize("limit", [1, 100])
async def test_a_merge_is_a_change_and_a_deletion(account: Portal, server: Server, limit: int) -> None:
    for new_id in (False, True):
        ann, anna = [
            account.create("contacts", {"email": f"{name}{new_id}@example.com"}).id
            for name in ("ann", "anna")
        ]
        async with at_work(account, server) as (connector, kind):
            kind = replace(kind, roles=())
            _, cursor = await full(connector, kind, 100)
            kept = account.merge("contacts", ann, anna, new_id=new_id)
            told, cursor = await changes(connector, kind, cursor, limit)
            assert told[anna].deleted
            assert not told[kept].deleted
            assert (kept == ann) is not new_id
            got = await connector.get(kind, [anna, kept])
            assert [each.deleted for each in got] == [True, False]
            gone, fine = await connector.write(kind, [Update(anna, {"score": 2}), Update(kept, {"score": 1})])
            assert isinstance(gone, Gone)
            assert isinstance(fine, Written)
            (found,) = await connector.find(kind, "email", [f"ANNA{new_id}@example.com"])
            assert [each.external_id for each in found] == [kept], "found by its other address, too"


async def test_a_cursor_of_a_pass_is_none_of_changes(account: Portal, server: Server) -> None:
    for n in range(2):
        account.create("contacts", item("contacts", n))
    async with at_work(account, server) as (connector, kind):
        page = await connector.read(kind, Phase.FULL, None, 1)
        with pytest.raises(CursorLost):
            await connector.read(kind, Phase.CHANGES, page.cursor, 1)


async def test_deletions_are_looked_for_now_and_then(account: Portal, server: Server) -> None:
    """The list of what was deleted is read as a whole: not at every look."""
    ann = account.create("contacts", {"email": "ann@example.com"}).id
    async with at_work(account, server, deletions_minutes="10") as (connector, kind):
        kind = replace(kind, roles=())
        _, cursor = await full(connector, kind, 100)
        account.archive("contacts", ann)
        told, _ = await changes(connector, kind, cursor)
        assert ann not in told
    async with at_work(account, server, deletions_minutes="0") as (connector, kind):
        told, _ = await changes(connector, replace(kind, roles=()), cursor)
        assert told[ann].deleted


async def test_many_properties_do_not_burst_the_address(account: Portal, server: Server) -> None:
    for n in range(300):
        name = f"a_property_with_a_long_name_{n}"
        account.kinds["contacts"].properties[name] = Property(name)
    ann = account.create("contacts", {"email": "ann@example.com", "a_property_with_a_long_name_7": "x"}).id
    async with at_work(account, server) as (connector, kind):
        items, _ = await full(connector, kind, 100)
        assert [(each.external_id, each.fields["a_property_with_a_long_name_7"]) for each in items] == [
            (ann, "x")
        ]


async def test_all_of_many_namesakes_are_found(account: Portal, server: Server) -> None:
    made = {account.create("companies", {"name": "Acme"}).id for _ in range(450)}
    account.create("companies", {"name": "Acme Inc."})
    async with at_work(account, server, "companies") as (connector, kind):
        (found,) = await connector.find(replace(kind, roles=()), "name", ["ACME"])
    assert {each.external_id for each in found} == made


async def test_what_is_found_has_the_value_still(account: Portal, server: Server) -> None:
    """Search knows what was, and not yet what is."""
    acme = account.create("companies", {"name": "Acme"}).id
    await asyncio.sleep(0.6)
    account.change("companies", acme, {"name": "Other"})
    account.lag = 0.5
    async with at_work(account, server, "companies") as (connector, kind):
        assert await connector.find(kind, "name", ["Acme"]) == [()]


async def test_deleting_is_archiving(account: Portal, server: Server) -> None:
    ann = account.create("contacts", {"email": "ann@example.com"}).id
    async with at_work(account, server) as (connector, kind):
        done(await connector.write(kind, [Delete(ann), Delete(ann)]))
    assert account.kinds["contacts"].rows[ann].archived is not None


async def test_items_have_an_address_for_people(account: Portal, server: Server) -> None:
    ann = account.create("contacts", {"email": "ann@example.com"}).id
    async with at_work(account, server) as (connector, kind):
        assert await connector.check() == "HubSpot account 8000008"
        (now,) = await connector.get(kind, [ann])
    assert now.url == f"https://app-eu1.hubspot.com/contacts/8000008/record/0-1/{ann}"


# --- webhooks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"subscriptionType": "contact.propertyChange", "objectId": 7}, {Hint("contacts", "7")}),
        ({"subscriptionType": "company.deletion", "objectId": 7}, {Hint("companies", "7")}),
        (
            {"subscriptionType": "object.creation", "objectTypeId": "2-3456", "objectId": 7},
            {Hint(CARS, "7")},
        ),
        ({"subscriptionType": "object.creation", "objectTypeId": "2-99", "objectId": 7}, {Hint()}),
        (
            {
                "subscriptionType": "contact.merge",
                "primaryObjectId": 1,
                "mergedObjectIds": [2, 3],
                "newObjectId": 4,
            },
            {Hint("contacts", id_) for id_ in "1234"},
        ),
        (
            {
                "subscriptionType": "contact.associationChange",
                "associationType": "CONTACT_TO_COMPANY",
                "fromObjectId": 1,
                "toObjectId": 2,
                "associationRemoved": False,
            },
            {Hint("contacts", "1"), Hint("companies", "2")},
        ),
    ],
)
async def test_webhooks_say_what_has_changed(
    account: Portal, server: Server, event: dict[str, Any], expected: set[Hint]
) -> None:
    async with at_work(account, server) as (connector, _):
        assert set(await connector.hint(signed([event]))) == expected


async def test_webhooks_must_be_signed_and_fresh(account: Portal, server: Server) -> None:
    event = [{"subscriptionType": "contact.creation", "objectId": 7}]
    good = signed(event)
    async with at_work(account, server) as (connector, _):
        assert await connector.hint(good)
        for bad in (
            signed(event, age=400),
            signed(event, url="https://crm.example/hooks/sync/2"),
            signed(event, secret=""),
            Delivery("PUT", good.headers, "", good.body),
            Delivery("POST", good.headers, "", good.body + b" "),
            Delivery("POST", {**good.headers, "X-HubSpot-Request-Timestamp": "soon"}, "", good.body),
            signed(b"[7]"),
            signed(b"no json"),
        ):
            with pytest.raises(Rejected):
                await connector.hint(bad)
    async with at_work(account, server, client_secret="") as (connector, _):
        with pytest.raises(Rejected):
            await connector.hint(signed(event, secret=""))


# --- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"access_token": "  "},
        {"access_token": "two\nlines"},
        {"base_url": "http://api.hubapi.com"},
        {"base_url": "https://hubapi.com.example"},
        {"base_url": "http://169.254.169.254"},
        {"base_url": "file:///etc/passwd"},
        {"calls": "many"},
        {"calls": "0"},
        {"deletions_minutes": "-1"},
    ],
)
async def test_settings_that_cannot_be_right_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(Rejected) as told:
        async with APP.open({"access_token": "pat-eu1-x", **settings}, Surroundings()):
            pass
    assert told.value.field in settings


async def test_other_regions_of_hubspot_are_hubspot() -> None:
    async with APP.open({"access_token": "pat", "base_url": "https://api-eu1.hubapi.com/"}, Surroundings()):
        pass


def test_the_client_is_imported_when_it_is_needed() -> None:
    """Nobody without HubSpot waits for it."""
    code = "import sys, engine.sync.connectors.hubspot as app; app.APP; sys.exit('hubspot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
