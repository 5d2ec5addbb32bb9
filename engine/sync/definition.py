"""A sync's definition: what people write, as a document with typed keys, and as it is kept. By names, not bound yet.

{"direction", "policy",
 "mappings": [{"property", "field", "direction"?, "policy"?, "options": [{"ours", "theirs"}], "enabled"}],
 "roles": [{"role", "to", "label"?, "direction"?}],
 "filterOurs"?: a filter, "filterTheirs": [{"field", "test", "values"}],
 "matchers"?: [property],
 "options": {"withoutEmail", "pauseOutsideFilter", "deletes", "deleteShare", "allCompanies", "paceSeconds",
             "sweepSeconds"}}

Whatever is left out is as it was, or as the default.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

from engine.problems import PathPart, Problem, Refused
from engine.sync.problems import MalformedSync, OptionNotPossible
from engine.sync.rules import Condition, Deletes, Direction, Options, Policy, Test
from storage.catalogue import ObjectTypeRow
from storage.sync.mappings import MappingRow
from storage.sync.syncs import SyncRow

T = TypeVar("T")

# How many of each a sync may have.
MOST = 1_000
SHORTEST_PACE, LONGEST_PACE = 1.0, 86_400.0
SHORTEST_SWEEP, LONGEST_SWEEP = 60.0, 31 * 86_400.0


@dataclass(frozen=True, slots=True)
class MappingPart:
    """A property and a field by name. `direction` None: as the sync goes, where both sides can be written."""

    property: str
    field: str
    direction: Direction | None = None
    policy: Policy | None = None
    options: Mapping[str, str] = dataclasses.field(default_factory=dict)
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class RolePart:
    """A role, and the label (None: the plain association; "primary") to records of the object type `to`."""

    role: str
    to: str
    label: str | None = None
    direction: Direction | None = None


@dataclass(frozen=True, slots=True)
class Definition:
    """What a sync is to do. `matchers` None: those that go without saying."""

    direction: Direction = Direction.BOTH
    policy: Policy = Policy.MOST_RECENT
    mappings: tuple[MappingPart, ...] = ()
    roles: tuple[RolePart, ...] = ()
    filter_ours: Mapping[str, Any] | None = None
    filter_theirs: tuple[Condition, ...] = ()
    matchers: tuple[str, ...] | None = None
    options: Options = dataclasses.field(default_factory=Options)


# --- as people write it ------------------------------------------------------------------------------------------


class _Reading:
    """Reads a document and gathers what is wrong with it, each at its path."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def wrong(self, path: Sequence[PathPart], reason: str) -> None:
        self.problems.append(MalformedSync(reason=reason, path=tuple(path)))

    def word(self, body: Mapping[str, Any], name: str, path: Sequence[PathPart]) -> str:
        value = body.get(name)
        if not isinstance(value, str) or not value:
            self.wrong((*path, name), f'"{name}" is a name')
            return ""
        return value

    def choice(self, kind: type[T], value: Any, path: Sequence[PathPart]) -> T | None:
        try:
            return None if value is None else kind(value)  # type: ignore[call-arg] # an enum's value
        except ValueError:
            known = ", ".join(str(one) for one in kind)  # type: ignore[attr-defined] # an enum
            self.wrong(path, f"{str(value)[:40]!r} is none of {known}")
            return None

    def each(
        self,
        value: Any,
        path: Sequence[PathPart],
        read: Callable[[Mapping[str, Any], tuple[PathPart, ...]], T],
    ) -> tuple[T, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(one, Mapping) for one in value):
            self.wrong(path, f'"{path[-1]}" is a list of objects')
            return ()
        if len(value) > MOST:
            self.wrong(path, f"there are at most {MOST} of them")
            return ()
        return tuple(read(one, (*path, n)) for n, one in enumerate(value))

    def mapping(self, body: Mapping[str, Any], path: tuple[PathPart, ...]) -> MappingPart:
        enabled = body.get("enabled", True)
        if not isinstance(enabled, bool):
            self.wrong((*path, "enabled"), '"enabled" is true or false')
        return MappingPart(
            self.word(body, "property", path),
            self.word(body, "field", path),
            self.choice(Direction, body.get("direction"), (*path, "direction")),
            self.choice(Policy, body.get("policy"), (*path, "policy")),
            dict(self.each(body.get("options") or [], (*path, "options"), self.pair)),
            enabled is not False,
        )

    def pair(self, body: Mapping[str, Any], path: tuple[PathPart, ...]) -> tuple[str, str]:
        return self.word(body, "ours", path), self.word(body, "theirs", path)

    def role(self, body: Mapping[str, Any], path: tuple[PathPart, ...]) -> RolePart:
        label = body.get("label")
        if label is not None and not isinstance(label, str):
            self.wrong((*path, "label"), '"label" is a name')
            label = None
        return RolePart(
            self.word(body, "role", path),
            self.word(body, "to", path),
            label,
            self.choice(Direction, body.get("direction"), (*path, "direction")),
        )

    def condition(self, body: Mapping[str, Any], path: tuple[PathPart, ...]) -> Condition:
        values = body.get("values") or []
        if not isinstance(values, list | tuple) or not all(isinstance(one, str) for one in values):
            self.wrong((*path, "values"), '"values" is a list of texts')
            values = []
        test = self.choice(Test, body.get("test"), (*path, "test"))
        if test is None and body.get("test") is None:
            self.wrong((*path, "test"), '"test" is missing')
        return Condition(self.word(body, "field", path), test or Test.IS_KNOWN, tuple(values))

    def options(self, body: Any, base: Options) -> Options:
        if not isinstance(body, Mapping):
            self.wrong(("options",), '"options" is an object')
            return base
        chosen: dict[str, Any] = {}
        for key, name in _FLAGS.items():
            if (value := body.get(key)) is not None:
                if not isinstance(value, bool):
                    self.wrong(("options", key), f'"{key}" is true or false')
                chosen[name] = value
        if (deletes := self.choice(Deletes, body.get("deletes"), ("options", "deletes"))) is not None:
            chosen["deletes"] = deletes
        if body.get("deleteShare") is not None:
            chosen["delete_share"] = self.number(body, "deleteShare", 0.0, 1.0)
        for key, name, least, most in _TIMES:
            if key in body:
                given = body[key] is not None
                chosen[name] = timedelta(seconds=self.number(body, key, least, most)) if given else None
        return replace(base, **chosen)

    def number(self, body: Mapping[str, Any], key: str, least: float, most: float) -> float:
        value = body[key]
        if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
            return float(value)
        reason = f"it is a number from {least:.15g} to {most:.15g}"
        self.problems.append(OptionNotPossible(option=key, reason=reason, path=("options", key)))
        return least


