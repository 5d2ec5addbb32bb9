"""Schemathesis asks all queries and mutations of the schema what nobody would: never a 500, or an internal error."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import accounts
from schema.root import SCHEMA
from server.app import create_app
from storage.database import connect
from tests.face import T0, Client, clients, new_key
from tests.processes import PATIENCE

SOURCE = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
# Of each operation. The seed makes a run like the last; another one is for who looks for more.
EXAMPLES = os.environ.get("FUZZING_EXAMPLES", "8")
SEED = os.environ.get("FUZZING_SEED", "1")
# The one check that cannot hold: it takes any text for the name of an object type, any number for a page size.
EXCLUDED = "positive_data_acceptance"

FIRST = """mutation {
  a: createRecords(input: {objectType: "contacts", records: [
    {properties: {email: "a@b.example", firstname: "A"}}, {properties: {}}]}) { results { record { id } } }
  b: createRecords(input: {objectType: "companies", records: [{properties: {name: "X"}}]}) { results { record { id } } }
}"""


@pytest.fixture
def url(database_url: str, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server of its own process, and its log."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RELATA_")}
    chosen = {"DATABASE_URL": database_url, "RELATA_PORT": "0", "RELATA_WORKERS": "0"}
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "server.cli", "serve"],
            env={**kept, **chosen},
            cwd=SOURCE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )
        try:
            assert process.stdout is not None
            ready = (re.fullmatch(r"Relata is ready: (\S+)\n", line) for line in process.stdout)
            found = next((match for match in ready if match), None)
            assert found is not None, log.read_text()
            yield found[1], log
        finally:
            process.terminate()
            process.communicate()


async def begun(database_url: str) -> tuple[str, list[str]]:
    """A key to an account, and the ids of what is in it."""
    async with connect(database_url) as db:
        account_id = await accounts.create(db, "fuzz", now=T0)
        key = await new_key(db, account_id)
        async with clients(create_app(db)) as http:
            client = Client(http, key, account_id)
            made = await client.get(FIRST)
            types = await client.get('{ associationTypes(from: "contacts", to: "companies") { id } }')
    records = [result["record"]["id"] for part in ("a", "b") for result in made[part]["results"]]
    return key, records + [each["id"] for each in types["associationTypes"]]


async def test_nothing_that_can_be_asked_breaks_it(
    database_url: str, url: tuple[str, Path], tmp_path: Path
) -> None:
    address, log = url
    key, ids = await begun(database_url)
    asked = tmp_path / "asked"
    ran = subprocess.run(  # noqa: ASYNC221 - nothing else is to happen meanwhile
        [
            *(BIN / "schemathesis", "run", address, "--no-color", "--continue-on-failure"),
            *("--header", f"Authorization: Bearer {key}", "--exclude-checks", EXCLUDED),
            *("--max-examples", EXAMPLES, "--seed", SEED, "--generation-database", "none"),
            # However long it takes, on a slow machine, to think of a question and to answer it.
            *("--suppress-health-check", "too_slow", "--request-timeout", str(PATIENCE)),
        ],
        cwd=SOURCE,
        env={
            **os.environ,
            "SCHEMATHESIS_HOOKS": "tests.fuzzing",
            "FUZZING_IDS": ",".join(ids),
            "FUZZING_ASKED": str(asked),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-2000:]
    assert "unexpected error" not in log.read_text()
    # Each of them was asked, and looked at by our own check.
    assert SCHEMA.query_type is not None
    assert SCHEMA.mutation_type is not None
    there_are = {
        f"{kind.name}.{name}" for kind in (SCHEMA.query_type, SCHEMA.mutation_type) for name in kind.fields
    }
    assert set(asked.read_text().splitlines()) == there_are
