"""A sync with HubSpot from the first look to rest, by the real runner: labels both ways, limits, lost answers."""

import random
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.sync import commands, remote
from engine.sync.connectors.hubspot import APP
from engine.sync.connectors.protocol import Connector
from engine.sync.run import Memory
from engine.sync.turns import Turn
from storage.database import Database
from tests.crm import T0, crm, made
from tests.graph import Graph
from tests.hubspot_people import HubSpotPartner
from tests.hubspot_portal import portal
from tests.hubspot_server import Server, served
from tests.hubspot_standin import Portal
from tests.sync_rig import Rig
from tests.sync_stage import CONNECTION, put
from tests.sync_world import World

WORKS_FOR = ("USER_DEFINED", 5)
BILLING = ("USER_DEFINED", 1)
PRIMARY = ("HUBSPOT_DEFINED", 1)
PLAIN = ("HUBSPOT_DEFINED", 279)
CONTACTS: Mapping[str, Any] = {
    "policy": "OURS",
    "roles": [
        {"role": "companies:1", "to": "companies", "label": "primary"},
        {"role": "companies:user:5", "to": "companies", "label": "works_for"},
    ],
    "options": {"allCompanies": True},
}


@dataclass(slots=True)
class HubSpotRig(Rig):
    """Syncs with the stand-in."""

    account: Portal = field(default_factory=Portal)
    connector: Connector | None = None

    async def turn(self, sync_id: int) -> tuple[Turn, Memory] | None:
        held = await Rig.turn(self, sync_id)
        if held is not None:
            assert self.connector is not None
            held[0].connector = self.connector
        return held

    async def sync_of(self, name: str, document: Mapping[str, Any]) -> None:
        """A sync of an object type and the object of the same name, as it is proposed but for what is said."""
        async with self.crm.db.transaction(self.crm.account, now=self.now, actor=self.crm.actor) as tx:
            row = await commands.create(tx, self.connection, name, name, document)
            self.syncs.append((await commands.start(tx, row.id)).id)

    def writes(self) -> int:
        """How often HubSpot was asked to write."""
        verbs = ("batch/create", "batch/update", "batch/archive", "labels/archive")
        return sum(path.endswith(verbs) for _, path, _ in self.account.log)


@pytest.fixture
def account() -> Iterator[Portal]:
    found = portal()
    yield found
    assert found.broken == [], "the stand-in knows what to answer"


@pytest.fixture
def hubspot(account: Portal) -> Iterator[Server]:
    with served(account) as found:
        yield found


@pytest.fixture
async def it(db: Database, account: Portal, hubspot: Server) -> AsyncIterator[HubSpotRig]:
    """An account with a connection to HubSpot, and a label that both sides have."""
    partner = HubSpotPartner(account, hubspot, "contacts", "")
    ours = await crm(db)
    async with AsyncExitStack() as stack:
        connector = await stack.enter_async_context(APP.open(partner.settings(), partner.surroundings))
        async with db.transaction(ours.account, now=T0, actor=ours.actor) as tx:
            (connection,) = await tx.new_ids(1)
        given = {"app": "hubspot", "objects": remote.to_json(await connector.describe())}
        await put(ours, "connection", id=connection, name="HubSpot", **CONNECTION | given)
        await Graph(db, ours.account).label(
            "contacts", "companies", "Works for", name="works_for", inverse_label="Employs"
        )
        world = World(capabilities=APP.capabilities)
        yield HubSpotRig(ours, world, connection, account=account, connector=connector)


async def company(it: HubSpotRig, **given: Any) -> int:
    """A company here."""
    row = made(await it.crm.create(given, kind="companies"))[0]
    assert isinstance(row.id, int)
    return row.id


async def external(it: HubSpotRig, sync: int, record: int) -> str:
    """The item that a record is linked with."""
    (found,) = [one for one in await it.links(it.syncs[sync]) if one.record_id == record]
    assert found.external_id is not None, found
    return found.external_id


