"""Archived, restored, merged: out of sight, back again, and one in place of two."""

import asyncio
import contextlib
from datetime import timedelta

import pytest

from engine import records
from engine.batches import Mode
from engine.problems import NotFound, Problem, Refused
from engine.records.problems import MergeIntoItself, MergeOfTypes, RecordArchived, RecordMerged
from storage.changes import ChangeKind, EventKind
from storage.database import Actor, Database
from storage.faults import Fault, fault
from tests.crm import API, T0, Crm, codes, crm, made, waiting


async def test_an_archived_record_is_found_by_id_and_cannot_be_changed(db: Database) -> None:
    it = await crm(db)
    ann = await it.contact(email="ann@example.com")
    it.now = T0 + timedelta(hours=1)
    (row,) = made(await it.archive(ann))
    assert row == await it.row(ann)
    assert (row.archived_at, row.properties) == (it.now, {"email": "ann@example.com"})
    assert codes(await it.update((ann, {"city": "Rome"}))) == ["RECORD_ARCHIVED"]


async def test_archiving_and_restoring_twice_changes_nothing(db: Database) -> None:
    it = await crm(db)
    ann = await it.contact()
    first, second = made(await it.archive(ann, ann))
    assert first == second
    it.now = T0 + timedelta(hours=1)
    assert made(await it.archive(ann)) == [first]
    (back,) = made(await it.restore(ann))
    assert (back.row.archived_at, back.row.updated_at, back.refused) == (None, it.now, ())
    assert back.row == await it.row(ann)
    it.now = T0 + timedelta(hours=2)
    assert made(await it.restore(ann)) == [back]
    assert [event.kind for event in await it.events()] == [
        EventKind.RECORD_CREATED,
        EventKind.RECORD_ARCHIVED,
        EventKind.RECORD_RESTORED,
    ]
    assert [change.kind for change in await it.queue()] == [
        ChangeKind.CREATED,
        ChangeKind.ARCHIVED,
        ChangeKind.RESTORED,
    ]


async def test_a_record_that_is_not_there_is_told_and_the_others_go(db: Database) -> None:
    it = await crm(db)
    ann = await it.contact()
    missing, gone = await it.archive(999_999, ann)
    assert codes(missing) == ["NOT_FOUND"]
    assert gone.value is not None
    for command in (it.archive, it.restore):
        with pytest.raises(Refused):
            await command(ann, 999_999, mode=Mode.ATOMIC)
    assert codes(await it.update((999_999, {}))) == ["NOT_FOUND"]
    assert (await it.row(ann)).archived_at == T0


async def pair(it: Crm) -> tuple[int, int]:
    ann = await it.contact(email="ann@example.com", city="Rome")
    anna = await it.contact(email="anna@example.com", city="Oslo", score=5, phone="110")
    return ann, anna


async def test_the_survivors_values_win_and_its_empty_ones_are_filled(db: Database) -> None:
    it = await crm(db)
    ann, anna = await pair(it)
    it.now = T0 + timedelta(hours=1)
    merged = await it.merge(ann, anna)
    assert merged.refused == ()
    assert merged.row == await it.row(ann)
    assert merged.row.properties == {"email": "ann@example.com", "city": "Rome", "score": 5, "phone": "110"}
    newest, _ = await it.history(ann)
    assert (newest.changed, newest.source, newest.source_id, newest.user_id) == (
        {"score": 5, "phone": "110"},
        "MERGE",
        f"rec_{anna}",
        7,
    )
    other = await it.row(anna)
    assert (other.archived_at, other.merged_into_id) == (it.now, ann)
    about_ann, about_anna = (await it.events())[2:]
    assert (about_ann.kind, about_ann.record_id, about_anna.record_id) == (EventKind.RECORD_MERGED, ann, anna)
    assert about_ann.payload == {
        "survivor_id": ann,
        "merged_id": anna,
        "changed": {"score": [None, 5], "phone": [None, "110"]},
    }
    assert [(change.kind, change.record_id) for change in (await it.queue())[2:]] == [
        (ChangeKind.UPDATED, ann),
        (ChangeKind.MERGED, anna),
    ]


async def test_a_unique_value_moves_where_the_survivor_has_none(db: Database) -> None:
    it = await crm(db)
    ann, anna = await it.contact(city="Rome"), await it.contact(email="anna@example.com")
    await it.merge(ann, anna)
    assert await it.unique_values() == {"anna@example.com": ann}
    made(await it.update((ann, {"email": None})))
    made(await it.create({"email": "anna@example.com"}))


async def test_searchable_values_of_the_survivor_are_filled(db: Database) -> None:
    it = await crm(db)
    ann, anna = await pair(it)
    await it.merge(ann, anna)
    sql = "SELECT v.number_value::int FROM property_value AS v WHERE v.account_id = $1 AND v.number_value IS NOT NULL"
    assert await it.table(f"{sql} AND v.record_id = {ann}") == [(5,)]


async def test_merged_ids_lead_to_the_survivor_whatever_was_merged_after(db: Database) -> None:
    it = await crm(db)
    one, two, three, four = [await it.contact(city=str(n)) for n in range(4)]
    await it.merge(two, one)
    await it.merge(three, two)
    await it.merge(three, four)
    for merged in (one, two, three, four):
        row = await it.resolved(merged)
        assert row is not None
        assert row.id == three
    assert await it.resolved(999_999) is None
    rows = made(await it.update((one, {"city": "Rome"}), (three, {"state": "x"}), (four, {"zip": "1"})))
    assert {row.id for row in rows} == {three}
    assert (await it.row(three)).properties == {"city": "Rome", "state": "x", "zip": "1"}
    assert (await it.row(one)).properties == {"city": "0"}


