"""A report's rows, as the statement answers them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable
from storage.filters.times import settled
from storage.reports.compile import compile
from storage.reports.tree import Report


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group (`level` 0) or a total: bit n of `level` is set where axis n is not told apart."""

    level: int
    values: tuple[Any, ...]
    others: tuple[bool, ...]
    measures: tuple[float | None, ...]


async def read(
    reader: Queryable, report: Report, levels: Collection[int], *, now: datetime
) -> list[GroupRow]:
    """The groups of these levels, in no order."""
    given: list[Any] = []

    def add(value: Any, cast: str) -> str:
        given.append(value)
        return f"${len(given) + 1}::{cast}"

    sql = compile(report, levels, add)
    axes, measures = range(len(report.axes)), range(len(report.measures))
    return [
        GroupRow(
            row["level"],
            tuple(row[f"d{n}"] for n in axes),
            tuple(bool(row[f"o{n}"]) for n in axes),
            tuple(row[f"m{n}"] for n in measures),
        )
        for row in await reader.fetch(sql, *settled(given, now))
    ]
