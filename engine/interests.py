"""What followers of the log want to hear: kinds, a subject, a record, an object type, and a filter on the record.

Equal interests are one value: whoever hands events over looks at them once for all who share it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import orjson

from engine import filters
from engine.filters.matching import Asked
from engine.problems import Problem, Refused
from storage.catalogue import Catalogue
from storage.changes import EventKind, LoggedEvent
from storage.database import Database
from storage.filters.tree import Filter

# An association is logged once, from one of its ends; it concerns both.
OF_PAIRS = frozenset(
    {
        EventKind.ASSOCIATION_ADDED,
        EventKind.ASSOCIATION_REMOVED,
        EventKind.LABEL_ADDED,
        EventKind.LABEL_REMOVED,
    }
)

# Told of an enrollment; a mail or a call that no enrollment asked for concerns nobody who follows those.
OF_OUTBOX = frozenset({EventKind.OUTBOX_DELIVERED, EventKind.OUTBOX_FAILED})


@dataclass(frozen=True, slots=True)
class Interest:
    """These kinds of events; where given, only of this subject, record, or object type.

    `where` is a filter's definition as JSON, asked of the record that an event is told of, as it is when it is told.
    """

    kinds: frozenset[EventKind]
    subject_id: int | None = None
    record_id: int | None = None
    object_type_id: int | None = None
    where: bytes | None = None

    def views(self, event: LoggedEvent) -> Iterator[LoggedEvent]:
        """The event as it may be told: as it was logged, and from its other end; none where it does not matter."""
        if event.kind not in self.kinds or self.subject_id not in (None, event.subject_id):
            return
        if event.kind in OF_OUTBOX and None in (
            event.record_id,
            event.subject_id,
            event.payload.get("enrollment"),
        ):
            return
        if self._suits(event):
            yield event
        if event.kind in OF_PAIRS:
            turned = _turned(event)
            if self._suits(turned):
                yield turned

    def _suits(self, event: LoggedEvent) -> bool:
        return self.record_id in (None, event.record_id) and self.object_type_id in (
            None,
            event.object_type_id,
        )


def _turned(event: LoggedEvent) -> LoggedEvent:
    told = event.payload
    payload = told | {
        "to_id": event.record_id,
        "to_object_type_id": event.object_type_id,
        "type_id": told["inverse_type_id"],
        "inverse_type_id": told["type_id"],
    }
    return replace(event, record_id=told["to_id"], object_type_id=told["to_object_type_id"], payload=payload)


async def choose(
    db: Database,
    account_id: int,
    interests: Iterable[Interest],
    events: Sequence[LoggedEvent],
    now: datetime,
    version: int | None = None,
) -> dict[Interest, list[LoggedEvent] | Problem | Refused]:
    """What of `events` each interest is to hear, in order; or what is wrong with its filter by now.

    All filters together are asked once, of the records as they are now. `version`: of the definitions, if known.
    """
    views = {one: [list(one.views(event)) for event in events] for one in dict.fromkeys(interests)}
    met: dict[Interest, dict[int, bool] | Problem | Refused | None] = dict.fromkeys(views)
    filtered = [one for one in views if one.where is not None and any(views[one])]
    if filtered:
        catalogue = await db.catalogue(account_id, version)
        asked: dict[Interest, Asked] = {}
        for one in filtered:
            try:
                asked[one] = _bound(one, catalogue), _records(views[one]), one.object_type_id or 0
            except (Problem, Refused) as problem:
                met[one] = problem
        async with db.read(account_id) as reader:
            answers = await filters.matches_many(reader, catalogue, list(asked.values()), now=now)
        met.update(zip(asked, answers, strict=True))
    return {one: _told(several, met[one]) for one, several in views.items()}


def _bound(interest: Interest, catalogue: Catalogue) -> Filter:
    of = catalogue.object_types[interest.object_type_id or 0]
    return filters.bind(orjson.loads(interest.where or b""), of, catalogue)


def _records(views: Iterable[list[LoggedEvent]]) -> set[int]:
    return {view.record_id for several in views for view in several if view.record_id is not None}


def _told(
    views: Iterable[list[LoggedEvent]], met: dict[int, bool] | Problem | Refused | None
) -> list[LoggedEvent] | Problem | Refused:
    """The first view of each event whose record meets the filter."""
    if isinstance(met, Problem | Refused):
        return met
    if met is None:
        return [several[0] for several in views if several]
    suiting = ([view for view in several if met.get(view.record_id or 0)] for several in views)
    return [several[0] for several in suiting if several]
