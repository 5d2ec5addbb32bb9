"""Calling webhooks: the enrolled record, posted to a URL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import ids, outbox
from engine.problems import NotFound, Problem, at
from engine.workflows.actions import outside
from engine.workflows.actions.handler import Batch, Handler
from engine.workflows.actions.outside import Letter, Sending
from engine.workflows.advance import Result
from engine.workflows.definition.actions import CallWebhook
from storage.catalogue import Catalogue, ObjectTypeRow
from storage.enrollments import EnrollmentRow
from storage.filters.times import text
from storage.records import RecordRow

LONGEST_SECRET = 500


class MalformedSecret(Problem):
    """A secret has 1 to {limit} printable characters."""


@dataclass(frozen=True, slots=True)
class BoundCall:
    """A call, and the properties that it tells."""

    action: CallWebhook
    properties: tuple[str, ...]


def _bind(action: CallWebhook, object_type: ObjectTypeRow, _catalogue: Catalogue) -> BoundCall:
    with at("url"):
        outbox.check_url(action.url)
    secret = action.secret
    if secret is not None and not (0 < len(secret) <= LONGEST_SECRET and secret.isprintable()):
        raise MalformedSecret(limit=LONGEST_SECRET, path=("secret",))
    if action.properties is None:
        live = [prop.name for prop in object_type.properties.values() if prop.archived_at is None]
        return BoundCall(action, tuple(sorted(live)))
    for n, name in enumerate(action.properties):
        if object_type.live(name) is None:
            raise NotFound(kind=f"property of {object_type.name}", name=name, path=("properties", n))
    return BoundCall(action, tuple(dict.fromkeys(action.properties)))


async def _call(batch: Batch, bound: BoundCall) -> list[Result]:
    async def write(sending: Sending, coming: Sequence[EnrollmentRow], rows: Mapping[int, RecordRow]) -> None:
        for one in coming:
            if sending.full():
                return
            content = outbox.Webhook(
                bound.action.url, _payload(batch, bound, one, rows[one.record_id]), bound.action.secret
            )
            try:
                row = outbox.webhook(
                    outside.key_of(batch, one, "webhook"), content, **outside.place_of(one, one.record_id)
                )
            except Problem as problem:
                sending.refuse(one, problem)
            else:
                sending.add(one, Letter([row]))

    return await outside.carried_out(batch, write)


def _payload(batch: Batch, bound: BoundCall, one: EnrollmentRow, row: RecordRow) -> dict[str, Any]:
    return {
        "workflow": ids.encode("workflow", batch.workflow_id),
        "revision": batch.revision,
        "enrollment": ids.encode("enrollment", one.id),
        "action": bound.action.id,
        "at": text(batch.tx.now),
        "record": {
            "id": ids.encode("record", row.id),
            "objectType": batch.object_type.name,
            "createdAt": text(row.created_at),
            "updatedAt": text(row.updated_at),
            "properties": {name: row.properties.get(name) for name in bound.properties},
        },
    }


CALL = Handler(_bind, _call)
