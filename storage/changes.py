"""The change log: append in a transaction; claim what is to be evaluated; read what is settled.

Batches change many records alike. So a row of either table tells of several of them, and is taken apart when it is
read: nobody else sees rows.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from storage import change_rows
from storage.arrays import numbers, texts
from storage.notes import (
    AssociationChanges,
    AssociationEvents,
    Change,
    ChangeKind,
    EnrollmentEvents,
    Event,
    EventKind,
    LoggedEvent,
    QueuedChange,
)
from storage.record_rows import RecordRow
from storage.statements import Statement

if TYPE_CHECKING:
    from storage.database import Queryable, Transaction

# So many rows of the log are read with their records.
FIRST = 8
# Where a record's columns begin in such a row.
_RECORD = 12

# What is noted is part of the log's own vocabulary.
__all__ = [
    "AssociationChanges",
    "AssociationEvents",
    "Change",
    "ChangeKind",
    "EnrollmentEvents",
    "Event",
    "EventKind",
    "LogPage",
    "LoggedEvent",
    "QueuedChange",
    "append",
    "claim",
    "fresh",
    "last",
    "oldest",
    "page",
    "read",
    "told",
    "with_append",
]

# Everything that a transaction tells, in its last statement before the commit. The counter's row lock makes numbers
# rise in commit order; held any longer, it would make an account's writers wait for each other's work, so it is
# taken after the queue is written, and whatever else is written in the same statement: its condition asks for that.
# An array for each row comes as its text: unnest takes arrays of arrays apart to the elements. All the arrays come as
# text, and through a subselect: see storage.arrays.
_QUEUED = """
    queued AS (
        INSERT INTO change_queue (account_id, id, object_type_id, kind, properties, before, record_ids,
                                  type_ids, other_ids, at, source, source_id, depth, version)
        SELECT $1, c.id, c.object_type_id, c.kind, c.properties::text[], c.before, c.record_ids::bigint[],
               c.type_ids::bigint[], c.other_ids::bigint[], $2, $3, $4, c.depth, $6
          FROM unnest((SELECT $7::text)::bigint[], (SELECT $8::text)::bigint[], (SELECT $9::text)::text[],
                      (SELECT $10::text)::text[], $11::jsonb[], (SELECT $12::text)::text[],
                      (SELECT $13::text)::text[], (SELECT $14::text)::text[], (SELECT $5::text)::int[])
               AS c(id, object_type_id, kind, properties, before, record_ids, type_ids, other_ids, depth)
        RETURNING 1
    ), taken AS (
        UPDATE account_seq AS s SET seq = s.seq + $15::bigint
         WHERE s.account_id = $1 AND $15::bigint > 0 AND (SELECT count(*) FROM queued) >= 0
        RETURNING s.seq - $15::bigint AS before
    )"""

_LOGGED = """
    INSERT INTO event_log (account_id, seq, at, kind, object_type_id, record_ids, to_ids, subject_id, payload,
                           source, source_id, user_id)
    SELECT $1, taken.before + e.last, $2, e.kind, e.object_type_id, e.record_ids::bigint[], e.to_ids::bigint[],
           e.subject_id, e.payload, $3, $4, $16
      FROM taken,
           unnest((SELECT $17::text)::bigint[], (SELECT $18::text)::text[], $19::bigint[],
                  (SELECT $20::text)::text[], (SELECT $21::text)::text[], $22::bigint[], $23::jsonb[])
           AS e(last, kind, object_type_id, record_ids, to_ids, subject_id, payload)
