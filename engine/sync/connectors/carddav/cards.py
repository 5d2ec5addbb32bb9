"""A vCard as lines that can be changed one by one: what is not touched is written as it was read, byte by byte.

Versions 3.0 (RFC 2426) and 4.0 (RFC 6350). Libraries that parse cards into objects write all of it anew, and lose what
they do not know; people's address books hold much that nobody else knows.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

_LINE = re.compile(r"(?:([\w-]+)\.)?([\w-]+)((?:;(?:[^\":;]|\"[^\"]*\")*)*):(.*)", re.DOTALL)
_PARAMETER = re.compile(r";([\w-]+)(?:=((?:[^\";]|\"[^\"]*\")*))?")
_VALUE = re.compile(r"\"([^\"]*)\"|([^,\"]+)")
_FOLD = 75


@dataclass(slots=True)
class Line:
    """A property of a card. `raw` is how it was read, folds included; None once it is changed, or new.

    `parameters` are (NAME, values) as written, names in capitals; `value` is escaped still.
    """

    name: str
    value: str
    parameters: list[tuple[str, list[str]]] = field(default_factory=list)
    group: str | None = None
    raw: str | None = None

    def types(self) -> set[str]:
        """What kind it is, in small letters: "work", "cell", "pref"."""
        return {
            value.strip().lower()
            for name, values in self.parameters
            # Version 2.1 writes a kind without a name.
            for value in ([name] if not values else values if name == "TYPE" else [])
            for value in value.split(",")
        }

    def parameter(self, name: str) -> str | None:
        """The first value of a parameter."""
        return next((values[0] for known, values in self.parameters if known == name and values), None)

    def preference(self) -> int:
        """1 is the most preferred one, 101 one of which nothing is said."""
        said = self.parameter("PREF") or ""
        if said.isascii() and said.isdigit():
            return min(int(said[:4]), 100)
        return 1 if "pref" in self.types() else 101

    def text(self) -> str:
        """The value as one text."""
        return unescape(self.value)

    def parts(self) -> list[str]:
        """The parts of a structured value. Commas within one are taken as they are: many never escape them."""
        return [unescape(part) for part in split(self.value, ";")]

    def set(self, value: str) -> None:
        """A new value, escaped."""
        if value != self.value:
            self.value, self.raw = value, None
            # It is text now, as a value without these parameters is.
            self.parameters = [
                each for each in self.parameters if each[0] not in ("VALUE", "ENCODING", "CHARSET")
            ]


class Card:
    """A card's lines in their order."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines

    @classmethod
    def read(cls, text: str) -> "Card":
        """The first card in a text. What is no line of a card is kept, and never found."""
        lines: list[Line] = []
        for raw in _unfolded(text):
            match = _LINE.fullmatch(re.sub(r"\r?\n[ \t]", "", raw.rstrip("\r\n")))
            if match is None:
                lines.append(Line("", raw, raw=raw))
                continue
            group, name, parameters, value = match.groups()
            lines.append(Line(name.upper(), value, _parameters(parameters), group, raw))
            if name.upper() == "END" and value.strip().upper() == "VCARD":
                break
        return cls(lines)

    @classmethod
    def new(cls, uid: str) -> "Card":
        """A card of version 3.0, which everybody reads, with an identity and nothing else."""
        return cls(
            [
                Line("BEGIN", "VCARD"),
                Line("VERSION", "3.0"),
                Line("PRODID", "-//Relata//CardDAV//EN"),
                Line("UID", escape(uid)),
                Line("END", "VCARD"),
            ]
        )

    def all(self, name: str) -> list[Line]:
        """All lines of a name, the preferred ones first."""
        return sorted((line for line in self.lines if line.name == name), key=Line.preference)

    def first(self, name: str) -> Line | None:
        """The line of a name that counts where one is wanted."""
        return next(iter(self.all(name)), None)

    def text(self, name: str) -> str:
        """The text of the first line of a name; empty where there is none."""
        line = self.first(name)
        return "" if line is None else line.text()

    def add(self, line: Line) -> None:
        """One more line, before the end."""
        at = next((i for i, each in enumerate(self.lines) if each.name == "END"), len(self.lines))
        self.lines.insert(at, line)

    def remove(self, line: Line) -> None:
        """Take a line away, with the label that its group gives it."""
        self.lines = [
            each
            for each in self.lines
            if each is not line
            and not (line.group is not None and each.group == line.group and each.name.startswith("X-AB"))
        ]

    def write(self) -> str:
        """The card as text."""
        return "".join(_written(line) for line in self.lines)


def escape(text: str) -> str:
    """A text as part of a value."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\\", "\\\\").replace(",", "\\,").replace(";", "\\;").replace("\n", "\\n")


def unescape(value: str) -> str:
    """The text that a part of a value means. A backslash before anything else is one."""
    return re.sub(r"\\([\\,;:nN])", lambda found: "\n" if found[1] in "nN" else found[1], value)


def split(value: str, at: str) -> list[str]:
    """The parts of an escaped value, escaped still."""
    parts = [""]
    for piece in re.findall(r"\\.|[^\\]|\\$", value, re.DOTALL):
        if piece == at:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def structured(parts: Sequence[str]) -> str:
    """The value whose parts these are."""
    return ";".join(escape(part) for part in parts)


def _unfolded(text: str) -> Iterable[str]:
    """Lines with the folds that they were written with, and their ends."""
    return (found for found in re.findall(r"[^\n]*(?:\n[ \t][^\n]*)*\n?", text) if found.strip("\r\n"))


def _parameters(text: str) -> list[tuple[str, list[str]]]:
    found = []
    for match in _PARAMETER.finditer(text):
        values = [quoted or plain for quoted, plain in _VALUE.findall(match[2] or "")]
        found.append((match[1].upper(), values))
    return found


def _written(line: Line) -> str:
    if line.raw is not None:
        return re.sub(r"\r?\n", "\r\n", line.raw.rstrip("\r\n")) + "\r\n"
    parameters = "".join(
        f";{name}" + ("=" + ",".join(_quoted(value) for value in values) if values else "")
        for name, values in line.parameters
    )
    group = f"{line.group}." if line.group else ""
    return _folded(f"{group}{line.name}{parameters}:{line.value}")


def _quoted(value: str) -> str:
    return f'"{value}"' if re.search(r"[,;:]", value) else value


def _folded(text: str) -> str:
    """In pieces of at most 75 bytes, none of which ends within a character."""
    pieces, size = [""], 0
    for character in text:
        width = len(character.encode())
        if size + width > _FOLD:
            pieces.append("")
            # The space before what follows counts, too.
            size = 1
        pieces[-1] += character
        size += width
    return "\r\n ".join(pieces) + "\r\n"
