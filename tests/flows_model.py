"""Workflows as a plain model: one thing after the other, everybody looked at every time, nothing remembered but values.

It shares no code with the engine: definitions are read as they were written. Contacts enroll; companies are their
neighbours.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Where = dict[str, Any]
A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that happened to a record: `to` is what it became like, or what it is about."""

    kind: str
    record: int
    to: dict[str, Any] = field(default_factory=dict)
    other: int | None = None


@dataclass(slots=True)
class Flow:
    """A workflow: its definition, and its actions as places that lead to each other (None: the end)."""

    id: int
    definition: dict[str, Any]
    places: list[tuple[str, dict[str, Any], int | None, list[int | None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lay(self.definition["actions"], None)

    def _lay(self, actions: list[dict[str, Any]], end: int | None) -> int | None:
        """Lay actions, the last one first, and say where they begin."""
        for action in reversed(actions):
            ((kind, words),) = action.items()
            ways = [self._lay(way["actions"], end) for way in words.get("branches", ())]
            ways += [self._lay(words["otherwise"], end)] if "branches" in words else []
            self.places.append((kind, words, end, ways))
            end = len(self.places) - 1
        return end

    @property
    def first(self) -> int | None:
        """Where it begins."""
        return len(self.places) - 1 if self.places else None

    @property
    def again(self) -> list[dict[str, Any]]:
        """Its re-enrollment triggers."""
        return self.definition.get("reenrollmentTriggers", [])  # type: ignore[no-any-return]

    @property
    def triggers(self) -> list[tuple[int, str, Any]]:
        """All triggers: number, kind and words; re-enrollment triggers count on."""
        every = [*self.definition["triggers"], *self.again]
        return [(n, *next(iter(one.items()))) for n, one in enumerate(every)]


@dataclass(slots=True)
class Enrolled:
    """One enrollment, with its history."""

    flow: int
    record: int
    epoch: int
    trigger: int | None
    renewed: int | None
    by_filter: bool
    place: int | None
    due: datetime
    status: str = "ACTIVE"
    waiting: bool = False
    lines: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Model:
    """An account."""

    now: datetime
    flows: dict[int, Flow] = field(default_factory=dict)
    values: dict[int, dict[str, Any]] = field(default_factory=dict)
    companies: dict[int, dict[str, Any]] = field(default_factory=dict)
    archived: set[int] = field(default_factory=set)
    # {(contact, company): labels, as read at the contact}
    links: dict[tuple[int, int], set[str]] = field(default_factory=dict)
    seen: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    deals: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    active_segments: dict[int, Where] = field(default_factory=dict)
    by_hand: dict[int, set[int]] = field(default_factory=dict)
    members: dict[int, set[int]] = field(default_factory=dict)
    enrolled: list[Enrolled] = field(default_factory=list)
    # What held of the re-enrollment filters when the record was last looked at.
    held: dict[tuple[int, int], set[int]] = field(default_factory=dict)
    queue: list[Happened] = field(default_factory=list)

    # --- what people do -------------------------------------------------------------------------------------

    def create(self, record: int, given: dict[str, Any]) -> None:
        """A contact is made."""
        self.values[record] = dict(given)
        self.queue.append(Happened("CREATED", record, dict(given)))

    def set(self, record: int, given: dict[str, Any]) -> bool:
        """A contact is changed; whether it was."""
        values = self.values[record]
        new = {name: value for name, value in given.items() if values.get(name) != value}
        values.update(new)
        if new:
            self.queue.append(Happened("UPDATED", record, new))
        return bool(new)

    def company(self, company: int, city: str) -> None:
        """A company is changed."""
        self.companies[company]["city"] = city
        self.queue.append(Happened("ELSEWHERE", company))

    def link(self, contact: int, company: int, *labels: str) -> bool:
        """A contact is associated, or labels are added; whether anything changed."""
        fresh = (contact, company) not in self.links
        held = self.links.setdefault((contact, company), set())
        new = set(labels) - held
        held |= new
        if fresh or new:
            came = {"labels": new, "plain": fresh}
            self.queue.append(Happened("ADDED", contact, came, company))
        return fresh or bool(new)

    def unlink(self, contact: int, company: int) -> None:
        """An association goes, with its labels."""
        labels = self.links.pop((contact, company), None)
        if labels is not None:
            self.queue.append(Happened("REMOVED", contact, {"labels": labels, "plain": True}, company))

    def unlabel(self, contact: int, company: int, label: str) -> bool:
        """A label goes; whether it was there."""
        held = self.links.get((contact, company), set())
        if label not in held:
            return False
        held.remove(label)
        self.queue.append(Happened("REMOVED", contact, {"labels": {label}, "plain": False}, company))
        return True

    def archive(self, record: int) -> None:
        """A contact is archived."""
        self.archived.add(record)
        self.queue.append(Happened("ARCHIVED", record))

    def restore(self, record: int) -> None:
        """A contact is back."""
        self.archived.discard(record)
        self.queue.append(Happened("RESTORED", record))

    def view(self, record: int, url: str) -> None:
        """A contact has viewed a page."""
        self.seen[record].append(url)
        self.queue.append(Happened("VIEWED", record, {"url": url}))

    def enroll(self, flow: int, record: int) -> bool:
        """Somebody enrolls a contact; whether that could be."""
        rules = self.flows[flow].definition
        if self.active(flow, record) or any(self.kept_out(rules, record)):
            return False
        self._enter(self.flows[flow], record, None, None, {"kind": "call"})
        self._leave_others(flow, record)
        self.note(self.flows[flow], record)
        return True

    def unenroll(self, flow: int, record: int) -> None:
        """Somebody takes a contact out."""
        one = self.active(flow, record)
        if one is not None:
            one.status = "UNENROLLED"

    # --- what is so -----------------------------------------------------------------------------------------

    def holds(self, where: Where, record: int) -> bool:
        """Whether a contact, or company, meets a filter."""
        ((kind, words),) = where.items()
        match kind:
            case "and":
                return all(self.holds(one, record) for one in words)
            case "or":
                return any(self.holds(one, record) for one in words)
            case "not":
                return not self.holds(words, record)
            case "property":
                of = self.values if record in self.values else self.companies
                return of[record].get(words["name"]) in words["values"]
            case "event":
                found = [one for one in self.seen[record] if fits(words.get("where"), one)]
                return bool(found) is not words.get("negated", False)
        assert kind == "associated"
        labels = words.get("labels")
        others = [
            other
            for (one, other), held in self.links.items()
            if one == record and (labels is None or held & set(labels))
        ]
        inner = words.get("where")
        met = [one for one in others if inner is None or self.holds(inner, one)]
        return not met if words.get("quantifier") == "NONE" else bool(met)

    def kept_out(self, rules: dict[str, Any], record: int) -> tuple[bool, bool]:
        """Whether a contact is suppressed, and has met the goal."""
        suppress, goal = rules.get("suppressWhen"), rules.get("goal")
        return (
            suppress is not None and self.holds(suppress, record),
            goal is not None and self.holds(goal, record),
        )

    def active(self, flow: int, record: int) -> Enrolled | None:
        """A contact's active enrollment."""
        last = self.last(flow, record)
        return last if last is not None and last.status == "ACTIVE" else None

    def last(self, flow: int, record: int) -> Enrolled | None:
        """A contact's last enrollment."""
        mine = [one for one in self.enrolled if (one.flow, one.record) == (flow, record)]
        return mine[-1] if mine else None

    # --- what follows ---------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Do all that is to be done at this moment."""
        while True:
            while self.queue:
                self._evaluate()
            if not self._step_all():
                return

    def _evaluate(self) -> None:
        happened, self.queue = self.queue, []
        of: dict[int, list[Happened]] = defaultdict(list)
        for one in happened:
            of[one.record].append(one)
        moved = list(self._follow_segments())
        living = [one for one in self.values if one not in self.archived]
        entered = []
        for flow in self.flows.values():
            for record in living:
                if self._look(flow, record, of[record]):
                    entered.append((flow.id, record))
                self.note(flow, record)
        for flow_id, record in entered:
            self._leave_others(flow_id, record)
        for left in self.enrolled:
            if left.status == "ACTIVE" and left.record in self.archived:
                left.status = "UNENROLLED"
        self.queue += moved

    def _follow_segments(self) -> Iterator[Happened]:
        for segment in (*self.active_segments, *self.by_hand):
            living = set(self.values) - self.archived
            if segment in self.by_hand:
                now = self.by_hand[segment] & living
            else:
                now = {one for one in living if self.holds(self.active_segments[segment], one)}
            before, self.members[segment] = self.members.get(segment, set()), now
            yield from (Happened("JOINED", one, {"segment": segment}) for one in sorted(now - before))
            yield from (Happened("LEFT", one, {"segment": segment}) for one in sorted(before - now))

    def _look(self, flow: Flow, record: int, happened: list[Happened]) -> bool:
        """What becomes of one contact in one workflow; whether it entered."""
        rules, first = flow.definition, len(flow.definition["triggers"])
        last, (suppressed, goal) = self.last(flow.id, record), self.kept_out(rules, record)
        counting = [n for n, kind, words in flow.triggers if self._counts(kind, words, record, happened)]
        met = [n for n in counting if n < first]
        filters = [n for n, kind, _ in flow.triggers if kind == "filterMet"]
        holding = any(n < first for n in filters)
        if last is not None and last.status == "ACTIVE":
            if goal:
                last.status = "GOAL_MET"
            elif suppressed or (
                rules.get("unenrollWhenNotMet")
                and last.by_filter
                and holding
                and not any(n in filters for n in met)
            ):
                last.status = "UNENROLLED"
            return False
        if suppressed or goal:
            return False
        if last is None:
            if met:
                self._enter(flow, record, met[0], None, flow.triggers[met[0]])
            return bool(met)
        known = self.held.get((flow.id, record), set(filters))
        renewed = [n for n in counting if n >= first and n not in known]
        if not renewed or (holding and not met):
            return False
        by = met[0] if met else renewed[0]
        self._enter(flow, record, by, renewed[0], flow.triggers[by])
        return True

    def _enter(self, flow: Flow, record: int, trigger: int | None, renewed: int | None, by: Any) -> None:
        last = self.last(flow.id, record)
        epoch, kind = 1 if last is None else last.epoch + 1, by["kind"] if trigger is None else by[1]
        self.enrolled.append(
            Enrolled(flow.id, record, epoch, trigger, renewed, kind == "filterMet", flow.first, self.now)
        )

    def _leave_others(self, flow: int, record: int) -> None:
        for other in self.flows[flow].definition.get("unenrollFrom", ()):
            number = int(other.partition("_")[2])
            if number != flow:
                self.unenroll(number, record)

    def note(self, flow: Flow, record: int) -> None:
        """Note which re-enrollment filters hold, of whom has ever been enrolled."""
        if self.last(flow.id, record) is not None:
            first = len(flow.definition["triggers"])
            self.held[flow.id, record] = {
                n
                for n, kind, words in flow.triggers
                if n >= first and kind == "filterMet" and self.holds(words["where"], record)
            }

    def _counts(self, kind: str, words: Any, record: int, happened: Iterable[Happened]) -> bool:
        if kind == "filterMet":
            return self.holds(words["where"], record)
        own = words.get("ownWhere" if kind in ("associationChanged", "eventOccurred") else "where")
        if own is not None and not self.holds(own, record):
            return False
        return any(self._occurs(kind, words, one) for one in happened)

    def _occurs(self, kind: str, words: Any, one: Happened) -> bool:
        match kind:
            case "recordCreated":
                return one.kind == "CREATED"
            case "propertyChanged":
                wanted, name = words.get("values"), words["property"]
                changed = one.kind in ("CREATED", "UPDATED") and name in one.to
                return changed and (wanted is None or one.to[name] in wanted)
            case "associationChanged":
                labels, inner = words.get("labels"), words.get("where")
                there = one.kind == words.get("change", "ADDED")
                if not there or not (one.to["plain"] if labels is None else one.to["labels"] & set(labels)):
                    return False
                assert one.other is not None
                return inner is None or self.holds(inner, one.other)
            case "segmentChanged":
                segment = int(words["segment"].partition("_")[2])
                return bool(one.kind == words.get("change", "JOINED") and one.to["segment"] == segment)
            case "eventOccurred":
                return one.kind == "VIEWED" and fits(words.get("where"), one.to["url"])
        return False

    def _step_all(self) -> bool:
        """All that is due, a step of each group after the other; whether there was anything."""
        took = False
        while due := [one for one in self.enrolled if one.status == "ACTIVE" and one.due <= self.now]:
            took = True
            groups: dict[tuple[int, int | None], list[Enrolled]] = defaultdict(list)
            for one in due:
                groups[one.flow, one.place].append(one)
            for (flow, place), group in sorted(
                groups.items(), key=lambda item: (min(one.due for one in item[1]), item[0][0])
            ):
                for one in group:
                    if one.status == "ACTIVE" and one.place == place:
                        self._step(self.flows[flow], one)
        return took

    def _step(self, flow: Flow, one: Enrolled) -> None:
        assert one.place is not None
        kind, words, follows, ways = flow.places[one.place]
        if kind == "delay" and not one.waiting:
            one.waiting, one.due = True, self.now + A_DAY * words["duration"]["value"]
            return
        one.waiting, done = False, True
        if kind == "branch":
            met = [n for n, way in enumerate(words["branches"]) if self.holds(way["where"], one.record)]
            follows = ways[met[0] if met else -1]
        elif kind != "delay":
            done = self._act(kind, words, one.record)
        one.lines.append((words["id"], "DONE" if done else "UNCHANGED"))
        one.place = follows
        if follows is None:
            one.status = "COMPLETED"

    def _act(self, kind: str, words: Any, record: int) -> bool:
        """An action; whether it changed anything."""
        linked = [company for contact, company in self.links if contact == record]
        match kind:
            case "setProperty":
                return self.set(record, {words["property"]: words["value"]})
            case "incrementProperty":
                name = words["property"]
                return self.set(record, {name: self.values[record].get(name, 0) + 1})
            case "applyLabel":
                return any([self.link(record, company, words["label"]) for company in linked])
            case "removeLabels":
                return any([self.unlabel(record, company, words["labels"][0]) for company in linked])
            case "addToSegment":
                segment = int(words["segment"].partition("_")[2])
                new = record not in self.by_hand[segment]
                if new:
                    self.by_hand[segment].add(record)
                    self.members.setdefault(segment, set()).add(record)
                    self.queue.append(Happened("JOINED", record, {"segment": segment}))
                return new
            case "createRecord":
                self.deals[record] += 1
                return True
        assert kind == "enrollIn"
        return self.enroll(int(words["workflow"].partition("_")[2]), record)


def fits(where: Where | None, url: str) -> bool:
    """Whether a page view is one that is meant."""
    return where is None or bool(where["property"]["value"] == url)
