"""Contacts in sync with a real Radicale, by the runner's own steps: a first meeting, edits on both sides, no loops."""

import itertools
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from engine.evaluation.run import run_all
from engine.sync import commands, connections
from engine.sync.connectors.carddav import fields
from engine.sync.connectors.carddav.cards import Card
from engine.sync.connectors.protocol import Surroundings
from engine.sync.credentials import Vault, new_key
from engine.sync.run import Memory, until_rest
from engine.sync.turns import LEASE, Turn
from storage.database import Database
from storage.sync import leases
from tests.crm import T0, Crm, crm
from tests.radicale import Radicale, serving

HERE = Surroundings(allow_private=True)
OF_ANN = "SELECT r.id FROM record AS r WHERE r.account_id = $1 AND r.properties ->> 'firstname' = 'Ann'"
_BOOKS = itertools.count(1)


@pytest.fixture(scope="module")
def radicale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Radicale]:
    with serving(tmp_path_factory.mktemp("radicale")) as server:
        yield server


@pytest.fixture
def book(radicale: Radicale) -> Iterator[str]:
    name = f"synced{next(_BOOKS)}"
    radicale.make_book(name)
    yield name
    radicale.remove(name, "")


@dataclass(slots=True)
class Story:
    """An account whose contacts are kept in sync with an address book; time goes on by a minute at each rest."""

    it: Crm
    radicale: Radicale
    book: str
    made: connections.Entered
    connection: int
    sync: int
    now: datetime = T0
    memory: Memory = field(default_factory=Memory)
    # Told of every place at which a runner may die.
    at: Callable[[str], None] = lambda _place: None

    async def rest(self) -> None:
        """Let everything happen that is due."""
        self.now += timedelta(minutes=1)
        self.it.now = self.now
        for _ in range(3):
            await run_all(self.it.db, now=self.now)
            await self._run()
            # What is tried again is due a little later.
            self.now += timedelta(seconds=20)
        await self._run()

    async def _run(self) -> None:
        token = secrets.token_hex(4)
        async with self.it.db.single(self.it.account) as single:
            assert await leases.take(single, self.sync, token, self.now, self.now + LEASE)
        try:
            async with self.it.db.read(self.it.account) as reader:
                row = await commands.get(reader, self.sync)
                rules = (await commands.bound(reader, await self.it.db.catalogue(self.it.account), row)).rules
            async with connections.opening(self.made, self.it.account, self.connection, HERE) as connector:
                turn = Turn(
                    self.it.db, self.it.account, self.sync, token, row.revision, rules, connector, self.at
                )
                await until_rest(turn, self.memory, self.now, limit=1_000)
        finally:
            async with self.it.db.single(self.it.account) as single:
                await leases.release(single, self.sync, token)

    async def records(self) -> dict[str, dict[str, Any]]:
        """Our contacts by first name."""
        rows = await self.it.table(
            "SELECT r.properties FROM record AS r WHERE r.account_id = $1 AND r.archived_at IS NULL"
        )
        return {properties["firstname"]: properties for (properties,) in rows}

    def cards(self) -> dict[str, dict[str, Any]]:
        """Their contacts by first name."""
        held = [
            fields.read(Card.read(self.radicale.text(self.book, name)))
            for name in self.radicale.names(self.book)
        ]
        found = {each["firstname"]: each for each in held}
        assert len(found) == len(held), held
        return found

    def texts(self) -> dict[str, str]:
        """Their cards as they stand."""
        return {name: self.radicale.text(self.book, name) for name in self.radicale.names(self.book)}

    async def links(self) -> dict[str | None, tuple[str, str | None]]:
        """How things stand by item: state and category."""
        rows = await self.it.table(
            "SELECT k.external_id, k.state, k.category FROM sync_link AS k WHERE k.account_id = $1"
        )
        return {item: (state, category) for item, state, category in rows}


async def begun(db: Database, radicale: Radicale, book: str, **definition: Any) -> Story:
    """A sync that has been configured and started."""
    it = await crm(db)
    made = connections.entered("carddav", radicale.settings(book))
    described = await connections.look(made, HERE)
    vault = Vault(lambda _making: [new_key()])
    async with db.transaction(it.account, now=T0, actor=it.actor) as tx:
        connection = await connections.create(tx, vault, "Ann's contacts", made, described)
    async with db.transaction(it.account, now=T0, actor=it.actor) as tx:
        row = await commands.create(tx, connection.id, "contacts", book, definition)
        await commands.start(tx, row.id)
    return Story(it, radicale, book, made, connection.id, row.id)


