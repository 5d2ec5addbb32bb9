"""Errors as clients see them: coded, with the path of the input; what nobody expected is masked and logged."""

import uuid
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, TypeVar

import strawberry
import structlog
from graphql import GraphQLError, GraphQLSyntaxError

from engine.problems import PathPart as Part
from engine.problems import Problem, Refused
from resolvers.batches import plain
from schema.scalars import JSON
from storage.faults import Fault, fault

T = TypeVar("T")

log = structlog.get_logger("relata.errors")

PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
BAD_INPUT = "BAD_USER_INPUT"
INTERNAL = "INTERNAL_ERROR"
# Beside a code of ours: the sender can do something about it. Tools that do not know our codes know this.
BAD_REQUEST = "BAD_REQUEST"

# A transaction may have been committed when its answer was lost.
_UNKNOWN = " A change may have been made all the same: with an idempotency key it is safe to send it again."
_FAULTS = {
    Fault.COLLIDED: (
        "CONFLICT",
        "Others were changing the same data at this moment; send the request again.",
    ),
    Fault.TIMED_OUT: ("TIMEOUT", "The request took longer than it may; ask for less at once." + _UNKNOWN),
    Fault.DISCONNECTED: (
        "UNAVAILABLE",
        "The database is not available at the moment; try again shortly." + _UNKNOWN,
    ),
}


@strawberry.type(
    description="Something that is wrong with a request and that its sender can do something about."
)
class UserError:
    code: str = strawberry.field(description="What is wrong, as a stable code, such as LABEL_LIMIT_REACHED.")
    message: str = strawberry.field(description="What is wrong and what to do, in words.")
    path: list[JSON] | None = strawberry.field(
        description='Where in the request: names and indexes, such as ["input", "records", 3, "properties", "email"].'
    )
    details: JSON | None = strawberry.field(description="What the message speaks of, by name.")


def user_error(problem: Problem, *front: Part) -> UserError:
    """A problem as an entry of `userErrors`; `front` is put before its path."""
    return UserError(
        code=problem.code,
        message=problem.message,
        path=[JSON(part) for part in (*front, *problem.path)] or None,
        details=plain(problem.details) or None,
    )


def user_errors(error: Problem | Refused, *front: Part) -> list[UserError]:
    """What a use case raised, as `userErrors`."""
    problems = error.problems if isinstance(error, Refused) else [error]
    return [user_error(problem, *front) for problem in problems]


async def told(work: Awaitable[T], *front: Part) -> tuple[T | None, list[UserError]]:
    """What a use case answers, or what was wrong with its request; `front` is where its input stands."""
    try:
        return await work, []
    except (Problem, Refused) as error:
        return None, user_errors(error, *(front or ("input",)))


def formatted(errors: Iterable[GraphQLError], *, valid: bool = True) -> list[dict[str, Any]]:
    """The `errors` of a response. Every one has a code; none tells of our insides.

    `valid`: the document was found to be valid, so what is wrong is a value.
    """
    return [entry for error in errors for entry in _entries(error, valid)]


def outside(problem: Problem | Refused) -> list[dict[str, Any]]:
    """A problem that is told before anything was executed, as the `errors` of a response."""
    problems = problem.problems if isinstance(problem, Refused) else [problem]
    return [{"message": one.message, "extensions": _extensions(one)} for one in problems]


def _entries(error: GraphQLError, valid: bool) -> Sequence[dict[str, Any]]:
    entry: dict[str, Any] = {"message": error.message}
    if error.locations:
        entry["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path is not None:
        entry["path"] = list(error.path)
    cause = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    match cause:
        case Problem():
            return [entry | {"message": cause.message, "extensions": _extensions(cause)}]
        case Refused():
            return [
                entry | {"message": one.message, "extensions": _extensions(one)} for one in cause.problems
            ]
        case _ if error.path is None or cause is None or isinstance(cause, GraphQLError):
            # Worded by graphql-core about the document or its values, which are the client's own.
            return [entry | {"extensions": {"code": _document_code(error, valid)} | (error.extensions or {})}]
        case _:
            return [entry | masked(cause)]


def masked(error: BaseException) -> dict[str, Any]:
    """`message` and `extensions` for something that no rule of ours foresaw; the log has the rest."""
    known = fault(error)
    if known is not None:
        code, message = _FAULTS[known]
        log.warning("database fault", code=code, error=repr(error))
        return {"message": message, "extensions": {"code": code}}
    ident = uuid.uuid4().hex
    log.error("unexpected error", id=ident, exc_info=error)
    return {"message": "Internal error", "extensions": {"code": INTERNAL, "id": ident}}


def _document_code(error: GraphQLError, valid: bool) -> str:
    if isinstance(error, GraphQLSyntaxError):
        return PARSE_FAILED
    return BAD_INPUT if valid else VALIDATION_FAILED


def _extensions(problem: Problem) -> dict[str, Any]:
    found: dict[str, Any] = {"code": problem.code, "classification": BAD_REQUEST}
    if problem.path:
        found["path"] = list(problem.path)
    if problem.details:
        found["details"] = plain(problem.details)
    return found