async def test_contacts_and_companies_with_their_labels_both_ways(it: HubSpotRig, account: Portal) -> None:
    graph = Graph(it.crm.db, it.crm.account)
    acme_there = account.create("companies", {"name": "Acme", "domain": "acme.example"}).id
    ann_there = account.create("contacts", {"email": "ann@example.com", "jobtitle": "CEO"}).id
    account.associate("contacts", ann_there, "companies", acme_there, [PLAIN, PRIMARY, BILLING, WORKS_FOR])
    acme = await company(it, name="ACME Inc.", domain="acme.example")
    beta = await company(it, name="Beta", domain="beta.example")
    ann = await it.crm.contact(email="Ann@Example.com", lastname="Lee")
    bob = await it.crm.contact(email="bob@example.com", firstname="Bob")
    await graph.associate((bob, beta, "works_for"))

    await it.sync_of("companies", {"policy": "OURS"})
    await it.sync_of("contacts", CONTACTS)
    await it.rest()

    # The same people and companies on both sides, each once.
    assert await it.ours("email", "lastname", "jobtitle") == [
        ("Ann@Example.com", "Lee", "CEO"),
        ("bob@example.com", None, None),
    ]
    assert len(account.kinds["contacts"].rows) == len(account.kinds["companies"].rows) == 2
    assert account.kinds["contacts"].rows[ann_there].properties["lastname"] == "Lee"
    beta_there, bob_there = await external(it, 0, beta), await external(it, 1, bob)
    # Their label is here, ours is there, and theirs that nobody maps is where it was.
    assert await graph.labels_of(ann, acme) == {"works_for", "primary"}
    assert await graph.labels_of(acme, ann) is not None
    assert account.types_of("contacts", bob_there, "companies", beta_there) == {PLAIN, PRIMARY, WORKS_FOR}
    everything = {PLAIN, PRIMARY, BILLING, WORKS_FOR}
    assert account.types_of("contacts", ann_there, "companies", acme_there) == everything

    # At rest nothing is written, however often it is looked.
    before = it.writes()
    for _ in range(3):
        await it.later()
    assert it.writes() == before

    # A label added here and one removed there; a field changed on each side.
    await graph.associate((ann, beta, "works_for"))
    account.dissociate("contacts", bob_there, "companies", beta_there, [WORKS_FOR])
    await it.crm.update((ann, {"firstname": "Ann"}))
    account.change("contacts", ann_there, {"phone": "+49 30 1234567"})
    await it.later()
    assert account.types_of("contacts", ann_there, "companies", beta_there) == {PLAIN, WORKS_FOR}
    assert account.types_of("contacts", ann_there, "companies", acme_there) == everything
    assert await graph.labels_of(bob, beta) == {"primary"}
    assert account.kinds["contacts"].rows[ann_there].properties["firstname"] == "Ann"
    assert (await it.crm.row(ann)).properties["phone"] == "+49 30 1234567"
    before = it.writes()
    await it.later()
    assert it.writes() == before


async def test_a_pause_is_waited_for_and_a_lost_answer_doubles_nobody(
    it: HubSpotRig, account: Portal
) -> None:
    await it.sync_of("contacts", {})
    await it.rest()
    for n in range(5):
        await it.crm.contact(email=f"p{n}@example.com", firstname=f"P {n}")
    account.next += [(429, {"Retry-After": "5"}, {"policyName": "TEN_SECONDLY_ROLLING"})]
    await it.rest()
    assert account.kinds["contacts"].rows == {}
    account.next += ["lose batch/create", "lose batch/read", "lose search"]
    for _ in range(6):
        await it.later(60)
    assert list(account.next) == [], "all of this has happened"
    emails = sorted(row.properties["email"] for row in account.kinds["contacts"].rows.values())
    assert emails == [f"p{n}@example.com" for n in range(5)]
    assert {one.state for one in await it.links()} == {"IN_SYNC"}


async def test_what_hubspot_refuses_is_told_and_mended(it: HubSpotRig, account: Portal) -> None:
    await it.sync_of("contacts", {"options": {"withoutEmail": True}})
    await it.rest()
    bob = await it.crm.contact(firstname="Bob", email="bob@localhost")
    ann = await it.crm.contact(email="ann@example.com")
    await it.rest()
    links = {one.record_id: one for one in await it.links()}
    assert links[ann].state == "IN_SYNC"
    assert (links[bob].state, links[bob].category) == ("FAILED", "INVALID_VALUE")
    await it.crm.update((bob, {"email": "bob@example.com"}))
    await it.later()
    assert {one.state for one in await it.links()} == {"IN_SYNC"}


