"""A directory of JSON files as an app: people and firms, one file each, that anybody may edit.

people/anna.json   {"name": "Anna", "email": "anna@example.com", "employer": "acme"}
firms/acme.json    {"name": "Acme"}
"""

import asyncio
import hashlib
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from engine.sync.categories import Category
from engine.sync.connectors.asked import OnlyAsked
from engine.sync.connectors.protocol import (
    App,
    Capabilities,
    ConnectorError,
    Create,
    CursorLost,
    Delete,
    Disconnected,
    FieldType,
    Gone,
    Item,
    Links,
    Op,
    Outcome,
    Page,
    Phase,
    Rejected,
    RemoteField,
    RemoteObject,
    RemoteRole,
    Setting,
    Surroundings,
    Update,
    Value,
    Written,
)

T = TypeVar("T")

PEOPLE = RemoteObject(
    name="people",
    title="People",
    fields=(
        RemoteField("name", "Name", required=True, default_property="lastname"),
        RemoteField("email", "E-mail", default_property="email"),
        RemoteField("phone", "Phone", FieldType.PHONE, default_property="phone"),
        RemoteField("born", "Born on", FieldType.DATE, default_property="date_of_birth"),
        RemoteField("points", "Points", FieldType.NUMBER),
        RemoteField("newsletter", "Wants the newsletter", FieldType.BOOLEAN),
        RemoteField(
            "interests",
            "Interests",
            FieldType.CHOICE,
            multiple=True,
            options=(("art", "Art"), ("music", "Music"), ("sport", "Sport")),
        ),
    ),
    # A file names one firm, so a person has one at a time.
    roles=(RemoteRole("employer", "Works for", to="firms", many=False, primary=True),),
    default_object_type="contacts",
    found_by=frozenset({"email"}),
)
FIRMS = RemoteObject(
    name="firms",
    title="Firms",
    fields=(
        RemoteField("name", "Name", required=True, default_property="name"),
        RemoteField("domain", "Domain", default_property="domain"),
    ),
    default_object_type="companies",
    found_by=frozenset({"name", "domain"}),
)


class _JsonFiles(OnlyAsked):
    """Files in a directory, open."""

    def __init__(self, directory: Path, origin: str) -> None:
        self._directory, self._origin = directory, origin

    async def check(self) -> str:
        await self._files(lambda: sum(1 for _ in self._directory.iterdir()))
        return str(self._directory)

    async def describe(self) -> Sequence[RemoteObject]:
        return (PEOPLE, FIRMS)

    async def read(self, object_: RemoteObject, phase: Phase, cursor: str | None, limit: int) -> Page:
        """Pages in the order of names; the cursor is the last name that was told."""
        if cursor is not None and not cursor.startswith("after:"):
            raise CursorLost("This is no cursor of a directory.")

        def read() -> Page:
            after = "" if cursor is None else cursor.removeprefix("after:")
            ids = sorted(path.stem for path in self._folder(object_).glob("*.json"))
            rest = [each for each in ids if each > after]
            # Who is deleted while we look is left out: it is no item of a full read any more.
            items = [item for each in rest[:limit] if not (item := self._item(object_, each)).deleted]
            more = len(rest) > limit
            return Page(tuple(items), f"after:{rest[limit - 1]}" if more else None, more, len(ids))

        return await self._files(read)

    async def get(self, object_: RemoteObject, external_ids: Sequence[str]) -> list[Item]:
        return await self._files(lambda: [self._item(object_, each) for each in external_ids])

    async def find(self, object_: RemoteObject, field_: str, values: Sequence[str]) -> list[tuple[Item, ...]]:
        def find() -> list[tuple[Item, ...]]:
            found: dict[str, list[Item]] = {value: [] for value in values}
            for path in self._folder(object_).glob("*.json"):
                item = self._item(object_, path.stem)
                if item.fields.get(field_) in found:
                    found[item.fields[field_]].append(item)
            return [tuple(found[value]) for value in values]

        return await self._files(find) if values else []

    async def write(self, object_: RemoteObject, ops: Sequence[Op]) -> list[Outcome]:
        def write() -> list[Outcome]:
            outcomes: list[Outcome] = []
            for op in ops:
                try:
                    outcomes.append(self._write(object_, op))
                except Disconnected:
                    raise
                except ConnectorError as error:
                    # About this one alone: the others go on.
                    outcomes.append(error)
            return outcomes

        return await self._files(write)

    async def created(self, object_: RemoteObject, key: str) -> Item | None:
        (item,) = await self.get(object_, [self._id(key)])
        return None if item.deleted else item

    # --- files ---------------------------------------------------------------------------------------------------

    async def _files(self, work: Callable[[], T]) -> T:
        """Work with files, beside the event loop. A directory that is gone is an app that is down."""
        try:
            return await asyncio.to_thread(self._with_directory, work)
        except OSError as error:
            raise Disconnected(f"The directory cannot be used: {error.strerror}.") from error

    def _with_directory(self, work: Callable[[], T]) -> T:
        os.stat(self._directory)
        return work()

    def _folder(self, object_: RemoteObject) -> Path:
        folder = self._directory / object_.name
        folder.mkdir(exist_ok=True)
        return folder

    def _path(self, object_: RemoteObject, external_id: str) -> Path | None:
        """Its file; None where the id can be nobody's. Ids come from outside: none leads out of the folder."""
        if re.fullmatch(r"[\w-][\w.-]{0,100}", external_id) is None:
            return None
        return self._folder(object_) / f"{external_id}.json"

    def _load(self, object_: RemoteObject, external_id: str) -> tuple[dict[str, Any], str, datetime] | None:
        """What a file holds, its version, and when it was changed."""
        path = self._path(object_, external_id)
        try:
            if path is None:
                return None
            content, changed = path.read_bytes(), path.stat().st_mtime
        except FileNotFoundError:
            return None
        try:
            held = json.loads(content)
        except ValueError:
            held = None
        if not isinstance(held, dict):
            # Neither an item nor a deleted one: nothing may be decided until somebody has mended it.
            raise Disconnected(f"{external_id}.json holds no JSON object.")
        # The same content, the same version: it changes exactly with the item.
        return held, hashlib.sha256(content).hexdigest(), datetime.fromtimestamp(changed, UTC)

    def _item(self, object_: RemoteObject, external_id: str) -> Item:
        loaded = self._load(object_, external_id)
        if loaded is None:
            return Item(external_id, deleted=True)
        held, version, changed = loaded
        fields = {
            each.name: held[each.name] for each in object_.fields if held.get(each.name) not in (None, "", [])
        }
        roles = {each.name: (held[each.name],) if held.get(each.name) else () for each in object_.roles}
        return Item(external_id, fields, version, changed, roles)

    def _write(self, object_: RemoteObject, op: Op) -> Outcome:
        if isinstance(op, Delete):
            path = self._path(object_, op.external_id)
            if path is None or not path.exists():
                raise Gone("The file is not there.")
            path.unlink()
            return Written(op.external_id)
        external_id = self._id(op.key) if isinstance(op, Create) else op.external_id
        loaded = self._load(object_, external_id)
        if isinstance(op, Create) and loaded is not None:
            # The same creation once more: it was done, and stays as it is.
            return _written(self._item(object_, external_id))
        if isinstance(op, Update) and loaded is None:
            raise Gone("The file is not there.")
        # What we do not know of the file stays as it is.
        held = {} if loaded is None else dict(loaded[0])
        held.update(_checked(object_, op.fields))
        held.update(_linked(object_, op.links))
        held = {name: value for name, value in held.items() if value is not None}
        for each in object_.fields:
            if each.required and each.name not in held:
                raise Rejected(f"{each.title} is missing.", Category.REQUIRED_FIELD_MISSING, each.name)
        path = self._path(object_, external_id)
        if path is None:
            raise Gone("No file is called so.")
        # Whole or not at all, whatever happens meanwhile.
        new = path.with_suffix(".new")
        new.write_text(json.dumps(held, ensure_ascii=False, indent=1), "utf-8")
        new.replace(path)
        return _written(self._item(object_, external_id))

    def _id(self, key: str) -> str:
        """The name of what is created with a key: the same key, the same file. `origin` keeps connections apart."""
        return hashlib.sha256(f"{self._origin}/{key}".encode()).hexdigest()[:24]


