"""Merging a record with an item: laws of three-way merges, whatever both sides did since they last agreed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.sync.categories import Category
from engine.sync.connectors.protocol import FieldType, RemoteField
from engine.sync.likeness import compare, empty
from engine.sync.merge import Half, Merged, merge
from engine.sync.rules import Direction, Mapping, Policy, Rules, Side, Values
from engine.sync.translate import Untranslated, alike, fits, to_ours, to_theirs, translation
from tests.sync_rules import T0, mapping, prop, rules, theirs

DIRECTIONS = st.sampled_from(Direction)
POLICIES = st.sampled_from(Policy)
AUTOMATIC = st.sampled_from([Policy.OURS, Policy.THEIRS, Policy.MOST_RECENT])
NOW = T0

# Few values, so that both sides often hold the same, and often what they held before.
WORDS = (None, "Ann", "ann", "Bob", "Eve  Smith", "eve smith", "  ")
NUMBERS = (None, 0, 1, 1.5, 1.25, 12.3456, 12.35)
DAYS = (None, "2026-01-31", "2026-02-01")
MOMENTS = (None, "2026-01-31T00:00:00.000Z", "2026-01-31T09:30:00.000Z", "2026-02-01T00:00:00.000Z")
FLAGS = (None, True, False)
PHONES = (None, "+49 30 1234567", "0049301234567", "030 765 4321")

# What a property is, what its field is, and what either may hold.
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[Any, ...], tuple[Any, ...]]] = {
    "text": ({"type": "STRING"}, {"type": FieldType.STRING}, WORDS, WORDS),
    "number": ({"type": "NUMBER"}, {"type": FieldType.NUMBER}, NUMBERS, NUMBERS),
    "day": ({"type": "DATE"}, {"type": FieldType.DATETIME}, DAYS, MOMENTS),
    "moment": ({"type": "DATETIME"}, {"type": FieldType.DATE}, MOMENTS, DAYS),
    "flag": ({"type": "BOOLEAN"}, {"type": FieldType.BOOLEAN}, FLAGS, FLAGS),
    "choice": (
        {"type": "ENUMERATION", "options": ("red", "green", "blue")},
        {"type": FieldType.CHOICE, "options": (("R", "Red"), ("G", "Green"))},
        (None, "red", "green", "blue"),
        (None, "R", "G", "unheard of"),
    ),
    "phone": ({"type": "PHONE"}, {"type": FieldType.STRING}, PHONES, PHONES),
}


@st.composite
def mappings(
    draw: st.DrawFn,
    policies: st.SearchStrategy[Policy] = POLICIES,
    lossy: st.SearchStrategy[bool] = st.booleans(),  # noqa: B008 - a strategy is a value
) -> tuple[Mapping, ...]:
    """A mapping of each of some kinds."""
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4, unique=True))
    return tuple(
        mapping(
            prop(kind, **KINDS[kind][0]),
            theirs(kind.title(), lossy=draw(lossy), **KINDS[kind][1]),
            id=n,
            direction=draw(DIRECTIONS),
            policy=draw(policies),
        )
        for n, kind in enumerate(kinds, start=1)
    )


def known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


@st.composite
def sides(draw: st.DrawFn, sync: Rules) -> tuple[Half, Half]:
    """What both hold, and held when they last agreed, if they ever did. What they agreed on was alike."""

    def some(one: Mapping) -> tuple[Any, Any]:
        _, _, ours, others = KINDS[one.property.name]
        return draw(st.sampled_from(ours)), draw(st.sampled_from(others))

    linked = draw(st.booleans())
    pairs = [(one, some(one)) for one in sync.mappings]
    base_ours: dict[str, Any] = {}
    base_theirs: dict[str, Any] = {}
    for one, _ in pairs:
        left, right = some(one)
        if alike(one, left, right):
            base_ours[one.property.name], base_theirs[one.field.name] = left, right
    moment = st.sampled_from([None, NOW, NOW + timedelta(minutes=1)])
    return (
        Half(
            known({one.property.name: value for one, (value, _) in pairs}),
            base_ours if linked else None,
            draw(moment),
        ),
        Half(
            known({one.field.name: value for one, (_, value) in pairs}),
            base_theirs if linked else None,
            draw(moment),
        ),
    )


@st.composite
def worlds(draw: st.DrawFn, /, **kinds: Any) -> tuple[Rules, Half, Half]:
    sync = rules(*draw(mappings(**kinds)), direction=draw(DIRECTIONS))
    ours, others = draw(sides(sync))
    return sync, ours, others


def applied(ours: Half, others: Half, merged: Merged) -> tuple[Half, Half]:
    """Both sides once everything has been written."""
    return (
        replace(ours, values=known({**ours.values, **merged.ours}), base=merged.base_ours),
        replace(others, values=known({**others.values, **merged.theirs}), base=merged.base_theirs),
    )


def goes(sync: Rules, one: Mapping, side: Side) -> bool:
    """Whether this mapping may write on this side."""
    way = Direction.IN if side is Side.OURS else Direction.OUT
    return sync.goes(side) and one.direction in (Direction.BOTH, way)


def held(merged: Merged) -> set[int]:
    """Mappings that were not settled, for a reason that is told."""
    return {one.mapping_id for one in merged.conflicts} | {one.mapping_id for one in merged.problems}


def values(one: Mapping, ours: Half, others: Half) -> tuple[Any, Any]:
    return ours.values.get(one.property.name), others.values.get(one.field.name)


def changed(one: Mapping, ours: Half, others: Half) -> tuple[bool, bool]:
    """What each side did since both agreed on this pair; what was never agreed on was empty."""
    bases: tuple[Values, Values] = (ours.base or {}, others.base or {})
    if one.property.name not in bases[0] or one.field.name not in bases[1]:
        bases = ({}, {})
    left, right = values(one, ours, others)
    by = translation(one)
    return (
        not by.same_ours(left, bases[0].get(one.property.name)),
        not by.same_theirs(right, bases[1].get(one.field.name)),
    )


@given(worlds())
def test_what_has_been_merged_is_merged(world: tuple[Rules, Half, Half]) -> None:
    sync, ours, others = world
    first = merge(sync, ours, others)
    again = merge(sync, *applied(ours, others, first))
    assert not again.ours
    assert not again.theirs
    assert (again.base_ours, again.base_theirs) == (first.base_ours, first.base_theirs)
    assert (again.conflicts, again.problems) == (first.conflicts, first.problems)


@given(worlds(policies=AUTOMATIC))
def test_both_sides_agree_at_rest(world: tuple[Rules, Half, Half]) -> None:
    """Wherever anything goes both ways; but for what a side cannot take, which is told."""
    sync, ours, others = world
    merged = merge(sync, ours, others)
    assert not merged.conflicts
    rest = applied(ours, others, merged)
    for one in sync.mappings:
        both = goes(sync, one, Side.OURS) and goes(sync, one, Side.THEIRS)
        if both and one.id not in held(merged) and any(changed(one, ours, others)):
            assert alike(one, *values(one, *rest))


@given(worlds())
def test_what_one_side_changed_is_not_lost(world: tuple[Rules, Half, Half]) -> None:
    sync, ours, others = world
    merged = merge(sync, ours, others)
    rest = applied(ours, others, merged)
    for one in sync.mappings:
        by_us, by_them = changed(one, ours, others)
        if by_us and not by_them:
            assert values(one, *rest)[0] == values(one, ours, others)[0]
            if goes(sync, one, Side.THEIRS):
                assert one.id in held(merged) or alike(one, *values(one, *rest))
        if by_them and not by_us:
            assert values(one, *rest)[1] == values(one, ours, others)[1]
            if goes(sync, one, Side.OURS):
                assert one.id in held(merged) or alike(one, *values(one, *rest))


@given(worlds(), st.data())
def test_no_policy_and_nobody_goes_against_the_direction(
    world: tuple[Rules, Half, Half], data: st.DataObject
) -> None:
    sync, ours, others = world
    resolved = {one.id: data.draw(st.sampled_from(["OURS", "THEIRS"])) for one in sync.mappings}
    merged = merge(sync, ours, others, data.draw(st.sampled_from([None, resolved])))
    assert set(merged.ours) <= {one.property.name for one in sync.mappings if goes(sync, one, Side.OURS)}
    assert set(merged.theirs) <= {one.field.name for one in sync.mappings if goes(sync, one, Side.THEIRS)}


@given(worlds())
def test_nothing_is_written_without_a_difference(world: tuple[Rules, Half, Half]) -> None:
    sync, ours, others = world
    merged = merge(sync, ours, others)
    for one in sync.mappings:
        left, right = values(one, ours, others)
        if alike(one, left, right) or not any(changed(one, ours, others)):
            assert one.property.name not in merged.ours
            assert one.field.name not in merged.theirs
        assert merged.ours.get(one.property.name, ...) != left
        assert merged.theirs.get(one.field.name, ...) != right


@given(worlds(policies=AUTOMATIC))
def test_an_empty_value_never_wins_over_a_changed_one(world: tuple[Rules, Half, Half]) -> None:
    sync, ours, others = world
    merged = merge(sync, ours, others)
    for one in sync.mappings:
        if all(changed(one, ours, others)):
            left, right = values(one, ours, others)
            assert empty(left) or merged.ours.get(one.property.name, left) is not None
            assert empty(right) or merged.theirs.get(one.field.name, right) is not None


@given(worlds(policies=st.just(Policy.ASK)))
def test_what_is_asked_about_stays_until_somebody_decides(world: tuple[Rules, Half, Half]) -> None:
    sync, ours, others = world
    merged = merge(sync, ours, others)
    asked = {one.mapping_id for one in merged.conflicts}
    for one in sync.mappings:
        if one.id not in asked:
            continue
        assert all(changed(one, ours, others))
        assert one.property.name not in merged.ours
        assert one.field.name not in merged.theirs
        for base, had, name in (
            (merged.base_ours, ours.base, one.property.name),
            (merged.base_theirs, others.base, one.field.name),
        ):
            assert (name in base) == (name in (had or {}))
            assert base.get(name) == (had or {}).get(name)
        for side in Side:
            decided = merge(sync, ours, others, {one.id: side.value})
            assert one.id not in {each.mapping_id for each in decided.conflicts}
            if one.id not in held(decided):
                rest = applied(ours, others, decided)
                assert alike(one, *values(one, *rest))
                chosen = 0 if side is Side.OURS else 1
                assert values(one, *rest)[chosen] == values(one, ours, others)[chosen]


def mirrored(one: Mapping) -> Mapping:
    """The same mapping, seen from the other side; of text, which is the same on both."""
    ways = {Direction.IN: Direction.OUT, Direction.OUT: Direction.IN}
    sides = {Policy.OURS: Policy.THEIRS, Policy.THEIRS: Policy.OURS}
    return mapping(
        prop(one.field.name),
        theirs(one.property.name),
        id=one.id,
        direction=ways.get(one.direction, one.direction),
        policy=sides.get(one.policy, one.policy),
    )


@given(
    policy=POLICIES,
    direction=DIRECTIONS,
    held_now=st.tuples(st.sampled_from(WORDS), st.sampled_from(WORDS)),
    agreed=st.none() | st.sampled_from(WORDS).map(lambda one: (one,)),
    moments=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_the_sides_may_change_places(
    policy: Policy,
    direction: Direction,
    held_now: tuple[Any, Any],
    agreed: tuple[Any] | None,
    moments: tuple[int, int],
) -> None:
    assume(moments[0] != moments[1])
    one = mapping(prop("a"), theirs("b"), direction=direction, policy=policy)
    left, right = (
        Half(
            known({name: value}),
            None if agreed is None else {name: agreed[0]},
            NOW + timedelta(seconds=seconds),
        )
        for name, value, seconds in zip(("a", "b"), held_now, moments, strict=True)
    )
    here = merge(rules(one), left, right)
    there = merge(rules(mirrored(one)), right, left)
    assert (here.ours, here.theirs) == (there.theirs, there.ours)
    assert (here.base_ours, here.base_theirs) == (there.base_theirs, there.base_ours)
    assert len(here.conflicts) == len(there.conflicts)


class Forgetful:
    """Somebody else's app, which does not keep what it is given: case, white space, decimals, times of day."""

    def kept(self, field: RemoteField, value: Any) -> Any:
        if isinstance(value, str) and field.type is FieldType.STRING:
            return " ".join(value.casefold().split()) or None
        if isinstance(value, float):
            return round(value, 1)
        return value