_FLAGS = {
    "withoutEmail": "without_email",
    "pauseOutsideFilter": "pause_outside_filter",
    "allCompanies": "all_companies",
}
_TIMES = (
    ("paceSeconds", "pace", SHORTEST_PACE, LONGEST_PACE),
    ("sweepSeconds", "sweep", SHORTEST_SWEEP, LONGEST_SWEEP),
)


def read(document: Mapping[str, Any], base: Definition) -> Definition:
    """What a document asks for; what it leaves out is as in `base`. Raises `Refused` with whatever is no such thing.

    Mappings, roles, conditions and matchers are given as wholes; of options those that are named. A filter of null
    is none.
    """
    reading = _Reading()
    chosen: dict[str, Any] = {}
    if (direction := reading.choice(Direction, document.get("direction"), ("direction",))) is not None:
        chosen["direction"] = direction
    if (policy := reading.choice(Policy, document.get("policy"), ("policy",))) is not None:
        chosen["policy"] = policy
    for key, name, part in (
        ("mappings", "mappings", reading.mapping),
        ("roles", "roles", reading.role),
        ("filterTheirs", "filter_theirs", reading.condition),
    ):
        if document.get(key) is not None:
            chosen[name] = reading.each(document[key], (key,), part)
    if "filterOurs" in document:
        chosen["filter_ours"] = _filter(reading, document["filterOurs"])
    if "matchers" in document:
        chosen["matchers"] = _matchers(reading, document["matchers"])
    if document.get("options") is not None:
        chosen["options"] = reading.options(document["options"], base.options)
    if reading.problems:
        raise Refused(reading.problems)
    return replace(base, **chosen)


def _filter(reading: _Reading, value: Any) -> Mapping[str, Any] | None:
    if value is None or isinstance(value, Mapping):
        return value or None
    reading.wrong(("filterOurs",), '"filterOurs" is a filter')
    return None


def _matchers(reading: _Reading, value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        reading.wrong(("matchers",), '"matchers" is a list of names of properties')
        return None
    return tuple(dict.fromkeys(value))


# --- as it is kept -----------------------------------------------------------------------------------------------


def kept(definition: Definition) -> dict[str, Any]:
    """What the sync's row keeps; direction, policy and mappings stand in places of their own."""
    document: dict[str, Any] = {
        "roles": [
            {"role": one.role, "to": one.to, "label": one.label, "direction": one.direction}
            for one in definition.roles
        ],
        "filterTheirs": [
            {"field": one.field, "test": one.test, "values": list(one.values)}
            for one in definition.filter_theirs
        ],
        "options": spelled(definition.options),
    }
    if definition.filter_ours is not None:
        document["filterOurs"] = dict(definition.filter_ours)
    if definition.matchers is not None:
        document["matchers"] = list(definition.matchers)
    return document


def of(row: SyncRow, mappings: Sequence[MappingRow], object_type: ObjectTypeRow) -> Definition:
    """The definition of a sync as it is kept."""
    names = {prop.id: prop.name for prop in object_type.properties.values()}
    parts = tuple(
        MappingPart(
            names[one.property_id],
            one.field,
            Direction(one.direction),
            None if one.policy is None else Policy(one.policy),
            one.options,
            one.enabled,
        )
        for one in mappings
        if one.property_id in names
    )
    base = Definition(Direction(row.direction), Policy(row.policy), parts)
    return read(row.definition, base)


def spelled(options: Options) -> dict[str, Any]:
    """Options as a document says them."""
    return {
        "withoutEmail": options.without_email,
        "pauseOutsideFilter": options.pause_outside_filter,
        "allCompanies": options.all_companies,
        "deletes": options.deletes,
        "deleteShare": options.delete_share,
        "paceSeconds": None if options.pace is None else options.pace.total_seconds(),
        "sweepSeconds": None if options.sweep is None else options.sweep.total_seconds(),
    }
