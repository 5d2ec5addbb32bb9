"""The reader of statements sees through the usual disguises; otherwise it would be no guard."""

import pytest

from tests.statements import named_statements, violations

SCOPED = [
    "SELECT r.id FROM record AS r WHERE r.account_id = $1 AND r.id = ANY($2)",
    "SELECT id FROM record WHERE account_id = $1",
    "SELECT 1 FROM record AS r JOIN association AS a ON a.account_id = $1 AND a.from_id = r.id WHERE r.account_id = $1",
    "SELECT (SELECT 1 FROM association AS a WHERE a.account_id = $1::bigint) FROM record AS r WHERE r.account_id = $1",
    "WITH gone AS (DELETE FROM record AS r WHERE r.account_id = $1 RETURNING r.id) SELECT g.id FROM gone AS g",
    "INSERT INTO record (account_id, id) SELECT $1, x.id FROM unnest($2::bigint[]) AS x (id)",
    "INSERT INTO record (account_id, id) SELECT $1, 1 UNION ALL SELECT $1, 2",
    "UPDATE record AS r SET version = 2 FROM unnest($2::bigint[]) AS x (id) WHERE r.account_id = $1 AND r.id = x.id",
    "SELECT s.id FROM unnest($2::bigint[]) AS s (id)",
]

UNSCOPED = [
    "SELECT r.id FROM record AS r",
    "SELECT r.id FROM record AS r WHERE r.account_id = $2",
    "SELECT r.id FROM record AS r WHERE r.account_id = $1 OR r.id = $2",
    "SELECT r.id FROM record AS r WHERE NOT r.account_id = $1",
    "SELECT r.id FROM record AS r WHERE r.account_id >= $1",
    "SELECT 1 FROM record AS r JOIN association AS a ON a.account_id = r.account_id WHERE r.account_id = $1",
    "SELECT 1 FROM record AS r, association AS a WHERE account_id = $1",
    "SELECT 1 FROM record AS r WHERE r.account_id = $1 AND EXISTS (SELECT FROM association AS a WHERE a.to_id = r.id)",
    "SELECT 1 FROM record AS r WHERE r.account_id = $1 UNION SELECT 1 FROM association AS a",
    "WITH seen AS (SELECT * FROM record) SELECT * FROM seen",
    "SELECT 1 FROM record AS r, LATERAL (SELECT 1 FROM association AS a) AS x WHERE r.account_id = $1",
    "SELECT array(SELECT a.to_id FROM association AS a)",
    "SELECT x.n FROM unnest($2::bigint[]) AS x (n) ORDER BY (SELECT max(r.id) FROM record AS r)",
    "INSERT INTO record (id) VALUES ($1)",
    "INSERT INTO record (account_id, id) VALUES ($1, 1), ($2, 2)",
    "INSERT INTO record (account_id, id) SELECT r.account_id, r.id FROM other AS r WHERE r.account_id = $1",
    "INSERT INTO record (account_id, id) SELECT $1, 1 UNION ALL SELECT $2, 2",
    "INSERT INTO record (account_id, id) VALUES ($1, (SELECT max(r.id) FROM record AS r))",
    "UPDATE record AS r SET version = 2",
    "UPDATE record AS r SET version = 2 FROM association AS a WHERE r.account_id = $1 AND a.from_id = r.id",
    "DELETE FROM record AS r USING association AS a WHERE a.account_id = $1",
    "SELECT 1 FROM record AS r WHERE r.account_id = $1 AND r.created_at < now()",
    "SELECT 1 FROM record AS r WHERE r.account_id = $1 AND r.created_at < CURRENT_TIMESTAMP",
    "INSERT INTO record (account_id, id) VALUES ($1, random())",
]


@pytest.mark.parametrize("sql", SCOPED)
def test_a_statement_of_one_account_passes(sql: str) -> None:
    assert violations(sql) == []


@pytest.mark.parametrize("sql", UNSCOPED)
def test_a_statement_that_reaches_further_is_found(sql: str) -> None:
    assert violations(sql)


def test_every_named_statement_keeps_the_rules() -> None:
    found = {
        name: told
        for name, text in named_statements().items()
        if (told := violations(text, spanning=bool(text.spanning)))
    }
    assert found == {}


def test_whoever_spans_accounts_argues_for_it() -> None:
    assert [
        name
        for name, text in named_statements().items()
        if text.spanning is not None and len(text.spanning) < 15
    ] == []