async def test_what_is_deleted_or_merged_there_is_told(it: HubSpotRig, account: Portal) -> None:
    ann, anna, bob = [
        account.create("contacts", {"email": f"{name}@example.com"}).id for name in ("ann", "anna", "bob")
    ]
    await it.sync_of("contacts", {})
    await it.rest()
    assert len(await it.links()) == 3
    account.archive("contacts", bob)
    account.merge("contacts", ann, anna)
    await it.later()
    await it.later()
    told = {one.external_id: (one.state, one.category) for one in await it.links()}
    assert told[ann] == ("IN_SYNC", None)
    assert told[bob] == told[anna] == ("FAILED", "RECORD_DELETED")


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_is_done_on_both_sides_both_agree_at_rest(
    it: HubSpotRig, account: Portal, seed: int
) -> None:
    """Edits, labels, new ones and deletions, while answers are lost and refused."""
    chance = random.Random(seed)
    graph = Graph(it.crm.db, it.crm.account)
    firms = [await company(it, name=f"Firm {n}", domain=f"firm{n}.example") for n in range(3)]
    await it.sync_of("companies", {})
    await it.sync_of("contacts", {**CONTACTS, "policy": "OURS" if seed % 2 else "THEIRS"})
    await it.rest()
    there = [await external(it, 0, firm) for firm in firms]
    contacts = account.kinds["contacts"].rows
    for turn in range(6):
        for _ in range(8):
            await edit(it, graph, chance, turn, firms, there)
        account.next.append(chance.choice(TROUBLE))
        await it.later(15)
        account.next.clear()
    for _ in range(8):
        await it.later(60)
    before = it.writes()
    await it.later(60)
    assert it.writes() == before, "nothing goes round for ever"
    links = [one for one in await it.links(it.syncs[1]) if one.record_id is not None]
    assert {one.state for one in links} == {"IN_SYNC"}
    assert len(links) == len(contacts) == len(await it.records())
    for link in links:
        record = await it.crm.row(link.record_id or 0)
        held = contacts[link.external_id or ""].properties
        for name in ("email", "firstname", "jobtitle"):
            assert record.properties.get(name) == held.get(name), (link, name)
        for firm, far in zip(firms, there, strict=True):
            ours = await graph.labels_of(record.id, firm) or set()
            theirs = account.types_of("contacts", link.external_id or "", "companies", far)
            assert ("works_for" in ours) == (WORKS_FOR in theirs), (link, firm, ours, theirs)
            assert ("primary" in ours) == (PRIMARY in theirs), (link, firm, ours, theirs)


TROUBLE: tuple[Any, ...] = (
    "lose batch/create",
    "lose batch/update",
    "lose labels/archive",
    "lose companies/batch/create",
    "lose search",
    (429, {"Retry-After": "3"}, {"policyName": "SECONDLY"}),
    (502, {}, {}),
)


async def edit(
    it: HubSpotRig, graph: Graph, chance: random.Random, turn: int, firms: list[int], there: list[str]
) -> None:
    """One thing that somebody does on one of both sides."""
    word = f"{turn} {chance.random():.6f}"
    far = [row.id for row in account_rows(it)]
    near = [row.id for row in await it.records()]
    n = chance.randrange(len(firms))
    match chance.randrange(8):
        case 0:
            it.account.create("contacts", {"email": f"there{word.replace(' ', '.')}@example.com"})
        case 1:
            await it.crm.contact(email=f"here{word.replace(' ', '.')}@example.com", firstname=word)
        case 2 | 3 if far:
            it.account.change(
                "contacts", chance.choice(far), {chance.choice(("firstname", "jobtitle")): word}
            )
        case 4 | 5 if near:
            await it.crm.update((chance.choice(near), {chance.choice(("firstname", "jobtitle")): word}))
        case 6 if far:
            id_ = chance.choice(far)
            held = it.account.types_of("contacts", id_, "companies", there[n])
            if WORKS_FOR in held:
                it.account.dissociate("contacts", id_, "companies", there[n], [WORKS_FOR])
            else:
                it.account.associate("contacts", id_, "companies", there[n], {*held, WORKS_FOR})
        case 7 if near:
            await graph.associate((chance.choice(near), firms[n], "works_for"))


def account_rows(it: HubSpotRig) -> list[Any]:
    """The contacts over there."""
    return [row for row in it.account.kinds["contacts"].rows.values() if row.archived is None]


async def test_a_company_that_search_does_not_know_yet_is_not_made_twice(
    it: HubSpotRig, account: Portal
) -> None:
    """The answer to its creation is lost, and search, by which companies are found, lags."""
    await it.sync_of("companies", {})
    await it.rest()
    account.lag = 3_600
    account.next.append("lose batch/create")
    await company(it, name="Acme", domain="acme.example")
    await it.rest()
    await it.later(5)
    account.lag = 0
    for _ in range(3):
        await it.later(60)
    assert list(account.next) == []
    assert len(account.kinds["companies"].rows) == 1
    assert {one.state for one in await it.links()} == {"IN_SYNC"}
