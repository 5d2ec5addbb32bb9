"""The whole path of a data sync through GraphQL, with the shop of the examples as the other app and a real worker.

The operations are those of docs/sync.md, as they stand there.
"""

import asyncio
import contextlib
import importlib.util
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from graphql import OperationDefinitionNode, parse, validate

from engine import accounts
from engine.sync.connectors.protocol import Surroundings
from engine.sync.credentials import Vault, new_key
from schema.root import SCHEMA
from server import clock, worker
from server.app import create_app
from storage.database import Database
from tests.face import Client, clients
from tests.face import new_key as api_key
from tests.live import listen, socket_to
from tests.served import served
from tests.test_node import NODE

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "docs/sync.md", ROOT / "examples/sync/README.md")
PATIENCE = 60.0
ERRORS = "userErrors { code message path }"


def documents(*texts: str) -> dict[str, str]:
    """The operations of pages, by name; of two with one name, the first."""
    found: dict[str, str] = {}
    for text in texts:
        for block in re.findall(r"^```graphql\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            (operation,) = parse(block).definitions
            assert isinstance(operation, OperationDefinitionNode)
            assert operation.name is not None
            found.setdefault(operation.name.value, block)
    return found


DOCUMENTS = documents(*(page.read_text() for page in PAGES))
CHAPTER = (ROOT / "README.md").read_text().split("## Keep it in sync")[1].split("\n## ")[0]
README = documents(CHAPTER)


def shop_module() -> ModuleType:
    """The example's own script."""
    spec = importlib.util.spec_from_file_location("shop", ROOT / "examples/sync/shop.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(slots=True)
class Shop:
    """The other app, as its own people see it."""

    path: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def do(self, statement: str, *values: Any) -> int:
        with contextlib.closing(sqlite3.connect(self.path, timeout=30)) as connection, connection:
            return connection.execute(statement, values).rowcount

    def ask(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.path, timeout=30)) as connection:
            return connection.execute(statement, values).fetchall()

    def one(self, column: str, email: str) -> Any:
        """A customer's value; None where there is no such customer."""
        rows = self.ask(f"SELECT {column} FROM contacts WHERE email = ?", email)
        assert len(rows) <= 1, rows
        return rows[0][0] if rows else None

    def emails(self) -> list[str]:
        """All customers' addresses."""
        return sorted(row[0] for row in self.ask("SELECT email FROM contacts WHERE email IS NOT NULL"))


@dataclass(slots=True)
class Story:
    """An account, its API, and the shop."""

    api: Client
    shop: Shop
    place: str

    async def run(self, name: str, *, of: Mapping[str, str] = DOCUMENTS, **variables: Any) -> Any:
        """The one answer of an operation of the page, which must succeed."""
        told = await self.api.get(of[name], **variables)
        (answer,) = told.values()
        if isinstance(answer, dict):
            assert not answer.get("userErrors"), answer["userErrors"]
        return answer

    async def contact(self, email: str, **properties: Any) -> str:
        """A new contact's id."""
        given = {"objectType": "contacts", "records": [{"properties": {"email": email, **properties}}]}
        made = await self.api.do("createRecords", f"results {{ record {{ id }} }} {ERRORS}", given)
        assert made["userErrors"] == []
        ident: str = made["results"][0]["record"]["id"]
        return ident

    async def write(self, ident: str, **properties: Any) -> None:
        """Change a record."""
        given = {"records": [{"id": ident, "properties": properties}]}
        assert (await self.api.do("updateRecords", ERRORS, given))["userErrors"] == []

    async def value(self, email: str, name: str) -> Any:
        """A contact's value, by its address; None where there is no such contact."""
        query = """query ($email: JSON!, $name: String!) {
          record(objectType: "contacts", by: {property: "email", value: $email}) { property(name: $name) } }"""
        found = (await self.api.get(query, email=email, name=name))["record"]
        return None if found is None else found["property"]

    async def emails(self) -> list[str]:
        """All contacts' addresses."""
        found = await self.api.get(
            '{ records(objectType: "contacts") { nodes { property(name: "email") } } }'
        )
        return sorted(one["property"] for one in found["records"]["nodes"])

    async def counts(self, sync: str) -> dict[str, Any]:
        """How a sync stands."""
        status: dict[str, Any] = (await self.run("Status", sync=sync))["counts"]
        return status


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for something to come true."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not await holds():  # noqa: ASYNC110 (the shop tells nobody)
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"it never happened: {what}") from None


