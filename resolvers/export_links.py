"""Addresses of exports that need no key: signed, good for a while and one file, and no longer than the key behind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import orjson

from engine import ids, keys
from engine.access import Principal
from engine.exports.run import Format
from engine.problems import NotFound, Problem
from engine.signing import Signer
from resolvers import exports, report_exports, reports
from resolvers.context import Context
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
    """A report says itself what is in it: leave out {given}."""


@dataclass(frozen=True, slots=True)
class Link:
    """An address that can be opened until `expires_at`, and what comes then."""

    url: str
    filename: str
    format: Format
    expires_at: datetime


async def create(context: Context, wanted: Mapping[str, Any], report: str | None, minutes: int) -> Link:
    """An address for the file of what is wanted, or of a report (of `wanted` its format alone counts then).

    Raises what is wrong with what is asked for, and `SigningKeyMissing`.
    """
    if not 1 <= minutes <= MOST_MINUTES:
        raise ExportMinutesUnfit(limit=MOST_MINUTES, given=minutes, path=("minutes",))
    format_ = exports.format_of(wanted)
    if report is not None:
        path, name = report_exports.PATH, "report"
        parameters = await _of_report(context, wanted, report)
    else:
        path, name = exports.PATH, exports.bound(context.catalogue, wanted).of.name
        parameters = exports.parameters(wanted)
    expires_at = context.now.replace(microsecond=0) + timedelta(minutes=minutes)
    words = [context.account_id, context.principal.key_id, int(expires_at.timestamp())]
    token = context.signer.signed(PURPOSE, words, _about(path, parameters))
    url = f"{context.public_url}{path}?{urlencode([*parameters, (TOKEN, token)])}"
    if len(url) > exports.LONGEST:
        raise ExportLinkTooLong(count=len(url), limit=exports.LONGEST)
    return Link(url, f"{name}.{format_.value}", format_, expires_at)


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


async def _of_report(context: Context, wanted: Mapping[str, Any], report: str) -> list[tuple[str, str]]:
    beside = [name for name, value in wanted.items() if value and name not in ("format", "headers")]
    if beside:
        raise ExportAmbiguous(given=beside, path=(beside[0],))
    number = ids.decode_at("report", report, "report")
    if await reports.by_id(context, number) is None:
        raise NotFound(kind="report", name=report[:100], path=("report",))
    return [("report", report), ("format", exports.format_of(wanted).value)]


def _about(path: str, parameters: Sequence[tuple[str, str]]) -> bytes:
    return orjson.dumps([path, *([name, text] for name, text in parameters)])