"""

APPEND = Statement("changes.append", f"WITH {_QUEUED} {_LOGGED}")


def with_append(name: str, parts: str, used: int, before: Sequence[str]) -> Statement:
    """`APPEND` with the WITH queries `parts` in front, which use `$1 … $used`; its own arguments follow theirs.

    It takes the counter after the queries called `before`, which must return rows.
    """
    waiting = "".join(f" AND (SELECT count(*) FROM {query}) >= 0" for query in ("queued", *before))
    queued = _QUEUED.replace(" AND (SELECT count(*) FROM queued) >= 0", waiting)
    told = re.sub(r"\$(\d+)", lambda found: _moved(int(found[1]), used), f"{queued} {_LOGGED}")
    return Statement(name, f"WITH {parts}, {told}")


def _moved(number: int, by: int) -> str:
    return "$1" if number == 1 else f"${number - 1 + by}"


# Claiming deletes: a cursor on ids would pass over rows that commit late. What others hold is skipped. Rows are
# taken until there are enough changes; those locked beyond that are free again with the commit.
CLAIM = Statement(
    "changes.claim",
    """
    WITH locked AS (
        SELECT q.id, cardinality(q.record_ids) AS changes FROM change_queue AS q
         WHERE q.account_id = $1
         ORDER BY q.id LIMIT $2
           FOR UPDATE SKIP LOCKED
    ), claimed AS (
        SELECT l.id, sum(l.changes) OVER (ORDER BY l.id) - l.changes AS before FROM locked AS l
    )
    DELETE FROM change_queue AS q
     WHERE q.account_id = $1 AND q.id = ANY(ARRAY(SELECT c.id FROM claimed AS c WHERE c.before < $2))
    RETURNING q.id, q.object_type_id, q.kind, q.properties, q.before, q.record_ids, q.type_ids, q.other_ids,
              q.at, q.source, q.source_id, q.depth, q.version
    """,
)

WAITING = Statement(
    "changes.waiting",
    "SELECT DISTINCT q.account_id FROM change_queue AS q LIMIT $1",
    spanning="finds the accounts that have work; each is then worked off in transactions of its own",
)

_COLUMNS = """{0}.seq, {0}.at, {0}.kind, {0}.object_type_id, {0}.record_ids, {0}.to_ids, {0}.subject_id, {0}.payload,
           {0}.source, {0}.source_id, {0}.user_id,
           (SELECT v.version FROM catalogue_version AS v WHERE v.account_id = $1) AS definitions"""

# Rows until there are enough events, or some 16 MB. The inner limit holds the reading to what can be needed. Whoever
# reads on is going to need the definitions: their version is asked for once, along with the first row.
READ = Statement(
    "changes.read",
    f"""
    SELECT {_COLUMNS.format("f")}
      FROM (SELECT e.*, sum(least(cardinality(e.record_ids), e.seq - $2)) OVER (ORDER BY e.seq)
                        - least(cardinality(e.record_ids), e.seq - $2) AS before,
                   sum(pg_column_size(e.payload)) OVER (ORDER BY e.seq) - pg_column_size(e.payload) AS bytes
              FROM event_log AS e
             WHERE e.account_id = $1 AND e.seq > $2
             ORDER BY e.seq LIMIT $3) AS f
     WHERE f.before < $3 AND f.bytes < 16777216
     ORDER BY f.seq
    """,
)

# What has just been written, for whoever has just been woken: the first few rows, and the record of each that tells of
# one only, by its key; so he is spared the trips for it. To plan this takes longer than to run it, and so it is made to
# be planned once: few rows, where they begin hidden in a subselect, and one look at the records for all of them. A plan
# that knows the account then seems no better than one for all by more than PostgreSQL reckons for planning.
FRESH = Statement(
    "changes.fresh",
    f"""
    WITH f AS MATERIALIZED (
        SELECT e.* FROM event_log AS e
         WHERE e.account_id = $1 AND e.seq > (SELECT $2::bigint)
         ORDER BY e.seq LIMIT {FIRST}
    ), r AS MATERIALIZED (
        SELECT {", ".join(f"r.{name} AS r_{name}" for name in RecordRow.__slots__)}
          FROM record AS r
         WHERE r.account_id = $1
           AND r.id = ANY(ARRAY(SELECT f.record_ids[1] FROM f WHERE cardinality(f.record_ids) = 1))
    )
    SELECT {_COLUMNS.format("f")}, r.*
      FROM f LEFT JOIN r ON r.r_id = f.record_ids[1] AND cardinality(f.record_ids) = 1
     ORDER BY f.seq
    """,
)

# The first row behind the beginning, along the key. Where nothing is left, the next number to be written.
OLDEST = Statement(
    "changes.oldest",
    """
    SELECT coalesce((SELECT e.seq - cardinality(e.record_ids) + 1 FROM event_log AS e
                      WHERE e.account_id = $1 ORDER BY e.seq LIMIT 1), s.seq + 1)
      FROM account_seq AS s WHERE s.account_id = $1
    """,
)

LAST = Statement("changes.last", "SELECT s.seq FROM account_seq AS s WHERE s.account_id = $1")


async def append(tx: "Transaction") -> None:
    """Write what the transaction noted: changes to the queue, events to the log. Nothing may follow."""
    pending = tx.take_pending()
    if pending is not None and await pending(True):
        return
    noted = await told(tx)
    if noted is not None:
        await tx.execute(APPEND, *noted)


async def told(tx: "Transaction") -> list[Any] | None:
    """The arguments of `APPEND` for what the transaction noted; None where it noted nothing."""
    if not tx.changes and not tx.events:
        return None
    changes, events = list(change_rows.queued(tx.changes)), list(change_rows.logged(tx.events))
    object_types, kinds, properties, before, records, types, others, depths = _columns(changes, 8)
    lasts, names, near, ends, to, subjects, payloads = _columns(events, 7)
    actor = tx.actor
    return [
        tx.now,
        actor.source,
        actor.source_id,
        numbers(max(depth, actor.depth) for depth in depths),
        tx.catalogue.version,
        numbers(await tx.new_ids(len(changes)) if changes else ()),
        numbers(object_types),
        texts(kinds),
        texts(properties),
        before,
        texts(records),
        texts(types),
        texts(others),
        events[-1][0] if events else 0,
        actor.user_id,
        numbers(lasts),
        texts(names),
        near,
        texts(ends),
        texts(to),
        subjects,
        payloads,
    ]


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> Sequence[Sequence[Any]]:
    """Rows of `width` values, column by column."""
    return list(zip(*rows, strict=True)) if rows else [()] * width


async def claim(tx: "Transaction", limit: int) -> list[QueuedChange]:
    """Take some `limit` changes off the queue, oldest first; they are gone if the transaction commits.

    A row that was begun is taken whole. What a transaction did to a record's associations is one change; each event
    that occurred is one.
    """
    changes: dict[Any, QueuedChange] = {}
    for row in sorted(await tx.fetch(CLAIM, limit), key=lambda row: row["id"]):
        # Only what the batch did to associations comes in several rows.
        occurred = row["kind"] == ChangeKind.OCCURRED
        plain = row["type_ids"] and not (row["properties"] or row["before"] or occurred)
        made = (row["kind"], row["at"], row["source"], row["source_id"], row["depth"], row["version"])
        for change in change_rows.changes(row):
            key = (change.record_id, made) if plain else len(changes)
            known = changes.get(key)
            changes[key] = change if known is None else change_rows.together(known, change)
    return list(changes.values())


async def read(reader: "Queryable", after: int, limit: int) -> list[LoggedEvent]:
    """Up to `limit` events behind number `after`, in order."""
    return (await page(reader, after, limit)).events


@dataclass(frozen=True, slots=True)
class LogPage:
    """Events in order, and, of the moment at which they were read, what their readers are likely to ask for next.

    `version`: that of the account's definitions; None where there are no events. `records`: some of those that the
    events are told of, by id; never one that was merged away. `more`: there may be more behind them.
    """

    events: list[LoggedEvent]
    version: int | None = None
    records: dict[int, RecordRow] = field(default_factory=dict)
    more: bool = False


async def page(reader: "Queryable", after: int, limit: int) -> LogPage:
    """Up to `limit` events behind number `after`."""
    rows = await reader.fetch(READ, after, limit)
    events = _events(rows, after)[:limit]
    return LogPage(events, rows[0]["definitions"] if rows else None, more=len(events) == limit)


async def fresh(reader: "Queryable", after: int) -> LogPage:
    """The first few events behind number `after`, and records with them."""
    rows = await reader.fetch(FRESH, after)
    if not rows:
        return LogPage([])
    found = (RecordRow(*row[_RECORD:]) for row in rows if row["r_id"] is not None)
    records = {row.id: row for row in found if row.merged_into_id is None}
    return LogPage(_events(rows, after), rows[0]["definitions"], records, more=len(rows) >= FIRST)


def _events(rows: Sequence[Any], after: int) -> list[LoggedEvent]:
    return [event for row in rows for event in change_rows.events(row) if event.seq > after]


async def last(reader: "Queryable") -> int:
    """The number of the newest event."""
    return int(await reader.fetchval(LAST) or 0)


async def oldest(reader: "Queryable") -> int:
    """The number of the oldest event that is kept; of the next one, where none is."""
    return int(await reader.fetchval(OLDEST) or 1)
