"""The laws of workflows at rest, whatever happened on the way: the tables beside the log, and both beside the model."""

from collections import defaultdict
from datetime import datetime, timedelta

from storage import trigger_states
from storage.changes import EventKind
from storage.enrollments import EnrollmentRow, StepRow
from tests.flows_model import Flow
from tests.flows_past import Past, history
from tests.flows_random import World
from tests.graph import laws

RECORDS = """
    SELECT r.id, r.properties, r.archived_at FROM record AS r
     WHERE r.account_id = $1 AND r.id = ANY($2::bigint[])
"""


async def expect_laws(world: World, *, early: timedelta = timedelta(0)) -> Past:
    """All laws at rest. `early`: how far apart the workers' clocks were."""
    crm = world.crm
    assert not await crm.read("SELECT 1 FROM change_queue AS q WHERE q.account_id = $1 LIMIT 1")
    assert not await crm.read("SELECT 1 FROM change_trouble AS t WHERE t.account_id = $1 LIMIT 1")
    past = await history(world)
    await _expect_tables(world, past)
    done: dict[tuple[int, str], int] = defaultdict(int)
    for flow in past.model.flows.values():
        rows = await crm.enrolled(flow.id)
        of: dict[int, list[EnrollmentRow]] = defaultdict(list)
        # Processes take ids in blocks: they do not tell which one came first.
        for row in sorted(rows, key=lambda row: row.epoch):
            of[row.record_id].append(row)
        for record, mine in of.items():
            _expect_epochs(past, flow, record, mine)
        for row in rows:
            lines = await crm.history(row.id)
            _expect_steps(past, flow, row, lines, early)
            for line in lines:
                if line.outcome == "DONE":
                    done[row.record_id, f"{world.numbers[flow.id]} {line.action.rstrip('0123456789')}"] += 1
            await _expect_diagnosis(world, row)
        for record in past.model.values:
            _expect_nothing_lost(past, flow, record, of.get(record, []))
        await _expect_states(world, past, flow, of)
    for record, values in past.model.values.items():
        for n in world.numbers.values():
            assert values.get(f"score{n}", 0) == done[record, f"{n} count"], (
                "an increment too many or too few"
            )
        made = sum(done[record, f"{n} createRecord"] for n in world.numbers.values())
        assert past.model.deals[record] == made, "a record too many or too few"
    await _expect_deals(world, sum(past.model.deals.values()))
    await laws(crm)
    await crm.expect_at_rest(now=crm.now)
    return past


async def _expect_tables(world: World, past: Past) -> None:
    """What the log tells adds up to what stands."""
    crm, model = world.crm, past.model
    rows = await crm.read(RECORDS, list(model.values))
    assert {row[0] for row in rows if row[2] is not None} == model.archived
    for row in rows:
        assert {name: value for name, value in model.values[row[0]].items() if value is not None} == row[1]


def _expect_epochs(past: Past, flow: Flow, record: int, rows: list[EnrollmentRow]) -> None:
    assert [row.epoch for row in rows] == list(range(1, len(rows) + 1)), "a gap, or two of one number"
    life = past.lives[flow.id, record]
    assert list(life.entered) == [row.id for row in rows], "not told, or in another order"
    for row in rows:
        assert (row.status != "ACTIVE") is (row.id in life.ended)
        assert row.status in ("ACTIVE", "COMPLETED", "UNENROLLED", "GOAL_MET"), row.error
    by_hand = {row.id for row in rows if row.reason["trigger"] is None}
    if not flow.again:
        assert len([row for row in rows if row.id not in by_hand and row.epoch > 1]) == 0, "first time only"


