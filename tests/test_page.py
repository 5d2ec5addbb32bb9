"""The page at /graphql: files by their hashes, a strict policy, and what is said where the files are missing."""

import gzip
import re
from pathlib import Path

import pytest
from graphql import FieldNode, OperationDefinitionNode, parse, validate

from schema.root import SCHEMA
from server import page
from server.app import create_app
from storage.database import Database
from tests.face import clients

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


async def test_the_page_names_its_files_by_what_is_in_them(db: Database) -> None:
    async with clients(create_app(db)) as http:
        shown = await http.get("/graphql", headers=HTML)
        assert shown.status_code == 200
        addresses = re.findall(r'(?:src|href)="(/graphql/[^"]+)"', shown.text)
        assert len(addresses) == len(page.OURS) + len(page.THEIRS)
        for address in addresses:
            for coding in ("gzip", "identity"):
                found = await http.get(address, headers={"Accept-Encoding": coding})
                assert found.status_code == 200
                assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
                assert found.content == page.files()[address.rsplit("/", 1)[1]]
        # Another hash is another file, which there is not; and nothing else of the machine is served.
        for wrong in ("/graphql/assets/0000000000000000/page.js", "/graphql/assets/0/..%2f__init__.py"):
            assert (await http.get(wrong)).status_code == 404


async def test_the_page_may_run_and_ask_only_what_is_its_own(db: Database) -> None:
    async with clients(create_app(db)) as http:
        shown = await http.get("/graphql", headers=HTML)
    policy = dict(part.split(" ", 1) for part in shown.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    # No address of another site is in it, and no script that the policy would stop.
    assert re.findall(r'(?:src|href)="(?!/graphql/|/dashboard"|data:)[^"]*"', shown.text) == []
    assert re.findall(r"<script(?![^>]*(?:src=|application/json))", shown.text) == []


async def test_without_the_wheel_the_page_says_how_to_get_it(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "WHEEL", "a_wheel_that_is_not_installed")
    for cached in (page.files, page.page):
        cached.cache_clear()
    try:
        async with clients(create_app(db)) as http:
            shown = await http.get("/graphql", headers=HTML)
            assert "pip install graphene-django-graphiql-static" in shown.text
            assert (await http.get("/graphql/assets/0/page.js")).status_code == 404
    finally:
        monkeypatch.undo()
        for cached in (page.files, page.page):
            cached.cache_clear()


def test_packed_files_are_the_files() -> None:
    for name, content in page.files().items():
        assert gzip.decompress(page._packed(name)) == content


@pytest.mark.parametrize("example", page.examples(), ids=lambda example: example.name)
def test_an_example_is_valid_and_told(example: page.Example) -> None:
    for document in filter(None, (example.query, example.needs)):
        assert validate(SCHEMA, parse(document)) == []
    assert example.title
    assert example.about.endswith(".")
    assert variables(example.query) == fields(example.needs)
    assert example.offers is None or example.offers in {other.name for other in page.examples()}


def operation(document: str) -> OperationDefinitionNode:
    """The only one of a document."""
    (found,) = parse(document).definitions
    assert isinstance(found, OperationDefinitionNode)
    return found


def variables(document: str) -> set[str]:
    """The names of an operation's variables."""
    return {one.variable.name.value for one in operation(document).variable_definitions or ()}


def fields(document: str | None) -> set[str]:
    """The names that an answer's fields have."""
    if document is None:
        return set()
    found = [one for one in operation(document).selection_set.selections if isinstance(one, FieldNode)]
    return {(one.alias or one.name).value for one in found}


def test_the_wheel_in_the_image_is_the_one_in_the_lock() -> None:
    root = Path(__file__).parent.parent
    pins = [
        re.search(r"^graphene-django-graphiql-static==\S+", (root / lock).read_text(), re.MULTILINE)
        for lock in ("requirements.lock", "deploy/requirements.lock")
    ]
    assert pins[0] is not None
    assert pins[1] is not None
    assert pins[0][0] == pins[1][0]
    assert pins[0][0] in (Path(page.__file__).parent / "absent.html").read_text()
