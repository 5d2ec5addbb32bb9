"""Drafts: records as a batch changes them, input by input, before anything is written. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine import values
from engine.problems import Problem
from engine.records.problems import (
    MalformedProperties,
    PropertyReadOnly,
    RequiredProperty,
    unknown_property,
)
from engine.values import Check, InvalidValue
from storage.catalogue import ObjectTypeRow, PropertyRow
from storage.records import RecordRow, Written
from storage.unique_values import Key

# Read-only and calculated properties are written by the system alone.
SYSTEM = "SYSTEM"


class Form:
    """What an object type accepts: its properties with their checks, made as they are met."""

    __slots__ = ("_checks", "_good", "guarded", "object_type", "required", "unique")

    def __init__(self, object_type: ObjectTypeRow, *, guarded: bool = True) -> None:
        self.object_type = object_type
        self.guarded = guarded
        live = [prop for prop in object_type.properties.values() if prop.archived_at is None]
        self.unique = [prop for prop in live if prop.is_unique]
        # What its caller may not write, a caller cannot be asked for.
        self.required = [
            prop for prop in live if prop.required and not (guarded and (prop.read_only or prop.calculated))
        ]
        self._checks: dict[str, tuple[PropertyRow, Check]] = {}
        # Of properties that come together: whether all of them may be written.
        self._good: dict[tuple[str, ...], bool] = {}

    def check(self, name: str) -> tuple[PropertyRow, Check]:
        """The property `name` with its check. Raises the problem for which it cannot be written."""
        found = self._checks.get(name)
        if found is None:
            found = self._checks[name] = self._make(name)
        return found

    def _make(self, name: str) -> tuple[PropertyRow, Check]:
        prop = self.object_type.live(name)
        if prop is None:
            raise unknown_property(self.object_type.name, name, exists=name in self.object_type.properties)
        if self.guarded and (prop.read_only or prop.calculated):
            kind = "calculated" if prop.calculated else "read-only"
            raise PropertyReadOnly(path=("properties", name), property=name, kind=kind)
        return prop, values.checker(prop)

    def read(
        self, given: Any, present: Mapping[str, Any] | None, *, checked: bool = False
    ) -> tuple[dict[str, Any], list[Problem]]:
        """The changes that `given` asks of a record that holds `present`: {name: new value or None}, and what is wrong.

        `checked`: the values are in their stored form; whether they may be written is looked at.

        What equals the present value is no change, so that an archived option may stay. Where several inputs
        are about one record, what each of them will find is not known yet (None): then all is a change.
        """
        if checked and present == {} and self._all_written(given):
            return dict(given), []
        changes: dict[str, Any] = {}
        problems: list[Problem] = []
        holds = {} if present is None else present
        if not isinstance(given, Mapping):
            return {}, [MalformedProperties(path=("properties",), value=values.shown(given))]
        for name, value in given.items():
            try:
                prop, check = self.check(name)
                was = holds.get(name)
                if present is not None and type(value) is type(was) and prop.type != "JSON" and value == was:
                    continue
                new = value if checked else check(value)
            except InvalidValue as problem:
                problems.append(problem.at("properties"))
            except Problem as problem:
                problems.append(problem)
            else:
                if present is None or not values.same(prop, was, new):
                    changes[name] = new
                    if new is None and prop in self.required:
                        problems.append(_required(prop))
        return changes, problems

    def _all_written(self, given: Mapping[str, Any]) -> bool:
        """Whether all of these values, in their stored form, may be written, and none of them clears."""
        names = tuple(given)
        good = self._good.get(names)
        if good is None:
            good = self._good[names] = all(map(self._writable, names))
        return good and None not in given.values()

    def _writable(self, name: str) -> bool:
        try:
            self.check(name)
        except Problem:
            return False
        return True

    def lacking(self, changes: Mapping[str, Any], told: Sequence[Problem] = ()) -> list[Problem]:
        """What a new record with these values lacks, beyond the problems that were told already."""
        if not self.required:
            return []
        known = {problem.path for problem in told}
        return [
            _required(prop)
            for prop in self.required
            if changes.get(prop.name) is None and ("properties", prop.name) not in known
        ]

    def keys(self, changes: Mapping[str, Any]) -> dict[str, Key | None]:
        """The unique values among `changes`, by property name; None where one is cleared."""
        return {prop.name: self.key(prop, changes[prop.name]) for prop in self.unique if prop.name in changes}

    @staticmethod
    def key(prop: PropertyRow, value: Any) -> Key | None:
        """Under which a unique value is taken."""
        return None if value is None else (prop.id, values.canonical(prop, value))


def _required(prop: PropertyRow) -> Problem:
    return RequiredProperty(path=("properties", prop.name), property=prop.name)


@dataclass(slots=True)
class Draft:
    """One record as the batch leaves it; `before` is None for a new one. `properties` change in place."""

    record_id: int
    form: Form
    before: RecordRow | None
    properties: dict[str, Any]
    # A new record exists once one input has made it.
    exists: bool = field(default=False)

    def apply(self, changes: Mapping[str, Any]) -> None:
        """Take over changes that were found good."""
        self.exists = True
        if not self.properties and None not in changes.values():
            self.properties.update(changes)
            return
        for name, value in changes.items():
            if value is None:
                self.properties.pop(name, None)
            else:
                self.properties[name] = value

    def held(self, name: str) -> Any:
        """The value of a property before the batch; None where there was none."""
        return None if self.before is None else self.before.properties.get(name)

    def changed(self) -> dict[str, list[Any]]:
        """{name: [old, new]} of all properties that differ from those before the batch."""
        before = self.before.properties if self.before is not None else {}
        return {
            name: [before.get(name), self.properties.get(name)]
            for name in (before | self.properties)
            if not values.same(
                self.form.object_type.properties[name], before.get(name), self.properties.get(name)
            )
        }

    def written(self, changed: Mapping[str, Sequence[Any]]) -> Written:
        """What is to be written for an existing record with these changes."""
        return Written(self.record_id, {name: new for name, (_, new) in changed.items()})


@dataclass(slots=True)
class Item:
    """One input of a batch: the draft that it is about, what it asks, and what is wrong with it."""

    draft: Draft | None
    changes: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    # Whether this input made the record.
    created: bool = False
    # The unique values among the changes, once they are claimed: see `Form.keys`.
    keys: dict[str, Key | None] = field(default_factory=dict)