def _expect_steps(past: Past, flow: Flow, row: EnrollmentRow, lines: list[StepRow], early: timedelta) -> None:
    """Along the actions, one after the other; none twice, none left out."""
    assert [line.n for line in lines] == list(range(len(lines))), "a gap in the history"
    assert len(lines) == row.steps
    place = flow.first
    for line in lines:
        assert place is not None, "it went on behind its end"
        kind, words, follows, ways = flow.places[place]
        assert line.action == words["id"], "another action than its turn"
        assert line.outcome in ("DONE", "UNCHANGED"), line.error
        told = EventKind.STEP_DONE, row.id, line.n
        assert past.told[told] == 1, "a step told twice, or not at all"
        place = follows
        if kind == "branch":
            way = line.changes[0]["way"]
            place = ways[way]
        if kind == "delay":
            until = datetime.fromisoformat(line.changes[0]["waited_for"]["until"])
            assert line.at >= until, "woken before its time"
            assert until >= row.enrolled_at + timedelta(days=1) - early
    if row.status == "COMPLETED":
        assert place is None, "it ended before its end"
    if row.status == "ACTIVE":
        assert place is not None
        assert flow.places[place][0] == "delay", "it stands still"


async def _expect_diagnosis(world: World, row: EnrollmentRow) -> None:
    tree = await world.crm.tree(row.id)
    assert tree is not None
    for one in tree["triggers"]:
        assert one["where"] is None or one["where"]["holds"], "enrolled by what did not hold"


def _expect_nothing_lost(past: Past, flow: Flow, record: int, rows: list[EnrollmentRow]) -> None:
    """Whoever meets the triggers now was enrolled; no occurrence went by unheard."""
    model, rules, life = past.model, flow.definition, past.lives[flow.id, record]
    first, living = len(rules["triggers"]), record not in model.archived
    suppressed, goal = model.kept_out(rules, record)
    active = [row for row in rows if row.status == "ACTIVE"]
    filters = [n for n, kind, _ in flow.triggers if kind == "filterMet" and n < first]
    if not living or suppressed or goal:
        assert not active, "it should have left"
    elif any(life.holds.get(n) for n in filters):
        assert rows, "it meets the triggers, and was never enrolled"
    elif active and rules.get("unenrollWhenNotMet") and filters:
        assert active[0].reason["type"] != "filterMet", "it no longer meets the triggers"
    if record in past.archived or "suppressWhen" in rules or "goal" in rules:
        return
    for n, kind, words in flow.triggers:
        asks = words.get("where") if kind != "eventOccurred" else None
        if kind == "filterMet" or asks is not None or words.get("ownWhere") is not None:
            continue
        if not life.occurred[n]:
            continue
        occurred = life.occurred[n][-1]
        if n < first:
            assert rows, "an occurrence was lost"
        elif not filters and life.entered and min(life.entered.values()) < occurred:
            last = rows[-1].id
            assert last not in life.ended or life.ended[last] > occurred, "an occurrence was lost"


async def _expect_states(world: World, past: Past, flow: Flow, of: dict[int, list[EnrollmentRow]]) -> None:
    """What is noted of the re-enrollment filters is what holds."""
    first = len(flow.definition["triggers"])
    filters = [n for n, kind, _ in flow.triggers if kind == "filterMet" and n >= first]
    living = [record for record in of if record not in past.model.archived]
    if filters and living:
        async with world.crm.db.read(world.crm.account) as reader:
            held = await trigger_states.held(reader, [(flow.id, record, 0) for record in living])
        for record in living:
            life = past.lives[flow.id, record]
            expected = {n for n in filters if life.holds.get(n)}
            assert held[flow.id, record] == expected, "what is noted does not hold"


async def _expect_deals(world: World, n: int) -> None:
    rows = await world.crm.read(
        "SELECT r.id, r.properties FROM record AS r WHERE r.account_id = $1 AND r.properties ? 'name'"
        " AND r.properties ->> 'name' = ANY(ARRAY['0', '1', '2', '3', '4'])",
    )
    assert len(rows) == n
    assert await world.crm.who(world.of_deals) == sorted(row[0] for row in rows)
    assert all(row[1]["turns"] == 1 for row in rows)