def _written(item: Item) -> Written:
    return Written(item.external_id, item.version, item.fields, item.modified_at)


def _checked(object_: RemoteObject, fields: Mapping[str, Value]) -> dict[str, Value]:
    """The values, where they are of their fields' types. Raises Rejected."""
    known = {each.name: each for each in object_.fields}
    for name, value in fields.items():
        if name not in known:
            raise Rejected(f"There is no field {name}.", Category.PROPERTY_NOT_FOUND, name)
        if value is not None and not _fits(known[name], value):
            raise Rejected(f"{known[name].title} cannot be {value!r}.", Category.INVALID_VALUE, name)
    return dict(fields)


def _fits(field: RemoteField, value: Value) -> bool:
    if field.multiple:
        options = {option for option, _ in field.options}
        return isinstance(value, list) and set(value) <= options
    match field.type:
        case FieldType.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool)
        case FieldType.BOOLEAN:
            return isinstance(value, bool)
        case FieldType.DATE:
            try:
                return bool(date.fromisoformat(value).isoformat() == value)
            except (TypeError, ValueError):
                return False
    return isinstance(value, str)


def _linked(object_: RemoteObject, links: Links) -> dict[str, str | None]:
    """The other end in each role that changes: a file names one, so what stands afterwards is what counts."""
    changed = {*links.added, *links.removed}
    return {
        each.name: next(iter(links.all.get(each.name, ())), None)
        for each in object_.roles
        if each.name in changed
    }


class JsonFiles:
    """The app: what it needs, what it can do, and how it is opened."""

    name: ClassVar = "json_files"
    title: ClassVar = "JSON files"
    about: ClassVar = "People and firms in a directory, a JSON file each."
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("directory", "Directory", "An absolute path on the machine that Relata runs on."),
    )
    # No `changes`: a directory does not say what has changed since yesterday, so every look reads everything.
    # Not `conditional`: nothing keeps an editor from saving between our look and our write.
    capabilities: ClassVar = Capabilities(idempotent_create=True, page=500, batch=100)

    @asynccontextmanager
    async def open(
        self, settings: Mapping[str, str], surroundings: Surroundings
    ) -> AsyncIterator[_JsonFiles]:
        directory = Path(settings.get("directory", ""))
        if not directory.is_absolute():
            raise Rejected("The directory must be an absolute path.", Category.INVALID_VALUE, "directory")
        yield _JsonFiles(directory, surroundings.origin)


APP: App = JsonFiles()
