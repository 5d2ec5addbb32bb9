"""Going through many records for a workflow: when a schedule comes, an import ends, or triggers are new.

A pass is a row that says how far it has got; each part, of a bounded number of records, commits together with the
place that it has reached. A pass of a workflow that is broken waits until what it names is there again.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from engine import filters
from engine.evaluation.listening import Candidates, Cause
from engine.workflows import enrolling, occasions, published
from engine.workflows.bound import Dated, Imported, Scheduled
from engine.workflows.conditions import Conditions
from engine.workflows.happenings import Happening, Happenings
from engine.workflows.published import Published
from storage import backfills, match_states, passes, schedules, standings
from storage import workflows as stored
from storage.database import Actor, Database, Transaction
from storage.filters import facts
from storage.passes import PassRow

RECORDS_A_BATCH = 2_000
SCHEDULES_A_BATCH = 100
# A schedule of a broken workflow is looked at again so long after its time.
BROKEN_REST = timedelta(hours=1)

EVALUATOR = Actor("EVALUATOR")

SCHEDULE, IMPORT, STATE, CLOCK = "SCHEDULE", "IMPORT", "STATE", "CLOCK"


async def due_accounts(db: Database, now: datetime) -> list[int]:
    """The accounts in which a schedule is due, or a pass under way."""
    return await schedules.due_accounts(db, now)


async def run_once(db: Database, account_id: int, *, now: datetime) -> bool:
    """What schedules are due, and one part of one pass of an account; whether there was any that could go on."""
    async with db.transaction(account_id, now=now, actor=EVALUATOR) as tx:
        came = await _begin(tx)
    async with db.transaction(account_id, now=now, actor=EVALUATOR) as tx:
        broken = set[int]()
        while (held := await passes.claim(tx, broken)) is not None:
            found = await published.load(tx, tx.catalogue, [held.workflow_id])
            workflow = found[0] if found else None
            if workflow is None or not workflow.enabled:
                await passes.end(tx, held)
                return True
            if workflow.conditions is None:
                broken.add(held.workflow_id)
                continue
            await _part(db, tx, held, workflow, workflow.conditions)
            return True
    return came


async def run_all(db: Database, *, now: datetime) -> int:
    """Work until no schedule is due and no pass can go on; the number of parts."""
    parts = 0
    for account_id in await due_accounts(db, now):
        while await run_once(db, account_id, now=now):
            parts += 1
    return parts


async def look(db: Database, tx: Transaction, found: Candidates, happened: Happenings | None = None) -> int:
    """Look at records as the evaluator does, and write what comes of it; how many were enrolled."""
    looking = await enrolling.prepare(tx, found, happened)
    if not looking.looks:
        return 0
    async with db.remembered_snapshot(tx.account_id) as reader:
        answers = await filters.foreseen(reader, tx.catalogue, looking.asked(), now=tx.now)
        decided = await enrolling.decide(reader, tx, looking, answers)
    return len(await enrolling.settle(tx, decided))


# --- schedules ----------------------------------------------------------------------------------------------


def coming(conditions: Conditions, after: datetime, zone: ZoneInfo) -> dict[int, datetime]:
    """{number of a schedule trigger: when it comes first behind `after`}."""
    return {
        n: occasions.following(trigger, after, zone)
        for n, trigger in enumerate(conditions.numbered)
        if isinstance(trigger, Scheduled)
    }


async def _begin(tx: Transaction) -> bool:
    """Let a pass begin for each schedule that is due, and the schedule come again; whether any was due.

    What was missed while nobody worked is run once: for the last of the times.
    """
    due = await schedules.claim(tx, SCHEDULES_A_BATCH)
    if not due:
        return False
    workflows = await published.load(tx, tx.catalogue, sorted({row.workflow_id for row in due}))
    known = {one.id: one for one in workflows}
    zone = ZoneInfo(tx.catalogue.time_zone)
    for row in due:
        workflow = known.get(row.workflow_id)
        conditions = None if workflow is None else workflow.conditions
        if workflow is None or not workflow.enabled:
            await schedules.replace(tx, row.workflow_id, {})
            continue
        if conditions is None:
            # Broken: this time enrolls nobody. It is looked at again whether it can come.
            await schedules.move(tx, row.workflow_id, {row.trigger: tx.now + BROKEN_REST})
            continue
        trigger = conditions.numbered[row.trigger] if row.trigger < len(conditions.numbered) else None
        if not isinstance(trigger, Scheduled) or not occasions.comes(trigger, row.next_at, zone):
            await schedules.replace(tx, row.workflow_id, coming(conditions, tx.now, zone))
            continue
        at = occasions.latest(trigger, row.next_at, tx.now, zone)
        await schedules.move(tx, row.workflow_id, {row.trigger: occasions.following(trigger, at, zone)})
        details = {"trigger": row.trigger, "revision": workflow.revision}
        await passes.begin(tx, row.workflow_id, SCHEDULE, f"{row.trigger}:{at.isoformat()}", details)
    return True


# --- parts --------------------------------------------------------------------------------------------------


async def _part(
    db: Database, tx: Transaction, held: PassRow, workflow: Published, conditions: Conditions
) -> None:
    if held.kind == CLOCK and not conditions.timed:
        await passes.end(tx, held)
        return
    if held.kind == STATE:
        page = await standings.ever_page(tx, workflow.id, held.after_id, RECORDS_A_BATCH)
    else:
        page = await backfills.record_page(tx, workflow.object_type_id, held.after_id, RECORDS_A_BATCH)
    enrolled = 0
    match held.kind:
        case "SCHEDULE":
            enrolled = await _scheduled(db, tx, held, workflow, conditions, page)
        case "IMPORT":
            enrolled = await _imported(db, tx, held, workflow, conditions, page)
        case "STATE":
            cause = Cause({"kind": STATE}, tx.now, 0, tx.catalogue.version)
            await look(db, tx, {workflow.id: dict.fromkeys(page, cause)})
        case _:
            await _note_times(db, tx, held, workflow, conditions, page)
    if len(page) < RECORDS_A_BATCH:
        await passes.end(tx, held)
    else:
        await passes.move(tx, held, page[-1], enrolled)


async def _scheduled(
    db: Database,
    tx: Transaction,
    held: PassRow,
    workflow: Published,
    conditions: Conditions,
    page: Sequence[int],
) -> int:
    n: int = held.details["trigger"]
    if held.details["revision"] != workflow.revision:
        # It was published anew meanwhile: the pass goes on if the schedule is still there.
        old = await published.definitions_of(
            tx, tx.catalogue, [(workflow.id, held.details["revision"], workflow.object_type_id)]
        )
        before = old[0][2]
        trigger = None if before is None else before.numbered[n]
        if trigger not in conditions.numbered:
            return 0
        n = conditions.numbered.index(trigger)
    found = conditions.numbered[n]
    assert isinstance(found, Scheduled)  # such are meant
    at = datetime.fromisoformat(held.key.partition(":")[2])
    if found.own is not None:
        page = sorted(await facts.met(tx, found.own, workflow.object_type_id, page, now=tx.now))
    cause = Cause({"kind": SCHEDULE, "at": at.isoformat()}, at, 0, tx.catalogue.version)
    happening = Happening(n, cause, (), occasions.scheduled_key(at))
    return await look(db, tx, *_alike(workflow, page, [happening]))


async def _imported(
    db: Database,
    tx: Transaction,
    held: PassRow,
    workflow: Published,
    conditions: Conditions,
    page: Sequence[int],
) -> int:
    import_id = int(held.key)
    told = {"kind": IMPORT, "source": IMPORT, "sourceId": held.key}
    cause = Cause(told, held.started_at, 0, tx.catalogue.version)
    happened = [
        Happening(n, cause, (), occasions.import_key(import_id))
        for n, trigger in enumerate(conditions.numbered)
        if isinstance(trigger, Imported) and trigger.import_id in (None, import_id)
    ]
    if not happened:
        return 0
    touched = await passes.of_import(tx, page, import_id)
    return await look(db, tx, *_alike(workflow, touched, happened))


def _alike(
    workflow: Published, page: Sequence[int], happened: Sequence[Happening]
) -> tuple[Candidates, Happenings]:
    """The same happened to all of a page."""
    causes = dict.fromkeys(page, happened[0].cause)
    return {workflow.id: causes}, {(workflow.id, one): happened for one in page}


async def _note_times(
    db: Database,
    tx: Transaction,
    held: PassRow,
    workflow: Published,
    conditions: Conditions,
    page: Sequence[int],
) -> None:
    """Note when the clock may let each record in, as seen from when the pass began: what came since is then due."""
    await stored.hold(tx, [workflow.id])
    moving = [one for one, moves in zip(conditions.filters, conditions.moving, strict=True) if moves]
    began, zone = held.started_at, ZoneInfo(tx.catalogue.time_zone)
    async with db.snapshot(tx.account_id) as reader:
        asked = [(one, page, workflow.object_type_id) for one in moving]
        answers = await filters.foreseen(reader, tx.catalogue, asked, now=began)
        values = {row[0]: row[2] for row in await facts.visible(reader, page)} if conditions.dated else {}
    times: dict[int, list[datetime]] = {one: [] for one in page}
    for answer in answers:
        for record_id, one in answer.items():
            if one.until is not None:
                times[record_id].append(one.until)
    for n in conditions.dated:
        trigger = conditions.numbered[n]
        assert isinstance(trigger, Dated)  # such are meant
        for record_id, properties in values.items():
            at = occasions.reached(trigger, properties.get(trigger.property.name), zone)
            if at is not None and at >= began:
                times[record_id].append(at)
    await match_states.note(tx, {(workflow.id, one): min(some) for one, some in times.items() if some})
