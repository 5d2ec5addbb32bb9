"""One statement answers what ordinary execution would: the same values under the same keys in the same order."""

# ruff: noqa: E501 - a query reads best in few lines

import orjson

from engine import accounts, records
from storage.database import Database
from tests.queries import ACTOR, T0, asker, story
from tests.statements import counted

EVERYTHING = """
    id objectType displayName createdAt updatedAt archivedAt lastAssociationChangeAt __typename
    properties named: properties(names: ["email", "points", "vip", "born", "seen", "extra", "colors", "email"])
    property(name: "firstname") last: property(name: "lastname") none: property(name: "phone")
"""

QUERIES = {
    "everything": f'{{ records(objectType: "contacts") {{ nodes {{ {EVERYTHING} }} }} }}',
    "three levels": """{ records(objectType: "contacts", first: 2) { edges { cursor node { id
        associations(to: "companies") { edges { cursor createdAt source __typename
            labels { name label typeId category __typename }
            node { displayName associations(to: "deals") { nodes { id property(name: "name") } } } } } } } } }""",
    "page information": """{ records(objectType: "contacts", first: 2) {
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor __typename } totalCount __typename
        nodes { id associations(to: "companies", first: 1) { totalCount pageInfo { hasNextPage endCursor } } } } }""",
    "the last ones": """{ records(objectType: "contacts", last: 2, orderBy: [{property: "points", direction: DESC}]) {
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } nodes { id } edges { cursor } } }""",
    "only page information": '{ records(objectType: "deals", first: 1) { pageInfo { hasNextPage } } }',
    "only a total": '{ records(objectType: "deals", first: 1) { totalCount } }',
    "no rows wanted": """{ records(objectType: "deals", first: 0) { nodes { id } edges { node { id } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }""",
    "nothing there": """{ records(objectType: "tickets") { nodes { id } edges { cursor } totalCount
        pageInfo { hasNextPage startCursor } } }""",
    "labels": """{ records(objectType: "contacts") { nodes { id
        one: associations(to: "companies", labels: ["billing"]) { edges { createdAt source labels { name } node { id } } totalCount }
        some: associations(to: "companies", labels: ["billing", "adviser"]) { nodes { id } totalCount }
        plain: associations(to: "companies", labels: []) { nodes { id } totalCount }
        all: associations(to: "companies", labels: null) { nodes { id } totalCount }
        first: associations(to: "companies", labels: ["primary"]) { nodes { id } } } } }""",
    "directions": """{ records(objectType: "contacts") { nodes { id
        bosses: associations(to: "contacts", labels: ["manager"]) { edges { labels { name label } node { id } } }
        team: associations(to: "contacts", labels: ["employee"]) { edges { labels { name label } node { id } } } } } }""",
    "counts": """{ records(objectType: "contacts") { nodes { id
        any: associationCount(to: "companies") one: associationCount(to: "companies", labels: ["billing"])
        two: associationCount(to: "companies", labels: ["billing", "adviser"])
        plain: associationCount(to: "companies", labels: []) never: associationCount(to: "tickets")
        people: associationCount(to: "contacts") } } }""",
    "orders": """{ a: records(objectType: "contacts", orderBy: [{property: "points"}, {property: "email", direction: DESC}]) { nodes { id } }
        b: records(objectType: "contacts", orderBy: [{property: "vip", direction: DESC}]) { edges { cursor node { id } } }
        c: records(objectType: "contacts", orderBy: [{property: "seen"}, {field: ID, direction: DESC}]) { edges { cursor node { id } } }
        d: records(objectType: "contacts", orderBy: [{field: LAST_ASSOCIATION_CHANGE_AT, direction: DESC}, {field: CREATED_AT}]) { edges { cursor } }
        e: records(objectType: "contacts") { nodes { associations(to: "companies", orderBy: [{property: "name", direction: DESC}]) { edges { cursor node { id } } } } } }""",
    "filters": """{ records(objectType: "contacts", where: {or: [{property: {name: "points", operator: GREATER_THAN, value: 12}},
            {not: {property: {name: "email", operator: KNOWN}}}]}) { totalCount nodes { id
        associations(to: "companies", where: {associated: {to: "deals", quantifier: COUNT, operator: GREATER_THAN, count: 1}}) {
            totalCount nodes { id } } } } }""",
    "fragments and aliases": """query Q { records(objectType: "contacts", first: 2) { ...Page ... on RecordConnection { nodes { again: id } } } }
        fragment Page on RecordConnection { nodes { ...Facts ...Facts } nodes { id } }
        fragment Facts on Record { id ... on Node { id } ... { called: displayName } }""",
    "merged fields": """{ records(objectType: "contacts") { nodes { associations(to: "companies") { nodes { id } } }
        nodes { associations(to: "companies") { nodes { displayName } totalCount } } } }""",
    "several roots": """{ __typename a: records(objectType: "contacts") { nodes { id } } kind: __typename
        b: records(objectType: "companies") { totalCount } }""",
}


