"""What is to be done with one record, one item, or both as one: the one rule for both directions and for previews.

Pure. Whoever asks has read the link, the record and the item as they are now, and carries it out.
"""

import dataclasses
import enum
from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from typing import Any

from engine.sync import conditions
from engine.sync.arriving import arrived
from engine.sync.bases import pending, without
from engine.sync.categories import Category
from engine.sync.connectors.protocol import Item
from engine.sync.merge import Half, Merged, merge
from engine.sync.rules import Deletes, Rules, Side
from storage.records import RecordRow
from storage.sync.links import CONFLICT, EXCLUDED, FAILED, IN_SYNC, PENDING, LinkRow

OURS, THEIRS = Side.OURS.value, Side.THEIRS.value


class Kind(enum.StrEnum):
    """What is to be done."""

    # A new record for the item; a new item for the record.
    CREATE_OURS = "CREATE_OURS"
    CREATE_THEIRS = "CREATE_THEIRS"
    # The two belong together, and are linked (and merged) for the first time.
    MATCH = "MATCH"
    # Something is to be written to one of them, or to both.
    UPDATE = "UPDATE"
    # The record is archived, the item deleted: its other half was.
    DELETE_OURS = "DELETE_OURS"
    DELETE_THEIRS = "DELETE_THEIRS"
    # Nothing is written: both changed a field, and a person is asked; it cannot be done; it is not to be done.
    CONFLICT = "CONFLICT"
    FAIL = "FAIL"
    EXCLUDE = "EXCLUDE"
    # They agree already, or nobody cares.
    NONE = "NONE"


