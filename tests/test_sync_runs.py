"""Runs of a sync, told as stories: against a simulated third party, step by step, on a real database."""

from storage.database import Database
from tests.sync_rig import rig
from tests.sync_world import World


async def test_what_is_alike_is_linked_and_the_rest_is_created_on_both_sides(db: Database) -> None:
    world = World()
    it = await rig(db, world)
    ann = world.add(mail="ann@example.com", first="Ann")
    world.add(mail="bob@example.com", first="Bob")
    here = await it.crm.contact(email="Ann@Example.com", lastname="Lee")
    await it.crm.contact(email="cy@example.com", firstname="Cy")
    await it.rest()
    link = await it.link(external_id=ann)
    assert (link.record_id, link.state) == (here, "IN_SYNC")
    expected = [
        ("ann@example.com", "Ann", "Lee"),
        ("bob@example.com", "Bob", None),
        ("cy@example.com", "Cy", None),
    ]
    assert await it.ours("email", "firstname", "lastname") == expected
    assert it.theirs("mail", "first", "last") == expected
