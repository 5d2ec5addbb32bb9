"""Records are held in id order, before anything is read about them: who waits for one holds none that comes later."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from storage.arrays import numbers
from storage.statements import Statement

# Whoever changes associations of a record holds its row, so that archiving, merging and two opposite requests
# wait for each other instead of running into each other. Survivors of merged ids are held in the same order. Told
# by kind: thousands of records are of a few. Ids come as text, so that the plan does not depend on their number and
# is made once.
_HELD = """
    SELECT h.object_type_id, h.archived, h.merged_into_id, array_agg(h.id) AS ids
      FROM (SELECT r.id, r.object_type_id, r.archived_at IS NOT NULL AS archived, r.merged_into_id
              FROM record AS r
             WHERE r.account_id = $1
               AND r.id = ANY($2::text::bigint[] || ARRAY(
                       SELECT m.merged_into_id FROM record AS m
                        WHERE m.account_id = $1 AND m.id = ANY($2::text::bigint[])
                          AND m.merged_into_id IS NOT NULL)){condition}
             ORDER BY r.id
               FOR NO KEY UPDATE) AS h
     GROUP BY h.object_type_id, h.archived, h.merged_into_id
"""

HOLD = Statement("records.hold", _HELD.format(condition=""))

# The same together with the account's definitions (see storage.catalogue): a transaction that knows its records from
# the start begins with one round trip less. The definitions are held first, as everywhere: the condition asks for them.
HOLD_WITH_DEFINITIONS = Statement(
    "records.hold_with_definitions",
    f"""
    WITH definitions AS MATERIALIZED (
        SELECT v.version FROM catalogue_version AS v WHERE v.account_id = $1 FOR SHARE
    ), held AS (
    {_HELD.format(condition=" AND (SELECT count(*) FROM definitions) = 1")}
    )
    SELECT h.object_type_id, h.archived, h.merged_into_id, h.ids, d.version
      FROM definitions AS d LEFT JOIN held AS h ON true
    """,
)


@dataclass(frozen=True, slots=True)
class Held:
    """Records as far as associating is concerned; those that are alike share one."""

    object_type_id: int
    archived: bool
    merged_into_id: int | None


def argument(ids: Iterable[int]) -> str:
    """Ids as the statements take them."""
    return numbers(sorted(set(ids)))


def found(rows: Iterable[Any]) -> dict[int, Held]:
    """What the statements answer, by record; unknown ones are missing."""
    records: dict[int, Held] = {}
    for row in rows:
        if row["ids"] is not None:
            records |= dict.fromkeys(
                row["ids"], Held(row["object_type_id"], row["archived"], row["merged_into_id"])
            )
    return records
