"""Connections: what an app asks for is checked by the app, kept sealed, and shown to nobody."""

import importlib.metadata
import json
import logging
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.problems import NotFound, Refused
from engine.sync import apps, connections, remote
from engine.sync.categories import Category
from engine.sync.connectors.protocol import Disconnected, Surroundings
from engine.sync.credentials import Vault, new_key, owner
from engine.sync.problems import (
    ConnectionInUse,
    ConnectionNameTaken,
    ConnectionRefused,
    SecretKeyMissing,
    SecretsUnreadable,
    UnknownApp,
)
from server import vault as installed
from server.settings import BadSetting, Settings
from storage.database import Database
from storage.notes import EventKind
from tests.sync_shop import CUSTOMERS, FIRMS, ORDERS, TOKEN, Keeper, Shop, keeper, vault


@pytest.fixture
def shop() -> Iterator[Shop]:
    with apps.registered(Shop()) as found:
        yield found


@pytest.fixture
async def it(db: Database, shop: Shop) -> Keeper:
    return await keeper(db, shop)


async def everything(it: Keeper) -> str:
    """All that the database holds of this account, as text; sealed bytes as they are."""
    texts: list[str] = []
    async with it.db.pool.acquire() as connection:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in tables:
            rows = await connection.fetch(f'SELECT t FROM "{table}" AS t')
            texts += [str(tuple(row["t"])) if isinstance(row["t"], tuple) else str(row["t"]) for row in rows]
    return "\n".join(texts)


# --- what is entered ---------------------------------------------------------------------------------------------


async def test_a_connection_is_what_its_app_says_it_is(it: Keeper) -> None:
    made = await it.connect(region="eu")
    assert (made.app, made.name, made.status) == ("shop", "Shop", "READY")
    assert made.remote_account == "Ann's shop"
    assert made.settings == {"url": "https://shop", "region": "eu"}
    assert made.secret_names == ("token",)
    assert remote.from_json(made.objects) == [CUSTOMERS, FIRMS, ORDERS]
    assert it.shop.opened == [{"url": "https://shop", "token": TOKEN, "region": "eu"}]
    async with it.db.read(it.crm.account) as reader:
        row, made_of = await connections.read(reader, it.vault, made.id)
    assert row == made
    assert made_of.all == it.shop.opened[0]


def test_what_is_wrong_with_settings_is_told_at_its_place(shop: Shop) -> None:
    with pytest.raises(Refused) as refused:
        connections.entered("shop", {"region": "mars", "size": "7", "token": TOKEN})
    told = {problem.path: problem.code for problem in refused.value.problems}
    assert told == {
        ("settings", "url"): "SETTING_MISSING",
        ("settings", "region"): "SETTING_NOT_POSSIBLE",
        ("settings", "size"): "SETTING_UNKNOWN",
    }
    assert TOKEN not in str(refused.value)
    with pytest.raises(UnknownApp):
        connections.entered("nowhere", {})


async def test_what_the_app_refuses_is_not_kept_and_told_without_secrets(it: Keeper) -> None:
    made_of = connections.entered("shop", {"url": "https://shop", "token": "wrong-9a8b7c"})
    with pytest.raises(ConnectionRefused) as refused:
        await connections.look(made_of, Surroundings())
    assert refused.value.details["category"] == "AUTHENTICATION_EXPIRED"
    assert "No such token: …" in refused.value.message
    assert "wrong-9a8b7c" not in refused.value.message + repr(refused.value) + repr(made_of)


async def test_a_connector_that_stumbles_tells_nothing_of_what_it_held(it: Keeper) -> None:
    it.shop.fails = ValueError(f"cannot parse {TOKEN}")
    with pytest.raises(ConnectionRefused) as refused:
        await it.connect()
    assert refused.value.details["category"] == "UNKNOWN"
    assert TOKEN not in refused.value.message
    # Nor does what caused it come along.
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


async def test_names_are_given_once_and_connections_in_use_stay(it: Keeper) -> None:
    first = await it.connect()
    with pytest.raises(ConnectionNameTaken):
        await it.connect()
    second = await it.connect("Another", token="tok-other")
    with pytest.raises(ConnectionNameTaken):
        await it.change(second.id, {}, "Shop")
    await it.make(first.id)
    async with it.writing() as tx:
        with pytest.raises(ConnectionInUse) as used:
            await connections.delete(tx, first.id)
        assert "contacts" in used.value.message
        await connections.delete(tx, second.id)
        with pytest.raises(NotFound):
            await connections.get(tx, second.id)


# --- secrets -----------------------------------------------------------------------------------------------------


