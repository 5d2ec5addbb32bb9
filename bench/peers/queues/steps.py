"""The three steps in plain SQL, one statement each: what the product reads and writes for one enrollment.

Run by peers in an environment of their own, which knows nothing of the product. `$1` is the account, `$2` the
enrollment; in `LABEL`, `$3` and `$4` are the label from either side. A step holds the enrollment, does its work, writes
a line of history (the key of which lets it happen once) and its events, and moves the enrollment on. No step asks
whether the one before was taken, so that jobs of one enrollment may be put into a queue together.
"""

BRANCH = """
WITH one AS (
    SELECT e.id, e.record_id, e.workflow_id FROM peers.enrollment AS e
     WHERE e.account_id = $1 AND e.id = $2
       FOR UPDATE
), seen AS (
    SELECT one.id, one.record_id, one.workflow_id, r.object_type_id, r.properties -> 'score' AS score,
           (r.properties ->> 'score')::numeric > 499 AS high
      FROM one
      JOIN peers.record AS r ON r.account_id = $1 AND r.id = one.record_id AND r.archived_at IS NULL
), line AS (
    INSERT INTO peers.enrollment_step (account_id, enrollment_id, n, action, at, outcome, changes)
    SELECT $1, seen.id, 0, 'a1', clock_timestamp(), 'DONE',
           jsonb_build_array(jsonb_build_object('branch', CASE WHEN seen.high THEN 'high' ELSE 'otherwise' END,
                                                'seen', jsonb_build_object('score', seen.score)))
      FROM seen
), told AS (
    INSERT INTO peers.event_log (account_id, seq, at, kind, object_type_id, record_ids, to_ids, subject_id, payload,
                                 source)
    SELECT $1, nextval('peers.event_seq'), clock_timestamp(), 'STEP_DONE', seen.object_type_id,
           ARRAY[seen.record_id], '{}', seen.workflow_id,
           jsonb_build_object('enrollment', seen.id, 'step', 0, 'action', 'a1', 'outcome', 'DONE'), 'WORKFLOW'
      FROM seen
)
UPDATE peers.enrollment AS e SET next_step = CASE WHEN seen.high THEN 1 ELSE 2 END, steps = e.steps + 1
  FROM seen WHERE e.account_id = $1 AND e.id = seen.id
"""

SET = """
WITH one AS (
    SELECT e.id, e.record_id, e.workflow_id
      FROM peers.enrollment AS e
     WHERE e.account_id = $1 AND e.id = $2
       FOR UPDATE
), held AS (
    SELECT r.id, r.object_type_id, r.properties -> 'jobtitle' AS old,
           'by ' || (SELECT one.workflow_id FROM one) || CASE WHEN (r.properties ->> 'score')::numeric > 499
                                                              THEN ', high' ELSE ', low' END AS value
      FROM peers.record AS r
     WHERE r.account_id = $1 AND r.id = (SELECT one.record_id FROM one) AND r.archived_at IS NULL
       FOR UPDATE
), written AS (
    UPDATE peers.record AS r
       SET properties = r.properties || jsonb_build_object('jobtitle', held.value), version = r.version + 1,
           updated_at = clock_timestamp(), updated_source = 'WORKFLOW'
      FROM held
     WHERE r.account_id = $1 AND r.id = held.id
    RETURNING r.id, r.version, held.value
), history AS (
    INSERT INTO peers.property_history (account_id, record_id, version, at, changed, source, source_id)
    SELECT $1, written.id, written.version, clock_timestamp(), jsonb_build_object('jobtitle', written.value),
           'WORKFLOW', '1'
      FROM written
), indexed AS (
    UPDATE peers.property_value AS v SET text_value = written.value
      FROM written, peers.names AS t
     WHERE v.account_id = $1 AND v.record_id = written.id AND v.property_id = t.property_id
), line AS (
    INSERT INTO peers.enrollment_step (account_id, enrollment_id, n, action, at, outcome, changes)
    SELECT $1, one.id, 1, 'a2', clock_timestamp(), 'DONE',
           jsonb_build_array(jsonb_build_object('record', held.id, 'property', 'jobtitle', 'old', held.old,
                                                'new', held.value))
      FROM one, held
), told AS (
    INSERT INTO peers.event_log (account_id, seq, at, kind, object_type_id, record_ids, to_ids, subject_id, payload,
                                 source)
    SELECT $1, nextval('peers.event_seq'), clock_timestamp(), k.kind, held.object_type_id, ARRAY[held.id], '{}',
           one.workflow_id,
           CASE k.kind WHEN 'STEP_DONE'
                THEN jsonb_build_object('enrollment', one.id, 'step', 1, 'action', 'a2', 'outcome', 'DONE')
                ELSE jsonb_build_object('changed', jsonb_build_object('jobtitle', held.value)) END, 'WORKFLOW'
      FROM one, held, (VALUES ('RECORD_UPDATED'), ('STEP_DONE')) AS k(kind)
)
UPDATE peers.enrollment AS e SET next_step = 3, steps = e.steps + 1
  FROM written, one WHERE e.account_id = $1 AND e.id = one.id
"""

