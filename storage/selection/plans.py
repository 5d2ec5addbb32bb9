"""Plans: a selection compiled to one statement, which is kept, and run as often as its like is asked for.

The statement also returns the version of the account's definitions, so that whoever planned on an older one notices.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable
from storage.filters.times import Timed
from storage.selection.text import Fold
from storage.selection.tree import Root, Selection, Slot


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement and its parameters; those that are `Slot`s or `Timed` are filled in when it runs."""

    sql: str
    params: tuple[Any, ...]
    # Where in `params` something is to be filled in.
    open: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """JSON text, and the version of the definitions under which it was read."""

    text: str
    version: int | None


def compile(selection: Selection | Root) -> Plan:
    """One statement for a whole selection, or for one root alone."""
    fold = Fold()
    text = fold.selection(selection) if isinstance(selection, Selection) else fold.root(selection)
    sql = (
        "SELECT (SELECT v.version FROM catalogue_version AS v WHERE v.account_id = $1) AS version, "
        f"{text.sql} AS answer"
    )
    params = tuple(fold.params.values)
    return Plan(sql, params, tuple(n for n, value in enumerate(params) if isinstance(value, Slot | Timed)))


async def run(reader: Queryable, plan: Plan, slots: Mapping[str, Any], *, now: datetime) -> Answer:
    """Run a plan; `slots` has a value for each of its slots. Plans are kept, and the clock goes on: hence `now`."""
    params = plan.params
    if plan.open:
        filled = list(params)
        for n in plan.open:
            value = params[n]
            filled[n] = slots[value.name] if type(value) is Slot else value.at(now)
        params = tuple(filled)
    row = await reader.fetchrow(plan.sql, *params)
    assert row is not None  # a SELECT without FROM has one row
    return Answer(row["answer"], row["version"])
