"""What a report says, as a file: a row a group, with what people call its keys."""

from collections.abc import AsyncGenerator, Mapping, Sequence

import orjson

from engine import tables
from engine.exports.run import MEDIA, Format
from engine.reports.run import NO_VALUE
from engine.tables import Cell
from resolvers import reports
from resolvers.context import Context
from resolvers.downloads import File, InvalidParameter, check_names
from resolvers.exports import format_of
from resolvers.reports import Ran

PATH = "/exports/reports"
PARAMETERS = ("report", "format")


async def file(context: Context, wanted: Mapping[str, str]) -> File:
    """The file of a saved report; raises what is wrong with it."""
    check_names(wanted, PARAMETERS)
    if "report" not in wanted:
        raise InvalidParameter(name="report", expected="the id of a saved report", path=("report",))
    format_ = format_of(wanted)
    ran = await reports.run(context, wanted["report"], None, totals=False)
    header = _distinct([*ran.bound.headings, *ran.bound.measures])
    match format_:
        case Format.JSONL:
            content = _lines(header, ran)
        case _:
            content = tables.written(tables.Format(format_.value), header, _cells(ran))
    return File(f"report.{format_.value}", MEDIA[format_], content)


async def _cells(ran: Ran) -> AsyncGenerator[list[list[Cell]], None]:
    """All of it at once: a report has few groups."""
    yield _rows(ran)


async def _lines(header: Sequence[str], ran: Ran) -> AsyncGenerator[bytes, None]:
    for row in _rows(ran):
        yield orjson.dumps(dict(zip(header, row, strict=True))) + b"\n"


def _rows(ran: Ran) -> list[list[Cell]]:
    return [
        [
            *(NO_VALUE if key is None else key.label for key in group.keys),
            *(_number(measure) for measure in group.measures),
        ]
        for group in ran.result.groups
    ]


def _number(measure: float | None) -> Cell:
    whole = measure is not None and float(measure).is_integer() and abs(measure) < 2**53
    return int(measure) if whole and measure is not None else measure


def _distinct(names: Sequence[str]) -> list[str]:
    """The same names, told apart by numbers where several are called alike."""
    found: list[str] = []
    for name in names:
        n, called = 1, name
        while called in found:
            n += 1
            called = f"{name} {n}"
        found.append(called)
    return found
