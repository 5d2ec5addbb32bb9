"""Records are held in id order, before anything is read about them: who waits for one holds none that comes later."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from storage.arrays import numbers
from storage.probes import probed
from storage.statements import Statement

# Whoever changes associations of a record holds its row, so that archiving, merging and two opposite requests
# wait for each other instead of running into each other. Survivors of merged ids are held in the same order. Told
# by kind: thousands of records are of a few. Ids come as text, so that the plan does not depend on their number and
# is made once.
_HELD = """
    SELECT h.object_type_id, h.archived, h.merged_into_id, array_agg(h.id) AS ids
      FROM (SELECT r.id, r.object_type_id, r.archived_at IS NOT NULL AS archived, r.merged_into_id
              FROM {records}) AS h
     GROUP BY h.object_type_id, h.archived, h.merged_into_id
"""


def _listed(condition: str = "") -> str:
    return _HELD.format(
        records=f"""record AS r
             WHERE r.account_id = $1
               AND r.id = ANY($2::text::bigint[] || ARRAY(
                       SELECT m.merged_into_id FROM record AS m
                        WHERE m.account_id = $1 AND m.id = ANY($2::text::bigint[])
                          AND m.merged_into_id IS NOT NULL)){condition}
             ORDER BY r.id
               FOR NO KEY UPDATE"""
    )


def _probed(condition: str = "") -> str:
    merged = probed("$2::text::bigint[]", where="AND q.merged_into_id IS NOT NULL")
    ids = f"$2::text::bigint[] || ARRAY(SELECT r.merged_into_id FROM {merged})"
    return _HELD.format(records=probed(ids, where=condition, lock="FOR NO KEY UPDATE"))


HOLD = Statement("records.hold", _listed(), before_17=_probed())

# The same together with the account's definitions (see storage.catalogue): a transaction that knows its records from
# the start begins with one round trip less. The definitions are held first, as everywhere: the condition asks for them.
_WITH_DEFINITIONS = """
    WITH definitions AS MATERIALIZED (
        SELECT v.version FROM catalogue_version AS v WHERE v.account_id = $1 FOR SHARE
    ), held AS (
    {held}
    )
    SELECT h.object_type_id, h.archived, h.merged_into_id, h.ids, d.version
      FROM definitions AS d LEFT JOIN held AS h ON true
"""
_DEFINED = " AND (SELECT count(*) FROM definitions) = 1"
HOLD_WITH_DEFINITIONS = Statement(
    "records.hold_with_definitions",
    _WITH_DEFINITIONS.format(held=_listed(_DEFINED)),
    before_17=_WITH_DEFINITIONS.format(held=_probed(_DEFINED)),
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
