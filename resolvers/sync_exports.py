"""A sync's records as a file: what the address asks for, checked, and the bytes of it."""

from collections.abc import Mapping
from datetime import UTC, datetime

from engine import ids
from engine.problems import NotFound, UnknownObjectType
from engine.sync import export
from engine.sync.categories import Category
from engine.sync.health import STATES, Narrow
from engine.sync.rules import Side
from engine.tables import MEDIA, Format
from resolvers.context import Context
from resolvers.downloads import File, InvalidParameter, check_names
from storage.sync import health

PATH = "/exports/sync-records"
PARAMETERS = ("sync", "format", "objectType", "state", "category", "side", "record", "since", "until")


async def file(context: Context, given: Mapping[str, str]) -> File:
    """The file that these parameters ask for; raises the problem with one of them."""
    check_names(given, PARAMETERS)
    format_ = Format(_one_of("format", given.get("format", "csv").lower(), [one.value for one in Format]))
    narrow = _narrow(given)
    sync_ids = await _syncs(context, given)
    content = export.export(context.db, context.account_id, sync_ids, narrow, format_)
    return File(f"sync-records.{format_.value}", MEDIA[format_], content)


def _narrow(given: Mapping[str, str]) -> Narrow:
    state, category, side = given.get("state"), given.get("category"), given.get("side")
    return Narrow(
        states=None if state is None else tuple(_one_of("state", one, STATES) for one in state.split(",")),
        category=None if category is None else _one_of("category", category, list(Category.__members__)),
        side=None if side is None else _one_of("side", side, list(Side.__members__)),
        record_id=ids.decode_at("record", given["record"], "record") if "record" in given else None,
        since=_moment("since", given.get("since")),
        until=_moment("until", given.get("until")),
    )


async def _syncs(context: Context, given: Mapping[str, str]) -> list[int]:
    """The syncs that are meant: one, those of an object type, or all."""
    async with context.db.read(context.account_id) as reader:
        named = await health.named(reader)
    if "objectType" in given:
        of = context.catalogue.by_name.get(given["objectType"])
        if of is None:
            raise UnknownObjectType(name=given["objectType"][:100], path=("objectType",))
        named = {number: row for number, row in named.items() if row.object_type_id == of.id}
    if "sync" not in given:
        return list(named)
    number = ids.decode_at("sync", given["sync"], "sync")
    if number not in named:
        raise NotFound(kind="sync", name=given["sync"], path=("sync",))
    return [number]


def _one_of(name: str, given: str, known: list[str] | tuple[str, ...]) -> str:
    if given not in known:
        raise InvalidParameter(name=name, expected=f"one of {', '.join(known)}", path=(name,))
    return given


def _moment(name: str, given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        at = datetime.fromisoformat(given)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidParameter(
            name=name, expected='a moment such as "2026-01-31T09:30:00Z"', path=(name,)
        ) from None
