"""Values: what fits is kept in one form and fits again; what does not is told, and never stored."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import values
from engine.values import InvalidValue, canonical, normalize, parse, same
from storage.catalogue import PropertyRow
from storage.database import Database

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
TYPES = ("STRING", "NUMBER", "BOOLEAN", "DATE", "DATETIME", "ENUMERATION", "PHONE", "JSON")
OPTIONS: tuple[dict[str, Any], ...] = (
    {"value": "red", "label": "Red"},
    {"value": "green", "label": "Green"},
    {"value": "blue", "label": "Blue"},
    {"value": "beige", "label": "Beige", "archived": True},
)

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def prop(type: str, *, multiple: bool = False, field: str = "") -> PropertyRow:
    return PropertyRow(
        7, 1, "it", "It", "", None, type, field, multiple, True, False, True, False, False, OPTIONS, T0, None
    )


def attempted(one: PropertyRow, value: Any) -> tuple[Any, InvalidValue | None]:
    try:
        return normalize(one, value), None
    except InvalidValue as problem:
        return None, problem


def refused(one: PropertyRow, value: Any) -> InvalidValue:
    with pytest.raises(InvalidValue) as caught:
        normalize(one, value)
    return caught.value


@given(st.sampled_from(TYPES), st.booleans(), anything)
def test_whatever_comes_is_stored_in_a_form_that_stands_or_refused_by_name(
    type: str, multiple: bool, value: Any
) -> None:
    one = prop(type, multiple=multiple)
    stored, problem = attempted(one, value)
    if problem is None:
        assert same(one, normalize(one, stored), stored)
        assert same(one, orjson.loads(orjson.dumps(stored)), stored)
    else:
        assert (problem.path, problem.details["property"]) == (("it",), "it")
        assert problem.details["expected"] in problem.message
        # What is told can itself be kept in a JSON document.
        assert orjson.loads(orjson.dumps(problem.details)) == problem.details
        assert "\0" not in problem.message


@pytest.mark.parametrize("type", TYPES)
def test_null_and_empty_text_clear_every_type(type: str) -> None:
    assert normalize(prop(type), None) is None
    assert normalize(prop(type), "") is None


def test_an_empty_choice_clears() -> None:
    assert normalize(prop("ENUMERATION", multiple=True), []) is None


def test_an_error_names_the_property_the_value_and_the_expected_form() -> None:
    problem = refused(prop("NUMBER"), "twelve")
    assert problem.message == (
        'The value "twelve" does not fit the property "it": '
        "expected a number between -9007199254740991 and 9007199254740991."
    )
    assert problem.code == "INVALID_VALUE"


@pytest.mark.parametrize(
    ("type", "value"),
    [
        ("STRING", 5),
        ("STRING", "a\0b"),
        ("STRING", "half \ud83d of a character"),
        ("STRING", "x" * (values.TEXT_LIMIT + 1)),
        ("NUMBER", float("nan")),
        ("NUMBER", float("inf")),
        ("NUMBER", 1e300),
        ("NUMBER", 10**30),
        ("NUMBER", True),
        ("NUMBER", "5"),
        ("BOOLEAN", "true"),
        ("BOOLEAN", 1),
        ("DATE", "2026-02-30"),
        ("DATE", "20260131"),
        ("DATE", "2026-W05-1"),
        ("DATE", "2026-01-31T00:00:00Z"),
        ("DATETIME", "2026-01-31"),
        ("DATETIME", "2026-01-31T10:00:00"),
        ("DATETIME", "2026-01-31T24:00:00Z"),
        ("DATETIME", "2026-02-30T10:00:00Z"),
        ("DATETIME", "0001-01-01T00:00:00+05:00"),
        ("DATETIME", "9999-12-31T23:59:59-05:00"),
        ("DATETIME", 1_700_000_000),
        ("PHONE", "call me"),
        ("PHONE", "+"),
        ("PHONE", "1" * 65),
        ("ENUMERATION", "purple"),
        ("ENUMERATION", "Red"),
        ("ENUMERATION", "beige"),
        ("ENUMERATION", ["red"]),
        ("JSON", {"a": "b\0"}),
        ("JSON", {"a\0": 1}),
        ("JSON", [float("nan")]),
        ("JSON", 2**70),
        ("JSON", "x" * values.JSON_BYTES),
    ],
)
def test_what_does_not_fit_is_refused(type: str, value: Any) -> None:
    refused(prop(type), value)


def test_json_is_bounded_in_depth_and_a_deep_one_does_no_harm() -> None:
    deep: Any = 1
    for _ in range(values.JSON_DEPTH - 1):
        deep = [deep]
    assert normalize(prop("JSON"), deep) == deep
    refused(prop("JSON"), [deep])
    for _ in range(100_000):
        deep = {"in": deep}
    assert "levels deep" in refused(prop("JSON"), deep).message


def test_choices_stand_in_the_order_of_the_options_each_once() -> None:
    several = prop("ENUMERATION", multiple=True)
    assert normalize(several, ["blue", "red", "blue"]) == ["red", "blue"]
    assert normalize(several, "green") == ["green"]
    assert '"purple"' in refused(several, ["red", "purple"]).message
    assert '"beige"' not in refused(several, ["purple"]).message


def test_whole_numbers_are_kept_as_integers() -> None:
    for value in (2.0, -0.0, 1e15):
        stored = normalize(prop("NUMBER"), value)
        assert stored == value
        assert isinstance(stored, int)
    assert normalize(prop("NUMBER"), 0.1) == 0.1


@pytest.mark.parametrize(
    ("given_text", "stored"),
    [
        ("2026-01-31T09:30:00Z", "2026-01-31T09:30:00.000Z"),
        ("2026-01-31T10:30:00+01:00", "2026-01-31T09:30:00.000Z"),
        ("2026-01-31T10:30+0100", "2026-01-31T09:30:00.000Z"),
        ("2026-01-31 04:00:00-05:30", "2026-01-31T09:30:00.000Z"),
        ("2026-01-31t09:30:00.1234567z", "2026-01-31T09:30:00.123Z"),
        ("2026-01-31T09:30:00.9999Z", "2026-01-31T09:30:00.999Z"),
        ("2026-01-31T10:30:00,5+01", "2026-01-31T09:30:00.500Z"),
        ("0999-12-31T23:59:59Z", "0999-12-31T23:59:59.000Z"),
    ],
)
def test_moments_of_any_offset_are_kept_in_utc_to_the_millisecond(given_text: str, stored: str) -> None:
    assert normalize(prop("DATETIME"), given_text) == stored


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),  # noqa: DTZ001 (the offset is drawn)
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),  # noqa: DTZ001 (the offset is drawn)
    st.integers(-14 * 60, 14 * 60),
)
def test_the_order_of_stored_moments_is_the_order_of_time(
    one: datetime, other: datetime, minutes: int
) -> None:
    one, other = (
        one.replace(tzinfo=timezone(timedelta(minutes=minutes)), microsecond=one.microsecond // 1000 * 1000),
        other.replace(tzinfo=UTC, microsecond=other.microsecond // 1000 * 1000),
    )
    first, second = (normalize(prop("DATETIME"), moment.isoformat()) for moment in (one, other))
    assert (first < second, first == second) == (one < other, one == other)
    assert datetime.fromisoformat(first) == one


@given(st.dates())
def test_every_date_of_the_calendar_is_kept_as_it_is(day: date) -> None:
    assert normalize(prop("DATE"), day.isoformat()) == day.isoformat()


@pytest.mark.parametrize(
    "number", ["+49 (30) 123-456", "030/1234567", "555.123.4567 ext. 12", "+1 555 0100 x7", "110"]
)
def test_phone_numbers_as_people_write_them(number: str) -> None:
    assert normalize(prop("PHONE"), f" {number} ") == number


@given(st.text(max_size=3_000), st.text(max_size=3_000))
def test_unique_texts_are_equal_exactly_when_the_values_are(one: str, other: str) -> None:
    text = prop("STRING")
    assert (canonical(text, one) == canonical(text, other)) == (one == other)
    assert len(canonical(text, one * 50).encode()) <= values.UNIQUE_BYTES


def test_an_address_is_the_same_whatever_its_case() -> None:
    assert canonical(prop("STRING", field="EMAIL"), "Ann@Example.com ") == "ann@example.com"
    assert canonical(prop("STRING", field="URL"), "A") == "A"


def test_the_text_of_a_file_becomes_a_value_of_its_type() -> None:
    cells: list[tuple[PropertyRow, str, Any]] = [
        (prop("STRING"), " kept ", " kept "),
        (prop("STRING"), "  ", None),
        (prop("NUMBER"), " 12 ", 12),
        (prop("NUMBER"), "-1.5e2", -150),
        (prop("BOOLEAN"), "Yes", True),
        (prop("BOOLEAN"), "0", False),
        (prop("ENUMERATION"), "red", "red"),
        (prop("ENUMERATION", multiple=True), "blue; red;", ["red", "blue"]),
        (prop("JSON"), '{"a": [1]}', {"a": [1]}),
    ]
    for one, text, value in cells:
        assert normalize(one, parse(one, text)) == value


@given(st.sampled_from([name for name in TYPES if name != "JSON"]), st.text(max_size=40))
def test_text_of_a_file_that_cannot_be_read_is_told_as_it_stands(type: str, text: str) -> None:
    one = prop(type)
    value = parse(one, text)
    _, problem = attempted(one, value)
    if problem is not None:
        assert problem.details["value"] == values.shown(value)
        assert value == (text if type == "STRING" else text.strip()) or isinstance(value, int | float)


def test_json_tells_apart_what_python_takes_for_equal() -> None:
    json_property = prop("JSON")
    assert not same(json_property, [1], [True])
    assert same(json_property, {"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert same(replace(json_property, type="NUMBER"), 1, 1.0)


async def test_what_was_found_good_the_database_takes_and_gives_back(db: Database) -> None:
    samples: list[tuple[str, Any]] = [
        ("STRING", "ſtraße 🙂 \x01\u2028\uffff"),
        ("STRING", "x" * values.TEXT_LIMIT),
        ("NUMBER", -values.LARGEST_NUMBER),
        ("NUMBER", 5e-324),
        ("NUMBER", 0.1 + 0.2),
        ("JSON", {"": [None, True, 1.5, 2**63, -(2**63), 1e308, "🙂"]}),
        ("DATETIME", "0001-01-01T00:00:00Z"),
    ]
    async with db.pool.acquire() as connection:
        for type, value in samples:
            stored = normalize(prop(type), value)
            assert await connection.fetchval("SELECT $1::jsonb", {"it": stored}) == {"it": stored}
