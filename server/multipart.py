"""GraphQL multipart requests: an operation with files, in bounded memory; files wait on disk until it has been run.

`operations` (JSON) comes first, then `map` (which file stands where among the variables), then the files.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from starlette.requests import ClientDisconnect

from server.asking import Asked, Received, Unanswerable, flat, from_values

FORM_TYPE = "multipart/form-data"
# A page of another site can send a form, but no header of ours without asking first.
PREFLIGHT = (
    "graphql-preflight",
    "graphql-require-preflight",
    "apollo-require-preflight",
    "x-apollo-operation-name",
)
# Files of one request; bytes of the headers of a part.
FILES, HEADERS = 10, 16_384
# Bytes that are written, or read, at a time.
PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file that came with a request: how the client calls it, and where it waits."""

    name: str
    path: Path

    async def pieces(self) -> AsyncIterator[bytes]:
        """What is in it."""
        with self.path.open("rb") as file:
            while piece := await asyncio.to_thread(file.read, PIECE):
                yield piece


@dataclass(frozen=True, slots=True)
class _Part:
    """The beginning of a part: its name in the form, and how a file is called."""

    name: str
    filename: str | None


def is_form(headers: Mapping[str, str]) -> bool:
    """Whether a request is a form."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == FORM_TYPE


@contextlib.asynccontextmanager
async def received(request: Received, *, body_bytes: int, file_bytes: int) -> AsyncIterator[Asked]:
    """What a form asks for, its files among the variables; they are gone afterwards. Raises `Unanswerable`."""
    if not any(name in request.headers for name in PREFLIGHT):
        raise Unanswerable(
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "Send Content-Type: application/json, in UTF-8; or a form with files and the header GraphQL-Preflight: 1.",
        )
    message = Message()
    message["content-type"] = request.headers["content-type"]
    boundary = message.get_param("boundary")
    if not isinstance(boundary, str) or not 0 < len(boundary) <= 200 or not boundary.isascii():
        raise _bad("The form names no boundary between its parts.")
    with tempfile.TemporaryDirectory(prefix="relata-upload-") as place:
        with contextlib.closing(_Form(Path(place), body_bytes, file_bytes)) as form:
            async for part in _parts(_body(request), boundary.encode()):
                await form.take(part)
            asked = await form.asked()
        yield asked


class _Form:
    """A form that is being read: first what is asked for, then the files, in the order of the map."""

    def __init__(self, place: Path, body_bytes: int, file_bytes: int) -> None:
        self._place = place
        self._body_bytes = body_bytes
        self._file_bytes = file_bytes
        self._fields: dict[str, bytearray] = {}
        self._operations: Any = None
        self._map: dict[str, list[str]] = {}
        self._files: dict[str, SentFile] = {}
        self._size = 0
        self._current: str | None = None
        self._file: BinaryIO | None = None
        self._waiting = bytearray()

    async def take(self, part: "_Part | bytes") -> None:
        """The beginning of a part, or some of what is in it."""
        if isinstance(part, _Part):
            await self._end()
            self._begin(part)
        elif self._file is not None:
            self._size += len(part)
            if self._size > self._file_bytes:
                raise _too_large("Files", self._file_bytes)
            self._waiting += part
            if len(self._waiting) >= PIECE:
                await self._write()
        elif self._current is not None:
            held = self._fields[self._current]
            held += part
            if sum(map(len, self._fields.values())) > self._body_bytes:
                raise _too_large("Everything but the files", self._body_bytes)

    async def asked(self) -> Asked:
        """All of it. Raises `Unanswerable`."""
        await self._end()
        if self._operations is None:
            self._understand()
        missing = [name for name in self._map if name not in self._files]
        if missing:
            raise _bad(f'The form has no file "{missing[0][:100]}", which its map names.')
        for name, paths in self._map.items():
            for path in paths:
                _put(self._operations, path, self._files[name])
        return from_values(self._operations)

    def close(self) -> None:
        """Write nothing more."""
        if self._file is not None:
            self._file.close()

    def _begin(self, part: _Part) -> None:
        if part.name in ("operations", "map") and part.name not in self._fields and not self._files:
            self._current = part.name
            self._fields[part.name] = bytearray()
            return
        if self._operations is None:
            self._understand()
        if part.name not in self._map or part.name in self._files:
            raise _bad(
                f'The form has a part "{part.name[:100]}" that its map does not name, or has it twice.'
            )
        path = self._place / str(len(self._files))
        self._files[part.name] = SentFile((part.filename or part.name)[:200], path)
        self._file = path.open("wb")

    async def _end(self) -> None:
        self._current = None
        if self._file is not None:
            await self._write()
            self._file.close()
            self._file = None

    async def _write(self) -> None:
        assert self._file is not None
        await asyncio.to_thread(self._file.write, bytes(self._waiting))
        self._waiting.clear()

    def _understand(self) -> None:
        """What is asked for, and where files stand in it; known before the first of them is kept."""
        if "operations" not in self._fields or "map" not in self._fields:
            raise _bad('A form begins with its "operations", then its "map".')
        self._operations = _json(self._fields["operations"], "operations")
        places = _json(self._fields["map"], "map")
        if not isinstance(self._operations, dict):
            raise _bad(
                '"operations" must be one operation, as a JSON object; lists of them are not supported.'
            )
        flat(self._operations, '"operations"')
        if not isinstance(places, dict) or not all(
            isinstance(paths, list) and all(isinstance(path, str) for path in paths)
            for paths in places.values()
        ):
            raise _bad('"map" must be an object of lists of paths, such as {"0": ["variables.input.file"]}.')
        if len(places) > FILES:
            raise _bad(f"A form may have at most {FILES} files.")
        for paths in places.values():
            for path in paths:
                _put(self._operations, path, None)
        self._map = places


def _put(operations: Any, path: str, value: Any) -> None:
    """Put `value` where null stands among the variables."""
    first, *steps = path.split(".")
    at: Any = operations.get(first) if first == "variables" else None
    for n, step in enumerate(steps):
        last = n == len(steps) - 1
        if isinstance(at, list) and step.isdecimal() and len(step) < 7 and int(step) < len(at):
            key: Any = int(step)
        elif isinstance(at, dict) and step in at:
            key = step
        else:
            break
        if last and at[key] is None:
            at[key] = value
            return
        at = at[key]
    raise _bad(f'"{path[:100]}" is no place among the variables that is null.')


async def _body(request: Received) -> AsyncIterator[bytes]:
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


async def _parts(pieces: AsyncIterator[bytes], boundary: bytes) -> AsyncIterator["_Part | bytes"]:
    """The parts of a form: the beginning of each, and what is in it piece by piece. Raises `Unanswerable`."""
    # A line break before the first boundary makes it like all others.
    held, mark = bytearray(b"\r\n"), b"\r\n--" + boundary
    inside = False
    async for piece in pieces:
        held += piece
        while True:
            at = held.find(mark)
            if inside:
                # The end of what is held may be the beginning of a boundary.
                content = bytes(held[: at if at >= 0 else max(len(held) - len(mark), 0)])
                del held[: len(content)]
                if content:
                    yield content
                if at < 0:
                    break
                inside = False
                continue
            if at < 0:
                # What comes before the first part is nobody's.
                del held[: max(len(held) - len(mark), 0)]
                break
            rest = at + len(mark)
            if held[rest : rest + 2] == b"--":
                return
            end = held.find(b"\r\n\r\n", rest)
            if end < 0:
                if len(held) - rest > HEADERS:
                    raise _bad("The headers of a part of the form are too long.")
                break
            yield _part(bytes(held[rest:end]))
            del held[: end + 4]
            inside = True
    raise _bad("The form breaks off.")


def _part(lines: bytes) -> _Part:
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines.decode("utf-8", "replace").split("\r\n"))
    }
    message = Message()
    message["content-disposition"] = headers.get("content-disposition", "").replace("\n", " ")
    name = message.get_param("name", header="content-disposition")
    if not isinstance(name, str) or not name:
        raise _bad("A part of the form has no name.")
    filename = message.get_filename()
    # Some clients send whole paths.
    return _Part(name, None if filename is None else filename.replace("\\", "/").rpartition("/")[2])


def _json(content: bytes | bytearray, what: str) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        raise _bad(f'"{what}" cannot be read as JSON in UTF-8.') from None


def _bad(message: str) -> Unanswerable:
    return Unanswerable(400, "BAD_REQUEST", message)


def _too_large(what: str, limit: int) -> Unanswerable:
    return Unanswerable(
        413, "BODY_TOO_LARGE", f"{what} may have at most {limit:,} bytes.", {"Connection": "close"}
    )
