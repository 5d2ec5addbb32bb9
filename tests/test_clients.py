"""Other people's clients, audits, tools and a browser, against an installation with its demo data.

What runs under Node is installed on demand; where that cannot be, the tests say why they are skipped.
"""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport

from server.page import examples
from tests.node import packages, run
from tests.processes import fastest_place, nobody_runs_in, until
from tests.test_serve import Installation

ROOT = Path(__file__).parent.parent
TYPESCRIPT = ROOT / "examples" / "typescript"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True, slots=True)
class Demo:
    """A served demo account."""

    url: str
    key: str

    @property
    def environment(self) -> dict[str, str]:
        """What programs under Node read."""
        return {"RELATA_URL": self.url, "RELATA_KEY": self.key}

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": f"Bearer {self.key}"}


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    data_dir = Path(tempfile.mkdtemp(prefix="relata-clients-", dir=fastest_place()))
    installation = Installation(data_dir, [])
    try:
        _, url = installation.serve("--demo")
        yield Demo(url, (data_dir / "demo-key").read_text().strip())
    finally:
        for process in installation.started:
            process.kill()
            process.communicate()
        until(lambda: nobody_runs_in(data_dir))
        shutil.rmtree(data_dir)


def test_every_audit_of_graphql_over_http_is_passed(demo: Demo) -> None:
    packages()
    done = run(["node", "audit.mjs"], environment=demo.environment)
    *audits, total = map(json.loads, done.stdout.splitlines())
    assert [audit for audit in audits if audit["status"] != "ok"] == []
    assert total == {"passed": 61, "audits": 61}
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("client", ["apollo", "urql", "ws", "sse"])
def test_a_client_reads_is_refused_watches_and_resumes(demo: Demo, client: str) -> None:
    packages()
    done = run(["node", f"{client}.mjs"], environment=demo.environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ok\n"


def test_the_page_works_in_a_browser_and_asks_nothing_from_elsewhere(demo: Demo) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"none of these browsers is installed: {', '.join(BROWSERS)}")
    packages()
    done = run(["node", "browser.mjs"], environment=demo.environment | {"RELATA_BROWSER": browser})
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)

    assert seen["elsewhere"] == []
    assert seen["complaints"] == []
    assert "opens nothing here" in seen["refused"]
    assert seen["account"] == seen["remembered"] == "Account demo"
    assert seen["askedElsewhere"] is True
    assert seen["keyShown"] == ""
    assert "How many there are on all pages" in seen["documentation"]
    assert seen["newTabs"] == 0
    assert seen["darkBar"][0] != seen["darkBar"][1]

    answers = seen["answers"]
    assert set(answers) == {example.title for example in examples()}
    for title, answer in answers.items():
        assert "errors" not in answer, title
        (payload,) = answer["data"].values()
        if title == "A limit that holds":
            assert {error["code"] for error in payload["userErrors"]} == {"LABEL_LIMIT_REACHED"}
        else:
            assert payload, title
            assert not (isinstance(payload, dict) and payload.get("userErrors")), (title, payload)
    assert len(answers["Three levels, labels on every edge"]["data"]["records"]["nodes"]) == 3
    assert answers["Watch workflows at work"]["data"]["enrollmentEvents"]["kind"] == "ENROLLMENT_COMPLETED"


