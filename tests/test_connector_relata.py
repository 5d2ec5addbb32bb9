"""The connector to another Relata, over a real port: the laws of connectors, labels included."""

from collections.abc import AsyncIterator

import pytest

from engine.sync.connectors.protocol import Create, Delete
from engine.sync.connectors.relata import APP
from server.app import create_app
from storage.database import Database
from tests.connector_laws import ConnectorLaws, Partner, at_work, changes, done, full
from tests.face import Client, opened
from tests.relata_partner import RelataPartner, reached


class Forgetful(RelataPartner):
    """One whose log can be shortened."""

    def __init__(self, url: str, client: Client, db: Database) -> None:
        super().__init__(url, client)
        self.db = db

    async def forget_cursors(self) -> None:
        async with self.db.pool.acquire() as connection:
            await connection.execute("DELETE FROM event_log")


class TestRelata(ConnectorLaws):
    @pytest.fixture
    async def partner(self, db: Database) -> AsyncIterator[Partner]:
        async with opened(db) as client, reached(create_app(db)) as url:
            yield Forgetful(url, client, db)


async def test_who_was_put_away_comes_back_where_he_is_made_anew(db: Database) -> None:
    async with opened(db) as client, reached(create_app(db)) as url:
        partner = RelataPartner(url, client)
        async with at_work(partner) as (connector, kind):
            (made,) = done(await connector.write(kind, [Create("one", {"email": "ann@a.example"})]))
            done(await connector.write(kind, [Delete(made.external_id)]))
            fields = {"email": "ann@a.example", "lastname": "Lee"}
            (back,) = done(await connector.write(kind, [Create("two", fields)]))
            assert back.external_id == made.external_id
            (item,) = await connector.get(kind, [made.external_id])
            assert not item.deleted
            assert item.fields["lastname"] == "Lee"


async def test_a_merged_record_is_told_as_deleted_and_its_survivor_as_changed(db: Database) -> None:
    async with opened(db) as client, reached(create_app(db)) as url:
        partner = RelataPartner(url, client)
        one, two = [await partner.insert(partner.new(n)) for n in range(2)]
        async with at_work(partner) as (connector, kind):
            _, cursor = await full(connector, kind, 100)
            await partner.done("mergeRecords", {"survivorId": one, "mergedId": two})
            told, _ = await changes(connector, kind, cursor)
            assert told[two].deleted
            assert not told[one].deleted


async def test_many_associations_are_read_whatever_their_number(db: Database) -> None:
    async with opened(db) as client, reached(create_app(db)) as url:
        partner = RelataPartner(url, client)
        hub = await partner.made("companies", {"name": "Hub"})
        asked = {
            "objectType": "contacts",
            "records": [{"properties": {"lastname": f"{n}"}} for n in range(620)],
        }
        payload = await client.do("createRecords", "results { record { id } }", asked)
        members = [result["record"]["id"] for result in payload["results"]]
        pairs = [{"fromId": hub, "toId": each} for each in members]
        await partner.done("associate", {"associations": pairs, "firstPrimary": False})
        async with APP.open(partner.settings(), partner.surroundings) as connector:
            (companies,) = [each for each in await connector.describe() if each.name == "companies"]
            (item,) = await connector.get(companies, [hub])
        assert set(item.associations["contacts"]) == set(members)


async def test_the_log_is_read_in_pages_and_begins_now(db: Database) -> None:
    text = """query ($after: String, $first: Int) { changes(objectType: "contacts", after: $after, first: $first) {
      cursor hasNextPage nodes { kind recordId } } }"""
    async with opened(db) as client, reached(create_app(db)) as url:
        partner = RelataPartner(url, client)
        await partner.insert(partner.new(1))
        now = (await client.get(text))["changes"]
        assert (now["nodes"], now["hasNextPage"]) == ([], False)
        made = [await partner.insert(partner.new(n)) for n in range(2, 5)]
        await partner.made("companies", {"name": "Not asked for"})
        first = (await client.get(text, after=now["cursor"], first=2))["changes"]
        assert [node["recordId"] for node in first["nodes"]] == made[:2]
        assert first["hasNextPage"]
        second = (await client.get(text, after=first["cursor"], first=2))["changes"]
        assert [node["recordId"] for node in second["nodes"]] == made[2:]
        assert not second["hasNextPage"]
        third = (await client.get(text, after=second["cursor"]))["changes"]
        assert (third["nodes"], third["cursor"]) == ([], second["cursor"])
        refused = await client.ask(text, after="no cursor")
        assert refused["errors"][0]["extensions"]["code"] == "INVALID_CURSOR"


async def test_records_are_had_by_their_ids_in_the_order_asked(db: Database) -> None:
    async with opened(db) as client, reached(create_app(db)) as url:
        partner = RelataPartner(url, client)
        one, two = [await partner.insert(partner.new(n)) for n in range(2)]
        text = 'query ($ids: [ID!]!) { recordsById(ids: $ids) { id properties(names: ["lastname"]) } }'
        found = (await client.get(text, ids=[two, "rec_999999", "nobody's", one, two]))["recordsById"]
        assert [each and each["id"] for each in found] == [two, None, None, one, two]
        answer = await client.ask(text, ids=[one] * 1_001)
        assert answer["errors"][0]["extensions"]["code"] == "BATCH_TOO_LARGE"
