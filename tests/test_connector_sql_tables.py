"""What is the SQL connector's own: what tables become, what is told of them, whatever their rows and names are like."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from engine.sync.categories import Category
from engine.sync.connectors.protocol import (
    Create,
    Delete,
    Disconnected,
    Exists,
    FieldType,
    Gone,
    Links,
    Phase,
    Rejected,
    Surroundings,
    Unclear,
    Update,
    Written,
)
from engine.sync.connectors.sql import APP
from engine.sync.connectors.sql.app import _url
from tests.connector_laws import changes, done, field_of, full
from tests.sql_partners import HERE, Theirs


@pytest.fixture
async def theirs(empty_database_url: str) -> AsyncIterator[Theirs]:
    database = Theirs(empty_database_url)
    yield database
    database.engine.dispose()


async def test_tables_become_kinds_of_items_with_their_limits(theirs: Theirs) -> None:
    theirs.run(
        "CREATE TYPE stage AS ENUM ('new', 'won')",
        "CREATE TABLE companies (id serial PRIMARY KEY, name text)",
        "CREATE TABLE deals (code varchar(10) PRIMARY KEY, name varchar(80) NOT NULL, stage stage DEFAULT 'new', "
        "stages stage[], amount numeric(10, 2), closed date, at timestamp, vip boolean, photo bytea, more jsonb, "
        "double_amount numeric GENERATED ALWAYS AS (amount * 2) STORED, company_id int NOT NULL REFERENCES companies, "
        "owner_id int REFERENCES companies)",
        "CREATE TABLE companies_deals (company_id int REFERENCES companies, deal varchar(10) REFERENCES deals, "
        "PRIMARY KEY (company_id, deal))",
        "CREATE TABLE no_key (a int)",
        "CREATE TABLE needs_bytes (id serial PRIMARY KEY, data bytea NOT NULL)",
    )
    async with theirs.open() as (_, kinds):
        assert kinds.keys() == {"companies", "deals", "needs_bytes"}, (
            "join tables and those without a key are none"
        )
        deals = kinds["deals"]
        assert deals.default_object_type == "deals"
        assert {field.name: field.type for field in deals.fields} == {
            "code": FieldType.STRING,
            "name": FieldType.STRING,
            "stage": FieldType.CHOICE,
            "stages": FieldType.CHOICE,
            "amount": FieldType.NUMBER,
            "closed": FieldType.DATE,
            "at": FieldType.DATETIME,
            "vip": FieldType.BOOLEAN,
            "double_amount": FieldType.NUMBER,
        }
        assert {field.name for field in deals.fields if field.required} == {"code", "name"}
        assert {field.name for field in deals.fields if field.read_only} == {"double_amount"}
        assert {field.name for field in deals.fields if field.unique} == {"code"}
        assert field_of(deals, "name").max_length == 80
        assert [value for value, _ in field_of(deals, "stage").options] == ["new", "won"]
        assert field_of(deals, "name").default_property == "name"
        assert {(role.name, role.to, role.many, role.primary) for role in deals.roles} == {
            ("company_id", "companies", False, False),
            ("owner_id", "companies", False, False),
            ("companies_deals", "companies", True, False),
        }
        assert [(role.name, role.to) for role in kinds["companies"].roles] == [("companies_deals", "deals")]
        assert not kinds["needs_bytes"].creatable
        said = [each.capabilities for each in kinds.values()]
        assert not any(each is None or each.changes for each in said), "no moments of change, no changes"


async def test_rows_with_keys_of_several_parts(theirs: Theirs) -> None:
    theirs.run(
        "CREATE TABLE lines (country text, number int, name text, updated_at timestamptz DEFAULT clock_timestamp(), "
        "PRIMARY KEY (country, number))",
        "INSERT INTO lines SELECT c, n, c || n FROM unnest(ARRAY['at', 'de']) c, generate_series(1, 5) n",
    )
    async with theirs.open() as (connector, kinds):
        lines = kinds["lines"]
        for limit in (1, 3, 100):
            items, cursor = await full(connector, lines, limit)
            assert [item.fields["name"] for item in items] == [
                f"{c}{n}" for c in ("at", "de") for n in range(1, 6)
            ]
        told, _ = await changes(connector, lines, cursor)
        one = items[3].external_id
        done(await connector.write(lines, [Update(one, {"name": "changed"}, items[3].version)]))
        new = {"country": "ch", "number": 7, "name": "new"}
        (made,) = done(await connector.write(lines, [Create("key", new)]))
        told, _ = await changes(connector, lines, cursor, limit=1)
        assert {told[one].fields["name"], told[made.external_id].fields["name"]} == {"changed", "new"}
        assert [type(each) for each in await connector.write(lines, [Delete(one), Delete('["x"]')])] == [
            Written,
            Gone,
        ]
        assert theirs.run("SELECT count(*) FROM lines WHERE name = 'changed'") == [(0,)]


async def test_names_and_values_are_never_words_of_a_statement(theirs: Theirs) -> None:
    evil = 'a"; DROP TABLE victims; --%s :x'
    quoted = evil.replace('"', '""').replace("%", "%%")
    theirs.run(
        "CREATE TABLE victims (id serial PRIMARY KEY)",
        f'CREATE TABLE "{quoted}" (id serial PRIMARY KEY, "{quoted}" text UNIQUE, updated_at timestamptz)',
    )
    async with theirs.open() as (connector, kinds):
        kind = kinds[evil]
        (made,) = done(await connector.write(kind, [Create("key", {evil: evil})]))
        done(await connector.write(kind, [Update(made.external_id, {evil: "x' OR 1=1; --"}, made.version)]))
        ((item,),) = await connector.find(kind, evil, ["X' or 1=1; --"])
        assert item.external_id == made.external_id
        assert [each.external_id for each in (await full(connector, kind, 1))[0]] == [made.external_id]
        done(await connector.write(kind, [Delete(made.external_id)]))
        assert {"victims", evil} <= kinds.keys() == {each.name for each in await connector.describe()}


async def test_what_is_committed_late_is_told_all_the_same(theirs: Theirs) -> None:
    """A moment is of a transaction's beginning, and others have committed, and were read, before it ends."""
    theirs.run("CREATE TABLE contacts (id int PRIMARY KEY, name text, updated_at timestamptz DEFAULT now())")
    theirs.run("INSERT INTO contacts VALUES (1, 'first')")
    async with theirs.open() as (connector, kinds):
        contacts = kinds["contacts"]
        _, cursor = await full(connector, contacts, 10)
        other = Theirs(theirs.url)
        with theirs.engine.connect() as slow:
            slow.exec_driver_sql("INSERT INTO contacts VALUES (2, 'late')")
            other.run("INSERT INTO contacts VALUES (3, 'quick')")
            other.engine.dispose()
            told, cursor = await changes(connector, contacts, cursor)
            assert "3" in told
            assert "2" not in told
            slow.commit()
        told, cursor = await changes(connector, contacts, cursor)
        assert "2" in told
        told, after = await changes(connector, contacts, cursor)
        assert told == {}, "what stands within the overlap is not read at every look"
        assert (await changes(connector, contacts, after))[1] == after


