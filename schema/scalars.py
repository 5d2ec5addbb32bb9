"""Scalars: JSON as it is, and moments in one form everywhere: UTC, to the millisecond."""

from datetime import UTC, datetime
from typing import Any, NewType

import strawberry
from strawberry.exceptions import StrawberryInputCoercionError
from strawberry.types.scalar import ScalarDefinition

JSON = NewType("JSON", object)
Upload = NewType("Upload", object)


def moment_text(moment: datetime) -> str:
    """`2026-01-31T09:30:00.000Z`: the form in which stored DATETIME values stand, too."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment(value: Any) -> datetime:
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise StrawberryInputCoercionError(
            "A moment is ISO 8601 text with an offset, such as 2026-01-31T09:30:00.000Z."
        ) from None
    if found.tzinfo is None:
        raise StrawberryInputCoercionError("A moment needs an offset, such as 2026-01-31T09:30:00.000Z.")
    try:
        return found.astimezone(UTC)
    except OverflowError:
        # The first and the last day there are, in a zone that is ahead or behind.
        raise StrawberryInputCoercionError("A moment lies between the years 1 and 9999, in UTC.") from None


def _sent(value: Any) -> Any:
    if not hasattr(value, "pieces"):
        raise StrawberryInputCoercionError(
            "A file comes in a multipart request, as the GraphQL multipart request specification describes it."
        )
    return value


def _never(_: Any) -> Any:
    raise TypeError("files come in, and do not go out so")


def _as_it_is(value: Any) -> Any:
    return value


# For `StrawberryConfig(scalar_map=SCALARS)`.
SCALARS: dict[object, ScalarDefinition] = {
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value: an object, a list, text, a number, true, false or null.",
        specified_by_url="https://datatracker.ietf.org/doc/html/rfc8259",
        serialize=_as_it_is,
        parse_value=_as_it_is,
    ),
    Upload: strawberry.scalar(
        name="Upload",
        description="A file that comes along in a multipart request; a variable, null in its place.",
        specified_by_url="https://github.com/jaydenseric/graphql-multipart-request-spec",
        serialize=_never,
        parse_value=_sent,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="A moment in UTC to the millisecond, such as 2026-01-31T09:30:00.000Z; any offset is accepted.",
        specified_by_url="https://datatracker.ietf.org/doc/html/rfc3339",
        serialize=moment_text,
        parse_value=_moment,
    ),
}
