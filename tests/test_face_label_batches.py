"""Labels set on many pairs at once through the face: all or nothing, or each for itself; once a key; told to all."""

from datetime import UTC, datetime, timedelta
from typing import Any

from engine import ids
from storage import changes
from storage.changes import LoggedEvent
from storage.database import Database
from tests.face import Client, opened
from tests.test_label_stories import Story

PAIRS = """results { association { fromId toId associated labels { name } } changed
                     userErrors { code path } } userErrors { code path message }"""
SIZE = 1_000


async def several(client: Client, object_type: str, count: int) -> list[str]:
    """New records."""
    given = {"objectType": object_type, "records": [{"properties": {}}] * count}
    made = await client.do("createRecords", "results { record { id } }", given)
    return [result["record"]["id"] for result in made["results"]]


def pairs(one: str, others: list[str], *labels: str) -> list[dict[str, Any]]:
    """One record with each of the others."""
    return [{"fromId": one, "toId": other, "labels": list(labels)} for other in others]


async def counts(client: Client, ident: str, to: str, *labels: str) -> int | None:
    data = await client.get(
        """query ($id: ID!, $to: String!, $labels: [String!]) {
            record(id: $id) { associationCount(to: $to, labels: $labels) } }""",
        id=ident,
        to=to,
        labels=list(labels) or None,
    )
    found: int | None = data["record"]["associationCount"]
    return found


async def logged(db: Database, client: Client, after: int = 0) -> list[LoggedEvent]:
    async with db.read(client.account_id) as reader:
        found = await changes.read(reader, after, 100_000)
    return [event for event in found if event.kind.name.startswith(("ASSOCIATION", "LABEL"))]


async def test_a_thousand_pairs_are_taken_at_once_and_no_more(db: Database) -> None:
    async with opened(db) as client:
        await Story(client).label("deals", "contacts", "Buyer", "Buys")
        [deal], people = await several(client, "deals", 1), await several(client, "contacts", SIZE)
        for mutation, labels, expected in (
            ("associate", [], (SIZE, None)),
            ("addLabels", ["buyer"], (SIZE, SIZE)),
            ("setLabels", [], (SIZE, 0)),
            ("setLabels", ["buyer"], (SIZE, SIZE)),
            ("removeLabels", ["buyer"], (SIZE, 0)),
            ("dissociate", [], (0, 0)),
        ):
            payload = await client.do(mutation, PAIRS, {"associations": pairs(deal, people, *labels)})
            assert payload["userErrors"] == []
            assert all(result["changed"] for result in payload["results"])
            found = await counts(client, deal, "contacts"), await counts(client, deal, "contacts", "buyer")
            assert found == expected
            assert await counts(client, people[-1], "deals", "buys") == (expected[1] and 1)
        more = await client.do("associate", PAIRS, {"associations": pairs(deal, [*people, deal])})
        assert [error["code"] for error in more["userErrors"]] == ["BATCH_TOO_LARGE"]


async def test_what_does_not_fit_stays_out_or_undoes_the_batch(db: Database) -> None:
    async with opened(db) as client:
        await Story(client).label("deals", "contacts", "Buyer", maxCount=SIZE - 2)
        [deal], people = await several(client, "deals", 1), await several(client, "contacts", SIZE)
        asked = {"associations": pairs(deal, people, "buyer"), "mode": "ATOMIC"}
        refused = await client.do("addLabels", PAIRS, asked)
        # Nothing stands, and the two that were too many are named.
        assert [error["code"] for error in refused["userErrors"]] == ["LABEL_LIMIT_REACHED"] * 2
        assert [error["path"] for error in refused["userErrors"]] == [
            ["input", "associations", n] for n in (SIZE - 2, SIZE - 1)
        ]
        assert await counts(client, deal, "contacts") is None
        each = await client.do("addLabels", PAIRS, asked | {"mode": "PER_ITEM"})
        wrong = [n for n, result in enumerate(each["results"]) if result["userErrors"]]
        assert wrong == [SIZE - 2, SIZE - 1]
        # Who does not get the label is not associated either.
        assert await counts(client, deal, "contacts") == SIZE - 2


async def test_a_key_does_its_work_once(db: Database) -> None:
    async with opened(db) as client:
        await Story(client).label("deals", "contacts", "Buyer")
        [deal], people = await several(client, "deals", 1), await several(client, "contacts", 3)
        asked = {"associations": pairs(deal, people, "buyer"), "idempotencyKey": "k1"}
        first = await client.do("addLabels", PAIRS, asked)
        before = len(await logged(db, client))
        await client.do("removeLabels", PAIRS, {"associations": pairs(deal, people[:1], "buyer")})
        assert await client.do("addLabels", PAIRS, asked) == first
        assert await counts(client, deal, "contacts", "buyer") == 2
        assert len(await logged(db, client)) == before + 1
        other = await client.do(
            "addLabels", PAIRS, asked | {"associations": pairs(deal, people[:1], "buyer")}
        )
        assert [error["code"] for error in other["userErrors"]] == ["IDEMPOTENCY_KEY_REUSED"]


