"""The example of a connector, as somebody else would write it, under the laws of connectors."""

import importlib
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.sync.connectors.protocol import Connector, RemoteRole, Value
from tests.connector_laws import ConnectorLaws, Partner

PACKAGE = Path(__file__).resolve().parents[1] / "examples" / "connector"


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The example's package, as if it were installed."""
    monkeypatch.syspath_prepend(PACKAGE)
    yield importlib.import_module("relata_json_files")
    sys.modules.pop("relata_json_files", None)


class Directory(Partner):
    """A directory that people edit."""

    object_name = "people"
    text = "name"
    tells_created = True

    def __init__(self, package: Any, directory: Path) -> None:
        self.app = package.APP
        self._directory = directory
        self._ids = 0

    def settings(self) -> Mapping[str, str]:
        return {"directory": str(self._directory)}

    def new(self, number: int) -> dict[str, Value]:
        return {"name": f"Person {number}", "email": f"person{number}@example.com"}

    def _path(self, external_id: str, folder: str = "people") -> Path:
        (self._directory / folder).mkdir(exist_ok=True)
        return self._directory / folder / f"{external_id}.json"

    async def insert(self, fields: Mapping[str, Value]) -> str:
        self._ids += 1
        self._path(f"item-{self._ids}").write_text(json.dumps(fields))
        return f"item-{self._ids}"

    async def change(self, external_id: str, fields: Mapping[str, Value]) -> None:
        path = self._path(external_id)
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    async def remove(self, external_id: str) -> None:
        self._path(external_id).unlink()

    def refused(self) -> Mapping[str, Value]:
        return {"email": "nameless@example.com"}

    def unreachable(self) -> Mapping[str, str]:
        return {"directory": str(self._directory / "nowhere")}

    async def stop(self) -> None:
        self._directory.rename(self._directory.with_suffix(".away"))

    async def start(self) -> None:
        self._directory.with_suffix(".away").rename(self._directory)

    async def other(self, role: RemoteRole) -> str:
        self._ids += 1
        self._path(f"firm-{self._ids}", role.to).write_text(json.dumps({"name": f"Firm {self._ids}"}))
        return f"firm-{self._ids}"

    async def associate(self, external_id: str, role: RemoteRole, others: Sequence[str]) -> None:
        await self.change(external_id, {role.name: next(iter(others), None)})


class TestJsonFiles(ConnectorLaws):
    @pytest.fixture
    def partner(self, package: Any, tmp_path: Path) -> Partner:
        directory = tmp_path / "files"
        directory.mkdir()
        return Directory(package, directory)


def test_the_example_is_found_where_its_package_says(package: Any) -> None:
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    ((name, place),) = project["entry-points"]["relata.connectors"].items()
    module, _, attribute = place.partition(":")
    app = getattr(importlib.import_module(module), attribute)
    assert app is package.APP
    assert app.name == name


async def test_what_people_wrote_into_a_file_stays_there(package: Any, tmp_path: Path) -> None:
    directory = Directory(package, tmp_path)
    external_id = await directory.insert({"name": "Anna", "shoe size": 39})
    connector: Connector
    async with package.APP.open(directory.settings(), directory.surroundings) as connector:
        people, _ = await connector.describe()
        await connector.write(people, [package.Update(external_id, {"name": "Anne"})])
    held = json.loads((tmp_path / "people" / f"{external_id}.json").read_text())
    assert held == {"name": "Anne", "shoe size": 39}
