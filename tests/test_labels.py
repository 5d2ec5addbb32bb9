"""Labels: made in both directions at once, with names that never change and limits that fit each other."""

from typing import Any

import pytest

from engine import accounts, associations, label_names, labels
from engine.problems import Problem
from storage.database import Database
from tests.graph import Graph, graph, laws


@pytest.fixture
async def crm(db: Database) -> Graph:
    return await graph(db)


async def refused(crm: Graph, *args: Any, **words: Any) -> Problem:
    with pytest.raises(Problem) as told:
        await crm.label(*args, **words)
    return told.value


async def update(crm: Graph, type_id: int, **words: Any) -> labels.Label:
    async with crm.writing(defining=True) as tx:
        return await labels.update(tx, type_id, **words)


async def test_a_single_label_reads_the_same_from_both_sides(crm: Graph) -> None:
    made = await crm.label("contacts", "companies", "Decision maker (EU)", max_count=5)
    assert made.there.id != made.back.id
    assert made.there.inverse_id == made.back.id
    assert (made.there.name, made.back.name) == ("decision_maker_eu", "decision_maker_eu")
    assert (made.there.label, made.back.label) == ("Decision maker (EU)", "Decision maker (EU)")
    assert (made.there.max_count, made.back.max_count) == (5, None)
    catalogue = await crm.db.catalogue(crm.account)
    assert catalogue.association_types[made.back.id] == made.back


async def test_between_records_of_one_object_type_a_single_label_is_one_type(crm: Graph) -> None:
    made = await crm.label("contacts", "contacts", "Colleague", max_count=3)
    assert made.there is made.back
    assert made.there.symmetric
    told = await refused(crm, "contacts", "contacts", label="Twin", max_count=1, inverse_max_count=2)
    assert told.path == ("inverseMaxCount",)


async def test_each_half_of_a_pair_has_a_name_of_its_own(crm: Graph) -> None:
    made = await crm.label("contacts", "contacts", "Manager", inverse_label="Employee", inverse_name="report")
    assert (made.there.name, made.back.name) == ("manager", "report")
    assert made.there.pair_id == made.back.pair_id
    # The half of another label is taken too, and what is derived makes way.
    assert (await refused(crm, "contacts", "contacts", label="Report", name="report")).code == "NAME_TAKEN"
    again = await crm.label("contacts", "contacts", "Manager", inverse_label="Manager ")
    assert again.there.name == "manager_2"
    same = await refused(
        crm, "contacts", "contacts", label="Up", inverse_label="Down", name="x", inverse_name="x"
    )
    assert same.path == ("inverseName",)


@pytest.mark.parametrize("name", ["Manager", "1st", "a-b", "", "x" * 64, "ä", "a b"])
async def test_an_internal_name_has_one_form(crm: Graph, name: str) -> None:
    told = await refused(crm, "contacts", "deals", label="Any", name=name)
    assert (told.code, told.path) == ("MALFORMED_NAME", ("name",))


async def test_what_cannot_be_a_label_is_told(crm: Graph) -> None:
    assert (await refused(crm, "contacts", "deals", label=" ")).code == "MALFORMED_TEXT"
    assert (await refused(crm, "contacts", "nothing", label="X")).path == ("to",)
    assert (await refused(crm, "contacts", "deals", label="X", name="primary")).code == "NAME_RESERVED"
    for limit in (0, -1):
        told = await refused(crm, "contacts", "deals", label="X", max_count=limit)
        assert (told.code, told.path) == ("LIMIT_OUT_OF_RANGE", ("maxCount",))


def test_names_are_derived_from_any_text() -> None:
    assert label_names.derived("Größter  Kunde!", ()) == "groter_kunde"
    assert label_names.derived("3rd party", ()) == "label_3rd_party"
    assert label_names.derived("上司", ()) == "label"
    assert label_names.derived("Primary", ()) == "primary_label"
    assert label_names.derived("A", {"a", "a_2"}) == "a_3"
    assert len(label_names.derived("x" * 200, ())) <= 63


async def test_a_semicolon_is_accepted_with_a_warning(crm: Graph) -> None:
    [warning] = (await crm.label("contacts", "deals", "Signs; pays")).warnings
    assert "Signs; pays" in warning
    assert (await crm.label("contacts", "deals", "Signs")).warnings == ()


async def test_an_object_pair_has_as_many_labels_as_the_account_allows_and_a_pair_counts_once(
    crm: Graph,
) -> None:
    async with crm.writing() as tx:
        await accounts.change_settings(tx, {"labels_per_pair": 2})
    await crm.label("contacts", "contacts", "Manager", inverse_label="Employee")
    await crm.label("contacts", "contacts", "Colleague")
    told = await refused(crm, "contacts", "contacts", label="Friend")
    assert (told.code, told.details["limit"]) == ("TOO_MANY_LABELS", 2)
    # System labels do not count, nor do those of another pair; the other direction is the same pair.
    await crm.label("contacts", "companies", "One")
    await crm.label("companies", "contacts", "Two")
    assert (await refused(crm, "contacts", "companies", label="Three")).code == "TOO_MANY_LABELS"