async def test_every_change_is_an_event_of_its_own_with_both_ends_and_its_maker(db: Database) -> None:
    async with opened(db) as client:
        await Story(client).label("contacts", "contacts", "Manager", "Employee")
        ann, bob = await several(client, "contacts", 2)

        async def told(mutation: str, *labels: str, one: str = ann, two: str = bob, **more: Any) -> list[Any]:
            seen = await logged(db, client)
            payload = await client.do(mutation, PAIRS, {"associations": pairs(one, [two], *labels), **more})
            assert payload["userErrors"] == []
            new = await logged(db, client, seen[-1].seq if seen else 0)
            assert {event.source for event in new} <= {"API"}
            assert all(event.source_id for event in new)
            return [
                (
                    event.kind.value,
                    ids.encode("record", event.record_id or 0),
                    ids.encode("record", event.payload["to_id"]),
                    event.payload["label"],
                )
                for event in new
            ]

        assert await told("associate", "manager") == [
            ("ASSOCIATION_ADDED", ann, bob, None),
            ("LABEL_ADDED", ann, bob, "manager"),
        ]
        assert await told("associate", "manager") == []
        assert await told("addLabels", "manager", one=bob, two=ann) == [("LABEL_ADDED", bob, ann, "manager")]
        gone = await told("setLabels", "manager")
        assert gone == [("LABEL_REMOVED", ann, bob, "employee")]
        assert await told("removeLabels", "employee", one=bob, two=ann) == [
            ("LABEL_REMOVED", bob, ann, "employee")
        ]
        await told("addLabels", "manager")
        # Removing the association removes every label on it, in both directions.
        assert sorted(await told("removeLabels", "manager", withAssociation=True)) == [
            ("ASSOCIATION_REMOVED", ann, bob, None),
            ("LABEL_REMOVED", ann, bob, "manager"),
        ]
        assert await told("dissociate") == []


async def test_the_moment_of_the_last_change_moves_at_both_ends(db: Database) -> None:
    clock = [datetime(2026, 3, 1, 12, tzinfo=UTC)]
    async with opened(db, now=lambda: clock[0]) as client:
        await Story(client).label("contacts", "contacts", "Friend")
        ann, bob, cid = await several(client, "contacts", 3)

        async def moments() -> list[str | None]:
            text = "query ($id: ID!) { record(id: $id) { lastAssociationChangeAt updatedAt } }"
            found = [(await client.get(text, id=one))["record"] for one in (ann, bob, cid)]
            assert {one["updatedAt"] for one in found} == {"2026-03-01T12:00:00.000Z"}
            return [one["lastAssociationChangeAt"] for one in found]

        assert await moments() == [None, None, None]
        for minute, (mutation, label) in enumerate(
            [("associate", []), ("addLabels", ["friend"]), ("removeLabels", ["friend"]), ("dissociate", [])],
            1,
        ):
            clock[0] += timedelta(minutes=1)
            await client.do(mutation, PAIRS, {"associations": pairs(ann, [bob], *label)})
            now = f"2026-03-01T12:{minute:02}:00.000Z"
            assert await moments() == [now, now, None]
            # What changes nothing moves nothing.
            clock[0] += timedelta(seconds=1)
            await client.do(mutation, PAIRS, {"associations": pairs(ann, [bob], *label)})
            assert await moments() == [now, now, None]
            clock[0] -= timedelta(seconds=1)


async def test_primary_moves_and_removing_it_promotes_nobody(db: Database) -> None:
    async with opened(db) as client:
        await Story(client).label("contacts", "companies", "Works for")
        [ann], firms = await several(client, "contacts", 1), await several(client, "companies", 3)

        async def primary() -> list[str]:
            text = """query ($id: ID!) { record(id: $id) {
                associations(to: "companies", labels: ["primary"]) { nodes { id } } } }"""
            data = await client.get(text, id=ann)
            return [node["id"] for node in data["record"]["associations"]["nodes"]]

        await client.do("associate", PAIRS, {"associations": pairs(ann, firms)})
        assert await primary() == firms[:1]
        # Replacing the account's own labels leaves it alone.
        await client.do("setLabels", PAIRS, {"associations": pairs(ann, firms, "works_for")})
        assert await primary() == firms[:1]
        await client.do("setLabels", PAIRS, {"associations": pairs(ann, firms[2:], "primary")})
        assert await primary() == firms[2:]
        assert await counts(client, ann, "companies", "works_for") == 2
        await client.do("addLabels", PAIRS, {"associations": pairs(firms[1], [ann], "primary")})
        assert await primary() == firms[1:2]
        await client.do("removeLabels", PAIRS, {"associations": pairs(ann, firms, "primary")})
        assert await primary() == []
        await client.do("dissociate", PAIRS, {"associations": pairs(ann, firms[:1])})
        assert await primary() == []
