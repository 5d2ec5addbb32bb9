"""HubSpot's errors in our words: by status, policy, category, and the codes of its validation."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson

from engine.sync.categories import Category
from engine.sync.connectors.protocol import (
    ConnectorError,
    Disconnected,
    Exists,
    Gone,
    Rejected,
    Unclear,
)

# How long to stay away where a refusal names a policy and no time.
POLICIES = {
    "DAILY": timedelta(hours=1),
    "TEN_SECONDLY_ROLLING": timedelta(seconds=10),
    "SECONDLY": timedelta(seconds=1),
}
CODES = {
    "PROPERTY_DOESNT_EXIST": Category.PROPERTY_NOT_FOUND,
    "INVALID_OPTION": Category.OPTION_NOT_FOUND,
    "READ_ONLY_VALUE": Category.PROPERTY_READ_ONLY,
    "TEXT_TOO_LONG": Category.VALUE_TOO_LONG,
    "VALUE_TOO_LONG": Category.VALUE_TOO_LONG,
    "REQUIRED_FIELD": Category.REQUIRED_FIELD_MISSING,
    "MISSING_REQUIRED_PROPERTY": Category.REQUIRED_FIELD_MISSING,
    "CONFLICTING_UNIQUE_VALUE": Category.UNIQUE_VALUE_CONFLICT,
}
# Words on invalid values: INVALID_EMAIL, INVALID_DATE, INVALID_LONG, …
INVALID = "INVALID_"
EXISTING = re.compile(r"Existing ID: (\d+)")
HELD = re.compile(r"propertyName=(\w+).*?(\d+) already has that value", re.S)
# The only hope where a whole batch was refused is to ask for its parts.
ABOUT_THE_REQUEST = (Rejected, Exists, Gone)


def failure(error: Exception, token: str, *, writing: bool) -> ConnectorError:
    """What an exception of the client means. `writing`: what was asked may have been done."""
    status = getattr(error, "status", None)
    if isinstance(status, int) and status > 0:
        return _refusal(status, _json(getattr(error, "body", None)), _headers(error), writing)
    if _never_sent(error) or not writing:
        # Its words may hold the address, never the token; and yet.
        return Disconnected(f"HubSpot is not reached: {error}".replace(token, "…")[:500])
    return Unclear("HubSpot did not answer: it may have been done")


def _never_sent(error: Exception) -> bool:
    """Whether no connection came about."""
    import urllib3.exceptions as urllib3

    reason = getattr(error, "reason", None)
    # The client stumbles over its own error where TLS fails.
    unsafe = isinstance(error, AttributeError) and getattr(error.__context__, "status", None) == 0
    return unsafe or isinstance(reason, urllib3.NewConnectionError | urllib3.ConnectTimeoutError)


def _refusal(
    status: int, body: Mapping[str, Any], headers: Mapping[str, str], writing: bool
) -> ConnectorError:
    message = str(body.get("message") or f"HubSpot answered {status}")[:1_000]
    match status:
        case 401:
            return Disconnected(message, Category.AUTHENTICATION_EXPIRED)
        case 403:
            return Disconnected(_scopes(body, message), Category.MISSING_PERMISSION)
        case 429:
            return Disconnected(message, Category.RATE_LIMITED, _pause(body, headers))
        case 404:
            return Gone(message, Category.RECORD_NOT_FOUND)
        case 423:
            # Too much at once; these locks hold for two seconds.
            return Disconnected(message, Category.RATE_LIMITED, _after(headers) or timedelta(seconds=2))
        case 400 | 409 | 413 | 414 | 415 | 422:
            return validation(body)
        case 500 | 502 | 504 if writing:
            return Unclear(message)
    return Disconnected(message, Category.REMOTE_UNAVAILABLE, _after(headers))


def validation(error: Mapping[str, Any]) -> ConnectorError:
    """What a refusal of one item says: of a request for it alone, or among the errors of a 207."""
    message = str(error.get("message") or "HubSpot refused it")
    category = str(error.get("category") or "")
    if found := EXISTING.search(message):
        return Exists(message, external_id=found[1])
    if found := HELD.search(message):
        return Exists(message, Category.UNIQUE_VALUE_CONFLICT, found[2])
    if category == "OBJECT_NOT_FOUND":
        return Gone(message)
    for name, code, words in _details(error, message):
        if (known := category_of(code)) is not None:
            return Rejected(words[:1_000], known, name)
    if category == "CONFLICT":
        return Exists(message)
    if "required properties were not set" in message:
        missing = _first(_context(error), "properties")
        return Rejected(message[:1_000], Category.REQUIRED_FIELD_MISSING, missing)
    return Rejected(message[:1_000], Category.VALIDATION_REJECTED)


def category_of(code: str) -> Category | None:
    """The category of a code of HubSpot's validation."""
    return CODES.get(code) or (Category.INVALID_VALUE if code.startswith(INVALID) else None)


def _details(error: Mapping[str, Any], message: str) -> list[tuple[str | None, str, str]]:
    """(field, code, words) of everything that was found wrong: in the message, as JSON, or in `errors`."""
    told: list[tuple[str | None, str, str]] = []
    _, opening, rest = message.partition("Property values were not valid: ")
    for each in _list(rest) if opening else ():
        if isinstance(each, dict) and not each.get("isValid", False):
            told.append((each.get("name"), str(each.get("error") or ""), str(each.get("message") or message)))
    for each in error.get("errors") or ():
        if isinstance(each, dict):
            name = _first(_context(each), "propertyName") or _first(_context(each), "properties")
            told.append((name, str(each.get("code") or ""), str(each.get("message") or message)))
    return told


def _scopes(body: Mapping[str, Any], message: str) -> str:
    """The words of a refusal, with the scopes that the token should have."""
    missing = {
        scope
        for each in (body, *(body.get("errors") or ()))
        if isinstance(each, Mapping)
        for key in ("requiredScopes", "requiredGranularScopes", "missingScopes")
        for scope in _context(each).get(key) or ()
    }
    return f"the token lacks {', '.join(sorted(missing))}: {message}" if missing else message


def _pause(body: Mapping[str, Any], headers: Mapping[str, str]) -> timedelta:
    return _after(headers) or POLICIES.get(str(body.get("policyName")), timedelta(seconds=10))


def _after(headers: Mapping[str, str]) -> timedelta | None:
    told = headers.get("retry-after", "")
    return timedelta(seconds=int(told)) if told.isascii() and told.isdecimal() else None


def _headers(error: Exception) -> dict[str, str]:
    headers = getattr(error, "headers", None)
    return {str(name).lower(): str(value) for name, value in headers.items()} if headers else {}


def _context(error: Mapping[str, Any]) -> Mapping[str, Any]:
    context = error.get("context")
    return context if isinstance(context, Mapping) else {}


def _first(context: Mapping[str, Any], key: str) -> str | None:
    values = context.get(key)
    return str(values[0]) if isinstance(values, list) and values else None


def _json(text: Any) -> Mapping[str, Any]:
    try:
        told = orjson.loads(text)
    except (orjson.JSONDecodeError, TypeError):
        return {}
    return told if isinstance(told, dict) else {}


def _list(text: str) -> list[Any]:
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError:
        return []
    return told if isinstance(told, list) else []
