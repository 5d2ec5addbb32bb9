"""What is wrong with a query is told as a coded error, never as a 500 and never as an empty answer."""

import base64
from typing import Any

import pytest

from storage.database import Database
from tests.queries import Asker, story


@pytest.fixture
async def of(db: Database) -> Asker:
    """The story's client."""
    return await story(db)


def listed(arguments: str, fields: str = "nodes { id }") -> str:
    """A list of contacts."""
    return f'{{ records(objectType: "contacts", {arguments}) {{ {fields} }} }}'


def below(fields: str) -> str:
    """Fields of each contact."""
    return f'{{ records(objectType: "contacts") {{ nodes {{ {fields} }} }} }}'


WRONG = {
    '{ records(objectType: "contcats") { nodes { id } } }': "UNKNOWN_OBJECT_TYPE",
    '{ record(objectType: "contcats", id: "rec_1") { id } }': "UNKNOWN_OBJECT_TYPE",
    below('properties(names: ["firstnam"])'): "UNKNOWN_PROPERTY",
    below('property(name: "a\'b")'): "UNKNOWN_PROPERTY",
    below('associations(to: "x") { nodes { id } }'): "UNKNOWN_OBJECT_TYPE",
    below('associations(to: "companies", labels: ["boss"]) { nodes { id } }'): "UNKNOWN_LABEL",
    # A label of the other direction is no label of this one.
    below('associations(to: "companies", labels: ["bills"]) { nodes { id } }'): "UNKNOWN_LABEL",
    below('associationCount(to: "companies", labels: ["boss"])'): "UNKNOWN_LABEL",
    below('history(property: "firstnam") { nodes { at } }'): "UNKNOWN_PROPERTY",
    below("history(first: 10001) { nodes { at } }"): "INVALID_PAGE_SIZE",
    below('history(after: "version_x") { nodes { at } }'): "MALFORMED_CURSOR",
    listed("first: 10001"): "INVALID_PAGE_SIZE",
    listed("first: -1"): "INVALID_PAGE_SIZE",
    listed("last: 10001"): "INVALID_PAGE_SIZE",
    listed("first: 1, last: 1"): "FIRST_AND_LAST",
    listed('orderBy: [{property: "firstnam"}]'): "UNKNOWN_PROPERTY",
    listed('orderBy: [{property: "extra"}]'): "INVALID_ORDER",
    listed('orderBy: [{property: "colors"}]'): "INVALID_ORDER",
    listed("orderBy: [{direction: DESC}]"): "INVALID_ORDER",
    listed('orderBy: [{property: "email", field: ID}]'): "INVALID_ORDER",
    listed('where: {property: {name: "firstnam", operator: KNOWN}}'): "UNKNOWN_PROPERTY",
    listed('where: {property: {name: "points", operator: CONTAINS, value: "1"}}'): "OPERATOR_DOES_NOT_FIT",
    listed('where: {associated: {to: "companies", labels: ["boss"]}}'): "UNKNOWN_LABEL",
    '{ record(id: "12") { id } }': "MALFORMED_ID",
    '{ record(id: "usr_12") { id } }': "MALFORMED_ID",
    '{ node(id: "rec_") { id } }': "MALFORMED_ID",
    "{ record { id } }": "ID_OR_UNIQUE",
    '{ record(objectType: "contacts", id: "rec_1", by: {property: "email", value: "x"}) { id } }': "ID_OR_UNIQUE",
    '{ record(by: {property: "email", value: "ann@x.example"}) { id } }': "OBJECT_TYPE_NEEDED",
    '{ record(objectType: "contacts", by: {property: "city", value: "x"}) { id } }': "NOT_UNIQUE",
    '{ record(objectType: "contacts", by: {property: "email", value: 7}) { id } }': "INVALID_VALUE",
}


async def test_every_mistake_has_its_code(of: Asker) -> None:
    assert {text: await of.codes(text) for text in WRONG} == {text: [code] for text, code in WRONG.items()}


async def test_a_filter_of_two_kinds_is_refused(of: Asker) -> None:
    both = 'where: {property: {name: "email", operator: KNOWN}, not: {property: {name: "email", operator: KNOWN}}}'
    answer = await of.executed(listed(both), compiles=True)
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"]


async def cursor(of: Asker, arguments: str = "first: 1") -> str:
    """The cursor of the first contact of a list."""
    data = await of.both(listed(arguments, "edges { cursor }"))
    found: str = data["records"]["edges"][0]["cursor"]
    return found


