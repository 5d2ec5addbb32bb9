"""A sync with a real Kinto under hundreds of edits on both sides: equal at rest, nothing doubled, and then silence."""

import os
import random
from collections.abc import Iterator

import pytest

from engine.sync.connectors.kinto import APP
from engine.sync.connectors.protocol import Surroundings
from engine.sync.definition import RolePart
from engine.sync.rules import Deletes, Options, Policy
from storage.database import Database
from tests.kinto import COMPANIES, CONTACTS, Kinto, serving
from tests.kinto_edits import FIRMS, PEOPLE, Both
from tests.sync_real import real

# More of them by hand: RELATA_KINTO_SEEDS=1,2,3 and RELATA_KINTO_ROUNDS=60.
SEEDS = [int(text) for text in os.environ.get("RELATA_KINTO_SEEDS", "1,2").split(",")]
ROUNDS = int(os.environ.get("RELATA_KINTO_ROUNDS", "12"))
EDITS = 24
OPTIONS = Options(deletes=Deletes.BOTH, delete_share=1.0)


@pytest.fixture(scope="module")
def kinto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kinto]:
    with serving(tmp_path_factory.mktemp("kinto")) as server:
        yield server


@pytest.mark.parametrize("seed", SEEDS)
async def test_hundreds_of_edits_on_both_sides_come_to_rest_equal(
    db: Database, kinto: Kinto, seed: int
) -> None:
    kinto.empty(contacts=CONTACTS, companies=COMPANIES)
    async with APP.open(kinto.settings(), Surroundings(allow_private=True)) as connector:
        it = await real(db, APP, connector)
        await it.add("companies", "companies", FIRMS, policy=Policy.THEIRS, options=OPTIONS)
        role = RolePart("company", "companies", "primary")
        await it.add("contacts", "contacts", PEOPLE, policy=Policy.THEIRS, options=OPTIONS, roles=[role])
        sides = Both(it, kinto, random.Random(seed))
        for _ in range(ROUNDS):
            for n in range(EDITS):
                await sides.edit()
                if n % 3 == 0:
                    # Something is under way whenever somebody edits.
                    await it.evaluate()
                    await it.step(sides.dice.choice(it.syncs))
            await it.later()
        for _ in range(4):
            await it.later(61)
        assert await sides.ours() == await sides.theirs()
        assert (await sides.ours())[0], "something is left to agree on"
        assert await sides.unexplained() == []

        people = [one["email"] for one in kinto.records("contacts").values()]
        assert len(set(people)) == len(people)
        firms = [one["name"] for one in kinto.records("companies").values()]
        assert len(set(firms)) == len(firms)
        assert len(it.outside.written) <= 3 * sides.edits

        before = kinto.records("contacts"), kinto.records("companies")
        versions = {row.id: row for kind in ("contacts", "companies") for row in await it.records(kind)}
        it.outside.written.clear()
        for _ in range(3):
            await it.later(100_000)
        assert it.outside.written == []
        assert (kinto.records("contacts"), kinto.records("companies")) == before
        assert {
            row.id: row for kind in ("contacts", "companies") for row in await it.records(kind)
        } == versions
