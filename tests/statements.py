"""Reads SQL as PostgreSQL's own parser does, and holds each statement to the rules: every table is the account's.

A reference to a table is scoped when the same level of the statement says, in a conjunction that nothing can bypass,
`alias.account_id = $1` (its WHERE, or the ON of a join in its FROM); a row is scoped when it is inserted with `$1` as
its account_id. Comparing with another table's account_id is not enough: a sharded database would ask every shard.
The second rule: times and chance come in as parameters, so a statement names no clock, no dice and no sequence.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pglast.ast
from pglast import parse_sql
from pglast.enums.primnodes import BoolExprType

import storage
from storage import keys
from storage.database import on_statement
from storage.statements import Statement, registry

# Its classes declare every part as optional, which no statement that was parsed bears out.
ast: Any = pglast.ast

ACCOUNT = "account_id"

# Tables without accounts, and why.
WITHOUT_ACCOUNT = {
    "alembic_version": "which migrations have run is a fact of the installation",
    "pg_class": "the planner's estimates are about tables, never about rows",
    "pg_inherits": "partitions are the installation's",
}

# What makes a statement's answer depend on something else than its parameters and the data.
CLOCKS_AND_DICE = {
    "now",
    "clock_timestamp",
    "statement_timestamp",
    "transaction_timestamp",
    "timeofday",
    "random",
    "gen_random_uuid",
    "uuidv4",
    "uuidv7",
    "nextval",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """What a statement does against the rules, and with which table or function."""

    name: str
    why: str


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that run meanwhile, one after the other.

    But for the one that asks whose a key is: it is asked once a second, so the machine's pace decides who asks it.
    """
    run: list[str] = []

    def note(sql: str) -> None:
        if sql != keys.KNOWN:
            run.append(sql)

    on_statement.append(note)
    try:
        yield run
    finally:
        on_statement.remove(note)


def named_statements() -> dict[str, Statement]:
    """Every statement with a name, whether or not anything has run it yet."""
    for module in pkgutil.walk_packages(storage.__path__, "storage."):
        if not module.name.startswith("storage.migrations"):
            importlib.import_module(module.name)
    assert registry
    return registry


def violations(sql: str, *, spanning: bool = False) -> list[Violation]:
    """What a statement does against the rules; one that spans accounts on purpose keeps the second alone."""
    found: list[Violation] = []
    for raw in parse_sql(str(sql)):
        found += _chance(raw.stmt)
        if not spanning:
            found += _read(raw.stmt, frozenset())
    return found


def _chance(node: Any) -> Iterator[Violation]:
    if isinstance(node, tuple | list):
        for part in node:
            yield from _chance(part)
    elif isinstance(node, ast.Node):
        if isinstance(node, ast.SQLValueFunction):
            yield Violation("CURRENT_TIMESTAMP and its like", "times come in as parameters")
        if isinstance(node, ast.FuncCall) and (name := node.funcname[-1].sval) in CLOCKS_AND_DICE:
            yield Violation(name, "times, chance and numbers come in as parameters")
        for attribute in node:
            yield from _chance(getattr(node, attribute))


def _read(node: Any, names: frozenset[str]) -> Iterator[Violation]:
    """Violations in a statement; `names` are the WITH queries that can be seen from it."""
    if isinstance(node, ast.SelectStmt | ast.InsertStmt | ast.UpdateStmt | ast.DeleteStmt | ast.MergeStmt):
        names = names | _names(node)
        yield from _level(node, names)
        for below in _below(node):
            yield from _read(below, names)


def _names(node: Any) -> frozenset[str]:
    clause = node.withClause
    return frozenset(query.ctename for query in clause.ctes) if clause is not None else frozenset()