async def test_an_address_book_and_our_contacts_meet_and_stay_together(
    db: Database, radicale: Radicale, book: str
) -> None:
    ann = radicale.insert(
        book,
        {
            "firstname": "Ann",
            "lastname": "Lee",
            "email": "ann@example.com",
            "city": "Berlin",
            "note": "Old\nfriend",
        },
    )
    bob = radicale.insert(book, {"firstname": "Bob", "lastname": "Nomail"})
    cleo = radicale.insert(
        book, {"firstname": "Cleo", "email": "Cleo@Example.com", "jobtitle": "Head of sales"}
    )
    story = await begun(db, radicale, book, policy="OURS")
    ours = await story.it.contact(firstname="Cleo", lastname="Low", email="cleo@example.com", city="Bonn")
    dora = await story.it.contact(
        firstname="Dora", lastname="Sánchez", email="dora@example.com", phone="+49 30 123"
    )

    await story.rest()
    records, cards = await story.records(), story.cards()
    assert records.keys() == {"Ann", "Cleo", "Dora"}, "who has no e-mail address is left out"
    assert cards.keys() == {"Ann", "Bob", "Cleo", "Dora"}, "nobody is there twice"
    assert records["Ann"]["city"] == "Berlin"
    assert records["Ann"]["notes"] == "Old\nfriend"
    assert records["Cleo"]["jobtitle"] == "Head of sales"
    assert (cards["Cleo"]["lastname"], cards["Cleo"]["city"]) == ("Low", "Bonn")
    assert cards["Dora"] == {
        "firstname": "Dora",
        "lastname": "Sánchez",
        "email": "dora@example.com",
        "phone": "+49 30 123",
    }

    # Each side changes something of the same people.
    radicale.change(book, ann, {"phone": "+49 40 1", "city": "Hamburg"})
    ((known,),) = await story.it.table(OF_ANN)
    await story.it.update((known, {"jobtitle": "Director", "lastname": "Lee-Moss"}))
    radicale.change(book, cleo, {"city": "Cologne"})
    await story.it.update((ours, {"city": "Düsseldorf"}), (dora, {"city": "Madrid", "phone": None}))
    await story.rest()
    records, cards = await story.records(), story.cards()
    for side in (records, cards):
        assert (side["Ann"]["phone"], side["Ann"]["city"]) == ("+49 40 1", "Hamburg")
        assert (side["Ann"]["jobtitle"], side["Ann"]["lastname"]) == ("Director", "Lee-Moss")
        assert side["Cleo"]["city"] == "Düsseldorf", "both changed it, ours wins"
        assert side["Dora"]["city"] == "Madrid"
        assert "phone" not in side["Dora"]

    # Nothing goes round.
    before, held = story.texts(), await history(story)
    for _ in range(3):
        await story.rest()
    assert story.texts() == before
    assert await history(story) == held

    # Somebody is deleted over there, somebody gets an address, somebody is new.
    radicale.remove(book, ann)
    radicale.change(book, bob, {"email": "bob@example.com"})
    await story.it.contact(firstname="Eve", email="eve@example.com")
    await story.rest()
    records, cards = await story.records(), story.cards()
    assert records.keys() == {"Ann", "Bob", "Cleo", "Dora", "Eve"}, "deletions are not carried over"
    assert cards.keys() == {"Bob", "Cleo", "Dora", "Eve"}
    states = await story.links()
    assert states[ann] == ("FAILED", "RECORD_DELETED")
    assert {state for name, (state, _) in states.items() if name != ann} == {"IN_SYNC"}


async def history(story: Story) -> int:
    """How often a record was written."""
    ((times,),) = await story.it.table("SELECT count(*) FROM property_history AS h WHERE h.account_id = $1")
    return int(times)


async def test_what_was_written_before_an_answer_was_lost_is_not_written_twice(
    db: Database, radicale: Radicale, book: str
) -> None:
    """A runner that dies between a creation and what is made of it leaves nobody twice."""
    story = await begun(db, radicale, book)
    for number in range(5):
        await story.it.contact(firstname=f"P{number}", email=f"p{number}@example.com")

    died = 0
    for place in range(1, 40):
        places = itertools.count(1)

        def at(_place: str, place: int = place, places: "itertools.count[int]" = places) -> None:
            if next(places) == place:
                raise Died

        story.at = at
        try:
            await story.rest()
        except Died:
            died += 1
    story.at = lambda _place: None
    await story.rest()
    assert died > 5
    assert story.cards().keys() == {f"P{number}" for number in range(5)}
    assert len(await story.records()) == 5


class Died(Exception):
    """A runner's end."""
