"""Associations and labels that come and go: written in both directions, counted, remembered and told at once."""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from storage.arrays import flags, lists, numbers
from storage.change_rows import PACKED
from storage.changes import AssociationChanges, AssociationEvents, ChangeKind, EventKind, told, with_append
from storage.database import Transaction
from storage.places import places
from storage.statements import Statement

# Everything that comes or goes, in one statement: both directions, the counters in (record, type) order (a
# neighbour in $9 is hidden and does not count), the history of what went, and the two ends. Facts that are alike
# travel as two arrays of records. The parts touch different rows and see one snapshot. All records are held, so no
# row moves underneath: what goes is found by a probe each and deleted where it lies, since a join could become a
# scan of all the account's associations.
_GONE = places(
    """ARRAY(SELECT (SELECT g.ctid FROM association AS g
                     WHERE g.account_id = $1 AND g.from_id = e.from_id
                       AND g.to_object_type_id = e.to_object_type_id AND g.to_id = e.to_id
                       AND g.type_id = e.type_id)
              FROM edge AS e WHERE NOT e.added)"""
)
_PARTS = f"""
    edge AS MATERIALIZED (
        SELECT e.from_id, e.to_object_type_id, e.to_id, e.type_id, s.added
          FROM unnest((SELECT $2::text)::text[], (SELECT $3::text)::text[], (SELECT $4::text)::bigint[],
                      (SELECT $5::text)::bigint[], (SELECT $6::text)::bigint[], (SELECT $7::text)::bigint[],
                      (SELECT $8::text)::boolean[])
               AS s(from_ids, to_ids, from_object_type_id, to_object_type_id, type_id, inverse_id, added)
               CROSS JOIN LATERAL unnest(s.from_ids::bigint[], s.to_ids::bigint[]) AS f(from_id, to_id)
               CROSS JOIN LATERAL (VALUES (f.from_id, s.to_object_type_id, f.to_id, s.type_id),
                                          (f.to_id, s.from_object_type_id, f.from_id, s.inverse_id))
               AS e(from_id, to_object_type_id, to_id, type_id)
    ), gone AS (
        DELETE FROM association AS a
         USING {_GONE}
         WHERE a.account_id = $1 AND a.ctid = p.place
        RETURNING a.from_id, a.to_object_type_id, a.to_id, a.type_id, a.created_at, a.source, a.source_id,
                  a.user_id
    ), told AS (
        INSERT INTO association_history (account_id, from_id, to_object_type_id, to_id, type_id, id, created_at,
                                         source, source_id, user_id, removed_at, removed_source,
                                         removed_source_id, removed_user_id)
        SELECT $1, g.from_id, g.to_object_type_id, g.to_id, g.type_id, $10, g.created_at, g.source, g.source_id,
               g.user_id, greatest($11, g.created_at), $12, $13, $14
          FROM gone AS g
        RETURNING 1
    ), come AS (
        INSERT INTO association (account_id, from_id, to_object_type_id, to_id, type_id, created_at, source,
                                 source_id, user_id)
        SELECT $1, e.from_id, e.to_object_type_id, e.to_id, e.type_id, $11, $12, $13, $14
          FROM edge AS e WHERE e.added
         ORDER BY e.from_id, e.to_object_type_id, e.to_id, e.type_id
        RETURNING 1
    ), counted AS (
        INSERT INTO association_count AS c (account_id, record_id, type_id, n)
        SELECT $1, e.from_id, e.type_id, sum(CASE WHEN e.added THEN 1 ELSE -1 END)
          FROM edge AS e WHERE NOT e.to_id = ANY((SELECT $9::text)::bigint[])
         GROUP BY e.from_id, e.type_id HAVING sum(CASE WHEN e.added THEN 1 ELSE -1 END) <> 0
         ORDER BY e.from_id, e.type_id
        ON CONFLICT (account_id, record_id, type_id) DO UPDATE SET n = c.n + excluded.n
        RETURNING 1
    ), ends AS (
        UPDATE record AS r SET last_association_change_at = $11
         WHERE r.account_id = $1 AND r.id = ANY(ARRAY(SELECT e.from_id FROM edge AS e))
        RETURNING 1
    )"""

WRITE = Statement("associations.write", f"WITH {_PARTS} SELECT count(*) FROM ends")

# The same in one go with what the transaction tells at its end, which waits for it.
WRITE_AND_TELL = with_append("associations.write_and_tell", _PARTS, 14, ("come", "told", "counted", "ends"))

