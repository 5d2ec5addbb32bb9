"""CardDAV against a real Radicale: the laws of connectors, and what is special about address books."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import pytest

from engine.sync.connectors.carddav import APP
from engine.sync.connectors.protocol import RemoteField, Value
from tests.connector_laws import ConnectorLaws, Partner, plausible
from tests.gate import Gate, free_port
from tests.radicale import Radicale, serving

_BOOKS = itertools.count(1)


@pytest.fixture(scope="module")
def radicale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Radicale]:
    with serving(tmp_path_factory.mktemp("radicale")) as server:
        yield server


@pytest.fixture(scope="module")
def gate(radicale: Radicale) -> Iterator[Gate]:
    passing = Gate(radicale.port)
    yield passing
    passing.close()


class Contacts(Partner):
    """An address book that its owner edits with something else."""

    app = APP
    text = "note"
    tells_created = True

    def __init__(self, radicale: Radicale, gate: Gate) -> None:
        self.radicale, self.gate = radicale, gate
        self.object_name = f"book{next(_BOOKS)}"
        radicale.make_book(self.object_name)

    def settings(self) -> Mapping[str, str]:
        return self.radicale.settings(self.object_name, self.gate.port)

    def wrong_credentials(self) -> Mapping[str, str]:
        return {**self.settings(), "password": "a wrong word"}

    def unreachable(self) -> Mapping[str, str]:
        return self.radicale.settings(self.object_name, free_port())

    def new(self, number: int) -> dict[str, Value]:
        return {
            "firstname": "Ann",
            "lastname": f"O'Hara-Nr {number}",
            "email": f"ann{number}@example.com",
            "note": f"Note {number}",
        }

    def values_of(self, field: RemoteField) -> Sequence[Value]:
        if field.name == "categories":
            return [["friends"], ["family, close", "a;b", "Zoë"], ["friends", "work"]]
        if field.name == "email":
            return ["zoe@example.com", "o'hara+x@example.co.uk", "Ann.Lee@Example.COM"]
        return plausible(field)

    async def insert(self, fields: Mapping[str, Value]) -> str:
        return self.radicale.insert(self.object_name, fields)

    async def change(self, external_id: str, fields: Mapping[str, Value]) -> None:
        self.radicale.change(self.object_name, external_id, fields)

    async def remove(self, external_id: str) -> None:
        self.radicale.remove(self.object_name, external_id)

    async def stop(self) -> None:
        self.gate.shut()

    async def start(self) -> None:
        self.gate.open()

    async def forget_cursors(self) -> None:
        self.radicale.forget_tokens(self.object_name)


@pytest.fixture
def contacts(radicale: Radicale, gate: Gate) -> Iterator[Contacts]:
    made = Contacts(radicale, gate)
    yield made
    radicale.remove(made.object_name, "")


class TestCardDav(ConnectorLaws):
    @pytest.fixture
    def partner(self, contacts: Contacts) -> Partner:
        return contacts
