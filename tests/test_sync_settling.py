"""Creations whose answer was lost, in apps that know neither our keys nor anything unique of what was created."""

from datetime import timedelta
from typing import Any

import pytest

from engine.sync.connectors.protocol import Capabilities, Disconnected, FieldType, RemoteField, RemoteObject
from storage.database import Database
from tests.sync_rig import Rig, rig
from tests.sync_world import World, capable

SALES = RemoteObject(
    "sales",
    "Sales",
    (RemoteField("title", "Title"), RemoteField("sum", "Sum", FieldType.NUMBER)),
    (),
    "deals",
)
SLOWLY = timedelta(seconds=60)
APPS = (
    capable(idempotent_create=False),
    capable(idempotent_create=False, conditional=False, ordered_versions=False, overlap=SLOWLY),
)


async def deals(db: Database, app: Capabilities) -> Rig:
    """A sync of deals that is live, with one on either side."""
    it = await rig(db, World(capabilities=app, objects=(SALES,), keyless=True), start=False)
    await it.add("deals", "sales", {"name": "title", "amount": "sum"})
    it.world.add("sales", title="Theirs", sum=1)
    await it.crm.create({"name": "Ours", "amount": 2}, kind="deals")
    await it.rest()
    return it


def sales(it: Rig) -> list[tuple[Any, ...]]:
    return it.theirs("title", "sum", object_="sales")


@pytest.mark.parametrize("app", APPS)
async def test_what_was_created_is_known_again_by_what_it_holds(db: Database, app: Capabilities) -> None:
    it = await deals(db, app)
    it.world.trouble.lost = 1.0
    await it.crm.create(*({"name": f"Deal {n}", "amount": n} for n in range(5)), kind="deals")
    await it.evaluate()
    while it.world.writes() < 6:
        await it.step(it.sync)
    it.world.trouble.lost = 0.0
    # Somebody else is at work meanwhile.
    it.world.add("sales", title="Deal 3", sum=30)
    await it.rest(seconds=200)
    expected = sorted(
        [("Theirs", 1), ("Ours", 2), ("Deal 3", 30), *((f"Deal {n}", n) for n in range(5))], key=str
    )
    assert sales(it) == expected
    assert await it.ours("name", "amount", kind="deals") == expected
    assert {link.state for link in await it.links()} == {"IN_SYNC"}


@pytest.mark.parametrize("app", APPS)
async def test_what_was_not_created_is_created(db: Database, app: Capabilities) -> None:
    it = await deals(db, app)
    it.world.next = [("write", Disconnected("It is away.", after=timedelta(seconds=1)))]
    await it.crm.create({"name": "Ours", "amount": 2}, kind="deals")
    await it.rest(seconds=200)
    # Like one that is there already, which is another one's.
    assert sales(it) == [("Ours", 2), ("Ours", 2), ("Theirs", 1)]
    assert it.world.writes() == 2
