"""The words in which standard object types are written down. Pure data."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class StandardProperty:
    """A property that every account has. `options` are value → label, in display order."""

    name: str
    label: str
    type: str
    field: str
    group: str
    options: tuple[tuple[str, str], ...] = ()
    multiple: bool = False
    unique: bool = False
    required: bool = False
    searchable: bool = False


@dataclass(frozen=True, slots=True)
class StandardObject:
    """An object type that every account has; an optional one waits to be activated."""

    name: str
    singular: str
    plural: str
    properties: tuple[StandardProperty, ...]
    category: str = "STANDARD"
    active: bool = True
    # None: the built-in display rule.
    display: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Writes down properties of one group: `group.text("city", "City")`."""

    name: str

    def text(self, name: str, label: str, field: str = "SINGLE_LINE_TEXT", **flags: Any) -> StandardProperty:
        """A text; `field` hints at what it holds."""
        return StandardProperty(name, label, "STRING", field, self.name, **flags)

    def number(self, name: str, label: str, field: str = "NUMBER", **flags: Any) -> StandardProperty:
        """A number; `field` may say CURRENCY or PERCENTAGE."""
        return StandardProperty(name, label, "NUMBER", field, self.name, **flags)

    def phone(self, name: str, label: str, **flags: Any) -> StandardProperty:
        """A phone number."""
        return StandardProperty(name, label, "PHONE", "PHONE", self.name, **flags)

    def date(self, name: str, label: str, **flags: Any) -> StandardProperty:
        """A calendar date."""
        return StandardProperty(name, label, "DATE", "DATE", self.name, **flags)

    def moment(self, name: str, label: str, **flags: Any) -> StandardProperty:
        """A point in time."""
        return StandardProperty(name, label, "DATETIME", "DATETIME", self.name, **flags)

    def flag(self, name: str, label: str, **flags: Any) -> StandardProperty:
        """Yes or no."""
        return StandardProperty(name, label, "BOOLEAN", "CHECKBOX", self.name, **flags)

    def choice(self, name: str, label: str, *texts: str, **flags: Any) -> StandardProperty:
        """One of `texts`; an option's value is its text in lower case, words joined by `_`."""
        return StandardProperty(name, label, "ENUMERATION", "SELECT", self.name, options(texts), **flags)

    def choices(self, name: str, label: str, *texts: str, **flags: Any) -> StandardProperty:
        """Any of `texts`."""
        return StandardProperty(
            name, label, "ENUMERATION", "CHECKBOXES", self.name, options(texts), multiple=True, **flags
        )


def options(texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Option values and labels: "In progress" is in_progress."""
    return tuple((value(text), text) for text in texts)


def value(text: str) -> str:
    """The value of an option called `text`."""
    letters = (letter if letter.isalnum() else " " for letter in text.lower())
    return "_".join("".join(letters).split())