async def test_the_address_of_a_merged_record_leads_to_the_survivor_which_keeps_its_own(db: Database) -> None:
    it = await crm(db)
    ann, anna = await pair(it)
    await it.merge(ann, anna)
    (found,) = made(await it.upsert({"email": "anna@example.com", "city": "Bern"}))
    assert (found.row.id, found.created) == (ann, False)
    assert (found.row.properties["email"], found.row.properties["city"]) == ("ann@example.com", "Bern")
    (outcome,) = await it.create({"email": "anna@example.com"})
    assert outcome.problem is not None
    assert outcome.problem.details["holder"] == f"rec_{ann}"
    # Nobody else can have it, the survivor can; then it is like any other value.
    made(await it.update((ann, {"email": "anna@example.com"})))
    assert await it.unique_values() == {"anna@example.com": ann}
    made(await it.update((ann, {"email": None})))
    assert await it.unique_values() == {}


async def test_what_cannot_be_merged_is_told(db: Database) -> None:
    it = await crm(db)
    ann, anna = await pair(it)
    (company,) = made(await it.create({"name": "Acme"}, kind="companies"))
    gone = await it.contact()
    await it.archive(gone)
    await it.merge(ann, anna)
    cases: list[tuple[int, int, type[Problem], str]] = [
        (ann, ann, MergeIntoItself, "mergedId"),
        (ann, company.id, MergeOfTypes, "mergedId"),
        (ann, 999_999, NotFound, "mergedId"),
        (999_999, ann, NotFound, "survivorId"),
        (ann, gone, RecordArchived, "mergedId"),
        (ann, anna, RecordMerged, "mergedId"),
        (anna, ann, RecordMerged, "survivorId"),
    ]
    for survivor, merged, kind, place in cases:
        with pytest.raises(kind) as caught:
            await it.merge(survivor, merged)
        assert caught.value.path == (place,)
    for command in (it.archive, it.restore):
        (outcome,) = await command(anna)
        assert outcome.problem is not None
        assert (outcome.problem.code, outcome.problem.details["survivor"]) == ("RECORD_MERGED", f"rec_{ann}")


async def test_a_merge_does_not_fill_archived_properties_but_read_only_ones(db: Database) -> None:
    it = await crm(db)
    await it.define(name="old_code")
    await it.define(name="external_id")
    ann, anna = await it.contact(), await it.contact(old_code="1", external_id="2")
    await it.tamper("UPDATE property SET archived_at = now() WHERE name = 'old_code'")
    await it.tamper("UPDATE property SET read_only = true WHERE name = 'external_id'")
    assert (await it.merge(ann, anna)).row.properties == {"external_id": "2"}


async def test_an_update_that_waits_for_a_merge_goes_to_the_survivor(db: Database) -> None:
    it = await crm(db)
    ann, anna = await pair(it)
    older = await it.contact()
    await it.merge(anna, older)
    async with db.transaction(it.account, now=T0, actor=API) as tx:
        await records.merge(tx, ann, anna)
        racing = asyncio.create_task(it.update((anna, {"jobtitle": "Boss"}), (older, {"state": "x"})))
        upserting = asyncio.create_task(it.upsert({"email": "anna@example.com", "zip": "1"}))
        await waiting(db)
    assert {row.id for row in made(await racing)} == {ann}
    (upserted,) = made(await upserting)
    assert upserted.row.id == ann
    row = await it.row(ann)
    assert (row.properties["jobtitle"], row.properties["state"], row.properties["zip"]) == ("Boss", "x", "1")


async def test_an_upsert_waiting_for_a_survivor_that_gives_the_key_up_creates(db: Database) -> None:
    it = await crm(db)
    ann, anna = await pair(it)
    await it.merge(ann, anna)
    async with db.transaction(it.account, now=T0, actor=API) as tx:
        await records.update(tx, [(ann, {"email": "anna@example.com"})], Mode.PER_ITEM)
        await records.update(tx, [(ann, {"email": "ann@example.org"})], Mode.PER_ITEM)
        racing = asyncio.create_task(it.upsert({"email": "anna@example.com"}))
        await waiting(db)
    (late,) = made(await racing)
    assert late.created
    assert await it.unique_values() == {"ann@example.org": ann, "anna@example.com": late.row.id}


async def test_chains_merged_at_the_same_time_end_at_one_survivor(db: Database) -> None:
    it = await crm(db)
    ids = [await it.contact(city=str(n)) for n in range(6)]

    async def into(survivor: int, merged: int) -> None:
        # Six that go in a circle may meet; whoever answers requests tries again then, and so does this.
        while True:
            try:
                with contextlib.suppress(RecordMerged, RecordArchived):
                    await it.merge(survivor, merged)
                return
            except Exception as error:
                if fault(error) is not Fault.COLLIDED:
                    raise

    await asyncio.gather(*(into(one, other) for one, other in zip(ids, [*ids[1:], ids[0]], strict=True)))
    for record_id in ids:
        row = await it.resolved(record_id)
        assert row is not None
        assert row.merged_into_id is None
        assert row.archived_at is None


async def test_who_archives_is_noted(db: Database) -> None:
    it = await crm(db)
    ann = await it.contact()
    it.actor = Actor("WORKFLOW", "wfl_1")
    (row,) = made(await it.archive(ann))
    assert (row.updated_source, row.created_source) == ("WORKFLOW", "API")
    assert (await it.events())[-1].source_id == "wfl_1"
