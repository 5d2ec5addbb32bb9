"""What an item becomes that no record matches: the short way to what `merge` says, for initial syncs."""

from collections.abc import Callable
from collections.abc import Mapping as Map
from typing import Any, TypeAlias

from engine.sync.merge import Half, Merged, merge
from engine.sync.rules import Direction, Rules, Side
from engine.sync.translate import Untranslated, translation
from engine.values import TEXT_LIMIT


def arrived(rules: Rules, fields: Map[str, Any]) -> Merged:
    """What `merge` makes of an item and no record; most of an initial sync is that."""
    plan = _arriving(rules)
    if plan is None:
        return merge(rules, Half({}, None), Half(fields, None))
    ours: dict[str, Any] = {}
    base: dict[str, Any] = {}
    try:
        for prop, name, texts, to_ours in plan:
            value = fields.get(name)
            if value is None or value == "":
                continue
            if texts and value.__class__ is str and value.isprintable() and len(value) <= TEXT_LIMIT:
                # Most of all: no NUL is printable, and no half of a character.
                ours[prop] = base[name] = value
                continue
            kept = to_ours(value)
            if kept is None:
                return merge(rules, Half({}, None), Half(fields, None))
            ours[prop] = kept
            base[name] = value
    except Untranslated:
        return merge(rules, Half({}, None), Half(fields, None))
    return Merged(ours, _NOTHING, dict(ours), base)


_NOTHING: Map[str, Any] = {}
# By the rules' identity, as long as they live: (property, field, whether texts come in as they are, how a value comes
# in) of mappings that let come in.
_Plan: TypeAlias = list[tuple[str, str, bool, Callable[[Any], Any]]]
_plans: dict[int, tuple[Rules, _Plan | None]] = {}


def _arriving(rules: Rules) -> _Plan | None:
    """What comes in of an item; None where two mappings are about one property."""
    known = _plans.get(id(rules))
    if known is not None and known[0] is rules:
        return known[1]
    coming = [one for one in rules.mappings if one.direction is not Direction.OUT]
    names = {one.property.name for one in coming}
    single = len(names) == len(coming) and rules.goes(Side.OURS)
    plan: _Plan | None = [] if single else None
    for one in coming:
        if plan is not None:
            how = translation(one)
            plan.append((one.property.name, one.field.name, how.takes_texts, how.to_ours))
    if len(_plans) >= 1_000:
        _plans.clear()
    _plans[id(rules)] = rules, plan
    return plan