@given(worlds(lossy=st.just(True), policies=AUTOMATIC), st.booleans())
def test_an_app_that_changes_what_it_is_given_never_makes_a_loop(
    world: tuple[Rules, Half, Half], told: bool
) -> None:
    """Whether or not it tells what it has made of it, and whether or not it is known to be like that."""
    sync, ours, others = world
    if not told:
        sync = replace(
            sync, mappings=tuple(replace(one, field=replace(one.field, lossy=False)) for one in sync.mappings)
        )
    app, writes = Forgetful(), 0
    fields = {one.field.name: one.field for one in sync.mappings}
    for turn in range(6):
        merged = merge(sync, ours, others)
        if not merged.ours and not merged.theirs:
            break
        writes += 1
        sent = {name: app.kept(fields[name], value) for name, value in merged.theirs.items()}
        ours, others = applied(ours, others, merged)
        others = replace(others, values=known({**others.values, **sent}))
        if told:
            # What was sent is loosely what is held: nothing comes back.
            assert not merge(sync, ours, others).ours, turn
    else:
        pytest.fail("still writing")
    assert writes <= 1 if told else writes <= 2


def test_what_a_lossy_field_holds_does_not_drift() -> None:
    """Each step is hardly a change; all of them together are one."""
    one = mapping(prop(type="NUMBER"), theirs(type=FieldType.NUMBER, lossy=True))
    ours, others = Half({"it": 12.34}, {"it": 12.34}), Half({"Its": 12.34}, {"Its": 12.34})
    for value in (12.3, 12.31, 12.4):
        merged = merge(rules(one), ours, replace(others, values={"Its": value}))
        ours, others = applied(ours, replace(others, values={"Its": value}), merged)
    assert ours.values == {"it": 12.4}


