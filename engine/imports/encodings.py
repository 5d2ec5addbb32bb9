"""Which encoding a text file is in: by its mark, else UTF-8 if it looks like it, else Windows-1252, which is told."""

import codecs
import contextlib
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from engine.imports.problems import FileUnreadable

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What people may state, by the names that they know.
KNOWN = {
    "utf-8": "utf-8-sig",
    "utf8": "utf-8-sig",
    "utf-8-sig": "utf-8-sig",
    "utf-16": "utf-16",
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-15": "iso8859-15",
}
TOLD = {"utf-8-sig": "UTF-8", "utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16",
        "cp1252": "Windows-1252", "iso8859-15": "ISO-8859-15"}  # fmt: skip
BLOCK = 1 << 20
# No more than this is looked through: what comes later in another encoding is told row by row.
LOOKED = 256 << 20
# A character of several bytes as UTF-8 has it; and any byte that is not ASCII.
_WHOLE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_BEYOND = re.compile(rb"[\x80-\xff]")


def stated(name: str) -> str:
    """The encoding that people call so. Raises `FileUnreadable`."""
    found = KNOWN.get(name.strip().lower())
    if found is None:
        raise FileUnreadable(reason=f'the encoding "{name[:40]}" is not known; use one of {", ".join(KNOWN)}')
    return found


def detected(stream: BinaryIO) -> str:
    """The encoding of a stream, which is read for that from where it stands."""
    first = stream.read(4)
    for mark, encoding in MARKS:
        if first.startswith(mark):
            return encoding
    if len(first) >= 4 and 0 in (first[0], first[1]) and first[:2] != b"\0\0":
        # ASCII in two bytes each, without a mark.
        return "utf-16-be" if first[0] == 0 else "utf-16-le"
    whole = broken = 0
    for block in _blocks(stream, first):
        if block.isascii():
            continue
        characters = _WHOLE.findall(block)
        whole += len(characters)
        broken += len(_BEYOND.findall(block)) - sum(map(len, characters))
    # A file in UTF-8 may have broken rows, which are told; one in Windows-1252 has next to nothing that is UTF-8.
    return "cp1252" if broken > whole else "utf-8-sig"


def _blocks(stream: BinaryIO, first: bytes) -> Iterator[bytes]:
    block, seen = first, 0
    # What breaks off is told by whoever reads the rows.
    with contextlib.suppress(EOFError, zlib.error, OSError):
        block += stream.read(BLOCK)
        while block and seen < LOOKED:
            seen += len(block)
            yield block
            block = b""
            block = stream.read(BLOCK)
    if block and not seen:
        yield block