async def test_compiled_and_ordinary_answers_are_the_same(db: Database) -> None:
    of = await story(db)
    for name, text in QUERIES.items():
        assert await of.both(text) is not None, name


async def test_a_compiled_query_is_one_statement(db: Database) -> None:
    of = await story(db)
    await of.compiled(QUERIES["three levels"])
    with counted() as told:
        assert await of.compiled(QUERIES["three levels"]) is not None
    assert len(told) == 1


async def test_values_come_out_as_they_were_stored(db: Database) -> None:
    of = await story(db)
    data = await of.both(QUERIES["everything"])
    ann = data["records"]["nodes"][0]
    assert ann["displayName"] == 'Ann "Q" Ö\\\n\u2028😀'
    assert ann["createdAt"] == "2026-03-01T12:30:15.123Z"
    assert ann["named"] == {
        "email": "ann@x.example",
        "points": 12.5,
        "vip": True,
        "born": "1990-01-31",
        "seen": "2026-01-31T08:30:00.000Z",
        "extra": {"b": [1, 2.5, None, {"ü": "\u0001/"}], "a": False},
        "colors": ["red", "blue"],
    }
    assert data["records"]["nodes"][2]["displayName"] == "cy@x.example"
    assert data["records"]["nodes"][3]["displayName"] == of.ids["nobody"]


async def test_labels_are_read_standing_at_the_source(db: Database) -> None:
    of = await story(db)
    people = {node["id"]: node for node in (await of.both(QUERIES["directions"]))["records"]["nodes"]}
    ann, bob = people[of.ids["ann"]], people[of.ids["bob"]]
    assert [edge["node"]["id"] for edge in ann["bosses"]["edges"]] == [of.ids["bob"]]
    assert [edge["node"]["id"] for edge in bob["team"]["edges"]] == [of.ids["ann"]]
    assert [edge["labels"] for edge in bob["team"]["edges"]] == [[{"name": "employee", "label": "Employee"}]]


async def test_counts_tell_never_from_none_now(db: Database) -> None:
    of = await story(db)
    people = {node["id"]: node for node in (await of.both(QUERIES["counts"]))["records"]["nodes"]}
    ann, cy, nobody = (people[of.ids[name]] for name in ("ann", "cy", "nobody"))
    assert (ann["any"], ann["one"], ann["two"], ann["plain"]) == (3, 1, 2, 1)
    assert (cy["any"], cy["one"], cy["plain"]) == (1, 1, 0)
    assert [nobody[key] for key in ("any", "one", "two", "plain", "never", "people")] == [None] * 6
    # Bob, and Gone who was put away.
    assert ann["people"] == 1


ONE = 'query ($id: ID, $with: Boolean = true) { record(objectType: "contacts", id: $id) { id archivedAt displayName @include(if: $with) } }'


async def test_one_record_is_found_by_id_archived_or_merged(db: Database) -> None:
    of = await story(db)
    assert (await of.both(ONE, {"id": of.ids["gone"]}))["record"]["archivedAt"] is not None
    assert (await of.both(ONE, {"id": of.ids["acme"]}))["record"] is None
    assert (await of.both(ONE, {"id": "rec_999999999"}))["record"] is None
    async with db.transaction(of.account, now=T0, actor=ACTOR) as tx:
        await records.merge(tx, of.number("ann"), of.number("bob"))
    assert (await of.both(ONE, {"id": of.ids["bob"]}))["record"]["id"] == of.ids["ann"]
    by = '{ record(objectType: "contacts", by: {property: "email", value: " BOB@x.example"}) { id } }'
    assert (await of.both(by))["record"]["id"] == of.ids["ann"]
    missing = '{ record(objectType: "contacts", by: {property: "email", value: "who@x.example"}) { id } }'
    assert (await of.both(missing))["record"] is None


async def test_variables_of_directives_make_different_plans(db: Database) -> None:
    of = await story(db)
    for shown, keys in ((True, ["id", "archivedAt", "displayName"]), (False, ["id", "archivedAt"])):
        data = await of.both(ONE, {"id": of.ids["ann"], "with": shown})
        assert list(data["record"]) == keys
    query = """query ($skip: Boolean!, $n: Int, $after: String, $where: FilterInput, $names: [String!]) {
        records(objectType: "contacts", first: $n, after: $after, where: $where) {
            edges @skip(if: $skip) { cursor } nodes { properties(names: $names) } } }"""
    first = await of.both(query, {"skip": False, "n": 1, "names": ["email"]})
    cursor = first["records"]["edges"][0]["cursor"]
    second = await of.both(query, {"skip": True, "n": 2, "after": cursor, "names": ["email", "vip"]})
    assert second["records"] == {
        "nodes": [
            {"properties": {"email": "bob@x.example", "vip": False}},
            {"properties": {"email": "cy@x.example", "vip": None}},
        ]
    }
    points = {"property": {"name": "points", "operator": "EQUALS", "value": 12.5}}
    data = await of.both(query, {"skip": True, "where": points, "names": ["points"]})
    assert len(data["records"]["nodes"]) == 2


