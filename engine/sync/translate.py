"""Values between a property of ours and a field of theirs: what fits, how one is said on the other side, what is alike.

Text goes with text, numbers with numbers, dates with dates and moments, choices with choices by a map of options;
anything becomes text, but one way only, since nobody could read it back.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import orjson

from engine.naming import counted
from engine.sync.categories import Category
from engine.sync.connectors.protocol import FieldType, RemoteField
from engine.sync.likeness import compare, empty
from engine.sync.options import option_maps
from engine.sync.rules import Direction, Mapping
from engine.values import PHONE_LIMIT, TEXT_LIMIT, InvalidValue, checker, shown
from storage.catalogue import PropertyRow

Convert: TypeAlias = Callable[[Any], Any]

TEXTS = frozenset({FieldType.STRING, FieldType.PHONE})
TIMES = frozenset({FieldType.DATE, FieldType.DATETIME})

# What a property's type is called among the types of fields; JSON is like none of them.
LIKE: dict[str, FieldType] = {
    "STRING": FieldType.STRING,
    "PHONE": FieldType.PHONE,
    "NUMBER": FieldType.NUMBER,
    "BOOLEAN": FieldType.BOOLEAN,
    "DATE": FieldType.DATE,
    "DATETIME": FieldType.DATETIME,
    "ENUMERATION": FieldType.CHOICE,
}


class Untranslated(Exception):
    """A value that cannot be said on the other side: `category`, and a sentence for people."""

    def __init__(self, category: Category, message: str) -> None:
        self.category = category
        self.message = message
        super().__init__(message)


# --- what fits ---------------------------------------------------------------------------------------------------


def fits(prop: PropertyRow, field: RemoteField, direction: Direction) -> str | None:
    """Why a property and a field cannot be mapped in this direction; None where they can."""
    comes, goes = direction is not Direction.OUT, direction is not Direction.IN
    if comes and (prop.read_only or prop.calculated):
        return f'"{prop.name}" is not written by others: it can only go out'
    if goes and field.read_only:
        return f'"{field.name}" cannot be written over there: it can only come in'
    like = LIKE.get(prop.type)
    if comes and not (_becomes(field.type, like) and _as_many(field.multiple, prop.multiple, like)):
        return f"a value of {_theirs(field)} does not become one of {_ours(prop)}"
    if goes and not (_becomes(like, field.type) and _as_many(prop.multiple, field.multiple, field.type)):
        return f"a value of {_ours(prop)} does not become one of {_theirs(field)}"
    if comes and goes and not (like is field.type or {like, field.type} in (TEXTS, TIMES)):
        return f"what becomes text cannot be read back: {_ours(prop)} and {_theirs(field)} go one way only"
    return None


def _becomes(source: FieldType | None, target: FieldType | None) -> bool:
    """Whether values of one type become values of the other; None is JSON."""
    if target is FieldType.STRING:
        return True
    return source is not None and (source is target or {source, target} in (TEXTS, TIMES))


def _as_many(source: bool, target: bool, type: FieldType | None) -> bool:
    """Several choices do not become one; as text they are joined."""
    return target or not source or type in TEXTS


def _theirs(field: RemoteField) -> str:
    return f"{field.type.value} (several)" if field.multiple else field.type.value


def _ours(prop: PropertyRow) -> str:
    return f"{prop.type} (several)" if prop.multiple else prop.type


# --- one mapping's translation -----------------------------------------------------------------------------------


class Translation:
    """How values of one mapping go from side to side. None is empty, on both sides."""

    __slots__ = (
        "_check",
        "_comes",
        "_in",
        "_options_in",
        "_options_out",
        "_out",
        "_same",
        "mapping",
        "takes_texts",
    )

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self._check = checker(mapping.property)
        self._options_out, self._options_in = option_maps(mapping)
        self._out = self._going_out()
        self._in = self._coming_in()
        self._same = compare(mapping.field, mapping.property.type)
        self._comes = fits(mapping.property, mapping.field, Direction.IN) is None
        prop = mapping.property
        # Whether any text that can be stored comes in as it is; of what is required, blanks do not.
        self.takes_texts = prop.type == "STRING" and not (prop.read_only or prop.calculated or prop.required)

    def to_theirs(self, value: Any) -> Any:
        """A value of ours as theirs; None empties. Raises `Untranslated`."""
        field = self.mapping.field
        if field.read_only:
            raise Untranslated(
                Category.PROPERTY_READ_ONLY, f'The field "{field.name}" cannot be written over there.'
            )
        said = None if empty(value) else self._out(value)
        if empty(said):
            if field.required:
                raise Untranslated(
                    Category.REQUIRED_FIELD_MISSING, f'The field "{field.name}" must not be empty over there.'
                )
            return None
        if field.max_length is not None and isinstance(said, str) and len(said) > field.max_length:
            raise Untranslated(
                Category.VALUE_TOO_LONG,
                f'The field "{field.name}" takes {counted(field.max_length, "character", "characters")}; '
                f"this has {len(said):,}.",
            )
        return said

    def to_ours(self, value: Any) -> Any:
        """A value of theirs as ours, in the form in which it is kept; None clears. Raises `Untranslated`."""
        prop = self.mapping.property
        if prop.read_only or prop.calculated:
            raise Untranslated(Category.PROPERTY_READ_ONLY, f'"{prop.name}" is not written by others.')
        kept = self._kept(value)
        if kept is None and prop.required:
            raise Untranslated(Category.REQUIRED_FIELD_MISSING, f'"{prop.name}" must not be empty.')
        return kept

    def alike(self, ours: Any, theirs: Any) -> bool:
        """Whether both sides say the same, as far as both can say it."""
        if empty(ours) or empty(theirs):
            # What a side keeps of blanks alone is nothing.
            return (
                self._same(None if empty(ours) else ours, theirs)
                if self.mapping.field.lossy
                else (empty(ours) and empty(theirs))
            )
        try:
            if self._same(self._out(ours), theirs):
                return True
        except Untranslated:
            pass
        # Several of ours may stand for one of theirs, and several of theirs for one of ours.
        try:
            return self._comes and self.same_ours(self._kept(theirs), ours)
        except Untranslated:
            return False

    def same_theirs(self, one: Any, other: Any) -> bool:
        """Whether two values of the field are equal; loosely where the field does not keep what it was given."""
        return self._same(one, other)

    def same_ours(self, one: Any, other: Any) -> bool:
        """Whether two values of the property are equal."""
        if empty(one) or empty(other):
            return empty(one) and empty(other)
        if self.mapping.property.type == "JSON":
            return _text(one) == _text(other)
        return bool(one == other)

    def shown(self, value: Any) -> Any:
        """A value of theirs in our terms for people to look at; as it is where it cannot be said."""
        try:
            return self._kept(value)
        except Untranslated:
            return value

    def _kept(self, value: Any) -> Any:
        said = None if value is None or value == "" or value == [] else self._in(value)
        try:
            return self._check(said)
        except InvalidValue as problem:
            raise Untranslated(_fault(self.mapping.property, said), problem.message) from None

    def _going_out(self) -> Convert:
        field = self.mapping.field
        if field.type is FieldType.CHOICE:
            return self._choices_out if field.multiple else self._choice_out
        if field.type in TEXTS:
            return _text
        return _TIMES.get(field.type.value, _as_it_is)

    def _coming_in(self) -> Convert:
        prop, field = self.mapping.property, self.mapping.field
        if prop.type == "ENUMERATION" and field.type is FieldType.CHOICE:
            return self._choices_in if prop.multiple else self._choice_in
        if prop.type in ("STRING", "PHONE"):
            return _text
        return _TIMES.get(prop.type, _as_it_is)

    def _choice_out(self, value: Any) -> Any:
        found = self._options_out.get(value) if isinstance(value, str) else None
        if found is not None:
            return found
        if isinstance(value, str) and not self.mapping.field.options:
            return value
        raise Untranslated(
            Category.OPTION_NOT_FOUND,
            f'The field "{self.mapping.field.name}" has no option for {shown(value)}.',
        )

    def _choices_out(self, value: Any) -> Any:
        return [self._choice_out(one) for one in _list(value)]

    def _choice_in(self, value: Any) -> Any:
        found = self._options_in.get(value) if isinstance(value, str) else None
        if found is None:
            raise Untranslated(
                Category.OPTION_NOT_FOUND,
                f'"{self.mapping.property.name}" has no option for {shown(value)}.',
            )
        return found

    def _choices_in(self, value: Any) -> Any:
        return [self._choice_in(one) for one in _list(value)]


# By the mapping's identity: a mapping lives as long as its rules, and is asked for each of thousands of items.
_known: dict[int, Translation] = {}
MOST_KNOWN = 10_000


def translation(mapping: Mapping) -> Translation:
    """The mapping's translation, made once."""
    found = _known.get(id(mapping))
    # An id may be given again once its mapping is gone, but what is kept here is not gone.
    if found is None or found.mapping is not mapping:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        found = _known[id(mapping)] = Translation(mapping)
    return found


