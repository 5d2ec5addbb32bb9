"""Whether a property's index is under way, told to whoever changed it."""

from datetime import timedelta

from engine import indexing
from storage.database import Database
from tests.face import T0, opened

READ = """query { objectType(name: "contacts") { properties { name searchable indexing } } }"""
CHANGE = "property { name searchable indexing } userErrors { code }"


async def test_an_index_is_told_while_it_is_made(db: Database) -> None:
    async with opened(db) as client:
        changed = await client.do(
            "updateProperty", CHANGE, {"objectType": "contacts", "name": "zip", "searchable": True}
        )
        assert changed == {
            "property": {"name": "zip", "searchable": True, "indexing": True},
            "userErrors": [],
        }
        # Each step waits until nobody can know of the one before.
        for minutes in range(10, 100, 10):
            await indexing.run_all(db, client.account_id, now=T0 + timedelta(minutes=minutes))
        told = (await client.get(READ))["objectType"]["properties"]
        assert {"name": "zip", "searchable": True, "indexing": False} in told