def test_a_mapping_that_comes_later_begins_anew() -> None:
    """What a field was agreed to hold with another property says nothing about this one."""
    ours = Half({"a": "x", "b": "y"}, {"a": "x"})
    others = Half({"A": "x"}, {"A": "x"})
    both = rules(mapping(prop("a"), theirs("A"), id=1), mapping(prop("b"), theirs("B"), id=2))
    merged = merge(both, ours, others)
    assert merged.theirs == {"B": "y"}
    moved = rules(mapping(prop("a"), theirs("B"), id=3))
    assert merge(moved, ours, others).theirs == {"B": "x"}


def test_one_property_for_two_fields_is_settled_when_both_are() -> None:
    """A conflict about one of them does not keep the other from being written, once."""
    sync = rules(
        mapping(prop("a"), theirs("A"), id=1, policy=Policy.ASK),
        mapping(prop("a"), theirs("B"), id=2, direction=Direction.OUT),
    )
    ours, others = (
        Half({"a": "new"}, {"a": "old"}),
        Half({"A": "other", "B": "old"}, {"A": "old", "B": "old"}),
    )
    first = merge(sync, ours, others)
    assert [one.mapping_id for one in first.conflicts] == [1]
    assert first.theirs == {"B": "new"}
    assert first.base_ours == {"a": "old"}
    again = merge(sync, *applied(ours, others, first))
    assert not again.theirs
    assert again.base_ours == {"a": "old"}


