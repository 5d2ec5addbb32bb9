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
    # Before UTF-16, whose mark theirs begins with.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
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
    "utf-32": "utf-32",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-15": "iso8859-15",
}
TOLD = {
    "utf-8-sig": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "utf-32": "UTF-32",
    "utf-32-le": "UTF-32",
    "utf-32-be": "UTF-32",
    "cp1252": "Windows-1252",
    "iso8859-15": "ISO-8859-15",
}
BLOCK = 1 << 20
# No more than this is looked through: what comes later in another encoding is told row by row.
LOOKED = 256 << 20
# A character of several bytes as UTF-8 has it; and any byte that is not ASCII.
_WHOLE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_BEYOND = re.compile(rb"[\x80-\xff]")
# What stands for bytes that are no text: half a character, so that a row can be told and left out.
BROKEN = "\udcff"


def _broken(error: UnicodeError) -> tuple[str | bytes, int]:
    assert isinstance(error, UnicodeDecodeError)  # files are only read
    return BROKEN, error.end


codecs.register_error("relata.broken", _broken)


def errors(encoding: str) -> str:
    """How a file in this encoding is read, so that nothing which is no text comes through as if it were."""
    # For UTF-8 the same is built in.
    return "surrogateescape" if encoding.startswith("utf-8") else "relata.broken"


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
    if first[1:] == b"\0\0\0" or first[:3] == b"\0\0\0":
        # ASCII in four bytes each, without a mark.
        return "utf-32-le" if first[0] else "utf-32-be"
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