async def test_a_label_limit_stays_below_the_limit_of_the_object_pair_whichever_is_set_last(
    crm: Graph,
) -> None:
    made = await crm.label("contacts", "deals", "Buyer", max_count=5, inverse_max_count=2)
    with pytest.raises(labels.LimitOutOfRange, match="5 or more"):
        await crm.limit("contacts", "deals", None, max_count=4)
    await crm.limit("contacts", "deals", None, max_count=6, inverse_max_count=3)
    with pytest.raises(labels.LimitOutOfRange, match="from 1 to 6"):
        await update(crm, made.there.id, max_count=7)
    with pytest.raises(labels.LimitOutOfRange, match="from 1 to 3"):
        await update(crm, made.back.id, max_count=4)
    assert (await refused(crm, "deals", "contacts", label="Seller", max_count=4)).path == ("maxCount",)
    changed = await update(crm, made.back.id, max_count=3, inverse_max_count=6)
    assert (changed.there.max_count, changed.back.max_count) == (3, 6)


async def test_a_symmetric_pair_of_object_types_has_one_limit(crm: Graph) -> None:
    limited = await crm.limit("contacts", "contacts", None, inverse_max_count=2)
    assert limited.there.max_count == 2
    assert limited.back.max_count == 2


async def test_texts_change_and_names_do_not(crm: Graph) -> None:
    made = await crm.label("contacts", "contacts", "Boss", inverse_label="Team")
    changed = await update(crm, made.back.id, label="Employee", inverse_label="Manager")
    catalogue = await crm.db.catalogue(crm.account)
    assert catalogue.association_types[made.there.id].label == "Manager"
    assert catalogue.association_types[made.back.id].label == "Employee"
    assert (changed.there.name, changed.back.name) == ("team", "boss")
    single = await crm.label("contacts", "deals", "Buyer")
    assert (await update(crm, single.there.id, label="Purchaser")).back.label == "Purchaser"
    twin = await crm.label("contacts", "contacts", "Twin")
    with pytest.raises(Problem):
        await update(crm, twin.there.id, label="One", inverse_label="Other")


async def test_what_belongs_to_the_system_does_not_change(crm: Graph) -> None:
    catalogue = await crm.db.catalogue(crm.account)
    [primary] = [row for row in labels.listing(catalogue, "contacts", "companies") if row.name == "primary"]
    for words in ({"label": "Main"}, {"max_count": 2}, {"inverse_max_count": 2}):
        with pytest.raises(labels.SystemLabelFixed):
            await update(crm, primary.id, **words)
    plain = labels.listing(catalogue, "contacts", "companies")[0]
    assert plain.unlabelled
    with pytest.raises(labels.SystemLabelFixed):
        await update(crm, plain.id, label="Main")
    with pytest.raises(Problem, match="no association type"):
        await update(crm, 10**12, label="Main")


async def test_a_label_tells_its_history(crm: Graph) -> None:
    made = await crm.label("contacts", "deals", "Buyer", inverse_label="Bought by", max_count=2)
    created = crm.now
    await update(crm, made.there.id, label="Purchaser")
    await update(crm, made.there.id, label="Purchaser")
    await update(crm, made.back.id, max_count=3)
    async with crm.db.read(crm.account) as reader:
        first, second, third = await labels.history(reader, made.back)
    assert (first.kind, first.at, first.type_id) == ("CREATED", created, made.there.id)
    assert first.changed["label"] == [None, "Buyer"]
    assert first.changed["from"] == [None, "contacts"]
    assert first.changed["maxCount"] == [None, 2]
    assert second.changed == {"label": ["Buyer", "Purchaser"]}
    assert (third.type_id, third.changed) == (made.back.id, {"maxCount": [None, 3]})


async def test_a_lowered_limit_leaves_what_is_there(crm: Graph) -> None:
    made = await crm.label("deals", "contacts", "Buyer")
    deal, contacts = await crm.record("deals"), await crm.records("contacts", 3)
    await crm.associate(*[(deal, one, "buyer") for one in contacts])
    await update(crm, made.there.id, max_count=1)
    assert await crm.count(deal, "contacts", "buyer") == 3
    [outcome] = await crm.do(associations.add_labels, (deal, await crm.record("contacts"), "buyer"))
    assert outcome.problem is not None
    assert (outcome.problem.details["count"], outcome.problem.details["limit"]) == (3, 1)
    await laws(crm)
