"""Webhooks: whether they are HubSpot's, and what they say has changed."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from engine.sync.categories import Category
from engine.sync.connectors.protocol import Delivery, Hint, Rejected

# The first word of a subscription's type, and of an association's.
NAMES = {"contact": "contacts", "company": "companies", "deal": "deals", "ticket": "tickets"}


def hints(delivery: Delivery, secret: str, url: str, type_ids: Mapping[str, str]) -> list[Hint]:
    """What a delivery says. `type_ids`: {object: type id}. Raises Rejected where it is not genuine."""
    _genuine(delivery, secret, url)
    try:
        events = orjson.loads(delivery.body)
    except orjson.JSONDecodeError:
        raise Rejected("this is no JSON", Category.INVALID_VALUE) from None
    told = events if isinstance(events, list) else [events]
    if not all(isinstance(event, dict) for event in told):
        raise Rejected("these are no events", Category.INVALID_VALUE)
    names = {type_id: name for name, type_id in type_ids.items()}
    return list(dict.fromkeys(hint for event in told for hint in _hints(event, names)))


def _genuine(delivery: Delivery, secret: str, url: str) -> None:
    """Raises Rejected unless the signature (version 3) is right, and not older than five minutes."""
    from hubspot.utils.signature import Signature  # type: ignore[import-untyped]

    if not secret or not url:
        raise Rejected(
            "webhooks need the client secret and the address in the settings", Category.INVALID_VALUE
        )
    headers = {name.lower(): value for name, value in delivery.headers.items()}
    if delivery.query and "?" not in url:
        url = f"{url}?{delivery.query}"
    try:
        genuine = Signature.is_valid(
            signature=headers.get("x-hubspot-signature-v3", ""),
            client_secret=secret,
            request_body=delivery.body.decode(),
            http_uri=url,
            http_method=delivery.method,
            signature_version="v3",
            timestamp=headers.get("x-hubspot-request-timestamp"),
        )
    except Exception:  # a time that is none or too old, a body or signature that is no text
        genuine = False
    if not genuine:
        raise Rejected("the signature is not HubSpot's, or too old", Category.AUTHENTICATION_EXPIRED)


def _hints(event: dict[str, Any], names: Mapping[str, str]) -> Iterator[Hint]:
    word, _, what = str(event.get("subscriptionType", "")).partition(".")
    object_ = NAMES.get(word) or names.get(str(event.get("objectTypeId")))
    if what == "associationChange":
        yield from _ends(event, object_, names)
        return
    ids = [event.get("objectId"), event.get("primaryObjectId"), event.get("newObjectId")]
    ids += event.get("mergedObjectIds") or []
    known = [str(id_) for id_ in dict.fromkeys(ids) if isinstance(id_, int | str) and id_ != ""]
    if object_ is None:
        # Of a kind that we have not met: look everywhere.
        yield Hint()
    elif not known:
        yield Hint(object_)
    for id_ in known if object_ is not None else ():
        yield Hint(object_, id_)


def _ends(event: dict[str, Any], object_: str | None, names: Mapping[str, str]) -> Iterator[Hint]:
    """Both ends of an association: "CONTACT_TO_COMPANY", or the two type ids."""
    from_, _, to = str(event.get("associationType", "")).lower().partition("_to_")
    ends = (
        ("fromObjectId", names.get(str(event.get("fromObjectTypeId"))) or NAMES.get(from_) or object_),
        ("toObjectId", names.get(str(event.get("toObjectTypeId"))) or NAMES.get(to)),
    )
    for key, name in ends:
        id_ = event.get(key)
        yield Hint(name, str(id_)) if name and id_ is not None else Hint(name)