# Where a transaction only associates, the facts that are written are all that it tells: they travel once, as many
# at a time as fit a row of the queue. Rows of the queue are one for each end, events one for each fact; the log's
# counter is taken last, as in storage.changes.
ADD_AND_TELL = Statement(
    "associations.add_and_tell",
    """
    WITH fact AS MATERIALIZED (
        SELECT f.from_ids::bigint[] AS from_ids, f.to_ids::bigint[] AS to_ids, f.from_object_type_id,
               f.to_object_type_id, f.type_id, f.inverse_id, f.change_id, f.last, f.kind, f.payload
          FROM unnest((SELECT $2::text)::text[], (SELECT $3::text)::text[], (SELECT $4::text)::bigint[],
                      (SELECT $5::text)::bigint[], (SELECT $6::text)::bigint[], (SELECT $7::text)::bigint[],
                      (SELECT $8::text)::bigint[], (SELECT $9::text)::bigint[], (SELECT $10::text)::text[],
                      $11::jsonb[])
               AS f(from_ids, to_ids, from_object_type_id, to_object_type_id, type_id, inverse_id, change_id, last,
                    kind, payload)
    ), edge AS MATERIALIZED (
        SELECT e.from_id, e.to_object_type_id, e.to_id, e.type_id
          FROM fact AS f
               CROSS JOIN LATERAL unnest(f.from_ids, f.to_ids) AS p(from_id, to_id)
               CROSS JOIN LATERAL (VALUES (p.from_id, f.to_object_type_id, p.to_id, f.type_id),
                                          (p.to_id, f.from_object_type_id, p.from_id, f.inverse_id))
               AS e(from_id, to_object_type_id, to_id, type_id)
         ORDER BY e.from_id, e.to_object_type_id, e.to_id, e.type_id
    ), come AS (
        INSERT INTO association (account_id, from_id, to_object_type_id, to_id, type_id, created_at, source,
                                 source_id, user_id)
        SELECT $1, e.from_id, e.to_object_type_id, e.to_id, e.type_id, $12, $13, $14, $15
          FROM edge AS e
        RETURNING 1
    ), counted AS (
        INSERT INTO association_count AS c (account_id, record_id, type_id, n)
        SELECT $1, e.from_id, e.type_id, count(*) FROM edge AS e
         GROUP BY e.from_id, e.type_id
         ORDER BY e.from_id, e.type_id
        ON CONFLICT (account_id, record_id, type_id) DO UPDATE SET n = c.n + excluded.n
        RETURNING 1
    ), ends AS (
        UPDATE record AS r SET last_association_change_at = $12
         WHERE r.account_id = $1 AND r.id = ANY(ARRAY(SELECT e.from_id FROM edge AS e))
        RETURNING 1
    ), queued AS (
        INSERT INTO change_queue (account_id, id, object_type_id, kind, properties, before, record_ids,
                                  type_ids, other_ids, at, source, source_id, depth, version)
        SELECT $1, c.id, c.object_type_id, 'ASSOCIATED', '{}', '{}', c.record_ids, ARRAY[c.type_id],
               c.other_ids, $12, $13, $14, $16, $17
          FROM fact AS f
               CROSS JOIN LATERAL (
                   VALUES (f.change_id, f.from_object_type_id, f.type_id, f.from_ids, f.to_ids),
                          (f.change_id + 1, f.to_object_type_id, f.inverse_id, f.to_ids, f.from_ids))
               AS c(id, object_type_id, type_id, record_ids, other_ids)
        RETURNING 1
    ), taken AS (
        UPDATE account_seq AS s SET seq = s.seq + $18::bigint
         WHERE s.account_id = $1 AND (SELECT count(*) FROM come) >= 0 AND (SELECT count(*) FROM counted) >= 0
           AND (SELECT count(*) FROM ends) >= 0 AND (SELECT count(*) FROM queued) >= 0
        RETURNING s.seq - $18::bigint AS before
    )
    INSERT INTO event_log (account_id, seq, at, kind, object_type_id, record_ids, to_ids, subject_id, payload,
                           source, source_id, user_id)
    SELECT $1, taken.before + f.last, $12, f.kind, f.from_object_type_id, f.from_ids, f.to_ids, NULL, f.payload,
           $13, $14, $15
      FROM taken, fact AS f
    """,
)


