"""What schemathesis needs to know to ask sensible nonsense: values for scalars, and what no answer may be.

Loaded by the tool itself (SCHEMATHESIS_HOOKS). The ids of what is there come in FUZZING_IDS; the names of what was
asked go into the file FUZZING_ASKED.
"""

import os
from typing import Any

import schemathesis
from graphql import ValueNode, parse_value
from hypothesis import strategies as st

IDS = tuple(os.environ.get("FUZZING_IDS", "rec_1").split(","))
# Names that mean something in a new account, and some that do not.
NAMES = (
    *("contacts", "companies", "deals", "tasks", "ships"),
    *("email", "firstname", "name", "amount", "createdate", "domain", "nothing"),
    *("primary", "Europe/Berlin", "a@b.example", "1", "", "x_1", "X y"),
)


def written(value: Any) -> str:
    """A value in GraphQL's syntax."""
    match value:
        case None | True | False:
            return {None: "null", True: "true", False: "false"}[value]
        case str():
            return '"' + value + '"'
        case list():
            return "[" + ", ".join(written(part) for part in value) + "]"
        case dict():
            return "{" + ", ".join(f"{name}: {written(part)}" for name, part in value.items()) + "}"
        case _:
            return str(value)


def node(value: Any) -> ValueNode:
    """A value as a node of a query."""
    return parse_value(written(value))


texts = st.one_of(st.just("contacts"), st.sampled_from(NAMES), st.text("ab;%_0é\u2028 ", max_size=6))
properties = st.dictionaries(
    st.sampled_from(("email", "firstname", "amount", "name", "x")), texts, max_size=2
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("a", "email")), inner, max_size=2)
    ),
    max_leaves=5,
)

schemathesis.graphql.scalar(
    "ID", st.one_of(st.sampled_from(IDS), st.sampled_from(("wfl_1", "typ_1", "x"))).map(node)
)
schemathesis.graphql.scalar("String", texts.map(node))
schemathesis.graphql.scalar("JSON", st.one_of(properties, values).map(node))
schemathesis.graphql.scalar(
    "DateTime",
    st.sampled_from(("2026-01-31T09:30:00.000Z", "2026-13-01", "0001-01-01T00:00:00Z", "x")).map(node),
)


@schemathesis.check
def nothing_unexpected(ctx: Any, response: Any, case: Any) -> None:
    """Every answer is JSON, tells its cost when it was run, and has a code of ours for whatever went wrong."""
    if asked := os.environ.get("FUZZING_ASKED"):
        with open(asked, "a") as file:
            file.write(f"{case.operation.label}\n")
    assert response.status_code < 500
    answer = response.json()
    assert "data" not in answer or answer["extensions"]["cost"]["requested"] > 0
    for error in answer.get("errors", ()):
        assert error["extensions"]["code"] not in ("INTERNAL_ERROR", "UNAVAILABLE", "TIMEOUT"), error
