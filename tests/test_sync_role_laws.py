"""Laws of associations in a sync: labels and roles edited on both sides, whatever goes wrong, wherever runners end.

At rest both sides have the same ends in every role that both have, no edit of one side alone is lost, nothing more is
written. More and longer histories: RELATA_SYNC_SEEDS=first:count, RELATA_SYNC_ROUNDS=n.
"""

import random

import pytest

from engine.sync import roles
from storage.database import Database
from tests.sync_ends import EVERYTHING, LABELLED, PRIMARY, Ends, ends, trouble
from tests.sync_world import World
from tests.test_sync_laws import APPS, COUNT, FIRST, ROUNDS, rests


async def live(db: Database, seed: int, synced: tuple[str, ...]) -> Ends:
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
    story = await ends(db, seed, world, synced, 0.02)
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
@pytest.mark.parametrize("synced", [PRIMARY, LABELLED, EVERYTHING], ids=["primary", "labels", "everything"])
async def test_both_sides_have_the_same_ends_at_rest(
    db: Database, seed: int, synced: tuple[str, ...]
) -> None:
    await live(db, seed, synced)


async def test_without_bases_the_law_is_broken(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever forgets which ends both had takes what one side has removed for something that the other has added."""
    monkeypatch.setattr(roles, "agreed", lambda *_: [])
    with pytest.raises(AssertionError):
        for seed in range(4):
            await live(db, seed, LABELLED)
