"""Laws of associations in a sync: labels and roles edited on both sides, whatever goes wrong, wherever runners end.

At rest both sides have the same ends in every role that both have, no edit of one side alone is lost, nothing more is
written. More and longer histories: RELATA_SYNC_SEEDS=first:count, RELATA_SYNC_ROUNDS=n.
"""

import random

import pytest

from storage.database import Database
from tests.sync_ends import EVERYTHING, LABELLED, PRIMARY, Ends, ends, trouble
from tests.sync_world import World
from tests.test_sync_laws import APPS, COUNT, FIRST, ROUNDS, rests


async def live(db: Database, seed: int, roles: tuple[str, ...]) -> Ends:
    """A history of edits, trouble and crashes, and rests between."""
    dice = random.Random(seed)
    able = APPS[seed % len(APPS)]
    world = World(
        seed=seed,
        capabilities=able,
        versions=able.conditional or dice.random() < 0.6,
        tells_fields=dice.random() < 0.5,
        dangles=dice.random() < 0.5,
        trouble=trouble(dice),
    )
    story = await ends(db, seed, world, roles, 0.02)
    crashes = story.crashes
    for _ in range(3):
        await story.new()
    for _ in range(ROUNDS):
        for _ in range(story.random.randrange(1, 9)):
            await story.something()
            if story.random.random() < 0.6:
                await story.some_steps()
        story.crashes, world.quiet = 0.0, True
        await rests(story.it)
        await story.check()
        story.crashes, world.quiet = crashes, False
    return story


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
@pytest.mark.parametrize("roles", [PRIMARY, LABELLED, EVERYTHING], ids=["primary", "labels", "everything"])
async def test_both_sides_have_the_same_ends_at_rest(db: Database, seed: int, roles: tuple[str, ...]) -> None:
    await live(db, seed, roles)