async def test_ordinary_fields_stand_beside_compiled_ones(db: Database) -> None:
    of = await story(db)
    text = """{ objectTypes { name } records(objectType: "companies") { nodes { id } }
        record(objectType: "contacts", by: {property: "email", value: "ann@x.example"}) { id } account { name } }"""
    assert await of.compiled(text) is None
    spliced = await of.executed(text, compiles=True)
    assert "errors" not in spliced
    assert spliced == await of.executed(text, compiles=False)
    # Fragments are encoded, never shown as objects of ours.
    assert spliced["data"]["record"] == {"id": of.ids["ann"]}


async def test_fields_that_do_not_compile_leave_the_whole_root_to_ordinary_execution(db: Database) -> None:
    of = await story(db)
    text = """{ records(objectType: "contacts", first: 2) { nodes { id history(first: 1) { nodes { at version changed source } }
        associations(to: "companies") { edges { labels { name } node { displayName } } } } } }"""
    assert await of.compiled(text) is None
    answer = await of.executed(text, compiles=True)
    assert "errors" not in answer
    ann = answer["data"]["records"]["nodes"][0]
    assert ann["history"]["nodes"][0]["changed"]["firstname"] == 'Ann "Q"'
    assert [edge["node"]["displayName"] for edge in ann["associations"]["edges"]] == ["Acme", "Bolt", "Core"]


async def test_a_changed_definition_is_noticed_by_the_statement_itself(db: Database) -> None:
    of = await story(db)
    text = '{ records(objectType: "contacts", first: 1) { nodes { associations(to: "companies") { edges { labels { label } } } } } }'
    assert "Billing contact" in orjson.dumps(await of.compiled(text)).decode()
    # Another process renames the label: this one is not told.
    async with db.pool.acquire() as connection:
        await connection.execute("UPDATE association_type SET label = 'Pays' WHERE name = 'billing'")
        await connection.execute("UPDATE catalogue_version SET version = version + 1")
    told = orjson.dumps(await of.compiled(text)).decode()
    assert "Pays" in told
    assert "Billing contact" not in told


async def test_accounts_do_not_see_each_other(db: Database) -> None:
    of = await story(db)
    stranger = await asker(db, name="other")
    text = 'query ($id: ID) { record(objectType: "contacts", id: $id) { id } records(objectType: "contacts") { totalCount } }'
    assert await of.both(text, {"id": of.ids["ann"]}) == {
        "record": {"id": of.ids["ann"]},
        "records": {"totalCount": 4},
    }
    assert await stranger.both(text, {"id": of.ids["ann"]}) == {"record": None, "records": {"totalCount": 0}}


async def test_without_the_scope_nothing_is_answered(db: Database) -> None:
    of = await story(db)
    of.principal = type(of.principal)(of.account, "demo", 1, None, of.principal.role, frozenset())
    text = '{ records(objectType: "contacts") { nodes { id } } }'
    assert await of.codes(text) == ["MISSING_SCOPE"]
    assert await of.codes('{ ... on Query { records(objectType: "contacts") { nodes { id } } } }') == [
        "MISSING_SCOPE"
    ]


async def test_a_day_is_a_day_of_the_accounts_time_zone(db: Database) -> None:
    of = await story(db)
    text = '{ records(objectType: "contacts", where: {property: {name: "seen", operator: ON, value: "2026-01-30"}}) { nodes { id } } }'
    assert (await of.both(text))["records"]["nodes"] == []
    async with db.transaction(of.account, now=T0, actor=ACTOR, defining=True) as tx:
        await accounts.change_settings(tx, {"time_zone": "Pacific/Honolulu"})
    assert (await of.both(text))["records"]["nodes"] == [{"id": of.ids["ann"]}]


ALONE = """query ($id: ID, $other: ID!) {
    record(id: $id) { id objectType displayName associations(to: "deals") { nodes { displayName } } }
    node(id: $other) { id __typename ... on Record { displayName objectType } ... on Node { again: id } } }"""


async def test_an_id_alone_is_enough(db: Database) -> None:
    of = await story(db)
    for one, other in (("ann", "acme"), ("bolt", "bob"), ("d1", "gone")):
        with counted() as told:
            data = await of.compiled(ALONE, {"id": of.ids[one], "other": of.ids[other]})
        assert len(told) == 2
        assert (data["record"]["id"], data["node"]["again"]) == (of.ids[one], of.ids[other])
        assert data["node"]["__typename"] == "Record"
        await of.both(ALONE, {"id": of.ids[one], "other": of.ids[other]})
    # What a process has once seen of an id, it knows: a record never becomes one of another object type.
    with counted() as told:
        await of.compiled(ALONE, {"id": of.ids["ann"], "other": of.ids["bob"]})
    assert len(told) == 1
    literal = f'{{ record(id: "{of.ids["ann"]}") {{ displayName }} node(id: "{of.ids["d1"]}") {{ id }} }}'
    await of.both(literal)
    missing = {"id": "rec_999999", "other": of.ids["bob"]}
    assert await of.compiled(ALONE, missing) is None
    assert (await of.executed(ALONE, missing, compiles=True))["data"]["record"] is None