def test_the_more_recent_side_wins_and_ours_where_nobody_knows() -> None:
    sync = rules(mapping(prop("a"), theirs("A"), policy=Policy.MOST_RECENT))

    def winner(ours: int | None, others: int | None) -> Values:
        at = [None if seconds is None else NOW + timedelta(seconds=seconds) for seconds in (ours, others)]
        merged = merge(sync, Half({"a": "x"}, {"a": "o"}, at[0]), Half({"A": "y"}, {"A": "o"}, at[1]))
        return merged.ours or merged.theirs

    assert winner(1, 2) == {"a": "y"}
    assert winner(2, 1) == {"A": "x"}
    assert winner(1, 1) == {"A": "x"}
    assert winner(1, None) == {"A": "x"}
    assert winner(None, 1) == {"a": "y"}
    assert winner(None, None) == {"A": "x"}


@pytest.mark.parametrize(
    ("ours", "field", "value", "category"),
    [
        (prop(), theirs(max_length=3), "four", Category.VALUE_TOO_LONG),
        (prop(), theirs(read_only=True), "x", Category.PROPERTY_READ_ONLY),
        (prop(), theirs(required=True), None, Category.REQUIRED_FIELD_MISSING),
        (
            prop(type="ENUMERATION", options=("red",)),
            theirs(type=FieldType.CHOICE, options=(("blue", "Blue"),)),
            "red",
            Category.OPTION_NOT_FOUND,
        ),
    ],
)
def test_what_they_cannot_take_is_told_and_the_rest_goes(
    ours: Any, field: RemoteField, value: Any, category: Category
) -> None:
    sync = rules(mapping(ours, field, id=1), mapping(prop("other"), theirs("Other"), id=2))
    held_before = {"it": "blue"} if value is None else {}
    merged = merge(
        sync,
        Half(known({"it": value, "other": "goes"}), held_before),
        Half({"Its": "blue"} if value is None else {}, {"Its": "blue"} if value is None else {}),
    )
    assert [(one.mapping_id, one.category, one.side) for one in merged.problems] == [(1, category, "THEIRS")]
    assert merged.theirs == {"Other": "goes"}


