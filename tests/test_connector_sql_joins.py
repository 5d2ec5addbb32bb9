"""Join tables of SQL databases: what is wrong with one association spoils nothing else."""

from collections.abc import AsyncIterator

import pytest

from engine.sync.categories import Category
from engine.sync.connectors.protocol import Create, Delete, Links, Rejected, Update, Written
from tests.connector_laws import done
from tests.sql_partners import Theirs

ROLE = "companies_people"


@pytest.fixture
async def theirs(empty_database_url: str) -> AsyncIterator[Theirs]:
    database = Theirs(empty_database_url)
    database.run(
        "CREATE TABLE companies (id int PRIMARY KEY)",
        "CREATE TABLE people (id serial PRIMARY KEY, name text, updated_at timestamptz)",
        "CREATE TABLE companies_people (company_id int REFERENCES companies, person_id int REFERENCES people, "
        "PRIMARY KEY (company_id, person_id))",
        "INSERT INTO companies VALUES (1), (2)",
    )
    yield database
    database.engine.dispose()


async def test_an_end_that_is_no_key_spoils_its_own_op_alone(theirs: Theirs) -> None:
    async with theirs.open() as (connector, kinds):
        people = kinds["people"]
        ops = [
            Create("1", {"name": "Ann"}, Links(added={ROLE: ("1",)})),
            Create("2", {"name": "Bob"}, Links(added={ROLE: ("Acme",)})),
        ]
        fine, poor = await connector.write(people, ops)
        assert isinstance(fine, Written)
        assert isinstance(poor, Rejected)
        assert poor.category is Category.RECORD_NOT_FOUND
        assert theirs.run("SELECT name FROM people") == [("Ann",)], "nothing of it was written"
        assert theirs.run("SELECT * FROM companies_people") == [(1, 1)]


async def test_associations_that_stand_already_stay_and_rows_go_with_theirs(theirs: Theirs) -> None:
    async with theirs.open() as (connector, kinds):
        people = kinds["people"]
        both = Links(added={ROLE: ("1", "2", "1")})
        ann, bob = done(
            await connector.write(
                people, [Create("1", {"name": "Ann"}, both), Create("2", {"name": "Bob"}, both)]
            )
        )
        (again,) = done(await connector.write(people, [Update(ann.external_id, {}, links=both)]))
        (item,) = await connector.get(people, [ann.external_id])
        assert item.associations == {ROLE: ("1", "2")}
        # Whoever looks for changes finds an association's, though no column has another value.
        assert again.modified_at is not None
        assert ann.modified_at is not None
        assert again.modified_at > ann.modified_at
        done(await connector.write(people, [Delete(ann.external_id)]))
        assert theirs.run("SELECT * FROM companies_people ORDER BY 1") == [(1, 2), (2, 2)]
        assert [item.external_id for item in await connector.get(people, [bob.external_id])] == ["2"]