@dataclass(frozen=True, slots=True)
class Facts:
    """Associations or labels under one type that come or go, told from their first records; inverses are understood.

    `from_ids[i]` with `to_ids[i]`. `type_id` stands at the first records, `inverse_id` at the others.
    """

    from_object_type_id: int
    to_object_type_id: int
    type_id: int
    inverse_id: int
    added: bool
    # The label's internal name, as it stands at the first records; None for the unlabelled type.
    label: str | None
    from_ids: list[int] = field(default_factory=list)
    to_ids: list[int] = field(default_factory=list)

    @property
    def change(self) -> ChangeKind:
        """What evaluators are told."""
        return ChangeKind.ASSOCIATED if self.added else ChangeKind.DISSOCIATED

    @property
    def event(self) -> EventKind:
        """What watchers are told."""
        if self.label is None:
            return EventKind.ASSOCIATION_ADDED if self.added else EventKind.ASSOCIATION_REMOVED
        return EventKind.LABEL_ADDED if self.added else EventKind.LABEL_REMOVED

    @property
    def payload(self) -> dict[str, Any]:
        """What watchers are told of all of them."""
        return {
            "to_object_type_id": self.to_object_type_id,
            "type_id": self.type_id,
            "inverse_type_id": self.inverse_id,
            "label": self.label,
        }


async def write(tx: Transaction, facts: Sequence[Facts], hidden: Collection[int] = ()) -> None:
    """Write what comes and goes, with counters, history and the moment at both ends, and tell of it.

    All records must be held. Neighbours in `hidden` (archived) are not counted. Written before the next statement of
    the transaction, or together with its last.
    """
    noted = len(tx.changes), len(tx.events)
    for one in facts:
        tx.changed(
            AssociationChanges(one.change, one.from_object_type_id, one.type_id, one.from_ids, one.to_ids)
        )
        tx.changed(
            AssociationChanges(one.change, one.to_object_type_id, one.inverse_id, one.to_ids, one.from_ids)
        )
        tx.happened(
            AssociationEvents(one.event, one.from_object_type_id, one.from_ids, one.to_ids, one.payload)
        )
    only_added = not hidden and all(one.added for one in facts)
    # Tells one span of history from the next.
    span = None if only_added else (await tx.new_ids(1))[0]

    async def run(last: bool) -> bool:
        # Whether what was noted is all that there is to tell, and this is the moment to tell it.
        alone = (len(tx.changes), len(tx.events)) == (2 * len(facts), len(facts)) and noted == (0, 0)
        if last and only_added and alone:
            await tx.execute(ADD_AND_TELL, *await _additions(tx, facts))
            return True
        arguments = _arguments(tx, facts, hidden, span)
        appended = await told(tx) if last else None
        if appended is None:
            await tx.execute(WRITE, *arguments)
            return False
        await tx.execute(WRITE_AND_TELL, *arguments, *appended)
        return True

    await tx.later(run)


def _arguments(
    tx: Transaction, facts: Sequence[Facts], hidden: Collection[int], span: int | None
) -> tuple[Any, ...]:
    actor = tx.actor
    return (
        lists(one.from_ids for one in facts),
        lists(one.to_ids for one in facts),
        numbers(one.from_object_type_id for one in facts),
        numbers(one.to_object_type_id for one in facts),
        numbers(one.type_id for one in facts),
        numbers(one.inverse_id for one in facts),
        flags(one.added for one in facts),
        numbers(hidden),
        span,
        tx.now,
        actor.source,
        actor.source_id,
        actor.user_id,
    )


async def _additions(tx: Transaction, facts: Sequence[Facts]) -> tuple[Any, ...]:
    parts = [
        (one, one.from_ids[start : start + PACKED], one.to_ids[start : start + PACKED])
        for one in facts
        for start in range(0, len(one.from_ids), PACKED)
    ]
    lasts = list(itertools.accumulate(len(from_ids) for _, from_ids, _ in parts))
    ids = await tx.new_ids(2 * len(parts))
    actor = tx.actor
    return (
        lists(from_ids for _, from_ids, _ in parts),
        lists(to_ids for _, _, to_ids in parts),
        numbers(one.from_object_type_id for one, _, _ in parts),
        numbers(one.to_object_type_id for one, _, _ in parts),
        numbers(one.type_id for one, _, _ in parts),
        numbers(one.inverse_id for one, _, _ in parts),
        numbers(ids[::2]),
        numbers(lasts),
        "{" + ",".join(one.event for one, _, _ in parts) + "}",
        [one.payload for one, _, _ in parts],
        tx.now,
        actor.source,
        actor.source_id,
        actor.user_id,
        actor.depth,
        tx.catalogue.version,
        lasts[-1],
    )