@pytest.mark.parametrize(
    ("ours", "field", "value", "category"),
    [
        (prop(type="NUMBER"), theirs(type=FieldType.NUMBER), "many", Category.TYPE_MISMATCH),
        (prop(type="NUMBER"), theirs(type=FieldType.NUMBER), 2**60, Category.INVALID_VALUE),
        (prop(type="PHONE"), theirs(), "call me", Category.INVALID_VALUE),
        (prop(), theirs(), "x" * 70_000, Category.VALUE_TOO_LONG),
        (prop(read_only=True), theirs(), "x", Category.PROPERTY_READ_ONLY),
        (
            prop(type="ENUMERATION", options=("red",)),
            theirs(type=FieldType.CHOICE),
            "blue",
            Category.OPTION_NOT_FOUND,
        ),
    ],
)
def test_what_we_cannot_take_is_told(ours: Any, field: RemoteField, value: Any, category: Category) -> None:
    merged = merge(rules(mapping(ours, field)), Half({}, None), Half({"Its": value}, None))
    assert [(one.category, one.side) for one in merged.problems] == [(category, "OURS")]
    assert not merged.ours


BOTH, IN, OUT = Direction.BOTH, Direction.IN, Direction.OUT
COLOURS = ("red", "green")


@pytest.mark.parametrize(
    ("ours", "field", "ways"),
    [
        (prop(), theirs(), {BOTH, IN, OUT}),
        (prop(type="PHONE"), theirs(), {BOTH, IN, OUT}),
        (prop(), theirs(type=FieldType.PHONE), {BOTH, IN, OUT}),
        (prop(type="NUMBER"), theirs(type=FieldType.NUMBER), {BOTH, IN, OUT}),
        (prop(type="DATE"), theirs(type=FieldType.DATETIME), {BOTH, IN, OUT}),
        (prop(type="DATETIME"), theirs(type=FieldType.DATE), {BOTH, IN, OUT}),
        (prop(type="BOOLEAN"), theirs(type=FieldType.BOOLEAN), {BOTH, IN, OUT}),
        (prop(type="ENUMERATION", options=COLOURS), theirs(type=FieldType.CHOICE), {BOTH, IN, OUT}),
        # Anything becomes text, one way only.
        (prop(type="NUMBER"), theirs(), {OUT}),
        (prop(type="JSON"), theirs(), {OUT}),
        (prop(type="ENUMERATION", options=COLOURS, multiple=True), theirs(), {OUT}),
        (prop(), theirs(type=FieldType.NUMBER), {IN}),
        (prop(), theirs(type=FieldType.CHOICE, multiple=True), {IN}),
        (prop(type="NUMBER"), theirs(type=FieldType.BOOLEAN), set()),
        (prop(type="JSON"), theirs(type=FieldType.NUMBER), set()),
        (prop(type="NUMBER"), theirs(type=FieldType.PHONE), set()),
        (prop(type="BOOLEAN"), theirs(type=FieldType.CHOICE), set()),
        # What is read only goes one way.
        (prop(read_only=True), theirs(), {OUT}),
        (prop(calculated=True), theirs(), {OUT}),
        (prop(), theirs(read_only=True), {IN}),
        (prop(read_only=True), theirs(read_only=True), set()),
        # Several choices do not become one.
        (
            prop(type="ENUMERATION", options=COLOURS, multiple=True),
            theirs(type=FieldType.CHOICE, multiple=True),
            {BOTH, IN, OUT},
        ),
        (
            prop(type="ENUMERATION", options=COLOURS),
            theirs(type=FieldType.CHOICE, multiple=True),
            {OUT},
        ),
        (
            prop(type="ENUMERATION", options=COLOURS, multiple=True),
            theirs(type=FieldType.CHOICE),
            {IN},
        ),
    ],
)
def test_types_fit_both_ways_one_way_or_not(ours: Any, field: RemoteField, ways: set[Direction]) -> None:
    assert {way for way in Direction if fits(ours, field, way) is None} == ways