def to_theirs(mapping: Mapping, value: Any) -> Any:
    """A value of ours as theirs; None empties. Raises `Untranslated`."""
    return translation(mapping).to_theirs(value)


def to_ours(mapping: Mapping, value: Any) -> Any:
    """A value of theirs as ours, in the form in which it is kept; None clears. Raises `Untranslated`."""
    return translation(mapping).to_ours(value)


def alike(mapping: Mapping, ours: Any, theirs: Any) -> bool:
    """Whether both sides say the same, as far as both can say it."""
    return translation(mapping).alike(ours, theirs)


# --- single values ---------------------------------------------------------------------------------------------------


def _fault(prop: PropertyRow, value: Any) -> Category:
    """What is wrong with a value that the property does not take."""
    wanted: tuple[type, ...] = {"NUMBER": (int, float), "BOOLEAN": (bool,), "ENUMERATION": (str, list)}.get(
        prop.type, (str,)
    )
    if not isinstance(value, wanted) or (prop.type == "NUMBER" and isinstance(value, bool)):
        return Category.TYPE_MISMATCH
    longest = {"STRING": TEXT_LIMIT, "PHONE": PHONE_LIMIT}.get(prop.type)
    if longest is not None and isinstance(value, str) and len(value) > longest:
        return Category.VALUE_TOO_LONG
    return Category.INVALID_VALUE


def _as_it_is(value: Any) -> Any:
    return value


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return ";".join(value)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _date(value: Any) -> Any:
    """The day of a moment, in UTC."""
    return value[:10] if isinstance(value, str) and value[10:11] in ("T", " ") else value


def _moment(value: Any) -> Any:
    """The beginning of a day, in UTC."""
    return f"{value}T00:00:00.000Z" if isinstance(value, str) and len(value) == 10 else value


_TIMES: dict[str, Convert] = {"DATE": _date, "DATETIME": _moment}
