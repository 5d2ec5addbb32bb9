"""The floor: the three benchmark queries as hand-written SQL behind a minimal Starlette endpoint.

It knows the account, the object types and the labels by number, checks nothing and authenticates nobody: what
is left is PostgreSQL and the way to it. `python -m bench.floor` serves it (see `bench.queries`).
"""

import json
import os
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Q1 = """
SELECT concat('{"data":{"records":{"nodes":[', (
  SELECT string_agg(c.json, ',') FROM (
    SELECT concat('{"id":"rec_', r.id, '","properties":{"firstname":', r.properties -> 'firstname',
                  ',"lastname":', r.properties -> 'lastname', ',"email":', r.properties -> 'email',
                  '},"associations":{"edges":[', (
      SELECT string_agg(e.json, ',') FROM (
        SELECT concat('{"labels":[', (
                 SELECT string_agg($2::jsonb ->> l.type_id::text, ',') FROM association AS l
                  WHERE l.account_id = $1 AND l.from_id = a.from_id AND l.to_object_type_id = $4
                    AND l.to_id = a.to_id AND l.type_id <> $6),
               '],"node":{"id":"rec_', k.id, '","properties":{"name":', k.properties -> 'name',
               ',"domain":', k.properties -> 'domain', '},"associations":{"edges":[', (
          SELECT string_agg(f.json, ',') FROM (
            SELECT concat('{"labels":[', (
                     SELECT string_agg($2::jsonb ->> m.type_id::text, ',') FROM association AS m
                      WHERE m.account_id = $1 AND m.from_id = b.from_id AND m.to_object_type_id = $5
                        AND m.to_id = b.to_id AND m.type_id <> $7),
                   '],"node":{"id":"rec_', d.id, '","properties":{"name":', d.properties -> 'name',
                   ',"amount":', d.properties -> 'amount', '}}}') AS json
              FROM association AS b
              JOIN record AS d ON d.account_id = $1 AND d.id = b.to_id AND d.archived_at IS NULL
             WHERE b.account_id = $1 AND b.from_id = k.id AND b.to_object_type_id = $5 AND b.type_id = $7
             ORDER BY b.to_id LIMIT 10) AS f), ']}}}') AS json
          FROM association AS a
          JOIN record AS k ON k.account_id = $1 AND k.id = a.to_id AND k.archived_at IS NULL
         WHERE a.account_id = $1 AND a.from_id = r.id AND a.to_object_type_id = $4 AND a.type_id = $6
         ORDER BY a.to_id LIMIT 10) AS e), ']}}') AS json
      FROM record AS r
     WHERE r.account_id = $1 AND r.object_type_id = $3 AND r.archived_at IS NULL
     ORDER BY r.id LIMIT 50) AS c), ']}}}')
"""

Q2 = """
SELECT concat('{"data":{"record":{"id":"rec_', r.id, '","properties":{"firstname":', r.properties -> 'firstname',
              ',"lastname":', r.properties -> 'lastname', ',"email":', r.properties -> 'email',
              '},"associations":{"edges":[', (
  SELECT string_agg(e.json, ',') FROM (
    SELECT concat('{"labels":[', (
             SELECT string_agg($2::jsonb ->> l.type_id::text, ',') FROM association AS l
              WHERE l.account_id = $1 AND l.from_id = a.from_id AND l.to_object_type_id = $4
                AND l.to_id = a.to_id AND l.type_id <> $5),
           '],"node":{"id":"rec_', k.id, '","properties":{"name":', k.properties -> 'name',
           ',"domain":', k.properties -> 'domain', '}}}') AS json
      FROM association AS a
      JOIN record AS k ON k.account_id = $1 AND k.id = a.to_id AND k.archived_at IS NULL
     WHERE a.account_id = $1 AND a.from_id = r.id AND a.to_object_type_id = $4 AND a.type_id = $5
     ORDER BY a.to_id LIMIT 10) AS e), ']}}}}')
  FROM record AS r
 WHERE r.account_id = $1 AND r.object_type_id = $3 AND r.id = $6
"""

Q3 = """
SELECT concat('{"data":{"records":{"nodes":[', (
  SELECT string_agg(c.json, ',') FROM (
    SELECT concat('{"id":"rec_', r.id, '","properties":{"firstname":', r.properties -> 'firstname',
                  ',"lastname":', r.properties -> 'lastname', '}}') AS json
      FROM record AS r
     WHERE r.account_id = $1 AND r.object_type_id = $2 AND r.archived_at IS NULL
       AND r.properties ->> 'city' = $5
       AND EXISTS (SELECT FROM association AS a
                     JOIN record AS k ON k.account_id = $1 AND k.id = a.to_id AND k.archived_at IS NULL
                    WHERE a.account_id = $1 AND a.from_id = r.id AND a.to_object_type_id = $3
                      AND a.type_id = $4 AND k.properties ->> 'industry' = $6)
     ORDER BY r.id LIMIT 50) AS c), ']}}}')
"""


def arguments(settings: dict[str, Any], query: str, variables: dict[str, Any]) -> list[Any]:
    """The parameters of a query's statement."""
    contacts, companies, deals = settings["contacts"], settings["companies"], settings["deals"]
    contact_company, company_deal = settings["contact_company"], settings["company_deal"]
    account, labels = settings["account"], settings["labels"]
    if query == "Q1":
        return [account, labels, contacts, companies, deals, contact_company, company_deal]
    if query == "Q2":
        return [
            account,
            labels,
            contacts,
            companies,
            contact_company,
            int(variables["id"].removeprefix("rec_")),
        ]
    return [
        account,
        contacts,
        companies,
        settings["decision_maker"],
        variables["city"],
        variables["industry"],
    ]


def app(settings: dict[str, Any]) -> Starlette:
    """The endpoint: {"query": "Q1" | "Q2" | "Q3", "variables": {…}} → the finished JSON."""
    statements = {"Q1": Q1, "Q2": Q2, "Q3": Q3}
    pools: list[Any] = []

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> Any:
        async with asyncpg.create_pool(
            settings["url"],
            min_size=1,
            max_size=settings["pool"],
            reset=_keep,
            server_settings={"jit": "off"},
        ) as pool:
            pools.append(pool)
            yield

    async def answer(request: Request) -> Response:
        body = orjson.loads(await request.body())
        query = body["query"]
        async with pools[0].acquire() as connection:
            text = await connection.fetchval(
                statements[query], *arguments(settings, query, body.get("variables") or {})
            )
        return Response(text, media_type="application/json")

    return Starlette(routes=[Route("/graphql", answer, methods=["POST"])], lifespan=lifespan)


async def _keep(_connection: Any) -> None:
    """No statement leaves session state: nothing to reset."""


if __name__ == "__main__":
    given = json.loads(os.environ["BENCH_FLOOR"])
    uvicorn.run(app(given), host="127.0.0.1", port=given["port"], log_level="error", access_log=False)