async def test_a_moment_in_the_far_future_hides_nothing(theirs: Theirs) -> None:
    theirs.run(
        "CREATE TABLE contacts (id int PRIMARY KEY, name text, updated_at timestamptz)",
        "INSERT INTO contacts VALUES (1, 'from the future', '2999-01-01'), (2, 'at no time', 'infinity'), "
        "(3, 'never', NULL), (4, 'long ago', '4711-01-01 BC')",
    )
    async with theirs.open() as (connector, kinds):
        items, cursor = await full(connector, kinds["contacts"], 2)
        assert len(items) == 4
        for name in ("once", "twice"):
            theirs.run(f"UPDATE contacts SET name = '{name}', updated_at = clock_timestamp() WHERE id = 3")
            told, cursor = await changes(connector, kinds["contacts"], cursor, limit=1)
            assert told["3"].fields["name"] == name
            assert (await changes(connector, kinds["contacts"], cursor))[0] == {}


async def test_failures_say_what_is_at_fault(theirs: Theirs) -> None:
    theirs.run(
        "CREATE TABLE companies (id int PRIMARY KEY, name text NOT NULL)",
        "CREATE TABLE people (id serial PRIMARY KEY, email varchar(20) UNIQUE, age smallint CHECK (age > 0), "
        "company_id int REFERENCES companies DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO people (email) VALUES ('taken@a.example')",
        "INSERT INTO companies VALUES (1, 'Acme')",
    )

    def at(company: str) -> Links:
        return Links({"company_id": (company,)}, {}, {"company_id": (company,)})

    async with theirs.open() as (connector, kinds):
        people, companies = kinds["people"], kinds["companies"]
        ops = [
            Create("1", {"email": "fine@a.example", "age": 3}, at("1")),
            Create("2", {"email": "taken@a.example"}),
            Create("3", {"email": "much.too.long@a.example"}),
            Create("4", {"age": -1}),
            Create("5", {"age": 100_000}),
            Create("6", {"age": "old"}),
            Create("7", {"nose": "long"}),
            Create("8", {}, at("99")),
            Create("9", {"email": "fine.too@a.example", "age": 4}),
        ]
        outcomes = await connector.write(people, ops)
        assert [
            (type(each), getattr(each, "category", None), getattr(each, "field", None)) for each in outcomes
        ] == [
            (Written, None, None),
            (Exists, Category.UNIQUE_VALUE_CONFLICT, None),
            (Rejected, Category.VALUE_TOO_LONG, "email"),
            (Rejected, Category.VALIDATION_REJECTED, None),
            (Rejected, Category.INVALID_VALUE, None),
            (Rejected, Category.INVALID_VALUE, "age"),
            (Rejected, Category.PROPERTY_NOT_FOUND, "nose"),
            (Rejected, Category.RECORD_NOT_FOUND, None),
            (Written, None, None),
        ]
        assert isinstance(outcomes[1], Exists)
        assert outcomes[1].external_id == "1", "who has the value"
        # A constraint that is not a column's alone: whose it is, is not looked for, but which it is, is told.
        theirs.run("CREATE UNIQUE INDEX ON people (age, company_id)")
        (both,) = await connector.write(people, [Create("10", {"age": 3}, at("1"))])
        assert isinstance(both, Exists)
        assert both.category is Category.UNIQUE_VALUE_CONFLICT
        assert "(age, company_id)=(3, 1)" in both.message
        assert len((await full(connector, people, 10))[0]) == 3
        (missing,) = await connector.write(companies, [Create("x", {"id": 2})])
        assert isinstance(missing, Rejected)
        assert (missing.category, missing.field) == (Category.REQUIRED_FIELD_MISSING, "name")
        (held,) = await connector.write(companies, [Delete("1")])
        assert isinstance(held, Rejected)
        assert held.category is Category.RECORD_NOT_FOUND


