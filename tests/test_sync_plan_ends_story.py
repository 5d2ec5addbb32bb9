"""Stories of previews that show associations: the primary company, ends that wait, what is left, what is full."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from engine import associations, ids, labels
from engine.associations import Pair
from engine.batches import Mode
from engine.sync import applying, plan_ends, plan_rounds
from engine.sync.connectors.protocol import RemoteRole
from engine.sync.definition import RolePart
from engine.sync.effects import told_of
from engine.sync.rules import Deletes, Options
from resolvers.listings import MalformedCursor
from resolvers.sync_plans import slice_of
from storage.database import Database
from storage.sync import syncs
from tests.sync_ends import EVERYTHING, PRIMARY, ends
from tests.sync_rig import rig
from tests.sync_world import PEOPLE, World, capable
from tests.test_sync_plan_ends import Shown, begun, shown_of


async def two(db: Database, synced: tuple[str, ...] = PRIMARY) -> Shown:
    """People and firms; the sync of people is configured, that of firms runs."""
    shown = await shown_of(await ends(db, 1, World(), synced, 0.0))
    await configured(shown)
    return shown


async def configured(shown: Shown) -> None:
    """The sync of people has not begun."""
    async with shown.it.crm.db.single(shown.it.crm.account) as single:
        sql = (
            "UPDATE sync AS s SET phase = 'CONFIGURED', enabled = false WHERE s.account_id = $1 AND s.id = $2"
        )
        await single.execute(sql, shown.contacts)


async def start(shown: Shown) -> None:
    """It begins."""
    it = shown.it
    async with it.crm.db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
        await syncs.start(tx, shown.contacts, {})
    await it.rest()


async def firms_rest(shown: Shown) -> None:
    """What is to be done with firms is done."""
    await shown.it.evaluate()
    for sync_id in shown.it.syncs:
        if sync_id != shown.contacts:
            for _ in range(20):
                await shown.it.step(sync_id)


async def associate(shown: Shown, person: int, firm: int, *names: str) -> None:
    crm = shown.it.crm
    async with crm.db.transaction(crm.account, now=shown.it.now, actor=crm.actor) as tx:
        add = associations.add_labels if names else associations.associate
        await add(tx, [Pair(person, firm, names)], Mode.ATOMIC, first_primary=False)


async def said(shown: Shown) -> dict[str, list[tuple[Any, ...]]]:
    """{item or record: what its associations would become}, with labels instead of types."""
    crm = shown.it.crm
    types = (await crm.db.catalogue(crm.account)).association_types
    found: dict[str, list[tuple[Any, ...]]] = {}
    for item in await shown.items():
        entries = [
            (one["did"], one["side"], one["role"], one["count"])
            if "count" in one
            else (one["did"], one["side"], types[one["type"]].name, one.get("item") or one.get("record"))
            for one in told_of(item.effect)
        ]
        found[item.external_id or str(item.record_id)] = sorted(entries, key=str)
    return found


async def applied(shown: Shown) -> set[str | None]:
    """Have it applied; what became of the items."""
    before = await shown.ours(), shown.theirs()
    await shown.begin()
    await shown.work()
    await shown.check(*before)
    return {item.outcome for item in await shown.items()}


async def test_a_primary_company_is_shown_as_it_comes_goes_and_moves(db: Database) -> None:
    shown = await two(db)
    world = shown.it.world
    one, two_ = world.add("firms", title="One"), world.add("firms", title="Two")
    await firms_rest(shown)
    here = {row.properties["name"]: row.id for row in await shown.it.records("companies")}
    # Theirs with a firm; ours with a company; both, of which they know nothing of each other's.
    ann = world.add(mail="ann@example.com")
    world.relate(ann, "employer", one)
    bob = await shown.it.crm.contact(email="bob@example.com")
    await associate(shown, bob, here["Two"], "primary")
    cid, cid_here = world.add(mail="cid@example.com"), await shown.it.crm.contact(email="cid@example.com")
    world.relate(cid, "employer", one)
    await associate(shown, cid_here, here["Two"], "primary")
    await shown.preview()
    found = await said(shown)
    assert found[ann] == [("ADDED", "OURS", "primary", one), ("ADDED", "OURS", None, one)]
    assert found[str(bob)] == [("ADDED", "THEIRS", "primary", two_)]
    # There is one place, and one of them has it.
    (winner,) = {one[3] for one in found[cid] if one[0] == "ADDED"}
    (loser,) = {one[3] for one in found[cid] if one[0] == "REMOVED"}
    assert {winner, loser} == {one, two_}
    assert (await shown.plan()).counts["CREATE_OURS"] == 1
    assert await applied(shown) == {"APPLIED"}


async def test_who_is_linked_and_has_another_company_alone_is_shown_as_updated(db: Database) -> None:
    shown = await two(db)
    world = shown.it.world
    one, two_ = world.add("firms", title="One"), world.add("firms", title="Two")
    await firms_rest(shown)
    ann = world.add(mail="ann@example.com")
    world.relate(ann, "employer", one)
    await shown.preview()
    await applied(shown)
    world.relate(ann, "employer", two_)
    made = await shown.preview()
    assert (await said(shown))[ann] == [
        ("ADDED", "OURS", "primary", two_),
        ("ADDED", "OURS", None, two_),
        ("REMOVED", "OURS", "primary", one),
        ("REMOVED", "OURS", None, one),
    ]
    assert made.counts == {"UPDATE": 1, "ADDED OURS": 2, "REMOVED OURS": 2}
    assert await applied(shown) == {"APPLIED"}
    assert (await shown.preview()).counts == {"NONE": 1}


async def test_what_waits_for_its_other_end_is_not_done_by_the_preview_but_by_the_sync(db: Database) -> None:
    shown = await two(db)
    world = shown.it.world
    ann = world.add(mail="ann@example.com")
    firm = world.add("firms", title="One")
    world.relate(ann, "employer", firm)
    bob = await shown.it.crm.contact(email="bob@example.com")
    (made_here,) = await shown.it.crm.create({"name": "Two"}, kind="companies")
    assert made_here.value is not None
    ours = made_here.value.id
    await associate(shown, bob, ours, "primary")
    made = await shown.preview()
    assert await said(shown) == {
        ann: [("WAITING", "OURS", "primary", firm)],
        str(bob): [("WAITING", "THEIRS", "primary", ours)],
    }
    assert made.counts == {"CREATE_OURS": 1, "CREATE_THEIRS": 1, "WAITING OURS": 1, "WAITING THEIRS": 1}
    # Both ends come before it is applied: that was not shown.
    await firms_rest(shown)
    assert await applied(shown) == {"APPLIED"}
    await start(shown)
    assert len(await shown.ours()) == 4
    assert len(shown.theirs()) == 2


async def test_what_no_sync_is_there_for_is_told_and_left(db: Database) -> None:
    shown = await two(db, EVERYTHING)
    ann = shown.it.world.add(mail="ann@example.com")
    shown.it.world.relate(ann, "lives", "a place", "another")
    made = await shown.preview()
    assert (await said(shown))[ann] == [("LEFT", "OURS", "lives", 2)]
    assert made.counts == {"CREATE_OURS": 1, "LEFT OURS": 2}
    assert await applied(shown) == {"APPLIED"}


async def test_what_is_full_is_told_as_refused(db: Database) -> None:
    shown = await two(db, EVERYTHING)
    world = shown.it.world
    firms = [world.add("firms", title=f"Firm {n}") for n in range(3)]
    await firms_rest(shown)
    ann = world.add(mail="ann@example.com")
    world.relate(ann, "owns", *firms)
    await shown.preview()
    (item,) = await shown.items()
    # What is refused is the association alone: the record is made, and so are the others.
    assert (item.kind, item.effect["problem"]["category"]) == ("CREATE_OURS", "ASSOCIATION_LIMIT_REACHED")
    found = (await said(shown))[ann]
    assert [one for one in found if one[2] == "owns" and one[1] == "OURS"] == [
        ("ADDED", "OURS", "owns", firms[0]),
        ("ADDED", "OURS", "owns", firms[1]),
        ("REFUSED", "OURS", "owns", firms[2]),
    ]
    assert await applied(shown) == {"APPLIED"}
    assert len(await shown.it.records()) == 1
    # Nothing but that is left to do; so it fails, and nothing comes of it.
    await shown.preview()
    (item,) = await shown.items()
    assert (item.kind, item.effect["problem"]["category"]) == ("FAIL", "ASSOCIATION_LIMIT_REACHED")
    assert await applied(shown) == {"APPLIED"}


async def test_an_end_that_is_gone_is_left(db: Database) -> None:
    shown = await two(db)
    world = shown.it.world
    ann, firm = world.add(mail="ann@example.com"), world.add("firms", title="One")
    await firms_rest(shown)
    world.relate(ann, "employer", firm)
    (record,) = await shown.it.records("companies")
    await shown.it.crm.archive(record.id)
    await firms_rest(shown)
    await shown.preview()
    assert (await said(shown))[ann] == [("LEFT", "OURS", "primary", firm)]
    assert await applied(shown) == {"APPLIED"}


KNOWING = replace(
    PEOPLE,
    roles=(RemoteRole("knows", "Knows", "people"), RemoteRole("known", "Known by", "people")),
)


async def knowing(db: Database, page: int) -> Shown:
    """People who know people: both directions are told by both items."""
    it = await rig(db, World(objects=(KNOWING,), capabilities=capable(page=page)), start=False)
    async with db.transaction(it.crm.account, now=it.now, actor=it.crm.actor, defining=True) as tx:
        await labels.create(
            tx,
            "contacts",
            "contacts",
            label="Knows",
            name="knows",
            inverse_label="Known",
            inverse_name="known",
        )
    parts = [RolePart("knows", "contacts", "knows"), RolePart("known", "contacts", "known")]
    shown = Shown(it, await it.add("contacts", "people", {"email": "mail"}, roles=parts))
    await configured(shown)
    return shown


@pytest.mark.parametrize("page", [1, 50])
async def test_ends_within_one_sync_wait_for_its_start_and_are_told_at_both(
    db: Database, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (plan_rounds, applying):
        monkeypatch.setattr(module, "PAGE", page)
    shown = await knowing(db, page)
    world = shown.it.world
    ann, bob = world.add(mail="ann@example.com"), world.add(mail="bob@example.com")

    def know() -> None:
        world.relate(ann, "knows", bob)
        world.relate(bob, "known", ann)

    know()
    await shown.preview()
    found = await said(shown)
    assert found == {
        ann: [("WAITING", "OURS", "knows", bob)],
        bob: [("WAITING", "OURS", "known", ann)],
    }
    assert await applied(shown) == {"APPLIED"}
    world.relate(ann, "knows")
    world.relate(bob, "known")
    await start(shown)
    await shown.turn(False)
    assert await shown.ours() == set()
    know()
    await shown.preview()
    found = await said(shown)
    assert ("ADDED", "OURS", "knows", bob) in found[ann]
    # By pages of one, each of them is shown what it would do by itself; whoever comes second finds it done.
    assert await applied(shown) == {"APPLIED"}
    assert len(await shown.ours()) == 4


async def test_a_deletion_that_a_preview_meets_is_shown_and_done_once_the_sync_is_on(db: Database) -> None:
    it = await rig(db, World(), start=False)
    options = Options(deletes=Deletes.OUT, delete_share=1.0)
    shown = Shown(it, await it.add("contacts", "people", {"email": "mail"}, options=options))
    ann = it.world.add(mail="ann@example.com")
    await it.rest()
    await shown.turn(False)
    (record,) = await it.records()
    await it.crm.archive(record.id)
    assert (await shown.preview()).counts == {"DELETE_THEIRS": 1}
    assert await applied(shown) == {"APPLIED"}
    assert ann in it.world.all()
    await shown.turn(True)
    it.now += timedelta(seconds=60)
    await it.rest()
    assert it.world.all() == {}


async def test_without_what_waits_more_would_be_done_than_was_shown(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken: whatever is linked by now is associated; the law sees it."""
    shown = await two(db)
    ann, firm = shown.it.world.add(mail="ann@example.com"), shown.it.world.add("firms", title="One")
    shown.it.world.relate(ann, "employer", firm)
    await shown.preview()
    await firms_rest(shown)
    monkeypatch.setattr(plan_ends, "later", lambda _told: None)
    assert await applied(shown) == {"OVERTAKEN"}


async def test_every_kind_is_met_in_the_histories_of_the_law(db: Database) -> None:
    met: set[str] = set()
    for seed in range(8):
        shown, _ = await begun(db, seed, EVERYTHING)
        met |= {name for name in (await shown.preview()).counts if " " in name}
        async with db.single(shown.it.crm.account) as single:
            # Another may be made like it.
            await single.execute(
                "UPDATE account AS a SET name = 'demo ' || a.account_id WHERE a.account_id = $1"
            )
    assert met >= {f"{did} {side}" for did in ("ADDED", "REMOVED") for side in ("OURS", "THEIRS")}
    assert met >= {"WAITING OURS", "LEFT OURS"}


def test_pages_of_an_items_associations_are_all_of_them_in_their_order() -> None:
    rows = list(range(7))
    met: list[int] = []
    after: str | None = None
    while True:
        page, start = slice_of(rows, 3, after)
        assert (start, page.has_previous) == (len(met), after is not None)
        met += page.rows
        if not page.has_next:
            break
        after = ids.encode("plan item", start + len(page.rows))
    assert met == rows
    with pytest.raises(MalformedCursor):
        slice_of(rows, 3, "elsewhere")
