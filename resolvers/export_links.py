"""Addresses of exports that need no key: signed, good for a while and one file, and no longer than the key behind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import orjson

from engine import ids, keys
from engine.access import Principal, Scope
from engine.exports.run import Format
from engine.problems import NotFound, Problem, at
from engine.signing import Signer
from resolvers import exports, imports, report_exports, reports, sync_exports
from resolvers.context import Context
from resolvers.downloads import InvalidParameter
from storage.database import Database

PURPOSE = "export"
# The parameter in which the signature stands.
TOKEN = "token"
MOST_MINUTES = 7 * 24 * 60


class ExportLinkInvalid(Problem):
    """This address is not ours, was changed, or stands for a key that has ended; ask createExport for a new one."""


class ExportLinkExpired(Problem):
    """This address was good until {until}; ask createExport for a new one."""


class ExportLinkTooLong(Problem):
    """The address would have {count} characters, more than every server takes ({limit}): export a segment instead."""


class ExportMinutesUnfit(Problem):
    """An address is good for 1 to {limit} minutes, not for {given}."""


class ExportAmbiguous(Problem):
    """A file is of one thing, which says itself what is in it: leave out {given}."""


@dataclass(frozen=True, slots=True)
class Instead:
    """What a file may be of in place of records: one of these."""

    # A saved report's id.
    report: str | None = None
    # The id of an import, whose errors are meant.
    errors: str | None = None
    # The parameters of `sync_exports`, but for the format.
    sync: Mapping[str, str] | None = None

    @property
    def named(self) -> list[str]:
        """Which are there, as inputs call them."""
        given = {"report": self.report, "importErrors": self.errors, "syncRecords": self.sync}
        return [name for name, value in given.items() if value is not None]


# Nothing else: records.
RECORDS = Instead()


@dataclass(frozen=True, slots=True)
class _Named:
    """A file that an address can be made for."""

    path: str
    parameters: list[tuple[str, str]]
    filename: str


@dataclass(frozen=True, slots=True)
class Link:
    """An address that can be opened until `expires_at`, and what comes then."""

    url: str
    filename: str
    format: Format
    expires_at: datetime


async def create(
    context: Context, wanted: Mapping[str, Any], minutes: int, instead: Instead = RECORDS
) -> Link:
    """An address for the file of what is wanted, or of something else (of `wanted` its format alone counts then).

    Raises what is wrong with what is asked for, `MissingScope` and `SigningKeyMissing`.
    """
    if not 1 <= minutes <= MOST_MINUTES:
        raise ExportMinutesUnfit(limit=MOST_MINUTES, given=minutes, path=("minutes",))
    format_ = exports.format_of(wanted)
    of = await _named(context, wanted, format_, instead)
    expires_at = context.now.replace(microsecond=0) + timedelta(minutes=minutes)
    words = [context.account_id, context.principal.key_id, int(expires_at.timestamp())]
    token = context.signer.signed(PURPOSE, words, _about(of.path, of.parameters))
    url = f"{context.public_url}{of.path}?{urlencode([*of.parameters, (TOKEN, token)])}"
    if len(url) > exports.LONGEST:
        raise ExportLinkTooLong(count=len(url), limit=exports.LONGEST)
    return Link(url, of.filename, format_, expires_at)


async def principal(
    db: Database, signer: Signer, path: str, given: Sequence[tuple[str, str]], now: datetime
) -> Principal:
    """On whose behalf a signed address asks, with what that key may do today.

    `given` are the address's parameters. Raises `ExportLinkInvalid`, `ExportLinkExpired`.
    """
    tokens = [text for name, text in given if name == TOKEN]
    rest = without(given)
    words = signer.read(PURPOSE, tokens[0], _about(path, rest)) if len(tokens) == 1 else None
    if words is None:
        raise ExportLinkInvalid
    account_id, key_id, until = words
    if now.timestamp() > until:
        raise ExportLinkExpired(until=datetime.fromtimestamp(until, UTC).isoformat().replace("+00:00", "Z"))
    found = await keys.living(db, account_id, key_id)
    if found is None:
        raise ExportLinkInvalid
    return found


def without(given: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """What an address asks for, without its signature."""
    return [(name, text) for name, text in given if name != TOKEN]


async def _named(context: Context, wanted: Mapping[str, Any], format_: Format, instead: Instead) -> _Named:
    """The file that is meant; whether it can be had is known then."""
    if not instead.named:
        of = exports.bound(context.catalogue, wanted).of
        return _Named(exports.PATH, exports.parameters(wanted), f"{of.name}.{format_.value}")
    asked = [name for name, value in wanted.items() if value and name not in ("format", "headers")]
    if beside := [*instead.named[1:], *asked]:
        raise ExportAmbiguous(given=beside, path=(beside[0],))
    if instead.report is not None:
        return await _report(context, instead.report, format_)
    if instead.sync is not None:
        return await _sync(context, instead.sync, format_)
    assert instead.errors is not None
    if format_ is not Format.CSV:
        raise InvalidParameter(name="format", expected="CSV: errors come as nothing else", path=("format",))
    return await _errors(context, instead.errors)


async def _report(context: Context, report: str, format_: Format) -> _Named:
    number = ids.decode_at("report", report, "report")
    if await reports.by_id(context, number) is None:
        raise NotFound(kind="report", name=report[:100], path=("report",))
    parameters = [("report", report), ("format", format_.value)]
    return _Named(report_exports.PATH, parameters, f"report.{format_.value}")


async def _sync(context: Context, given: Mapping[str, str], format_: Format) -> _Named:
    context.principal.require(Scope.AUTOMATION_READ)
    if format_ is Format.JSONL:
        raise InvalidParameter(name="format", expected="CSV or XLSX", path=("format",))
    asked = {**given, "format": format_.value}
    with at("syncRecords"):
        # Looked at, and not read.
        file = await sync_exports.file(context, asked)
    return _Named(sync_exports.PATH, list(asked.items()), file.name)


async def _errors(context: Context, ident: str) -> _Named:
    number = ids.decode_at("import", ident, "importErrors")
    if await imports.by_id(context, number) is None:
        raise NotFound(kind="import", name=ident, path=("importErrors",))
    return _Named(imports.ERRORS_PATH.format(id=ident), [], imports.errors_name(number))


def _about(path: str, parameters: Sequence[tuple[str, str]]) -> bytes:
    return orjson.dumps([path, *([name, text] for name, text in parameters)])