async def test_a_connection_that_breaks_is_told_by_what_may_have_been_done(theirs: Theirs) -> None:
    theirs.run("CREATE TABLE contacts (id uuid PRIMARY KEY, name text)")
    async with APP.open({"url": theirs.url}, HERE) as connector:
        (contacts,) = await connector.describe()
        pid = sa.text("SELECT pg_backend_pid()")

        def cut(connection: sa.Connection) -> None:
            theirs.run(f"SELECT pg_terminate_backend({int(connection.scalar(pid) or 0)})")

        # While the commit is under way: nobody knows.
        sa.event.listen(connector._engine, "commit", cut)
        (outcome,) = await connector.write(contacts, [Create("the key", {"name": "Ann"})])
        assert isinstance(outcome, Unclear)
        sa.event.remove(connector._engine, "commit", cut)
        assert await connector.created(contacts, "the key") is None
        (made,) = done(await connector.write(contacts, [Create("the key", {"name": "Ann"})]))

        # Before that: nothing was done, and the connection is at fault.
        sa.event.listen(connector._engine, "savepoint", lambda connection, _name: cut(connection))
        with pytest.raises(Disconnected) as told:
            await connector.write(contacts, [Update(made.external_id, {"name": "Bob"})])
        assert told.value.category is Category.REMOTE_UNAVAILABLE
        ((name,),) = theirs.run("SELECT name FROM contacts")
        assert name == "Ann"


async def test_a_table_that_may_not_be_read_is_told_as_a_permission(theirs: Theirs) -> None:
    theirs.run("CREATE TABLE contacts (id int PRIMARY KEY)", "CREATE ROLE somebody LOGIN")
    try:
        url = _url(theirs.url).set(username="somebody").render_as_string(hide_password=False)
        async with APP.open({"url": url}, HERE) as connector:
            (contacts,) = await connector.describe()
            with pytest.raises(Disconnected) as told:
                await connector.read(contacts, Phase.FULL, None, 10)
            assert told.value.category is Category.MISSING_PERMISSION
    finally:
        theirs.run("DROP ROLE somebody")


