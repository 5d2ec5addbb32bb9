"""The shape of documents: found out before they are validated, and bounded however they are twisted."""

from dataclasses import replace

import pytest
from graphql import get_introspection_query, parse

from engine.problems import Problem
from server.limits import Limits, check, check_tokens
from server.limits.shape import depth

LIMITS = Limits(depth=10, aliases=5, directives=6, tokens=50)


def refused(text: str, limits: Limits = LIMITS) -> str | None:
    """The code under which a document is refused, if it is."""
    try:
        check(parse(text), limits)
    except Problem as problem:
        return problem.code
    return None


def test_depth_is_that_of_fields_through_fragments() -> None:
    assert depth(parse("{ a }")) == 1
    assert depth(parse("{ a { b { c } } d { e } }")) == 3
    assert depth(parse("{ a { ...F } } fragment F on X { b { ...G } } fragment G on X { c { d } }")) == 4
    assert depth(parse("{ ... { ... on X { a } } }")) == 1
    assert depth(parse("query A { a } query B { a { b } }")) == 2
    assert depth(parse("fragment F on X { a { b } }")) == 0


def test_a_circle_of_fragments_ends() -> None:
    """Validation has the words for it."""
    assert refused("{ ...F } fragment F on X { a { ...G } } fragment G on X { b { ...F } }") is None
    assert refused("{ ...F } fragment F on X { ...F }") is None


def test_what_is_deeper_is_refused() -> None:
    text = "{ a " * 11 + "}" * 11
    assert refused("{ a " * 10 + "}" * 10) is None
    assert refused(text) == "DEPTH_LIMIT_EXCEEDED"
    hidden = "{ a { ...F0 } } " + " ".join(f"fragment F{n} on X {{ a {{ ...F{n + 1} }} }}" for n in range(12))
    assert refused(hidden) == "DEPTH_LIMIT_EXCEEDED"


def test_aliases_and_repetitions_are_counted_in_the_whole_document() -> None:
    assert refused("{ " + " ".join(f"a{n}: a" for n in range(5)) + " }") is None
    assert refused("{ " + " ".join(f"a{n}: a" for n in range(6)) + " }") == "ALIAS_LIMIT_EXCEEDED"
    spread = "{ a: a b: b c: c ...F } fragment F on X { d: d e: e f: f }"
    assert refused(spread) == "ALIAS_LIMIT_EXCEEDED"
    assert refused("{ " + "a " * 6 + "}") is None
    assert refused("{ " + "a " * 7 + "}") == "REPETITION_LIMIT_EXCEEDED"
    assert refused("{ " + "...F " * 7 + "} fragment F on X { a }") == "REPETITION_LIMIT_EXCEEDED"
    assert refused("{ a { x } b { x } c { x } d { x } e { x } f { x } g { x } h { x } }") is None


def test_directives_are_counted_everywhere() -> None:
    assert refused("{ a @a @b @c @d @e }") is None
    assert refused("{ a @a @b @c @d @e @f }") == "DIRECTIVE_LIMIT_EXCEEDED"
    for text in (
        "query @a { a @a @a b @a @a c @a @a }",
        "query ($a: X @a @a @a, $b: X @a @a @a) { a @a }",
        "{ ... @a @a @a { a } ...F @a @a } fragment F on X @a @a { a }",
    ):
        assert refused(text) == "DIRECTIVE_LIMIT_EXCEEDED", text


def test_tokens_are_counted_no_further_than_they_are_read() -> None:
    check_tokens("{ " + "a " * 40 + "}", LIMITS)
    check_tokens('{ a "', LIMITS)
    with pytest.raises(Problem, match="more than 50 tokens"):
        check_tokens("{ " + "a " * 1_000_000, LIMITS)


def test_the_defaults_leave_room_for_tools() -> None:
    assert refused(get_introspection_query(input_value_deprecation=True), Limits()) is None
    assert refused("{ a " * 16 * 3 + "}" * 48, replace(Limits())) is None
