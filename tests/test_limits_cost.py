"""Cost: known before anything is run, from the sizes that are asked for; and the same for all who ask the same."""

from typing import Any

import pytest
from graphql import get_introspection_query, get_operation_ast, parse, validate
from hypothesis import given, settings
from hypothesis import strategies as st

from resolvers.listings import InvalidPageSize
from schema.root import SCHEMA
from server.limits import CostLimitExceeded, Limits, Weigher
from server.limits.cost import LARGEST
from server.limits.measures import measure, measure_node
from server.limits.problems import FieldLimitExceeded

WIDE = Limits(cost=LARGEST)


def cost(text: str, limits: Limits = WIDE, **variables: Any) -> int:
    """What the one operation of a valid document costs."""
    document = parse(text)
    assert validate(SCHEMA, document) == []
    operation = get_operation_ast(document)
    assert operation is not None
    return Weigher(SCHEMA, document, operation, limits).cost(variables)


def records(arguments: str = "", fields: str = "nodes { id }", of: str = "contacts") -> str:
    """A query of records."""
    return f'{{ records(objectType: "{of}"{arguments}) {{ {fields} }} }}'


def nested(*sizes: int) -> str:
    """Pages within pages."""
    text = "id"
    for size in reversed(sizes[1:]):
        text = f'id associations(to: "deals", first: {size}) {{ nodes {{ {text} }} }}'
    return records(f", first: {sizes[0]}", f"nodes {{ {text} }}")


def test_a_record_is_the_unit_and_a_page_as_many_as_it_may_hold() -> None:
    assert cost('{ record(id: "rec_1") { id } }') == 2
    # A list, and each record with one field.
    assert [cost(records(f", first: {n}")) for n in (0, 1, 10, 100)] == [1, 3, 12, 111]
    # Without a size it is the one that is used: 50.
    assert cost(records()) == cost(records(", first: 50"))
    assert cost(records(", last: 7")) == cost(records(", first: 7"))


def test_pages_within_pages_multiply() -> None:
    assert cost(nested(10)) == 12
    assert cost(nested(10, 10)) == pytest.approx(10 * 10, rel=0.4)
    assert cost(nested(10, 10, 10)) == pytest.approx(10 * 10 * 10, rel=0.4)
    assert cost(nested(50, 50, 50)) < Limits().cost < cost(nested(500, 500))


def test_a_newcomers_first_query_runs() -> None:
    """Three kinds of records, no sizes given, everything asked of each."""
    record = "id displayName properties"
    text = f'associations(to: "deals") {{ edges {{ labels {{ name }} node {{ {record} }} }} }}'
    text = f'associations(to: "companies") {{ edges {{ labels {{ name }} node {{ {record} {text} }} }} }}'
    assert cost(records("", f"nodes {{ {record} {text} }}")) < Limits().cost


@settings(max_examples=30)
@given(st.lists(st.integers(0, 500), min_size=1, max_size=5), st.data())
def test_asking_for_more_never_costs_less(sizes: list[int], data: st.DataObject) -> None:
    larger = [data.draw(st.integers(size, 500)) for size in sizes]
    assert cost(nested(*sizes)) <= cost(nested(*larger)) <= cost(nested(*larger, 1))


@pytest.mark.parametrize(
    "more",
    [
        ', where: {property: {name: "city", operator: KNOWN}}',
        ', orderBy: [{property: "city"}]',
        ", orderBy: [{field: UPDATED_AT}]",
        ', orderBy: [{property: "city"}, {field: ID}]',
    ],
)
def test_what_may_read_the_whole_list_costs_more(more: str) -> None:
    assert cost(records(more)) > 10 * cost(records())
    below = 'id associations(to: "deals", first: 5{}) {{ nodes {{ id }} }}'
    few, many = (records(", first: 50", f"nodes {{ {below.format(part)} }}") for part in ("", more))
    assert cost(many) > 2 * cost(few)


def test_the_default_order_costs_nothing_more() -> None:
    for order in ("[]", "[{field: ID}]", "{field: ID, direction: DESC}", "null"):
        assert cost(records(f", orderBy: {order}")) == cost(records())


def test_counting_costs_where_it_is_asked_for() -> None:
    assert cost(records("", "totalCount nodes { id }")) > cost(records()) + 500
    below = 'associations(to: "deals", first: 1{}) {{ {}nodes {{ id }} }}'
    plain, counted, labelled = (
        cost(records("", f"nodes {{ {below.format(*parts)} }}"))
        for parts in (("", ""), ("", "totalCount "), (', labels: ["owner"]', ""))
    )
    assert plain < labelled < counted


def test_each_condition_counts() -> None:
    leaf = '{property: {name: "city", operator: KNOWN}}'
    one, two = cost(records(f", where: {leaf}")), cost(records(f", where: {{and: [{leaf}, {leaf}]}}"))
    deep = f'{{not: {{associated: {{to: "deals", where: {leaf}}}}}}}'
    assert one < two == cost(records(f", where: {deep}"))
    most = ", where: {and: [" + ", ".join([leaf] * 250) + "]}"
    assert cost(records(most)) < Limits().cost


def test_values_in_variables_cost_what_they_cost_in_the_text() -> None:
    text = """query ($n: Int = 20, $w: FilterInput, $o: [OrderInput!]) {
      records(objectType: "contacts", first: $n, where: $w, orderBy: $o) { nodes { id } } }"""
    where = {"and": [{"property": {"name": "a", "operator": "KNOWN"}}] * 3}
    leaf = '{property: {name: "a", operator: KNOWN}}'
    assert cost(text) == cost(records(", first: 20"))
    assert cost(text, n=7) == cost(records(", first: 7"))
    assert cost(text, w=where) == cost(records(f", first: 20, where: {{and: [{leaf}, {leaf}, {leaf}]}}"))
    assert cost(text, o=[{"field": "ID"}]) == cost(text)
    assert cost(text, o=[{"property": "a"}]) == cost(records(', first: 20, orderBy: {property: "a"}'))