@pytest.fixture
async def story(db: Database, tmp_path: Path) -> AsyncIterator[Story]:
    key = new_key()
    vault, surroundings = Vault(lambda _: [key]), Surroundings(allow_private=True)
    app = create_app(db, now=clock.now, vault=vault, surroundings=surroundings)
    account_id = await accounts.create(db, "acme", now=clock.now())
    secret = await api_key(db, account_id)
    stop = asyncio.Event()
    working = asyncio.create_task(
        worker.run(db, clock=clock.now, stop=stop, vault=vault, surroundings=surroundings)
    )
    async with clients(app) as http, served(app) as place:
        yield Story(Client(http, secret, account_id), Shop(tmp_path / "shop.db"), str(place))
        stop.set()
        await asyncio.wait_for(working, PATIENCE)


def test_every_operation_of_the_pages_is_valid() -> None:
    assert len(DOCUMENTS) >= 15
    for name, text in (*DOCUMENTS.items(), *README.items()):
        assert validate(SCHEMA, parse(text)) == [], name


def test_the_shop_says_what_is_wrong_and_leaves_nothing_behind(tmp_path: Path) -> None:
    def shop(*words: str, key: str = "") -> tuple[int, str, str]:
        command = [sys.executable, str(ROOT / "examples/sync/shop.py"), *words]
        ended = subprocess.run(
            command, env={"RELATA_KEY": key}, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return ended.returncode, ended.stdout, ended.stderr

    code, told, _ = shop("make", "shop.db")
    assert (code, told.split()[-1]) == (0, f"sqlite:///{tmp_path.resolve()}/shop.db")
    assert shop("make", "shop.db")[2] == "The file shop.db is there already: name another.\n"
    assert shop("show", "other.db")[2] == "The file other.db is not there: make it first.\n"
    nobody = shop("make", "other.db", "--url", "http://127.0.0.1:1/graphql", key="relata_x")[2]
    assert nobody.startswith("Nothing answers at http://127.0.0.1:1/graphql (")
    assert not (tmp_path / "other.db").exists()


async def test_the_chapter_of_the_readme_does_what_it_says(story: Story) -> None:
    await story.contact("ann@acme.example", firstname="Ann", city="Boston")
    with contextlib.closing(sqlite3.connect(story.shop.path)) as connection, connection:
        shop_module().make(connection, [])
    made = await story.run("Connect", of=README, url=story.shop.url)
    sync = (await story.run("Create", of=README, connection=made["connection"]["id"]))["sync"]["id"]
    plan = ""

    async def ready() -> bool:
        nonlocal plan
        told = (await story.run("Preview", of=README, sync=sync))["plan"]
        plan = told["id"]
        return bool(told["state"] != "MAKING" and told["counts"])

    await until(ready, "the preview is there")

    async def applied() -> bool:
        told = await story.api.get(README["Apply"], plan=plan)
        return not told["applySyncPlan"]["userErrors"]

    await until(applied, "it is being applied")
    await until(_equals(story.shop, "first_name", "ann@acme.example", "Ann"), "ours are in the shop")
    story.shop.do("UPDATE contacts SET city = 'Bergen' WHERE email = 'mira.olsen@example.net'")
    await until(lambda: _has(story, "mira.olsen@example.net", "city", "Bergen"), "theirs are here")
    (row,) = (
        await story.api.get("query ($s: ID) { syncRecords(sync: $s, first: 1) { nodes { id } } }", s=sync)
    )["syncRecords"]["nodes"]
    for ident, kind in (
        (made["connection"]["id"], "Connection"),
        (sync, "Sync"),
        (plan, "SyncPlan"),
        (row["id"], "SyncRecord"),
    ):
        assert (await story.api.get(NODE, id=ident))["node"] == {"__typename": kind, "id": ident}


async def test_the_whole_path_of_a_sync(story: Story) -> None:
    ann, bob = await begun(story)
    sync, companies = await configured(story)
    await previewed(story, sync)
    await applied(story, sync, companies)
    await edited(story, ann, bob)
    await mended(story, sync, bob)
    await brought_back(story, sync)
    await switched(story, sync, ann)
    await reviewed(story, sync, ann)
    await deleted(story, sync, companies)


async def begun(story: Story) -> tuple[str, str]:
    """Two contacts, one of whom the shop knows, too, with her company; and a choice that only the shop has."""
    ann = await story.contact("ann@acme.example", firstname="Ann", phone="+1 555 0100", city="Boston")
    bob = await story.contact("bob@globex.example", firstname="Bob", city="Lisbon")
    await story.run("Tier")
    known = {"email": "ann@acme.example", "firstname": "Ann", "city": "Boston"}
    company = {"properties": {"name": "Acme", "domain": "acme.example", "city": "Boston"}}
    with contextlib.closing(sqlite3.connect(story.shop.path)) as connection, connection:
        shop_module().make(connection, [{"properties": known, "associations": {"nodes": [company]}}])
    return ann, bob


async def configured(story: Story) -> tuple[str, str]:
    """Connect, look at what is proposed, and make two syncs."""
    assert "sql" in {app["name"] for app in await story.run("Apps")}
    nowhere = f"sqlite:///{story.shop.path.parent}/nowhere.db"
    refused = (await story.api.get(DOCUMENTS["Connect"], url=nowhere))["createConnection"]
    (error,) = refused["userErrors"]
    assert (error["code"], refused["connection"]) == ("CONNECTION_REFUSED", None)
    assert error["details"]["category"] in error["message"]
    assert (await story.api.get("{ connections { id } }"))["connections"] == []

    connected = await story.run("Connect", url=story.shop.url)
    connection = connected["connection"]["id"]
    assert "shop.db" in connected["told"]
    settings = (await story.api.get("{ connections { settings { name value secret } } }"))["connections"]
    assert {"name": "url", "value": None, "secret": True} in settings[0]["settings"]

    proposed = await story.run("Propose", connection=connection)
    assert proposed["remoteObject"] == "contacts"
    assert proposed["problems"] == []
    pairs = {one["property"]["name"]: one["field"] for one in proposed["mappings"]}
    assert pairs.items() >= {"email": "email", "firstname": "first_name", "city": "city"}.items()
    assert {"property": "email", "field": "email"} in proposed["matchers"]

    wrong = {
        "connectionId": connection,
        "objectType": "contacts",
        "addMappings": [{"property": "tier", "field": "no"}],
    }
    refused = await story.api.do("createSync", ERRORS, wrong)
    assert [error["code"] for error in refused["userErrors"]] == ["UNKNOWN_FIELD"]
    assert refused["userErrors"][0]["path"][:2] == ["input", "addMappings"]

    given = {"connectionId": connection, "objectType": "companies", "policy": "OURS"}
    other = await story.api.do("createSync", f"sync {{ id }} {ERRORS}", given)
    assert other["userErrors"] == []
    made = (await story.run("Create", connection=connection))["sync"]
    assert (made["phase"], made["enabled"], made["problems"]) == ("CONFIGURED", False, [])
    assert {"tier", "email"} <= {one["property"]["name"] for one in made["mappings"]}
    assert [one["custom"] for one in made["mappings"] if one["field"] == "loyalty"] == [True]
    in_use = await story.api.do("deleteConnection", f"deletedId {ERRORS}", {"id": connection})
    assert [error["code"] for error in in_use["userErrors"]] == ["CONNECTION_IN_USE"]
    return made["id"], other["sync"]["id"]


async def previewed(story: Story, sync: str) -> dict[str, Any]:
    """A preview says what would be done, and nothing is."""
    ours, theirs = await story.emails(), story.shop.emails()
    found: dict[str, Any] = {}

    async def ready() -> bool:
        nonlocal found
        found = await story.run("Preview", sync=sync)
        return bool(found["plan"]["state"] == "READY")

    await until(ready, "a preview is ready")
    counts = {one["kind"]: one["count"] for one in found["plan"]["counts"]}
    assert counts["MATCH"] == 1
    assert counts["CREATE_OURS"] == 4
    assert counts["CREATE_THEIRS"] == 1
    assert counts["EXCLUDE"] == 1
    (match,) = (await story.run("Preview", sync=sync, kind="MATCH"))["nodes"]
    assert (match["matchedBy"], match["record"]["displayName"]) == ("email", "Ann")
    assert {"name": "phone", "before": "+1 555 0100", "after": "+49 30 555 0000"} in match["ours"]
    # Her company is not in sync yet.
    waits = {"kind": "WAITING", "side": "OURS", "label": "Primary", "count": 1, "record": None}
    (told,) = match["associations"]["nodes"]
    assert told.items() >= waits.items(), told
    assert found["plan"]["associationCounts"] == [{"kind": "WAITING", "side": "OURS", "count": 1}]
    assert (await story.emails(), story.shop.emails()) == (ours, theirs)
    assert await story.counts(sync) == dict.fromkeys(
        ("records", "inSync", "pending", "failed", "excluded", "conflicted", "openConflicts"), 0
    ) | {"byCategory": []}
    # Other rules, another preview, though nobody asked for a fresh one.
    before = found["plan"]["id"]
    for policy in ("MOST_RECENT", "THEIRS"):
        given = {"id": sync, "revision": await revision(story, sync), "policy": policy}
        assert (await story.api.do("updateSync", ERRORS, given))["userErrors"] == []
    await until(ready, "a preview by the new rules is ready")
    assert found["plan"]["id"] != before
    return found


async def applied(story: Story, sync: str, companies: str) -> None:
    """It is done as it was shown, watched as it goes on, and followed by the log without a gap."""
    started = await story.api.do("startSync", f"sync {{ enabled phase }} {ERRORS}", {"id": companies})
    assert (started["sync"], started["userErrors"]) == ({"enabled": True, "phase": "INITIAL"}, [])
    await until(lambda: _live(story, companies), "the companies are in sync")
    plan = (await story.run("Preview", sync=sync))["plan"]["id"]
    async with (
        socket_to(story.place, story.api.key) as watching,
        socket_to(story.place, story.api.key) as following,
    ):
        status = listen(watching, DOCUMENTS["Watch"], sync=sync)
        cursor = (await anext(status))["cursor"]
        await story.run("Apply", plan=plan)
        kinds: set[str] = set()
        async with asyncio.timeout(PATIENCE):
            async for told in status:
                if told["inSync"] == 6 and told["syncs"][0]["phase"] == "LIVE":
                    break
            async for event in listen(following, DOCUMENTS["Follow"], sync=sync, after=cursor):
                kinds.add(event["kind"])
                if {"SYNC_STARTED", "SYNC_LIVE", "RECORD_SYNCED"} <= kinds:
                    break
    assert await story.emails() == story.shop.emails()
    outcome = await story.run("Outcome", plan=plan)
    assert (outcome["state"], outcome["items"]["nodes"]) == ("APPLIED", [])
    assert outcome["outcomes"] == [{"outcome": "APPLIED", "count": 7}]
    assert await story.value("ann@acme.example", "phone") == "+49 30 555 0000"
    assert await story.value("ann@acme.example", "tier") == "gold"
    assert "bob@globex.example" in story.shop.emails()
    await until(lambda: _employed(story), "a contact has the company that the shop says")


async def _live(story: Story, sync: str) -> bool:
    return bool((await story.run("Status", sync=sync))["phase"] == "LIVE")


async def _employed(story: Story) -> bool:
    query = """{ records(objectType: "contacts", where: {associated: {to: "companies", labels: ["primary"]}}) {
      nodes { property(name: "email") associations(to: "companies") { nodes { displayName } } } } }"""
    nodes = (await story.api.get(query))["records"]["nodes"]
    return bool(
        nodes == [{"property": "ann@acme.example", "associations": {"nodes": [{"displayName": "Acme"}]}}]
    )


async def edited(story: Story, ann: str, bob: str) -> None:
    """What one side changes, the other has."""
    await story.write(bob, city="Porto")
    await until(_equals(story.shop, "city", "bob@globex.example", "Porto"), "our change is in the shop")
    story.shop.do("UPDATE contacts SET city = 'Salem' WHERE email = 'ann@acme.example'")
    await until(lambda: _has(story, "ann@acme.example", "city", "Salem"), "their change is here")
    links = await story.api.get(
        "query ($id: ID!) { record(id: $id) { links { state externalId sync { objectType } } } }", id=ann
    )
    (link,) = links["record"]["links"]
    assert (link["state"], link["sync"]["objectType"]) == ("IN_SYNC", "contacts")


def _equals(shop: Shop, column: str, email: str, wanted: Any) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return bool(shop.one(column, email) == wanted)

    return holds


async def _has(story: Story, email: str, name: str, wanted: Any) -> bool:
    return bool(await story.value(email, name) == wanted)


async def mended(story: Story, sync: str, bob: str) -> None:
    """A value that the shop does not take fails with a tip, and for that record alone; mended, it goes on."""
    await story.write(bob, city="Llanfairpwllgwyngyllgogerychwyrndrobwll")

    async def failed() -> bool:
        return bool((await story.counts(sync))["failed"] == 1)

    await until(failed, "a failure is told")
    (failure,) = (await story.run("Failures", sync=sync))["nodes"]
    assert (failure["category"], failure["retryClass"]) == ("VALUE_TOO_LONG", "NEEDS_FIX")
    assert failure["tip"].startswith("Shorten the value")
    assert failure["record"]["id"] == bob
    assert failure["attempts"]["nodes"][0]["kind"] == "FAILED"
    (cause,) = (await story.counts(sync))["byCategory"]
    assert (cause["category"], cause["count"]) == ("VALUE_TOO_LONG", 1)
    assert (await story.run("Retry", sync=sync))["count"] == 1
    await story.write(bob, city="Conwy")
    await until(_equals(story.shop, "city", "bob@globex.example", "Conwy"), "what was mended is in the shop")

    async def well() -> bool:
        return bool((await story.counts(sync))["failed"] == 0)

    await until(well, "nothing fails any more")


async def brought_back(story: Story, sync: str) -> None:
    """What the shop deletes stays here, is told, and comes back when somebody says so."""
    assert story.shop.do("DELETE FROM contacts WHERE email = 'mira.olsen@example.net'") == 1
    await story.api.do(
        "updateSync",
        ERRORS,
        {"id": sync, "revision": await revision(story, sync), "options": {"sweepSeconds": 60}},
    )

    async def told() -> bool:
        return any(one["category"] == "RECORD_DELETED" for one in (await story.counts(sync))["byCategory"])

    await until(told, "the deletion is told")
    assert await story.value("mira.olsen@example.net", "firstname") == "Mira"
    assert (await story.run("Resync", sync=sync))["count"] == 1
    await until(
        _equals(story.shop, "first_name", "mira.olsen@example.net", "Mira"), "she is back in the shop"
    )


async def revision(story: Story, sync: str) -> int:
    """The revision of a sync's rules."""
    found: int = (await story.api.get("query ($id: ID!) { sync(id: $id) { revision } }", id=sync))["sync"][
        "revision"
    ]
    return found


async def switched(story: Story, sync: str, ann: str) -> None:
    """Off, nothing moves; on, it catches up with both sides, and makes no doubles."""
    await story.run("TurnOff", sync=sync)
    story.shop.do("UPDATE contacts SET city = 'Bergen' WHERE email = 'mira.olsen@example.net'")
    await story.write(ann, phone="+1 555 0111")
    await asyncio.sleep(1.5)
    assert story.shop.one("phone", "ann@acme.example") != "+1 555 0111"
    on = await story.api.do("setSyncEnabled", f"sync {{ enabled }} {ERRORS}", {"id": sync, "enabled": True})
    assert (on["sync"], on["userErrors"]) == ({"enabled": True}, [])
    await until(
        lambda: _has(story, "mira.olsen@example.net", "city", "Bergen"), "their change is caught up with"
    )
    await until(_equals(story.shop, "phone", "ann@acme.example", "+1 555 0111"), "so is ours")
    assert await story.emails() == [one.lower() for one in story.shop.emails()]
    assert len(await story.emails()) == 6


async def reviewed(story: Story, sync: str, ann: str) -> None:
    """A change of the rules is looked at before it is made; then a person is asked where both sides differ."""
    read = await revision(story, sync)
    shown = await story.run("Review", sync=sync, revision=read)
    assert shown["changes"] == [
        {"what": "policy", "name": "policy", "did": "CHANGED", "before": "THEIRS", "after": "ASK"}
    ]
    assert shown["sync"] == {"revision": read, "policy": "THEIRS"}
    stale = await story.api.do("updateSync", ERRORS, {"id": sync, "revision": read + 7, "policy": "ASK"})
    assert [error["code"] for error in stale["userErrors"]] == ["STALE_SYNC"]
    changed = await story.api.do(
        "updateSync", f"sync {{ policy }} {ERRORS}", {"id": sync, "revision": read, "policy": "ASK"}
    )
    assert (changed["sync"], changed["userErrors"]) == ({"policy": "ASK"}, [])
    await story.run("TurnOff", sync=sync)
    story.shop.do("UPDATE contacts SET city = 'Theirs' WHERE email = 'ann@acme.example'")
    await story.write(ann, city="Ours")
    await story.api.do("setSyncEnabled", ERRORS, {"id": sync, "enabled": True})
    conflicts: list[Any] = []

    async def asked() -> bool:
        conflicts[:] = (await story.run("Conflicts", sync=sync))["nodes"]
        return bool(conflicts)

    await until(asked, "a person is asked")
    (conflict,) = conflicts
    assert (conflict["ours"], conflict["theirs"], conflict["agreed"]) == ("Ours", "Theirs", "Salem")
    assert conflict["mapping"]["field"] == "city"
    await story.run("Decide", conflict=conflict["id"])
    await until(_equals(story.shop, "city", "ann@acme.example", "Ours"), "what was decided is in the shop")


async def deleted(story: Story, sync: str, companies: str) -> None:
    """Deleting forgets links; records and customers stay."""
    before = await story.emails(), story.shop.emails()
    for one in (sync, companies):
        gone = await story.api.do("deleteSync", f"deletedId {ERRORS}", {"id": one})
        assert gone == {"deletedId": one, "userErrors": []}
    assert (await story.api.get("{ syncs { nodes { id } } }"))["syncs"]["nodes"] == []
    assert (await story.emails(), story.shop.emails()) == before
    (connection,) = (await story.api.get("{ connections { id } }"))["connections"]
    gone = await story.api.do("deleteConnection", f"deletedId {ERRORS}", connection)
    assert gone == {"deletedId": connection["id"], "userErrors": []}
