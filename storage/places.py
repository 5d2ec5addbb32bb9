"""Rows by where they lie: found by a probe each, then changed or removed there.

A join by their keys could become a scan of the table; their places cannot. But that alone (`ctid = ANY(…)`) did not do:
of an account that statistics do not know, planners believe that it has one row, and reading "all of it" to look which
rows lie there seemed less than going to ten places. A thousand labels were taken away in 4 s, in place of 0.1 s.

Only for rows that nobody else writes meanwhile: those that are never updated, or that an earlier statement holds.
PostgreSQL passes over a row that somebody has written while it was waited for, since it lies elsewhere by then.
"""

# A limit that planners cannot see is taken for a tenth of what it limits, and no less than one row. So they expect one
# place, and for one there is nothing cheaper than to go there.
_MANY = 2**31 - 1


def places(array: str) -> str:
    """An array of places as a table `p(place)`: to be joined by `x.ctid = p.place`, and by nothing else."""
    return f"(SELECT p.place FROM unnest({array}) AS p(place) LIMIT (SELECT {_MANY})) AS p"


def places_of(table: str) -> str:
    """Where the rows of `table` with the ids `$2` lie, as a table `p(place)`."""
    return places(
        f"""ARRAY(SELECT (SELECT g.ctid FROM {table} AS g WHERE g.account_id = $1 AND g.id = n.id)
                  FROM unnest($2::bigint[]) AS n(id))"""
    )


def held(array: str) -> str:
    """An array of ids as a table `h(id)`: of rows that this statement has locked or may wait for.

    A place would not do for them: PostgreSQL passes over rows that lie elsewhere since somebody else has written them.
    """
    return f"(SELECT h.id FROM unnest({array}) AS h(id) LIMIT (SELECT {_MANY})) AS h"