async def test_gql_reads_is_refused_watches_and_resumes(demo: Demo) -> None:
    async with Client(transport=HTTPXAsyncTransport(url=demo.url, headers=demo.headers)) as http:
        read = await http.execute(GraphQLRequest(COMPANIES))
        (company,) = read["records"]["nodes"]

        unknown = {"input": {"objectType": "contacts", "records": [{"properties": {"nothing": 1}}]}}
        refused = await http.execute(GraphQLRequest(CREATE, variable_values=unknown))
        (result,) = refused["createRecords"]["results"]
        assert result["record"] is None
        assert result["userErrors"][0]["code"] == "UNKNOWN_PROPERTY"

        with pytest.raises(TransportQueryError) as partial:
            await http.execute(GraphQLRequest('{ account { name } objectType(name: "nothing") { name } }'))
        assert partial.value.data == {"account": {"name": "demo"}, "objectType": None}

        seen: list[dict[str, Any]] = []
        people: set[str] = set()

        async def watch() -> None:
            async with _socket(demo) as socket:
                async for told in socket.subscribe(GraphQLRequest(WATCH)):
                    seen.append(told["enrollmentEvents"])
                    if seen[-1]["kind"] == "ENROLLMENT_COMPLETED" and seen[-1]["record"]["id"] in people:
                        return

        watching = asyncio.create_task(watch())
        link = {"toId": company["id"], "labels": ["decision_maker"]}
        person = {"properties": {"lastname": "Novak"}, "associations": [link]}
        hire = {"input": {"objectType": "contacts", "records": [person]}}
        # A subscription begins at a moment that nobody tells; whoever is hired later is seen.
        for _ in range(60):
            hired = await http.execute(GraphQLRequest(CREATE, variable_values=hire))
            people.add(hired["createRecords"]["results"][0]["record"]["id"])
            done, _ = await asyncio.wait({watching}, timeout=1)
            if done:
                break
        await watching

    again: list[dict[str, Any]] = []
    async with _socket(demo) as socket:
        resumed = GraphQLRequest(WATCH, variable_values={"after": seen[0]["cursor"]})
        async for told in socket.subscribe(resumed):
            again.append(told["enrollmentEvents"])
            if len(again) == len(seen) - 1:
                break
    assert again == seen[1:]


def _socket(demo: Demo) -> Client:
    url = demo.url.replace("http", "ws")
    return Client(
        transport=WebsocketsTransport(url=url, init_payload={"authorization": f"Bearer {demo.key}"})
    )


def test_inspector_finds_every_example_valid() -> None:
    packages()
    documents = ["../../server/page/queries/*.graphql", "../../examples/**/*.graphql"]
    for pattern in documents:
        done = run(["npx", "--no-install", "graphql-inspector", "validate", pattern, "../../schema.graphql"])
        assert done.returncode == 0, done.stdout + done.stderr
        assert "All documents are valid" in done.stdout


def test_inspector_would_find_an_example_that_is_not_valid(tmp_path: Path) -> None:
    packages()
    (tmp_path / "wrong.graphql").write_text("{ account { nothing } }")
    inspector = ["npx", "--no-install", "graphql-inspector", "validate"]
    done = run([*inspector, str(tmp_path / "*.graphql"), "../../schema.graphql"])
    assert done.returncode != 0


def test_generated_operations_are_well_typed_and_work(demo: Demo) -> None:
    packages(TYPESCRIPT)
    for script in ("generate", "check", "build"):
        done = run(["npm", "run", "--silent", script], TYPESCRIPT)
        assert done.returncode == 0, done.stdout + done.stderr
    done = run(["node", "dist/src/main.js", "--hire"], TYPESCRIPT, environment=demo.environment)
    assert done.returncode == 0, done.stderr
    assert "contacts decide at companies" in done.stdout
    assert "hired Nora Novak" in done.stdout

    # The types are those of the schema: a field that is not there is found before anything runs.
    source = TYPESCRIPT / "src" / "main.ts"
    assert "records.totalCount" in source.read_text()
    wrong = TYPESCRIPT / "generated" / "wrong.ts"
    wrong.write_text(
        'import type { DecidersQuery } from "./graphql.js";\nexport type N = DecidersQuery["nothing"];\n'
    )
    try:
        assert run(["npm", "run", "--silent", "check"], TYPESCRIPT).returncode != 0
    finally:
        wrong.unlink()


COMPANIES = """
query Companies {
  records(
    objectType: "companies", first: 1, where: {property: {name: "industry", operator: EQUALS, value: "software"}}
  ) { nodes { id displayName } }
}
"""
CREATE = """
mutation Create($input: CreateRecordsInput!) {
  createRecords(input: $input) { results { record { id } userErrors { code path } } userErrors { code } }
}
"""
WATCH = """
subscription Watch($after: String) { enrollmentEvents(after: $after) { cursor kind record { id } } }
"""