async def test_another_schema_and_columns_of_other_names(theirs: Theirs) -> None:
    theirs.run(
        "CREATE SCHEMA crm",
        "CREATE TABLE contacts (id int PRIMARY KEY)",
        "CREATE TABLE crm.people (id serial PRIMARY KEY, email text, changed timestamptz, gone timestamptz, "
        "token text UNIQUE)",
    )
    settings = {"schema": "crm", "updated_at": "changed", "deleted_at": "gone", "key_column": "token"}
    async with theirs.open(**settings) as (connector, kinds):
        (people,) = kinds.values()
        assert people.capabilities is not None
        assert people.capabilities.changes
        assert people.capabilities.tombstones
        assert people.capabilities.idempotent_create
        assert {field.name for field in people.fields} == {"id", "email", "changed"}
        (made,) = done(await connector.write(people, [Create("the key", {"email": "ann@a.example"})]))
        (again,) = done(await connector.write(people, [Create("the key", {"email": "ann@a.example"})]))
        assert made == again
        found = await connector.created(people, "the key")
        assert found is not None
        assert found.external_id == made.external_id
        _, cursor = await full(connector, people, 10)
        done(await connector.write(people, [Delete(made.external_id)]))
        assert theirs.run("SELECT count(*) FROM crm.people WHERE gone IS NOT NULL") == [(1,)]
        told, _ = await changes(connector, people, cursor)
        assert told[made.external_id].deleted


async def refusals(urls: Sequence[str], surroundings: Surroundings) -> list[type[Exception] | None]:
    """How each address is refused."""
    found: list[type[Exception] | None] = []
    for url in urls:
        try:
            async with APP.open({"url": url}, surroundings) as connector:
                await connector.check()
            found.append(None)
        except (Rejected, Disconnected) as error:
            found.append(type(error))
    return found


async def test_addresses_of_our_own_network_are_not_opened_for_others(theirs: Theirs) -> None:
    private = [
        theirs.url,
        "sqlite:////etc/passwd",
        "postgresql://a:b@127.0.0.1/x",
        "postgresql://a:b@169.254.169.254/x",
        "mysql://a:b@localhost/x",
        "mysql://a@/x?unix_socket=/run/mysqld/mysqld.sock",
        "postgresql:///x",
    ]
    assert await refusals(private, Surroundings()) == [Disconnected] * len(private)
    unknown = [
        "",
        "nonsense",
        "http://example.com/x",
        "oracle://a:b@example.com/x",
        "postgresql://a:b@example.com/x?passfile=/etc/passwd",
        "postgresql://a:b@example.com/x?options=-c%20search_path%3Dx",
        "mysql://a:b@example.com/x?read_default_file=/etc/my.cnf",
        "sqlite:///x?uri=true",
        "sqlite:///shop.db",
        "postgresql://a:b@example.com",
    ]
    assert await refusals(unknown, HERE) == [Rejected] * len(unknown)
    with pytest.raises(Disconnected):
        async with APP.open({"url": "sqlite:////tmp/there-is-no-such-file.sqlite"}, HERE) as connector:
            await connector.check()


async def test_a_password_is_in_no_message(theirs: Theirs) -> None:
    async with APP.open({"url": "postgresql://ann:s3cret-pw@127.0.0.1:1/x"}, HERE) as connector:
        with pytest.raises(Disconnected) as told:
            await connector.check()
    assert "s3cret-pw" not in str(told.value)
    assert told.value.__cause__ is None


async def test_a_row_with_bytes_that_are_no_text_keeps_nobody_from_the_others(tmp_path: Path) -> None:
    (tmp_path / "crm.sqlite").touch()
    theirs = Theirs(f"sqlite:///{tmp_path / 'crm.sqlite'}")
    theirs.run(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name varchar(40))",
        "INSERT INTO people VALUES (1, CAST(x'ff41' AS TEXT)), (2, x'416e6e'), (3, 'Bob')",
    )
    async with theirs.open() as (connector, kinds):
        found = (await full(connector, kinds["people"], 10))[0]
        assert [item.fields["name"] for item in found] == ["\ufffdA", "Ann", "Bob"]
    theirs.engine.dispose()
