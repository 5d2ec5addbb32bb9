"""What a decision would do, in words that can be kept, shown, and compared with what would be done later. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.sync.connectors.protocol import Item
from engine.sync.decide import Decision, Kind
from engine.sync.rules import Rules, Side
from storage.records import RecordRow
from storage.sync.links import FAILED, LinkRow

# What is done with something, as people say it.
WORDS = {
    Kind.CREATE_OURS: "created here",
    Kind.CREATE_THEIRS: "created over there",
    Kind.MATCH: "matched",
    Kind.UPDATE: "updated",
    Kind.DELETE_OURS: "deleted here",
    Kind.DELETE_THEIRS: "deleted over there",
    Kind.CONFLICT: "left to a person's choice",
    Kind.EXCLUDE: "left out",
    Kind.FAIL: "told as failed",
    Kind.NONE: "left as it is",
}

# What becomes of an association that is written: it comes, or goes.
ADDED, REMOVED = "ADDED", "REMOVED"
DONE = (ADDED, REMOVED)

# Ids of candidates that are told, where several match.
TOLD = 20


def kind_of(
    decision: Decision, problem: Mapping[str, Any] | None, associations: Sequence[Mapping[str, Any]] = ()
) -> Kind:
    """What would come of it: what our own commands refuse fails, whatever was decided.

    What has associations alone to be written is updated, too. Where some of them alone are refused, the rest is done.
    """
    if problem is not None and not problem.get("ends"):
        return Kind.FAIL
    if decision.kind is not Kind.NONE:
        return decision.kind
    if any(one["did"] in DONE for one in associations):
        return Kind.UPDATE
    return Kind.NONE if problem is None else Kind.FAIL


def refused_ends(effect: Mapping[str, Any]) -> dict[str, Any] | None:
    """The problem of what is refused associations alone; None: nothing is, or more."""
    problem = effect.get("problem")
    return dict(problem) if problem is not None and problem.get("ends") else None


def effect(
    rules: Rules,
    decision: Decision,
    link: LinkRow | None,
    record: RecordRow | None,
    item: Item | None,
    refused: Mapping[str, Any] | None = None,
    associations: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """{"ours": {property: [before, after]}, "theirs": {field: [before, after]}, …}, as SyncPlanItem keeps it.

    `refused`: {"category", "message", "side"} where our own commands would refuse it, with "ends" where that is about
    associations alone; `associations`: see `plan_ends`.
    """
    held_theirs = item.fields if item is not None else (link.base_theirs if link is not None else None) or {}
    told: dict[str, Any] = {
        "ours": _differences(record.properties if record is not None else {}, decision.merged.ours),
        "theirs": _differences(held_theirs, decision.merged.theirs),
    }
    if decision.matched_by is not None:
        told["matchedBy"] = decision.matched_by
    if decision.merged.conflicts:
        names = {mapping.id: mapping.property.name for mapping in rules.mappings}
        told["conflicts"] = [names[one.mapping_id] for one in decision.merged.conflicts]
    problem = dict(refused) if refused is not None else _problem(decision)
    if problem is not None:
        told["problem"] = problem
    if associations:
        told["associations"] = list(associations)
    return told


def told_of(effect: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What an effect says of associations."""
    return list(effect.get("associations") or ())


def done(associations: Iterable[Mapping[str, Any]]) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    """Those that come or go, each by what it is."""
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for one in associations:
        if one["did"] in DONE:
            end = one["record"] if one["side"] == Side.OURS else (one["role"], one["item"])
            found[one["did"], one["side"], one["type"], end, one.get("of")] = one
    return found


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What is written, unless it says the same again; nor does emptying what is empty say anything."""
    return {name: [before.get(name), value] for name, value in after.items() if before.get(name) != value}


def _problem(decision: Decision) -> dict[str, Any] | None:
    if decision.state != FAILED and decision.kind is not Kind.EXCLUDE:
        return None
    told: dict[str, Any] = {
        "category": decision.category,
        "message": decision.message,
        "side": decision.failed_side,
    }
    ids = (decision.details or {}).get("ids")
    if ids:
        told["candidates"] = list(ids)[:TOLD]
    return told


def overtaken(kind: str, planned: Mapping[str, Any], kind_now: str, now: Mapping[str, Any]) -> str | None:
    """What has changed between two effects, in words; None where the same would be done."""
    if kind != kind_now:
        return (
            f"It was to be {WORDS[Kind(kind)]}; as both sides are now, it would be {WORDS[Kind(kind_now)]}."
        )
    if _category(planned) != _category(now):
        return f"It was to fail with {_category(planned)}; as both sides are now, with {_category(now)}."
    for side in (Side.OURS, Side.THEIRS):
        name = side.value.lower()
        before, after = planned.get(name) or {}, now.get(name) or {}
        changed = sorted(field for field in {*before, *after} if before.get(field) != after.get(field))
        if changed:
            where = "our record" if side is Side.OURS else "their item"
            return f"What would be written to {where} has changed: {', '.join(changed)}."
    if sorted(planned.get("conflicts") or ()) != sorted(now.get("conflicts") or ()):
        return "Other fields are in conflict now."
    if done(told_of(planned)).keys() != done(told_of(now)).keys():
        return "What would become of its associations has changed."
    return None


def _category(told: Mapping[str, Any]) -> str | None:
    problem = told.get("problem")
    return None if problem is None else problem.get("category")
