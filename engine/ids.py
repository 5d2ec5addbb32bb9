"""Ids as clients see them: opaque, stable text of the form `kind_number`."""

import re

from engine.problems import MalformedId

# The kind in front keeps an id of one noun from being taken for another's.
PREFIXES = {
    "account": "acc",
    "user": "usr",
    "key": "key",
    "object type": "obj",
    "property": "prp",
    "record": "rec",
    "association type": "typ",
    "workflow": "wfl",
    "enrollment": "enr",
    "segment": "seg",
    "import": "imp",
    "event": "evn",
    "webhook": "whk",
    "delivery": "dlv",
    "trouble": "trb",
    "connection": "con",
    "sync": "syn",
    "mapping": "map",
    "link": "lnk",
    "conflict": "cfl",
    "plan": "pln",
    "plan item": "pli",
    "attempt": "att",
    "report": "rpt",
}
KINDS = {prefix: kind for kind, prefix in PREFIXES.items()}

FORM = re.compile(r"([a-z]{3})_([1-9][0-9]{0,18})", re.ASCII)
LARGEST = 2**63 - 1


def encode(kind: str, number: int) -> str:
    """The id of the `kind` with this number."""
    return f"{PREFIXES[kind]}_{number}"


def decode(kind: str, text: str) -> int:
    """The number behind an id of `kind`; raises `MalformedId`."""
    found = FORM.fullmatch(text)
    if found is None or found[1] != PREFIXES[kind] or int(found[2]) > LARGEST:
        raise MalformedId(id=text[:100], kind=kind)
    return int(found[2])


def kind_of(text: str) -> str:
    """The kind that an id names; raises `MalformedId`."""
    found = FORM.fullmatch(text)
    if found is None or found[1] not in KINDS:
        raise MalformedId(id=text[:100], kind="object")
    return KINDS[found[1]]


def decode_at(kind: str, text: str, *path: str | int) -> int:
    """As `decode`, for an id that stands at `path` of the input."""
    try:
        return decode(kind, text)
    except MalformedId as problem:
        raise problem.at(*path) from None