def _level(node: Any, names: frozenset[str]) -> Iterator[Violation]:
    """Violations of one level: its own FROM, without the queries inside."""
    match node:
        case ast.MergeStmt():
            yield Violation(node.relation.relname, "MERGE is not used")
            return
        case ast.InsertStmt():
            yield from _inserted(node)
            return
        case ast.SelectStmt():
            sources, where = list(node.fromClause or ()), node.whereClause
        case ast.UpdateStmt():
            sources, where = [node.relation, *(node.fromClause or ())], node.whereClause
        case ast.DeleteStmt():
            sources, where = [node.relation, *(node.usingClause or ())], node.whereClause
    tables = [table for source in sources for table in _tables(source)]
    conditions = [*_conjuncts(where), *(part for source in sources for part in _join_conditions(source))]
    scoped = {alias for condition in conditions for alias in _scopes(condition)}
    items = sum(1 for source in sources for _ in _items(source))
    for table in tables:
        alias = table.alias.aliasname if table.alias is not None else table.relname
        if table.relname in names and table.schemaname is None:
            continue
        if table.relname in WITHOUT_ACCOUNT or alias in scoped or (items == 1 and None in scoped):
            continue
        yield Violation(table.relname, f"{alias}.{ACCOUNT} = $1 is missing")


def _inserted(node: Any) -> Iterator[Violation]:
    table = node.relation.relname
    columns = [column.name for column in node.cols or ()]
    if table in WITHOUT_ACCOUNT:
        return
    if ACCOUNT not in columns:
        yield Violation(table, f"{ACCOUNT} is not among the columns")
        return
    place = columns.index(ACCOUNT)
    query = node.selectStmt
    rows = query.valuesLists if query is not None else None
    if rows:
        values = [row[place] for row in rows]
    elif query is not None and all(one.targetList for one in _united(query)):
        values = [one.targetList[place].val for one in _united(query)]
    else:
        values = []
    if not values or not all(_is_account(value) for value in values):
        yield Violation(table, f"{ACCOUNT} is not inserted as $1")


def _united(query: Any) -> Iterator[Any]:
    """The single queries that UNION, INTERSECT and EXCEPT join."""
    if query.larg is None:
        yield query
    else:
        yield from _united(query.larg)
        yield from _united(query.rarg)


def _tables(source: Any) -> Iterator[Any]:
    yield from (item for item in _items(source) if isinstance(item, ast.RangeVar))


def _items(source: Any) -> Iterator[Any]:
    """The items of a FROM: tables, queries, functions."""
    if isinstance(source, ast.JoinExpr):
        yield from _items(source.larg)
        yield from _items(source.rarg)
    else:
        yield source


def _join_conditions(source: Any) -> Iterator[Any]:
    if isinstance(source, ast.JoinExpr):
        yield from _conjuncts(source.quals)
        yield from _join_conditions(source.larg)
        yield from _join_conditions(source.rarg)


def _conjuncts(condition: Any) -> Iterator[Any]:
    """The parts of a condition that must all hold."""
    if isinstance(condition, ast.BoolExpr) and condition.boolop == BoolExprType.AND_EXPR:
        for part in condition.args:
            yield from _conjuncts(part)
    elif condition is not None:
        yield condition


def _scopes(condition: Any) -> Iterator[str | None]:
    """The alias that `alias.account_id = $1` is about; None for a bare column."""
    if not isinstance(condition, ast.A_Expr) or [name.sval for name in condition.name] != ["="]:
        return
    for column, value in ((condition.lexpr, condition.rexpr), (condition.rexpr, condition.lexpr)):
        if isinstance(column, ast.ColumnRef) and _is_account(value):
            path = [getattr(field, "sval", "*") for field in column.fields]
            if path[-1] == ACCOUNT:
                yield path[-2] if len(path) > 1 else None


def _is_account(value: Any) -> bool:
    """Whether an expression is `$1`, with or without a cast."""
    while isinstance(value, ast.TypeCast):
        value = value.arg
    return isinstance(value, ast.ParamRef) and value.number == 1


def _below(node: Any) -> Iterator[Any]:
    """The statements directly inside one: WITH queries, subqueries, sides of a UNION."""
    for name in node:
        yield from _statements(getattr(node, name))


def _statements(value: Any) -> Iterator[Any]:
    if isinstance(value, ast.SelectStmt | ast.InsertStmt | ast.UpdateStmt | ast.DeleteStmt | ast.MergeStmt):
        yield value
    elif isinstance(value, ast.Node):
        yield from _below(value)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _statements(part)
