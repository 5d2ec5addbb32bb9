"""The connector to SQL databases, on PostgreSQL, SQLite and MariaDB: the laws of connectors, and what is its own."""

import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from engine.sync.connectors.sql.app import _url
from tests.connector_laws import ConnectorLaws, Partner
from tests.mariadb import MariaDb, running
from tests.sql_partners import SqlPartner


class Postgresql(SqlPartner):
    def wrong_credentials(self) -> Mapping[str, str]:
        return {"url": _url(self.url).set(username="stranger").render_as_string(hide_password=False)}

    def unreachable(self) -> Mapping[str, str]:
        return {"url": "postgresql://postgres@127.0.0.1:1/postgres"}


class Sqlite(SqlPartner):
    def unreachable(self) -> Mapping[str, str]:
        return {"url": "sqlite:////nowhere/at/all.sqlite"}


class Maria(SqlPartner):
    def __init__(self, server: MariaDb, *, tells: bool) -> None:
        self.server, self.database = server, f"t_{uuid.uuid4().hex}"
        server.command(f"CREATE DATABASE {self.database} CHARACTER SET utf8mb4")
        super().__init__(server.url(self.database), tells=tells)

    def wrong_credentials(self) -> Mapping[str, str]:
        return {"url": self.server.url(self.database, "stranger")}

    def unreachable(self) -> Mapping[str, str]:
        return {"url": "mysql://root@127.0.0.1:1/mysql"}

    async def stop(self) -> None:
        self.server.stop()

    async def start(self) -> None:
        self.server.start()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    with running() as server:
        yield server


@pytest.fixture(params=["told", "compared"])
def tells(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "told")


class TestPostgresql(ConnectorLaws):
    @pytest.fixture
    async def partner(self, empty_database_url: str, tells: bool) -> AsyncIterator[Partner]:
        partner = Postgresql(empty_database_url, tells=tells)
        yield partner
        partner.close()


class TestSqlite(ConnectorLaws):
    @pytest.fixture
    def partner(self, tmp_path: Path, tells: bool) -> Iterator[Partner]:
        (tmp_path / "crm.sqlite").touch()
        partner = Sqlite(f"sqlite:///{tmp_path / 'crm.sqlite'}", tells=tells)
        yield partner
        partner.close()


class TestMariadb(ConnectorLaws):
    @pytest.fixture
    def partner(self, mariadb: MariaDb, tells: bool) -> Iterator[Partner]:
        partner = Maria(mariadb, tells=tells)
        yield partner
        partner.close()
        mariadb.command(f"DROP DATABASE {partner.database}")
