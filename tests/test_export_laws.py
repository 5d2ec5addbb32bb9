"""What goes out comes in the same: exported, imported into an empty account, exported again, it is the same file."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from engine import accounts
from server.app import create_app
from storage.database import Database
from tests.face import T0, Client, clients, new_key
from tests.test_exports import associated, fetched, made
from tests.test_import_face import PAYLOAD, read, worked

# The harmful and the strange in greater numbers than elsewhere.
LETTERS = "=+-@'\"\\;,|\t\r\n ab9_xé漢😀\u00a0\uff1d\u2028<&>\ufeff"
OPTIONS = ("a", "b;c", "-d", "e\\", "f g", "'=h", "Ünï")
LABELS = {"billing": "Billing", "semi": "a;b\\", "odd": "=SUM(A1) (x)"}


def text(chance: random.Random, longest: int = 8) -> str:
    return "".join(chance.choices(LETTERS, k=chance.randrange(1, longest)))


def key(chance: random.Random, n: int) -> str:
    """A unique text that begins and ends with no space: in a cell of several there are none around each."""
    return chance.choice("=+@'\"\\;a") + text(chance) + str(n)


def contact(chance: random.Random, n: int) -> dict[str, Any]:
    """A contact with some values of every type."""
    moment = f"2026-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
    given = {
        "firstname": text(chance),
        "lastname": chance.choice(
            [" ", "\t", "'", "''=1", "=1+1", "'=1", "007", "true", "1e5", text(chance, 40)]
        ),
        "phone": chance.choice(["+49 30 1234567", "-12", "030 12 x3"]),
        "rank": chance.choice([0, -1, 0.1, -1e-9, 2**53 - 1, 1.5e300 % 1e15, chance.random()]),
        "active": chance.random() < 0.5,
        "day": moment,
        "at": f"{moment}T{chance.randrange(24):02}:00:00.{chance.randrange(1000):03}Z",
        "one": chance.choice(OPTIONS),
        "some": chance.sample(OPTIONS, chance.randrange(1, len(OPTIONS))),
        "raw": chance.choice([-5, "=x", [1, "a;b"], {"b": None, "a": [True]}, "text", 0.5, False]),
    }
    chosen = {name: value for name, value in given.items() if chance.random() < 0.7}
    return {"number": key(chance, n)} | chosen


async def prepared(db: Database, name: str) -> tuple[Client, Any]:
    """An account with properties of every type and three labels, and no records."""
    account_id = await accounts.create(db, name, now=T0)
    app = clients(create_app(db))
    client = Client(await app.__aenter__(), await new_key(db, account_id), account_id)
    options = [{"value": value, "label": value} for value in OPTIONS]
    for object_type in ("contacts", "companies"):
        await _define(client, object_type, "number", "STRING", unique=True)
    for prop, kind in (
        ("rank", "NUMBER"),
        ("active", "BOOLEAN"),
        ("day", "DATE"),
        ("at", "DATETIME"),
        ("raw", "JSON"),
    ):
        await _define(client, "contacts", prop, kind)
    await _define(client, "contacts", "one", "ENUMERATION", options=options)
    await _define(client, "contacts", "some", "ENUMERATION", options=options, multiple=True)
    for label, words in LABELS.items():
        given = {"from": "contacts", "to": "companies", "label": words, "name": label}
        payload = await client.do("createAssociationLabel", "userErrors { message }", given)
        assert payload["userErrors"] == []
    return client, app


async def _define(client: Client, object_type: str, name: str, kind: str, **more: Any) -> None:
    given = {"objectType": object_type, "name": name, "label": name.title(), "type": kind} | more
    payload = await client.do("createProperty", "userErrors { message }", given)
    assert payload["userErrors"] == [], payload


COMPANIES = ("number", "name", "city")
CONTACTS = (
    "number", "firstname", "lastname", "phone", "rank", "active", "day", "at", "one", "some", "raw",
    "companies.number", *(f"companies.number ({label})" for label in LABELS), "companies.number (primary)",
)  # fmt: skip


async def filled(client: Client, chance: random.Random) -> None:
    companies = [{"number": key(chance, n), "name": text(chance), "city": text(chance)} for n in range(12)]
    far = await made(client, "companies", *companies)
    near = await made(client, "contacts", *(contact(chance, n) for n in range(40)))
    for one in near:
        chosen = chance.sample(far, chance.randrange(4))
        pairs = [(one, other, chance.sample(list(LABELS), chance.randrange(3))) for other in chosen]
        if pairs:
            await associated(client, *pairs)


async def exported(client: Client, object_type: str, columns: Sequence[str], format_: str) -> bytes:
    answer = await fetched(client, objectType=object_type, column=list(columns), format=format_)
    assert answer.status_code == 200, answer.text
    return answer.content


async def imported(db: Database, client: Client, object_type: str, content: bytes, at: datetime = T0) -> None:
    """Import a file as it is proposed, with no error at all."""
    payload = await client.do("createImport", PAYLOAD, {"name": object_type})
    ident = payload["import"]["id"]
    await client.http.put(payload["import"]["uploadUrl"], content=content, headers=client.headers)
    fields = """proposal { unmapped notes plan {
      parts { objectType mode key columns { column property format } }
      associations { from { part } to { objectType property column } labels } } } userErrors { message }"""
    asked = {"id": ident, "objectTypes": [object_type]}
    proposal = (await client.do("proposeImport", fields, asked))["proposal"]
    assert (proposal["unmapped"], proposal["notes"]) == ([], [])
    started = await client.do("startImport", PAYLOAD, {"id": ident, "plan": proposal["plan"]})
    assert started["userErrors"] == []
    await worked(db, client, at)
    done = await read(client, ident)
    errors = await client.get(
        "query ($id: ID!) { import(id: $id) { errors { nodes { row column value message } } } }", id=ident
    )
    assert (done["status"], done["failed"]) == ("DONE", 0), errors


@pytest.mark.parametrize("format_", ["csv", "xlsx"])
@pytest.mark.parametrize("seed", range(4))
async def test_what_goes_out_comes_in_and_goes_out_the_same(db: Database, seed: int, format_: str) -> None:
    chance = random.Random(seed)
    first, one = await prepared(db, "first")
    second, other = await prepared(db, "second")
    try:
        await filled(first, chance)
        files = {
            "companies": await exported(first, "companies", COMPANIES, format_),
            "contacts": await exported(first, "contacts", CONTACTS, format_),
        }
        for object_type, content in files.items():
            await imported(db, second, object_type, content)
        assert await exported(second, "companies", COMPANIES, format_) == files["companies"]
        assert await exported(second, "contacts", CONTACTS, format_) == files["contacts"]
        # And coming in once more it changes nothing.
        await imported(db, second, "contacts", files["contacts"], T0 + timedelta(days=1))
        told = await second.get("{ imports(first: 1) { nodes { created updated unchanged failed } } }")
        assert told["imports"]["nodes"] == [{"created": 0, "updated": 0, "unchanged": 40, "failed": 0}]
    finally:
        await one.__aexit__(None, None, None)
        await other.__aexit__(None, None, None)
