"""The schema: committed as it is printed, described to the last argument, readable by other tools."""

import re
from collections.abc import Iterator
from pathlib import Path

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
)

from schema.documentation import undocumented
from schema.root import SCHEMA, SDL
from tests import error_codes

# docs/api.md: what to use instead, and the day from which it may go.
DEPRECATION = re.compile(r"Use .+ instead\. May go from \d{4}-\d{2}-\d{2} on\.")


def test_the_committed_sdl_is_what_the_code_says() -> None:
    committed = Path(__file__).parent.parent / "schema.graphql"
    assert committed.read_text(encoding="utf-8") == SDL, "run: relata schema > schema.graphql"


def test_everything_has_a_description() -> None:
    assert undocumented(SCHEMA) == []


def test_the_sdl_can_be_read_by_others() -> None:
    read = build_schema(SDL)
    assert read.query_type is not None
    assert set(read.type_map) >= {name for name in SCHEMA.type_map if not name.startswith("__")}


def test_the_list_of_error_codes_is_what_the_code_says() -> None:
    assert error_codes.FILE.read_text(encoding="utf-8") == error_codes.document(), (
        "run: python -m tests.error_codes"
    )


def test_codes_that_are_no_problem_of_a_rule_are_listed_too() -> None:
    found = error_codes.mentioned()
    assert {"NOT_ACCEPTABLE", "INTERNAL_ERROR", "TIMEOUT", "OPERATION_NOT_FOUND"} <= found
    assert found - set(error_codes.OTHERS) == set()


def deprecated(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    """Every place of the SDL that can be deprecated, with the reason if it is."""
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for name, field in kind.fields.items():
                yield f"{kind.name}.{name}", field.deprecation_reason
                for argument, given in field.args.items():
                    yield f"{kind.name}.{name}({argument}:)", given.deprecation_reason
        elif isinstance(kind, GraphQLInputObjectType):
            for name, member in kind.fields.items():
                yield f"{kind.name}.{name}", member.deprecation_reason
        elif isinstance(kind, GraphQLEnumType):
            for name, value in kind.values.items():
                yield f"{kind.name}.{name}", value.deprecation_reason


def test_a_deprecation_without_a_way_out_would_be_found() -> None:
    bad = build_schema('type Query { old: Int @deprecated(reason: "It is old.") new: Int }')
    assert {place: reason for place, reason in deprecated(bad) if reason} == {"Query.old": "It is old."}
    assert not DEPRECATION.fullmatch("It is old.")
    assert DEPRECATION.fullmatch("Use `new` instead. May go from 2027-03-01 on.")


def test_what_is_deprecated_says_what_to_use_instead() -> None:
    reasons = {place: reason for place, reason in deprecated(SCHEMA) if reason is not None}
    assert {place for place, reason in reasons.items() if not DEPRECATION.fullmatch(reason)} == set()
