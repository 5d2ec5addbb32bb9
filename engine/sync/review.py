"""What a change of a sync's definition changes: shown before it is made, and told once it is. Pure."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.sync.definition import Definition, kept, spelled

ADDED, REMOVED, CHANGED = "ADDED", "REMOVED", "CHANGED"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that a change changes. `what`: direction, policy, mapping, role, filter, matcher or option."""

    what: str
    name: str
    did: str
    before: Any = None
    after: Any = None

    def told(self) -> dict[str, Any]:
        """As an event tells it."""
        return {
            "what": self.what,
            "name": self.name,
            "did": self.did,
            "before": self.before,
            "after": self.after,
        }


def differences(before: Definition, after: Definition) -> list[Difference]:
    """Everything in which two definitions differ, as people read them."""
    return list(_differences(before, after))


def _differences(before: Definition, after: Definition) -> Iterator[Difference]:
    if before.direction is not after.direction:
        yield Difference("direction", "direction", CHANGED, before.direction.value, after.direction.value)
    if before.policy is not after.policy:
        yield Difference("policy", "policy", CHANGED, before.policy.value, after.policy.value)
    yield from _parts("mapping", _mappings(before), _mappings(after))
    old, new = kept(before), kept(after)
    yield from _parts("role", _roles(old["roles"]), _roles(new["roles"]))
    for key, name in (("filterOurs", "filterOurs"), ("filterTheirs", "filterTheirs")):
        one, other = old.get(key) or None, new.get(key) or None
        if one != other:
            did = ADDED if one is None else REMOVED if other is None else CHANGED
            yield Difference("filter", name, did, one, other)
    if before.matchers != after.matchers:
        yield Difference("matcher", "matchers", CHANGED, old.get("matchers"), new.get("matchers"))
    options = spelled(before.options), spelled(after.options)
    for name, value in options[0].items():
        if value != options[1][name]:
            yield Difference("option", name, CHANGED, value, options[1][name])


def _mappings(definition: Definition) -> dict[Hashable, tuple[str, Any]]:
    return {
        (one.property, one.field): (
            f"{one.property} ↔ {one.field}",
            {
                "property": one.property,
                "field": one.field,
                "direction": one.direction,
                "policy": one.policy,
                "options": dict(one.options),
                "enabled": one.enabled,
            },
        )
        for one in definition.mappings
    }


def _roles(parts: Sequence[Mapping[str, Any]]) -> dict[Hashable, tuple[str, Any]]:
    return {
        (one["role"], one["to"], one["label"]): (
            f"{one['to']} ({one['label'] or 'associated'}) ↔ {one['role']}",
            dict(one),
        )
        for one in parts
    }


def _parts(
    what: str, before: Mapping[Hashable, tuple[str, Any]], after: Mapping[Hashable, tuple[str, Any]]
) -> Iterator[Difference]:
    for key, (name, old) in before.items():
        if key not in after:
            yield Difference(what, name, REMOVED, old)
        elif after[key][1] != old:
            yield Difference(what, name, CHANGED, old, after[key][1])
    for key, (name, new) in after.items():
        if key not in before:
            yield Difference(what, name, ADDED, None, new)
