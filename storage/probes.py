"""Records by a list of ids, for PostgreSQL 16: a probe of the primary key for each of them.

`id = ANY(…)` is a look-up to versions 17 and 18, and the quickest that there is. Version 16 weighs it against going
through all that an account has, with the list as a filter. An account that its statistics do not know has one row, it
believes, so that is what it does: two records of a hundred thousand were held in 20 ms, a thousand in 2.6 s (a list
that a subselect makes is compared one by one). Each probe costs 1 µs, twice as much as in a list: so later versions
keep their lists, and version 16 has a form of its own of the statements that everybody runs.
"""

from storage.places import places


def _probe(columns: str, ident: str, where: str = "", lock: str = "") -> str:
    # A range of one, in the order of ids: of an account that they do not know, versions 16 and 17 take any index with
    # the id in it for as good as the key, and go through all of the account there; but only the key has that order.
    return (
        f"SELECT {columns} FROM record AS q WHERE q.account_id = $1 AND q.id BETWEEN {ident} AND {ident} {where}"
        f" ORDER BY q.id LIMIT 1 {lock}"
    )


def probed(ids: str, *, where: str = "", lock: str = "") -> str:
    """The records `r` whose ids are in the array `ids`, each once, in the order of ids: what follows FROM.

    `where` (of `q`) is asked of each as it stands once it is locked, if there is a `lock`.
    """
    return (
        f"(SELECT DISTINCT g.id FROM unnest({ids}) AS g(id) ORDER BY g.id) AS g"
        f" CROSS JOIN LATERAL ({_probe('q.*', 'g.id', where, lock)}) AS r"
    )


def lying(ids: str) -> str:
    """Where the records with the ids of a SELECT (`id`) lie, as a table `p(place)`: for those that are held."""
    return places(
        f"ARRAY(SELECT ({_probe('q.ctid', 'g.id')}) FROM (SELECT DISTINCT d.id FROM ({ids}) AS d) AS g)"
    )