# Not frozen: made for each of thousands of items.
@dataclass(slots=True)
class Known:
    """One record, one item, or both, as they are now, with what is known of them.

    `record` None: there is none, or it is gone for good; archived and merged ones are given as they are.
    `item` None: it was not looked at, and is taken to be as the link knows it; one that is gone is `deleted`.
    `candidates`: where one side is missing, for each of `rules.matchers` those of the other side that match and
    are linked with nothing: record ids, or items' ids.
    """

    link: LinkRow | None = None
    record: RecordRow | None = None
    item: Item | None = None
    candidates: tuple[tuple[int | str, ...], ...] = ()
    # The candidate that is met, where there is exactly one: the record, or the item, to be merged with.
    match: RecordRow | Item | None = None
    # Whether the record meets `rules.filter_ours`; asked by whoever reads it.
    within: bool = True
    # Mappings on which a person is asked, and {mapping: winning side} of what one has decided.
    open: frozenset[int] = frozenset()
    resolved: Map[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class Decision:
    """What is to be done, and how the link stands afterwards.

    `merged` has what is to be written on both sides. `base_ours` and `base_theirs` are what the link is to hold once
    our side is written and theirs is not yet; once theirs is, too, it is those of `merged`.
    """

    kind: Kind
    state: str
    merged: Merged = field(default_factory=Merged)
    base_ours: Map[str, Any] | None = None
    base_theirs: Map[str, Any] | None = None
    # The other half of a MATCH.
    record_id: int | None = None
    external_id: str | None = None
    # The property by which they match.
    matched_by: str | None = None
    category: str | None = None
    message: str | None = None
    failed_side: str | None = None
    details: Map[str, Any] | None = None
    # Which half was deleted: OURS or THEIRS.
    deleted: str | None = None


def decide(rules: Rules, known: Known) -> Decision:
    """What becomes of what is known."""
    link = known.link
    if link is not None and link.record_id is not None and link.external_id is not None:
        return _linked(rules, known, link)
    if known.record is not None:
        return _record(rules, known, known.record)
    if known.item is not None:
        return _item(rules, known, known.item)
    return Decision(Kind.NONE, EXCLUDED)


def best(
    rules: Rules, candidates: tuple[tuple[int | str, ...], ...]
) -> tuple[str | None, tuple[int | str, ...]]:
    """The property by which something matches, by the first matcher that finds anything, and what it finds."""
    for matcher, found in zip(rules.matchers, candidates, strict=False):
        if found:
            return matcher.property.name, tuple(dict.fromkeys(found))
    return None, ()


# --- one half ----------------------------------------------------------------------------------------------------


def _item(rules: Rules, known: Known, item: Item) -> Decision:
    if item.deleted:
        return Decision(Kind.NONE, EXCLUDED)
    why = _excludes_theirs(rules, item.fields)
    if why is not None:
        return _excluded(why)
    matched_by, found = best(rules, known.candidates)
    if len(found) > 1:
        return ambiguous(Side.OURS, matched_by, found)
    if found:
        record = known.match
        assert isinstance(record, RecordRow)  # whoever gives one candidate gives its record
        return _matched(rules, known, record, item, matched_by)
    if not rules.goes(Side.OURS):
        return _excluded("No record of ours matches, and this sync brings nothing in.")
    merged = arrived(rules, item.fields)
    if not merged.theirs and not merged.problems:
        return Decision(Kind.CREATE_OURS, IN_SYNC, merged, merged.base_ours, merged.base_theirs)
    return _settled(rules, Kind.CREATE_OURS, merged, Half({}, None), Half(item.fields, None), known)


def _record(rules: Rules, known: Known, record: RecordRow) -> Decision:
    if record.archived_at is not None:
        return Decision(Kind.NONE, EXCLUDED)
    matched_by, found = best(rules, known.candidates)
    if len(found) > 1:
        return ambiguous(Side.THEIRS, matched_by, found)
    if found:
        if isinstance(known.match, Item):
            return _matched(rules, known, record, known.match, matched_by)
        return Decision(
            Kind.MATCH, PENDING, record_id=record.id, external_id=str(found[0]), matched_by=matched_by
        )
    if not rules.goes(Side.THEIRS) or not known.within:
        return Decision(Kind.NONE, EXCLUDED)
    if conditions.lacks_email(rules, Side.OURS, record.properties):
        return _excluded("It has no valid e-mail address.")
    if not rules.remote.creatable:
        return _failed(Category.MISSING_PERMISSION, "Nothing can be created over there.", THEIRS)
    ours = Half(record.properties, None, record.updated_at)
    merged = merge(rules, ours, Half({}, None))
    for lacking in rules.remote.fields:
        if lacking.required and merged.theirs.get(lacking.name) is None:
            return _failed(
                Category.REQUIRED_FIELD_MISSING,
                f'The field "{lacking.name}" must have a value over there.',
                THEIRS,
                {"field": lacking.name},
            )
    return _settled(rules, Kind.CREATE_THEIRS, merged, ours, Half({}, None), known)


def _matched(rules: Rules, known: Known, record: RecordRow, item: Item, matched_by: str | None) -> Decision:
    ours = Half(record.properties, None, record.updated_at)
    theirs = Half(item.fields, None, item.modified_at)
    merged = merge(rules, ours, theirs, known.resolved)
    decision = _settled(rules, Kind.MATCH, merged, ours, theirs, known)
    return dataclasses.replace(
        decision, record_id=record.id, external_id=item.external_id, matched_by=matched_by
    )


# --- both halves -------------------------------------------------------------------------------------------------


def _linked(rules: Rules, known: Known, link: LinkRow) -> Decision:
    record, item = known.record, known.item
    here = record is not None and record.archived_at is None
    there = not item.deleted if item is not None else link.deleted != THEIRS and not _both_gone(link)
    if not here and not there:
        return _gone(EXCLUDED, "It was deleted on both sides.", link.deleted or OURS)
    if not here:
        return _gone_here(rules, link, item)
    assert record is not None  # it is here
    if not there:
        return _gone_there(rules, link, record)
    if rules.options.pause_outside_filter:
        outside = not known.within or (
            item is not None and not conditions.meets(rules.filter_theirs, item.fields)
        )
        if outside:
            return _excluded("It has left the filter, and is not kept in sync until it is back.", link)
    if item is None and link.base_ours is None:
        # They have not been merged yet: what the item holds is not known.
        return Decision(Kind.NONE, PENDING)
    ours = Half(record.properties, link.base_ours, record.updated_at)
    theirs = (
        Half(link.base_theirs or {}, link.base_theirs, link.modified_at)
        if item is None
        else Half(item.fields, link.base_theirs, item.modified_at)
    )
    merged = merge(rules, ours, theirs, known.resolved)
    if item is None and known.open:
        merged = without(rules, merged, known.open, link)
    kind = Kind.MATCH if link.base_ours is None else Kind.UPDATE
    return _settled(rules, kind, merged, ours, theirs, known)


def _both_gone(link: LinkRow) -> bool:
    """Whether the other half, too, was deleted when it was last looked at."""
    return link.state == EXCLUDED and link.category == Category.RECORD_DELETED


def _gone_here(rules: Rules, link: LinkRow, item: Item | None) -> Decision:
    told = "Our record was archived."
    if rules.options.deletes in (Deletes.OUT, Deletes.BOTH) and rules.goes(Side.THEIRS) and not _kept(link):
        if not rules.remote.deletable:
            return _gone(FAILED, f"{told} Nothing can be deleted over there.", OURS)
        if item is not None and moved(rules, link, item):
            return _gone(FAILED, f"{told} The item has changed since, and stays.", OURS)
        return Decision(
            Kind.DELETE_THEIRS, PENDING, deleted=OURS, category=Category.RECORD_DELETED, message=told
        )
    return _gone(FAILED, told, OURS, kept=_kept(link))


def _gone_there(rules: Rules, link: LinkRow, record: RecordRow) -> Decision:
    told = "The item was deleted over there."
    if rules.options.deletes in (Deletes.IN, Deletes.BOTH) and rules.goes(Side.OURS) and not _kept(link):
        held = Half(record.properties, link.base_ours)
        stale = Half(link.base_theirs or {}, link.base_theirs)
        if link.base_ours is not None and merge(rules, held, stale).theirs:
            return _gone(FAILED, f"{told} Our record has changed since, and stays.", THEIRS)
        return Decision(
            Kind.DELETE_OURS, PENDING, deleted=THEIRS, category=Category.RECORD_DELETED, message=told
        )
    return _gone(FAILED, told, THEIRS, kept=_kept(link))


def _kept(link: LinkRow) -> bool:
    """Whether somebody has decided that the other half stays."""
    return bool((link.details or {}).get("kept"))


def moved(rules: Rules, link: LinkRow, item: Item) -> bool:
    """Whether the item holds something for us that the link does not know."""
    held = Half(link.base_ours or {}, link.base_ours)
    found = merge(rules, held, Half(item.fields, link.base_theirs, item.modified_at))
    return bool(found.ours)


# --- how it stands then ------------------------------------------------------------------------------------------


def _settled(rules: Rules, kind: Kind, merged: Merged, ours: Half, theirs: Half, known: Known) -> Decision:
    """The decision about what was merged; what is not written over there yet shows as a change of ours alone."""
    state, category, message, side, details = IN_SYNC, None, None, None, None
    if merged.theirs:
        state = PENDING
    if merged.conflicts or (known.item is None and known.open - known.resolved.keys()):
        state = CONFLICT
    if merged.problems:
        first = merged.problems[0]
        state, category, message, side = FAILED, first.category, first.message, first.side
        details = {"mapping": first.mapping_id}
    if kind is Kind.UPDATE and not merged.ours and not merged.theirs:
        kind = Kind.CONFLICT if merged.conflicts else Kind.FAIL if merged.problems else Kind.NONE
    base_ours = pending(rules, merged, ours, theirs) if merged.theirs else merged.base_ours
    base_theirs = dict(merged.base_theirs)
    if merged.theirs:
        for name in merged.theirs:
            base_theirs[name] = theirs.values.get(name)
    return Decision(
        kind,
        state,
        merged,
        base_ours,
        base_theirs,
        category=category,
        message=message,
        failed_side=side,
        details=details,
    )


def _excluded(why: str, link: LinkRow | None = None) -> Decision:
    if link is None:
        return Decision(Kind.EXCLUDE, EXCLUDED, message=why)
    return Decision(
        Kind.EXCLUDE, EXCLUDED, base_ours=link.base_ours, base_theirs=link.base_theirs, message=why
    )


def _failed(category: Category, why: str, side: str, details: Map[str, Any] | None = None) -> Decision:
    return Decision(Kind.FAIL, FAILED, category=category, message=why, failed_side=side, details=details)


def ambiguous(side: Side, matched_by: str | None, found: tuple[int | str, ...]) -> Decision:
    """Several of `side` match: nobody guesses."""
    told = f"{len(found)} match by {matched_by}."
    details = {"side": side.value, "ids": list(found), "property": matched_by}
    return Decision(
        Kind.FAIL,
        FAILED,
        category=Category.AMBIGUOUS_MATCH,
        message=told,
        failed_side=side.value,
        details=details,
        matched_by=matched_by,
    )


def _gone(state: str, why: str, side: str, *, kept: bool = False) -> Decision:
    return Decision(
        Kind.FAIL if state == FAILED else Kind.NONE,
        state,
        category=Category.RECORD_DELETED,
        message=why,
        failed_side=THEIRS if side == OURS else OURS,
        details={"kept": True} if kept else None,
        deleted=side,
    )


def _excludes_theirs(rules: Rules, fields: Map[str, Any]) -> str | None:
    """Why an item is not synced; None where it is."""
    if not conditions.meets(rules.filter_theirs, fields):
        return "It does not meet the filter for what comes in."
    if conditions.lacks_email(rules, Side.THEIRS, fields):
        return "It has no valid e-mail address."
    return None