def test_options_go_by_the_map_then_by_value_then_by_name() -> None:
    colours = prop(type="ENUMERATION", options=("red", "green", "blue", "navy", "odd"))
    field = theirs(
        type=FieldType.CHOICE, options=(("1", "Green"), ("RED", "Rouge"), ("3", "Bleu"), ("4", "Other"))
    )
    one = mapping(colours, field, options={"blue": "3", "navy": "3"})
    assert [to_theirs(one, value) for value in ("red", "green", "blue", "navy")] == ["RED", "1", "3", "3"]
    assert [to_ours(one, value) for value in ("RED", "1", "3")] == ["red", "green", "blue"]
    # Both shades say the same over there, so nothing changes here.
    assert alike(one, "navy", "3")
    assert not alike(one, "odd", "4")


@pytest.mark.parametrize("lossy", [False, True])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_carried_over_is_alike(kind: str, lossy: bool) -> None:
    """Wherever a value can be said at all, both sides then hold the same."""
    ours, field, left, right = KINDS[kind]
    one = mapping(prop(**ours), theirs(lossy=lossy, **field))
    said = [(value, out) for value in left for out in _said(to_theirs, one, value)]
    heard = [(kept, value) for value in right for kept in _said(to_ours, one, value)]
    assert len(said) > 1
    assert len(heard) > 1
    assert all(alike(one, *pair) for pair in (*said, *heard))
    # And each value is told from most others.
    assert not all(alike(one, one_of, other) for one_of in left for other in right)


def _said(way: Callable[[Mapping, Any], Any], one: Mapping, value: Any) -> list[Any]:
    try:
        return [way(one, value)]
    except Untranslated:
        return []


@pytest.mark.parametrize("policy", [Policy.OURS, Policy.THEIRS, Policy.MOST_RECENT])
@pytest.mark.parametrize(("ours", "others"), [(None, "new"), ("new", None)])
def test_of_two_changes_of_which_one_emptied_the_other_stands(policy: Policy, ours: Any, others: Any) -> None:
    """Whoever wins: and it goes to the side that was emptied, so that both agree."""
    sync = rules(mapping(prop("a"), theirs("A"), policy=policy))
    for earlier in (0, 1):
        halves = (
            Half(known({"a": ours}), {"a": "old"}, NOW + timedelta(seconds=earlier)),
            Half(known({"A": others}), {"A": "old"}, NOW + timedelta(seconds=1 - earlier)),
        )
        merged = merge(sync, *halves)
        assert (merged.ours, merged.theirs) == (({"a": "new"}, {}) if ours is None else ({}, {"A": "new"}))
        assert (merged.base_ours, merged.base_theirs) == ({"a": "new"}, {"A": "new"})


@pytest.mark.parametrize(("direction", "side"), [(Direction.IN, "ours"), (Direction.OUT, "theirs")])
def test_a_source_that_was_emptied_does_not_take_what_was_edited_at_the_other_end(
    direction: Direction, side: str
) -> None:
    sync = rules(mapping(prop("a"), theirs("A"), direction=direction))
    here, there = (("edited", None), (None, "edited"))[direction is Direction.OUT]
    merged = merge(sync, Half(known({"a": here}), {"a": "old"}), Half(known({"A": there}), {"A": "old"}))
    assert not getattr(merged, side)
    # What nobody edited is emptied, too.
    here, there = (("old", None), (None, "old"))[direction is Direction.OUT]
    merged = merge(sync, Half(known({"a": here}), {"a": "old"}), Half(known({"A": there}), {"A": "old"}))
    assert list(getattr(merged, side).values()) == [None]


