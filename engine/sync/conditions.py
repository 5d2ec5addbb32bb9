"""Which items are synced at all: conditions on fields of theirs, and contacts with an e-mail address alone. Pure."""

from collections.abc import Sequence
from typing import Any, assert_never

from engine.sync.likeness import empty, folded
from engine.sync.matching import valid_email
from engine.sync.rules import Condition, Rules, Side, Test, Values

EMAIL = "email"


def meets(conditions: Sequence[Condition], fields: Values) -> bool:
    """Whether an item's fields are like all of the conditions say."""
    return not conditions or all(_meets(condition, fields.get(condition.field)) for condition in conditions)


def lacks_email(rules: Rules, side: Side, values: Values) -> bool:
    """Whether these are the values of a contact without a valid e-mail address, and such are not synced.

    Where the app has no field for it, nothing is asked of items.
    """
    if rules.object_type.name != "contacts" or rules.options.without_email:
        return False
    name = EMAIL if side is Side.OURS else _email_field(rules)
    return name is not None and not valid_email(values.get(name))


# By the rules' identity, as long as they live: asked of every item.
_fields: dict[int, tuple[Rules, str | None]] = {}
MOST_KNOWN = 1_000


def _email_field(rules: Rules) -> str | None:
    known = _fields.get(id(rules))
    if known is None or known[0] is not rules:
        if len(_fields) >= MOST_KNOWN:
            _fields.clear()
        known = _fields[id(rules)] = rules, _found_field(rules)
    return known[1]


def _found_field(rules: Rules) -> str | None:
    mapped = next((one.field.name for one in rules.mappings if one.property.name == EMAIL), None)
    return mapped or next((one.field.name for one in rules.matchers if one.property.name == EMAIL), None)


def _meets(condition: Condition, value: Any) -> bool:
    match condition.test:
        case Test.IS_KNOWN:
            return not empty(value)
        case Test.IS_UNKNOWN:
            return empty(value)
        case Test.IS_ANY_OF:
            return bool(_texts(value) & _wanted(condition))
        case Test.IS_NONE_OF:
            return not _texts(value) & _wanted(condition)
        case Test.CONTAINS:
            return any(part in text for text in _texts(value) for part in _wanted(condition))
        case Test.STARTS_WITH:
            return any(text.startswith(part) for text in _texts(value) for part in _wanted(condition))
        case Test.ENDS_WITH:
            return any(text.endswith(part) for text in _texts(value) for part in _wanted(condition))
        case Test.AT_LEAST:
            return all(_compared(value, limit) in (0, 1) for limit in condition.values)
        case Test.AT_MOST:
            return all(_compared(value, limit) in (0, -1) for limit in condition.values)
        case _:
            assert_never(condition.test)


def _wanted(condition: Condition) -> set[str]:
    return {str(folded(value)) for value in condition.values}


def _texts(value: Any) -> set[str]:
    """A value as the texts that it may be compared with; several choices are several."""
    if empty(value):
        return set()
    if isinstance(value, list | tuple):
        return {text for one in value for text in _texts(one)}
    if isinstance(value, bool):
        return {str(value).lower()}
    if isinstance(value, float) and value.is_integer():
        return {str(int(value))}
    return {str(folded(value) if isinstance(value, str) else value)}


def _compared(value: Any, limit: str) -> int | None:
    """-1, 0 or 1: below, at, or above; None where the two do not compare. A day stands for all of its moments."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(limit)
        except ValueError:
            return None
        return (value > number) - (value < number)
    if not isinstance(value, str) or value == "":
        return None
    text = value[:10] if len(limit) == 10 else value
    return (text > limit) - (text < limit)