async def test_secrets_stand_nowhere(it: Keeper, caplog: pytest.LogCaptureFixture) -> None:
    """Not in a row, an event, a message, a line of the log: not in clear text, whatever happened meanwhile."""
    caplog.set_level(logging.DEBUG)
    made = await it.connect(pin="pin-77aa55")
    changed = await it.change(made.id, {"token": "tok-e55a01"}, "Corner shop")
    sync = await it.make(made.id)
    await it.start(sync.id)
    failed = Disconnected("tok-e55a01 is not known any more", Category.AUTHENTICATION_EXPIRED)
    it.shop.fails = failed
    with pytest.raises(ConnectionRefused) as refused:
        await it.change(made.id, {})
    async with it.writing() as tx:
        broken = await connections.checked(tx, it.vault, made.id, refused.value)
    told = "\n".join(
        [
            await everything(it),
            repr([made, changed, broken]),
            repr(await it.crm.events()),
            str(refused.value),
            caplog.text,
        ]
    )
    assert "Corner shop" in told
    for secret in (TOKEN, "pin-77aa55", "tok-e55a01"):
        assert secret not in told
        # Nor as the bytes of a dump.
        assert secret.encode().hex() not in told


async def test_another_key_opens_nothing_and_both_keys_go_over_to_the_new_one(it: Keeper) -> None:
    old, new = new_key(), new_key()
    it.vault = vault(old)
    made = await it.connect()
    account = it.crm.account
    async with it.db.read(account) as reader:
        for other in (vault(new), Vault()):
            with pytest.raises(SecretsUnreadable) as told:
                await connections.secrets_of(reader, other, made.id)
            assert "RELATA_SECRET_KEY" in told.value.message
    both = vault(new, old)
    async with it.writing() as tx:
        assert await connections.secrets_of(tx, both, made.id) == {"token": TOKEN}
        _, made_of = await connections.read(tx, both, made.id)
    described = await connections.look(made_of, Surroundings())
    async with it.writing() as tx:
        await connections.checked(tx, both, made.id, described)
    async with it.db.read(account) as reader:
        # From now on the new one alone does.
        assert await connections.secrets_of(reader, vault(new), made.id) == {"token": TOKEN}
        with pytest.raises(SecretsUnreadable):
            await connections.secrets_of(reader, vault(old), made.id)


async def test_who_has_lost_the_key_enters_everything_anew(it: Keeper) -> None:
    made = await it.connect(pin="1234")
    it.vault = vault()
    with pytest.raises(SecretsUnreadable):
        await it.change(made.id, {"token": "tok-new"})
    await it.change(made.id, {"token": "tok-new", "pin": "4321"})
    async with it.db.read(it.crm.account) as reader:
        assert await connections.secrets_of(reader, it.vault, made.id) == {"token": "tok-new", "pin": "4321"}


async def test_what_is_left_out_stays_and_null_forgets(it: Keeper) -> None:
    made = await it.connect(region="eu", pin="1234")
    changed = await it.change(made.id, {"region": None, "url": "https://elsewhere"})
    assert changed.settings == {"url": "https://elsewhere"}
    changed = await it.change(made.id, {"pin": None})
    assert changed.secret_names == ("token",)
    with pytest.raises(Refused):
        await it.change(made.id, {"token": None})


def test_sealed_secrets_are_their_owner_s_alone() -> None:
    """A row's secrets put into another row, of whatever account, are nobody's."""
    box = vault()
    sealed = box.seal(owner(1, 2), {"token": TOKEN})
    assert box.open(owner(1, 2), sealed) == {"token": TOKEN}
    assert TOKEN.encode() not in sealed
    assert sealed != box.seal(owner(1, 2), {"token": TOKEN})
    for other in (owner(1, 3), owner(2, 2)):
        with pytest.raises(SecretsUnreadable):
            box.open(other, sealed)
    with pytest.raises(SecretsUnreadable):
        box.open(owner(1, 2), sealed[:-1])
    with pytest.raises(SecretsUnreadable):
        box.open(owner(1, 2), b"")


# --- the key -----------------------------------------------------------------------------------------------------


def test_the_key_comes_from_the_settings_and_is_not_shown() -> None:
    one, other = new_key(), new_key()
    settings = Settings.from_environment({"RELATA_SECRET_KEY": f" {one} , {other}"})
    assert settings.secret_key == f"{one},{other}"
    assert one not in repr(settings)
    # The ordinary base64 of ordinary tools does, too.
    plain = one.replace("-", "+").replace("_", "/")
    assert Settings.from_environment({"RELATA_SECRET_KEY": plain}).secret_key == one
    sealed = vault(other).seal("1/1", {"a": "b"})
    assert installed.vault(settings).open("1/1", sealed) == {"a": "b"}
    with pytest.raises(BadSetting) as wrong:
        Settings.from_environment({"RELATA_SECRET_KEY": "hunter2"})
    assert "hunter2" not in str(wrong.value)
    assert "base64" in str(wrong.value)