@pytest.mark.parametrize("policy", [Policy.THEIRS, Policy.ASK, Policy.MOST_RECENT])
@pytest.mark.parametrize(
    ("type", "field", "sent", "held_there", "edited"),
    [
        ("STRING", theirs(lossy=True), "Ann", "ANN ", "Bob"),
        ("NUMBER", theirs(type=FieldType.NUMBER, lossy=True), 12.3456, 12.35, 14),
        (
            "DATETIME",
            theirs(type=FieldType.DATE),
            "2026-01-31T09:30:00.000Z",
            "2026-01-31",
            "2026-02-01T09:30:00.000Z",
        ),
        ("PHONE", theirs(), "+49 30 1234567", "0049301234567", "+49 30 7654321"),
    ],
)
def test_what_comes_back_is_no_change_of_theirs(
    policy: Policy, type: str, field: RemoteField, sent: Any, held_there: Any, edited: Any
) -> None:
    """Else it would win over, or ask about, the next edit of ours."""
    one = mapping(prop(type=type), field, policy=policy)
    first = merge(rules(one), Half({"it": sent}, None, NOW), Half({}, None))
    later = NOW + timedelta(seconds=5)
    again = merge(
        rules(one),
        Half({"it": edited}, first.base_ours, NOW),
        Half({"Its": held_there}, first.base_theirs, later),
    )
    assert not again.ours
    assert not again.conflicts
    assert again.theirs == {"Its": to_theirs(one, edited)}


@pytest.mark.parametrize(
    ("field", "one", "other", "equal", "loosely"),
    [
        (theirs(), "Ann", "ann ", False, True),
        (theirs(), "e\u0301", "\u00e9", False, True),
        (theirs(), "  ", None, False, True),
        (theirs(), "Ann", "Anne", False, False),
        (theirs(type=FieldType.NUMBER), 1, 1.0, True, True),
        (theirs(type=FieldType.NUMBER), 12.3456, 12.35, False, True),
        (theirs(type=FieldType.NUMBER), 12.3456, 12.34, False, True),
        (theirs(type=FieldType.NUMBER), 12.3456, 12, False, True),
        (theirs(type=FieldType.NUMBER), 12.3456, 12.36, False, False),
        (theirs(type=FieldType.NUMBER), 12.3, 12.4, False, False),
        (theirs(type=FieldType.NUMBER), 0.1, 0.10000000149, False, True),
        (theirs(type=FieldType.NUMBER), -1.26, -1.3, False, True),
        (theirs(type=FieldType.NUMBER), 0, None, False, False),
        (
            theirs(type=FieldType.DATETIME),
            "2026-01-31T09:30:15.250Z",
            "2026-01-31T09:30:15.000Z",
            False,
            True,
        ),
        (
            theirs(type=FieldType.DATETIME),
            "2026-01-31T09:30:15.250Z",
            "2026-01-31T09:30:00.000Z",
            False,
            True,
        ),
        (
            theirs(type=FieldType.DATETIME),
            "2026-01-31T09:30:15.250Z",
            "2026-01-31T09:32:00.000Z",
            False,
            False,
        ),
        (theirs(type=FieldType.PHONE), "+49 (30) 12-34567", "0049301234567", True, True),
        (theirs(type=FieldType.PHONE), "030 1234567", "+49301234567", False, True),
        (theirs(type=FieldType.PHONE), "030 1234567", "+49301234568", False, False),
        (theirs(type=FieldType.CHOICE, multiple=True), ["a", "b"], ["b", "a"], True, True),
        (theirs(type=FieldType.CHOICE, multiple=True), ["a", "b"], ["A"], False, False),
        (theirs(type=FieldType.BOOLEAN), False, None, False, False),
    ],
)
def test_values_are_compared_as_loosely_as_a_field_keeps_them(
    field: RemoteField, one: Any, other: Any, equal: bool, loosely: bool
) -> None:
    for lossy, same in ((False, equal), (True, loosely)):
        compared = compare(replace(field, lossy=lossy), "")
        assert compared(one, other) is same
        assert compared(other, one) is same