LABEL = """
WITH one AS (
    SELECT e.id, e.record_id, e.workflow_id FROM peers.enrollment AS e
     WHERE e.account_id = $1 AND e.id = $2 AND e.status = 'ACTIVE'
       FOR UPDATE
), pair AS (
    SELECT a.from_id, a.to_id, a.to_object_type_id FROM peers.association AS a, peers.names AS t
     WHERE a.account_id = $1 AND a.from_id = (SELECT one.record_id FROM one)
       AND a.to_object_type_id = t.companies AND a.type_id = t.unlabelled
), held AS (
    SELECT r.id FROM peers.record AS r
     WHERE r.account_id = $1 AND r.archived_at IS NULL
       AND r.id = ANY(ARRAY(SELECT pair.from_id FROM pair UNION ALL SELECT pair.to_id FROM pair))
     ORDER BY r.id
       FOR UPDATE
), edge AS (
    SELECT p.from_id, p.to_object_type_id, p.to_id, $3::bigint AS type_id FROM pair AS p
     WHERE (SELECT count(*) FROM held) >= 2
    UNION ALL
    SELECT p.to_id, t.contacts, p.from_id, $4::bigint FROM pair AS p, peers.names AS t
     WHERE (SELECT count(*) FROM held) >= 2
), come AS (
    INSERT INTO peers.association (account_id, from_id, to_object_type_id, to_id, type_id, created_at, source,
                                   source_id)
    SELECT $1, edge.from_id, edge.to_object_type_id, edge.to_id, edge.type_id, clock_timestamp(), 'WORKFLOW', '1'
      FROM edge
    ON CONFLICT DO NOTHING
    RETURNING from_id, to_id, type_id
), counted AS (
    INSERT INTO peers.association_count AS c (account_id, record_id, type_id, n)
    SELECT $1, come.from_id, come.type_id, 1 FROM come ORDER BY come.from_id, come.type_id
    ON CONFLICT (account_id, record_id, type_id) DO UPDATE SET n = c.n + 1
), ends AS (
    UPDATE peers.record AS r SET last_association_change_at = clock_timestamp()
     WHERE r.account_id = $1 AND r.id = ANY(ARRAY(SELECT come.from_id FROM come))
), line AS (
    INSERT INTO peers.enrollment_step (account_id, enrollment_id, n, action, at, outcome, changes)
    SELECT $1, one.id, 2, 'a3', clock_timestamp(), 'DONE',
           coalesce((SELECT jsonb_agg(jsonb_build_object('record', pair.from_id, 'associated', pair.to_id,
                                                         'label', $3::bigint)) FROM pair), '[]')
      FROM one
), told AS (
    INSERT INTO peers.event_log (account_id, seq, at, kind, object_type_id, record_ids, to_ids, subject_id, payload,
                                 source)
    SELECT $1, nextval('peers.event_seq'), clock_timestamp(), k.kind, t.contacts, ARRAY[one.record_id],
           CASE k.kind WHEN 'LABEL_ADDED' THEN ARRAY(SELECT pair.to_id FROM pair) ELSE '{}' END, one.workflow_id,
           CASE k.kind WHEN 'STEP_DONE'
                THEN jsonb_build_object('enrollment', one.id, 'step', 2, 'action', 'a3', 'outcome', 'DONE')
                WHEN 'LABEL_ADDED' THEN jsonb_build_object('type', $3::bigint)
                ELSE jsonb_build_object('enrollment', one.id, 'status', 'COMPLETED') END, 'WORKFLOW'
      FROM one, peers.names AS t, (VALUES ('LABEL_ADDED'), ('STEP_DONE'), ('ENROLLMENT_COMPLETED')) AS k(kind)
)
UPDATE peers.enrollment AS e
   SET next_step = 4, steps = e.steps + 1, status = 'COMPLETED', due_at = NULL, ended_at = clock_timestamp()
  FROM one WHERE e.account_id = $1 AND e.id = one.id
"""

STEPS = {"branch": BRANCH, "set": SET, "label": LABEL}