def test_without_a_setting_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    path = tmp_path / "data" / installed.FILE
    box = installed.vault(settings)
    with pytest.raises(SecretsUnreadable):
        box.open("1/1", b"sealed elsewhere")
    # Reading makes no key: it would be the wrong one.
    assert not path.exists()
    with ThreadPoolExecutor(8) as threads:
        several = list(threads.map(lambda _: installed.vault(settings).seal("1/1", {"a": "b"}), range(16)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == [installed.FILE]
    assert all(installed.vault(settings).open("1/1", sealed) == {"a": "b"} for sealed in several)
    assert box.open("1/1", several[0]) == {"a": "b"}


def test_without_any_key_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SecretKeyMissing):
        installed.vault(Settings(data_dir=tmp_path / "file" / "data")).seal("1/1", {})
    (tmp_path / installed.FILE).write_text("no key")
    with pytest.raises(SecretKeyMissing):
        installed.vault(Settings(data_dir=tmp_path)).seal("1/1", {})


# --- how it stands -----------------------------------------------------------------------------------------------


async def test_a_connection_that_works_again_wakes_its_syncs(it: Keeper) -> None:
    made = await it.connect()
    sync = await it.make(made.id)
    await it.start(sync.id)
    refused = ConnectionRefused(app="The shop", category="AUTHENTICATION_EXPIRED", reason="who are you?")
    async with it.writing() as tx:
        broken = await connections.checked(tx, it.vault, made.id, refused)
    assert (broken.status, broken.category, broken.message) == (
        "BROKEN",
        "AUTHENTICATION_EXPIRED",
        "who are you?",
    )
    it.crm.now += timedelta(hours=1)
    mended = await it.change(made.id, {"token": "tok-new"})
    assert (mended.status, mended.category, mended.message) == ("READY", None, None)
    rows = await it.crm.table("SELECT s.next_at, s.again_before FROM sync AS s WHERE s.account_id = $1")
    assert rows == [(it.crm.now, it.crm.now)]
    assert (await it.crm.events())[-1].kind is EventKind.SYNC_RESUMED
    # Nothing was wrong: nobody is woken.
    await it.change(made.id, {})
    assert [one.kind for one in await it.crm.events()].count(EventKind.SYNC_RESUMED) == 1


async def test_what_is_only_away_is_not_broken(it: Keeper) -> None:
    made = await it.connect()
    refused = ConnectionRefused(app="The shop", category="REMOTE_UNAVAILABLE", reason="closed")
    async with it.writing() as tx:
        row = await connections.checked(tx, it.vault, made.id, refused)
    assert (row.status, row.category) == ("READY", "REMOTE_UNAVAILABLE")


async def test_fields_that_come_and_go_bind_the_rules_anew(it: Keeper) -> None:
    made = await it.connect()
    sync = await it.make(made.id)
    async with it.db.read(it.crm.account) as reader:
        _, made_of = await connections.read(reader, it.vault, made.id)
    same = await connections.look(made_of, Surroundings())
    it.shop.objects = (CUSTOMERS, ORDERS)
    other = await connections.look(made_of, Surroundings())
    for described, revision in ((same, 1), (other, 2), (other, 2)):
        async with it.writing() as tx:
            await connections.checked(tx, it.vault, made.id, described)
            rows = await tx.fetch(
                "SELECT s.revision FROM sync AS s WHERE s.account_id = $1 AND s.id = $2", sync.id
            )
        assert [row[0] for row in rows] == [revision]


async def test_connectors_know_for_whom_they_create(it: Keeper) -> None:
    made = await it.connect()
    async with it.db.read(it.crm.account) as reader:
        _, made_of = await connections.read(reader, it.vault, made.id)
    async with connections.opening(made_of, it.crm.account, made.id, Surroundings(origin="here")):
        pass
    assert it.shop.origins[-1] == f"here-{it.crm.account}-{made.id}"


# --- apps --------------------------------------------------------------------------------------------------------


class Point:
    """An entry point of somebody's package."""

    group = apps.GROUP
    value = "somewhere:APP"

    def __init__(self, name: str, found: Any) -> None:
        self.name, self.found, self.loaded = name, found, 0

    def load(self) -> Any:
        self.loaded += 1
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def test_a_broken_connector_is_told_once_and_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    points = [
        Point("shop", Shop()),
        Point("torn", ImportError("no module of that name")),
        Point("liar", Shop()),
        Point("void", object()),
    ]
    monkeypatch.setattr(apps, "entry_points", lambda group: points if group == apps.GROUP else [])
    monkeypatch.setattr(apps, "_loaded", {})
    assert [app.name for app in apps.all_apps()] == ["shop"]
    assert apps.names() == ["liar", "shop", "torn", "void"]
    with pytest.raises(UnknownApp) as unknown:
        apps.get("torn")
    assert "shop" in unknown.value.message
    assert [point.loaded for point in points] == [1, 1, 1, 1]
    assert len([line for line in caplog.records if line.name == "relata.connectors"]) == 3


def test_the_apps_that_come_along_are_announced() -> None:
    announced = {point.name for point in importlib.metadata.entry_points(group=apps.GROUP)}
    assert {"carddav", "hubspot", "kinto", "relata", "sql"} <= announced


def test_descriptions_are_kept_without_what_goes_without_saying() -> None:
    kept = remote.to_json([CUSTOMERS, FIRMS, ORDERS])
    assert remote.from_json(json.loads(json.dumps(kept))) == [CUSTOMERS, FIRMS, ORDERS]
    assert kept[1]["fields"][2] == {
        "name": "site",
        "title": "Web site",
        "type": "STRING",
        "default_property": "website",
    }
    assert remote.find(kept, "orders") == ORDERS
    assert remote.find(kept, "carts") is None