async def test_a_cursor_of_another_list_is_refused(of: Asker) -> None:
    plain = await cursor(of)
    others = [
        'orderBy: [{property: "email"}]',
        'orderBy: [{property: "points"}]',
        "orderBy: [{field: ID, direction: DESC}]",
        'where: {property: {name: "email", operator: KNOWN}}',
        'where: {property: {name: "email", operator: UNKNOWN}}',
    ]
    for arguments in others:
        assert await of.codes(listed(f'{arguments}, after: "{plain}"')) == ["WRONG_CURSOR"]
        other = await cursor(of, arguments)
        assert await of.codes(listed(f'before: "{other}"')) == ["WRONG_CURSOR"]
        # With the arguments of its own list it is right, whatever the size of the page.
        assert await of.both(listed(f'{arguments}, last: 3, after: "{other}"')) is not None
    nested = below(f'associations(to: "companies", after: "{plain}") {{ nodes {{ id }} }}')
    assert await of.codes(nested) == ["WRONG_CURSOR"]


def packed(text: str) -> str:
    """The values of a cursor, as ours are packed."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


async def test_a_cursor_that_was_tampered_with_is_refused(of: Asker) -> None:
    arguments = 'orderBy: [{property: "points"}, {field: CREATED_AT}]'
    good = await cursor(of, arguments)
    front = good.rsplit("_", 1)[0]
    values: list[Any] = [
        "x", '["1"]', '["1", "2", "3"]', '{"a": 1}', "[1, 2]", '["NaN", "1"]', '["1e9999", "1"]', '["1", "x"]',
        '["1", "99999999999999999999999"]', '["Infinity", null]', '["1; DROP TABLE record", "1"]',
    ]  # fmt: skip
    wrong = ["", "x", "0" * 200_000, front, f"{front}_", f"{front}_%%", good[:8], good.replace("_", "-", 1)]
    wrong += [f"{front}_{packed(one)}" for one in values]
    wrong += [f"{good[:8]}_0_{packed('[null, null]')}", f"{good[:8]}_{2**63}_{packed('[null, null]')}"]
    for text in wrong:
        query = "query ($after: String) " + listed(f"{arguments}, after: $after")
        assert await of.codes(query, {"after": text}) == ["MALFORMED_CURSOR"], text[:100]
    for value in ('["1e400", "1"]', '["-0", null]', "[null, null]"):
        assert await of.both(listed(f'{arguments}, after: "{front}_{packed(value)}"')) is not None


async def test_text_that_no_database_can_hold_is_no_cursor(of: Asker) -> None:
    arguments = 'orderBy: [{property: "firstname"}]'
    front = (await cursor(of, arguments)).rsplit("_", 1)[0]
    values = packed('["a\\u0000b"]')
    assert await of.codes(listed(f'{arguments}, after: "{front}_{values}"')) == ["MALFORMED_CURSOR"]


async def test_odd_values_of_variables_are_told_as_what_they_are(of: Asker) -> None:
    where = "query ($value: JSON) " + listed(
        'where: {property: {name: "firstname", operator: EQUALS, value: $value}}'
    )
    wrong: dict[str, list[dict[str, Any]]] = {
        where: [{"value": "a\0b"}, {"value": {"a": 1}}, {"value": [["x"]]}, {"value": True}, {"value": 7}],
        "query ($after: String) " + listed("after: $after"): [
            {"after": 7},
            {"after": ["x"]},
            {"after": "\0"},
        ],
        "query ($first: Int) " + listed("first: $first"): [{"first": 2**40}, {"first": "3"}, {"first": 1.5}],
        'query ($names: [String!]) { records(objectType: "contacts") { nodes { properties(names: $names) } } }': [
            {"names": ["\0"]},
            {"names": [7]},
            {"names": ["x" * 10_000]},
        ],
        'query ($id: ID) { record(objectType: "contacts", id: $id) { id } }': [
            {"id": ""},
            {"id": "rec_99999999999999999999"},
            {"id": {"a": 1}},
            {"id": None},
            {},
        ],
    }
    for text, cases in wrong.items():
        for variables in cases:
            codes = await of.codes(text, variables)
            assert len(codes) == 1
            assert "INTERNAL_ERROR" not in codes, (text, variables)


async def test_a_selection_beyond_measure_is_answered_in_the_ordinary_way(of: Asker) -> None:
    text = "id"
    for _ in range(12):
        text = f'associations(to: "contacts", first: 2) {{ nodes {{ {text} }} }}'
    assert await of.both(below(text)) is not None
    for _ in range(12):
        text = f'associations(to: "contacts", first: 1) {{ nodes {{ {text} }} }}'
    assert await of.compiled(below(text)) is None
    assert "errors" not in await of.executed(below(text), compiles=True)
