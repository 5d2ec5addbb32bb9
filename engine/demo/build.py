"""Building the demo: an account, its labels, its world through the commands, workflows that are on, and reports."""

import random
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from engine import accounts, associations, labels, naming, object_types, records
from engine.accounts import AccountExists
from engine.associations import Pair
from engine.batches import Mode
from engine.demo import flows, reporting, watching
from engine.demo.world import BILLING_CONTACTS, SEED, World, imagine
from storage import statistics
from storage.database import Actor, Database, Transaction

T = TypeVar("T")

DEMO = Actor("IMPORT", "demo")
BATCH = 1_000


async def build(
    db: Database, name: str, *, now: datetime, progress: Callable[[int, int], None] | None = None
) -> int:
    """A new account called `name` with everything in it; its id. `progress(done, total)` is told after every step.

    The account gets its name last: one that a crash left half made is not taken for a demo. Raises
    `AccountExists`, `MalformedText`.
    """
    name = naming.text(name, "account name")
    if await accounts.find(db, name) is not None:
        raise AccountExists(name=name)
    world = imagine(now)
    total = sum(map(len, world.records.values())) + len(world.links)
    done = 0
    account_id = await accounts.create(db, f"{name} (unfinished {secrets.token_hex(4)})", now=now)
    async with db.transaction(account_id, now=now, actor=DEMO, defining=True) as tx:
        await make_labels(tx)
    ids: dict[str, list[int]] = {}
    async for written in _written(db, account_id, world, now, ids):
        done += written
        if progress is not None:
            progress(done, total)
    async with db.transaction(account_id, now=now, actor=DEMO, defining=True) as tx:
        secret = await flows.define(tx)
        await watching.define(tx, ids["contacts"])
        await reporting.define(tx)
    people = zip(ids["contacts"], (one["email"] for one in world.records["contacts"]), strict=True)
    async with db.transaction(account_id, now=now, actor=DEMO) as tx:
        await flows.occur(tx, list(people), secret, random.Random(SEED))
    async with db.transaction(account_id, now=now, actor=DEMO, defining=True) as tx:
        await accounts.rename(tx, name)
    await statistics.refresh(db, total)
    return account_id


async def make_labels(tx: Transaction) -> None:
    """Labels between people, their companies, deals and tickets; texts are read at the first type's records."""
    people, firms = "contacts", "companies"
    await labels.create(tx, people, firms, label="Decision maker", name="decision_maker")
    await labels.create(
        tx,
        people,
        firms,
        label="Billing contact",
        name="billing_contact",
        # Of a company: the inverse counts its contacts.
        inverse_max_count=BILLING_CONTACTS,
    )
    await labels.create(tx, people, firms, label="Former employer", inverse_label="Former employee")
    await labels.create(tx, people, people, label="Manager", inverse_label="Employee")
    await labels.create(tx, people, people, label="Colleague")
    await labels.create(tx, firms, firms, label="Partner")
    await labels.create(tx, "deals", people, label="Champion")
    await labels.create(tx, "deals", people, label="Reference", inverse_label="Reference for")
    await labels.create(tx, "deals", people, label="Budget holder", max_count=1)
    await labels.create(tx, "tickets", people, label="Reporter", inverse_label="Reported", max_count=1)
    await object_types.update(tx, "listings", active=True)
    await labels.create(tx, people, "listings", label="Short-term", name="short_term")
    await labels.create(tx, people, "listings", label="Long-term", name="long_term")


async def _written(
    db: Database, account_id: int, world: World, now: datetime, ids: dict[str, list[int]]
) -> AsyncIterator[int]:
    """Write the world, and note its `ids` in order; after each batch, how much was in it."""
    for object_type, found in world.records.items():
        ids[object_type] = []
        for part in _parts(found):
            async with db.transaction(account_id, now=now, actor=DEMO) as tx:
                made = await records.create(tx, tx.catalogue.by_name[object_type], part, Mode.ATOMIC)
            ids[object_type] += [outcome.value.id for outcome in made if outcome.value is not None]
            yield len(part)
    for links in _parts(world.links):
        pairs = [
            Pair(ids[one][n], ids[other][m], labels_there) for (one, n), (other, m), labels_there in links
        ]
        async with db.transaction(account_id, now=now, actor=DEMO) as tx:
            await associations.associate(tx, pairs, Mode.ATOMIC)
        yield len(links)


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))