def test_what_is_left_out_costs_nothing_and_what_is_asked_twice_costs_once() -> None:
    text = """query ($all: Boolean!) { records(objectType: "contacts", first: 5) { nodes {
      id associations(to: "deals") @include(if: $all) { nodes { id } } } } }"""
    assert cost(text, all=False) == cost(records(", first: 5"))
    assert cost(text, all=True) == cost(nested(5, 50))
    twice = "{ ...A ...B } fragment A on Query { account { id } } fragment B on Query { account { id } }"
    assert cost(twice) == cost("{ account { id } }")
    assert cost("{ a: account { id } b: account { id } }") > cost("{ account { id } }")


def test_what_is_written_is_counted_wherever_it_stands() -> None:
    text = """mutation ($i: CreateRecordsInput!) { createRecords(input: $i) {
      results { record { id } userErrors { code } } } }"""

    def batch(size: int, links: int = 0) -> dict[str, Any]:
        record = {"properties": {"a": 1}, "associations": [{"toId": "rec_1"}] * links}
        return {"objectType": "contacts", "records": [record] * size}

    assert cost(text, i=batch(1000)) == pytest.approx(10 * cost(text, i=batch(100)), rel=0.01)
    assert cost(text, i=batch(1, 100)) == pytest.approx(cost(text, i=batch(1)) + 100 * 10, rel=0.1)
    assert cost(text, i=batch(1000)) < Limits().cost < cost(text, i=batch(100_000))


def test_introspection_has_its_price() -> None:
    assert cost(get_introspection_query(input_value_deprecation=True)) < Limits().cost / 3
    few, more = (
        cost("{ __schema { types { " + "fields { type { " * n + "name" + " } }" * n + " } } }")
        for n in (1, 2)
    )
    assert more > 5 * few


def test_a_cost_beyond_the_limit_is_told_with_both() -> None:
    with pytest.raises(CostLimitExceeded) as refused:
        cost(nested(500, 500), Limits(cost=1000))
    assert refused.value.details["limit"] == 1000
    assert refused.value.details["cost"] == cost(nested(500, 500))


def test_no_cost_is_beyond_what_json_can_tell() -> None:
    assert cost(nested(*[500] * 16)) == LARGEST


def test_what_is_remembered_of_one_value_is_not_told_of_another() -> None:
    """One and true are the same to a dictionary."""
    document = parse("query ($b: Boolean!) { account { id } users @include(if: $b) { id } }")
    operation = get_operation_ast(document)
    assert operation is not None
    weigher = Weigher(SCHEMA, document, operation, WIDE)
    assert weigher.cost({"b": 0}) == weigher.cost({"b": False}) < weigher.cost({"b": 1})
    assert weigher.cost({"b": 1}) == weigher.cost({"b": True})


def test_a_page_beyond_the_limit_is_told_wherever_its_size_stands() -> None:
    text = 'query ($n: Int = 500) { records(objectType: "contacts", last: $n) { nodes { id } } }'
    assert cost(text)
    for sizes in ({"n": 501}, {"n": 501.0}, {"n": 2**62}):
        with pytest.raises(InvalidPageSize):
            cost(text, **sizes)
    with pytest.raises(InvalidPageSize):
        cost(nested(1, 501))
    assert cost(nested(1, 501), Limits(page=501))


def test_fragments_that_multiply_are_found_out_soon() -> None:
    """Thirty short fragments, a billion fields."""
    doubling = "".join(
        f"fragment F{n} on AssociationType {{ a: inverse {{ ...F{n + 1} }} b: inverse {{ ...F{n + 1} }} }} "
        for n in range(30)
    )
    text = (
        f'{{ associationLabel(id: "typ_1") {{ ...F0 }} }} {doubling} fragment F30 on AssociationType {{ id }}'
    )
    document = parse(text)
    operation = get_operation_ast(document)
    assert operation is not None
    with pytest.raises(FieldLimitExceeded):
        Weigher(SCHEMA, document, operation, WIDE).cost({})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 600) | st.text("ab", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["and", "property", "associated", "where", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)


def written(value: Any) -> str:
    """A value in GraphQL's syntax."""
    match value:
        case None | bool() | int():
            return (
                {None: "null", True: "true", False: "false"}.get(value, str(value))
                if (value is None or isinstance(value, bool))
                else str(value)
            )
        case list():
            return "[" + ", ".join(written(part) for part in value) + "]"
        case dict():
            return "{" + ", ".join(f"{name}: {written(part)}" for name, part in value.items()) + "}"
        case _:
            return f'"{value}"'


@given(JSON)
def test_a_value_has_one_size_however_it_comes(value: Any) -> None:
    document: Any = parse(f"{{ f(a: {written(value)}) }}")
    node = document.definitions[0].selection_set.selections[0].arguments[0].value
    assert measure_node(node, {}) == measure(value)


@given(JSON)
def test_no_variables_break_it(value: Any) -> None:
    text = """query ($n: Int, $b: Boolean = false, $w: FilterInput, $o: [OrderInput!], $l: [String!]) {
      records(objectType: "contacts", first: $n, where: $w, orderBy: $o) { totalCount nodes {
        properties(names: $l) associationCount(to: "deals", labels: $l) @skip(if: $b) } } }"""
    try:
        assert cost(text, n=value, b=value, w=value, o=value, l=value) > 0
    except InvalidPageSize:
        assert isinstance(value, int)
        assert value > 500
