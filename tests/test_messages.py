"""Messages for people: one thing is told as one."""

from dataclasses import replace

import pytest

from engine.naming import counted
from engine.sync.translate import Untranslated, to_theirs
from engine.values import OPTIONS_TOLD
from schema.sync_parts import SyncHold
from tests.sync_rules import mapping, prop, theirs
from tests.test_values import prop as choice
from tests.test_values import refused


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (2_000, "2,000 seconds"),
        (1.0, "1 second"),
        (0.5, "0.5 seconds"),
        (30.0, "30 seconds"),
    ],
)
def test_a_number_agrees_with_its_noun(number: float, told: str) -> None:
    assert counted(number, "second", "seconds") == told


@pytest.mark.parametrize(
    ("of", "told"),
    [(1, "1 of 1 record would"), (5, "1 of 5 records would"), (2_000, "1 of 2,000 records would")],
)
def test_deletions_that_are_held_are_told_with_as_many_records_as_there_are(of: int, told: str) -> None:
    hold = SyncHold.of({"category": "DELETES_HELD", "side": "OURS", "count": 1, "of": of})
    assert hold is not None
    assert hold.message.startswith(told)


@pytest.mark.parametrize(
    ("longest", "told"), [(1, "takes 1 character; this has 4"), (3, "takes 3 characters;")]
)
def test_what_a_field_takes_is_told_with_its_noun(longest: int, told: str) -> None:
    with pytest.raises(Untranslated) as refused:
        to_theirs(mapping(prop(), theirs(max_length=longest), id=1), "four")
    assert told in str(refused.value)


@pytest.mark.parametrize(("beyond", "told"), [(1, " or 1 other"), (2, " or 2 others")])
def test_options_that_are_not_named_are_counted(beyond: int, told: str) -> None:
    options = tuple({"value": f"o{n}", "label": f"O{n}"} for n in range(OPTIONS_TOLD + beyond))
    problem = refused(replace(choice("ENUMERATION"), options=options), "none of them")
    assert told in problem.message
    assert f"{told}s" not in problem.message
