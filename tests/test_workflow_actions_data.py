"""Actions on data beyond the manual's examples: what counts as equal, whom it concerns, what is refused."""

from typing import Any

import pytest

from engine import ids
from engine.properties import Option
from storage.database import Database
from tests.flows import Flows, apply_label, associated, equals, flows, set_property
from tests.graph import laws
from tests.workflow_actions import (
    changes,
    copy,
    create_associations,
    define,
    increment,
    lines,
    run,
    update_labels,
)

FIRMS, PEOPLE = {"to": "companies"}, {"to": "contacts"}


@pytest.fixture
async def crm(db: Database) -> Flows:
    return await flows(db)


MATCHES: list[tuple[str, str, str, Any, list[Any], list[Any]]] = [
    # own property, other property, matching, own value, values that are equal, values that are not
    ("city", "city", "EXACT", "Bonn", ["Bonn"], ["bonn", " Bonn", "Bonn "]),
    ("jobtitle", "city", "EXACT", "x" * 300 + "1", ["x" * 300 + "1"], ["x" * 300 + "2"]),
    ("jobtitle", "description", "EXACT", "two\nlines", ["two\nlines"], ["two lines"]),
    ("mobilephone", "phone", "EXACT", "+49 30 1", ["+49 30 1"], ["+49 301"]),
    ("score", "annualrevenue", "EXACT", 2.0, [2, 2.0], [2.5]),
    ("score", "founded_year", "EXACT", 1999, [1999], [1998]),
    ("city", "city", "CASE_INSENSITIVE", "Köln", ["köln", "KÖLN"], [" Köln", "Koln"]),
    ("city", "city", "TRIMMED", " Straße ", ["STRASSE", "straße  "], ["Str asse"]),
    ("email", "domain", "EMAIL_DOMAIN", "ann@Acme.example", ["acme.example", "ACME.example."], ["example"]),
    (
        "email",
        "description",
        "EMAIL_DOMAIN",
        "ann@acme.example",
        ["https://www.acme.example/about?x=1", "Info@ACME.example", "www.acme.example"],
        ["acme", "mail.acme.example", "notacme.example", "acme.example.org"],
    ),
    ("lifecyclestage", "lifecyclestage", "EXACT", "customer", ["customer"], ["lead"]),
]


@pytest.mark.parametrize(("own", "other", "matching", "value", "equal", "unequal"), MATCHES)
async def test_values_are_equal_as_the_matching_says(
    crm: Flows, own: str, other: str, matching: str, value: Any, equal: list[Any], unequal: list[Any]
) -> None:
    await crm.label("contacts", "companies", "Same", name="same")
    alike = await crm.create("companies", *({other: one} for one in equal))
    unlike = await crm.create("companies", *({other: one} for one in unequal), {})
    ann = await crm.one("contacts", **{own: value})
    action = create_associations("companies", own, other, match={"matching": matching}, label="same")
    [done] = await run(crm, "contacts", action, on=[ann])
    assert done.status == "COMPLETED", done.error
    assert [one for one in alike + unlike if await crm.labels_of(ann, one) is not None] == alike
    assert {one for one in alike if "same" in (await crm.labels_of(one, ann) or set())} == set(alike)
    # A label's condition is the same one.
    bob = await crm.one("contacts", **({own: value} if own != "email" else {own: f"bob.{value}"}))
    await crm.associate(*[(bob, one) for one in alike + unlike])
    match = {"own": own, "other": other, "matching": matching}
    await run(crm, "contacts", apply_label("companies", "same", match=match), on=[bob])
    assert [one for one in alike + unlike if "same" in (await crm.labels_of(bob, one) or set())] == alike


async def test_of_several_choices_all_must_be_the_same(crm: Flows) -> None:
    choices = [Option(value) for value in ("a", "b", "c")]
    for kind in ("contacts", "companies"):
        await define(crm, kind, "tags", type="ENUMERATION", multiple=True, options=choices)
    both, one, other = await crm.create(
        "companies", {"tags": ["b", "a"]}, {"tags": ["a"]}, {"tags": ["a", "b", "c"]}
    )
    ann = await crm.one("contacts", tags=["a", "b"])
    await run(crm, "contacts", create_associations("companies", "tags", "tags"), on=[ann])
    assert [found for found in (both, one, other) if await crm.labels_of(ann, found) is not None] == [both]


async def test_a_record_is_not_associated_with_itself_nor_with_an_archived_one(crm: Flows) -> None:
    ann, bob, gone = await crm.create("contacts", *[{"city": "Boston"}] * 3)
    await crm.archive(gone)
    await run(crm, "contacts", create_associations("contacts", "city", "city"), on=[ann])
    assert [await crm.labels_of(ann, one) for one in (ann, bob, gone)] == [None, set(), None]


async def test_who_matches_and_does_not_meet_the_filter_is_left_out(crm: Flows) -> None:
    big, small = await crm.create(
        "companies", {"city": "Boston", "numberofemployees": 9}, {"city": "Boston", "numberofemployees": 1}
    )
    ann = await crm.one("contacts", city="Boston")
    action = create_associations("companies", "city", "city", where=equals("numberofemployees", 9))
    await run(crm, "contacts", action, on=[ann])
    assert [await crm.labels_of(ann, one) is not None for one in (big, small)] == [True, False]


async def test_where_only_the_first_may_come_the_first_comes(crm: Flows) -> None:
    """The filter looks at what the action writes: it is asked anew for each enrollment."""
    acme = await crm.one("companies", city="Boston")
    people = await crm.create("contacts", *[{"city": "Boston"}] * 3)
    free = {"associated": {"to": "contacts", "quantifier": "NONE"}}
    rows = await run(crm, "contacts", create_associations("companies", "city", "city", where=free), on=people)
    assert [await crm.labels_of(one, acme) is not None for one in people] == [True, False, False]
    assert [len(await changes(crm, row)) for row in rows] == [2, 0, 0]


async def test_two_contacts_of_one_company_both_add_to_its_number(crm: Flows) -> None:
    acme = await crm.one("companies", numberofemployees=5)
    people = await crm.create("contacts", {}, {}, {})
    await crm.associate(*[(one, acme) for one in people])
    rows = await run(crm, "contacts", increment("numberofemployees", by=2, of=FIRMS), on=people)
    assert await crm.value(acme, "numberofemployees") == 11
    steps = [(change["old"], change["new"]) for row in rows for change in await changes(crm, row)]
    assert steps == [(5, 7), (7, 9), (9, 11)]


async def test_an_increment_stops_where_its_filter_says_so(crm: Flows) -> None:
    acme = await crm.one("companies")
    people = await crm.create("contacts", *[{}] * 60)
    await crm.associate(*[(one, acme) for one in people])
    few = {
        "property": {"name": "numberofemployees", "operator": "LESS_THAN", "value": 55, "includeEmpty": True}
    }
    # More than one transaction's rounds: who is left over comes again.
    rows = await run(crm, "contacts", increment("numberofemployees", of=FIRMS | {"where": few}), on=people)
    assert await crm.value(acme, "numberofemployees") == 55
    assert {row.status for row in rows} == {"COMPLETED"}
    assert [len(await changes(crm, row)) for row in rows] == [1] * 55 + [0] * 5


async def test_a_tenth_and_two_tenths_are_three_tenths(crm: Flows) -> None:
    ann = await crm.one("contacts", score=0.1)
    await run(
        crm, "contacts", increment("score", by=0.2), increment("score", by=-0.3), increment("score"), on=[ann]
    )
    assert await crm.value(ann, "score") == 1


async def test_the_last_of_two_values_stands_and_both_are_told(crm: Flows) -> None:
    acme = await crm.one("companies", city="Rome")
    ann, bob = await crm.create("contacts", {"city": "Boston"}, {"city": "Paris"})
    await crm.associate((ann, acme), (bob, acme))
    first, second = await run(crm, "contacts", copy("city", "city", target=FIRMS), on=[ann, bob])
    assert await crm.value(acme, "city") == "Paris"
    assert [(one["old"], one["new"]) for one in await changes(crm, first)] == [("Rome", "Boston")]
    assert [(one["old"], one["new"]) for one in await changes(crm, second)] == [("Boston", "Paris")]


async def test_what_fits_stands_and_what_is_refused_is_told_with_its_record(crm: Flows) -> None:
    await crm.label("contacts", "companies", "Owner of", name="owner", inverse_name="owned_by", max_count=1)
    one, two, three = await crm.create("companies", {}, {}, {})
    ann, bob = await crm.create("contacts", {}, {})
    await crm.associate((ann, one), (ann, two), (ann, three), (bob, three))
    first, second = await run(crm, "contacts", apply_label("companies", "owner"), on=[ann, bob])
    assert (first.status, second.status) == ("FAILED", "COMPLETED")
    [line] = await lines(crm, first)
    assert line.changes == [{"record": ann, "associated": one, "label": "owner"}]
    error = line.error or {}
    assert (error["code"], error["refused"]) == ("LABEL_LIMIT_REACHED", 2)
    assert error["associated"] == ids.encode("record", two)
    assert error["others"] == [{"associated": ids.encode("record", three), "code": "LABEL_LIMIT_REACHED"}]
    assert await changes(crm, second) == [{"record": bob, "associated": three, "label": "owner"}]
    await laws(crm)


async def test_a_replaced_label_makes_room_before_the_new_one_is_judged(crm: Flows) -> None:
    for label in ("chief", "deputy"):
        await crm.label("contacts", "companies", label, name=label, exclusivity_group="heads", max_count=1)
    acme, best = await crm.create("companies", {}, {})
    ann = await crm.one("contacts")
    await crm.associate((ann, acme, "chief"), (ann, best, "deputy"), first_primary=False)
    [added] = await run(crm, "contacts", update_labels("companies", "chief", "deputy"), on=[ann])
    assert (await lines(crm, added))[0].error is not None
    replace = update_labels("companies", "chief", "deputy", replace=True)
    [full] = await run(crm, "contacts", replace, on=[ann])
    assert ((await lines(crm, full))[0].error or {})["code"] == "LABEL_LIMIT_REACHED"
    assert await crm.labels_of(ann, acme) == {"chief"}
    await crm.limit("contacts", "companies", "deputy", max_count=2)
    await run(crm, "contacts", replace, on=[ann])
    assert await crm.labels_of(ann, acme) == {"deputy"}
    await laws(crm)


async def test_two_who_manage_each_other_go_one_after_the_other(crm: Flows) -> None:
    words = {"inverse_label": "Employee", "name": "manager", "inverse_name": "employee"}
    await crm.label("contacts", "contacts", "Manager", **words)
    ann, bob = await crm.create("contacts", {}, {})
    await crm.associate((ann, bob, "manager"))
    rows = await run(
        crm, "contacts", update_labels("contacts", "manager", "employee", replace=True), on=[ann, bob]
    )
    # Ann's turn makes Bob the manager's side, and Bob's turn turns it round again.
    assert await crm.labels_of(ann, bob) == {"manager"}
    assert [len(await changes(crm, row)) for row in rows] == [2, 2]


async def test_the_primary_that_gives_way_is_told(crm: Flows) -> None:
    acme, best = await crm.create("companies", {}, {"city": "Boston"})
    ann = await crm.one("contacts")
    await crm.associate((ann, acme), (ann, best))
    [done] = await run(
        crm, "contacts", apply_label("companies", "primary", where=equals("city", "Boston")), on=[ann]
    )
    assert await changes(crm, done) == [
        {"record": ann, "associated": best, "label": "primary"},
        {"record": ann, "associated": acme, "label": "primary", "removed": True},
    ]
    assert (await crm.labels_of(ann, acme), await crm.labels_of(ann, best)) == (set(), {"primary"})


async def test_a_value_that_does_not_fit_one_record_is_refused_for_it_alone(crm: Flows) -> None:
    ann, bob, eve = await crm.create("contacts", {"city": "12"}, {"city": "nowhere"}, {})
    rows = await run(
        crm, "contacts", {"setProperty": {"property": "score", "template": "{{ city }}"}}, on=[ann, bob, eve]
    )
    assert [row.status for row in rows] == ["COMPLETED", "FAILED", "COMPLETED"]
    assert await crm.value(ann, "score") == 12
    assert (rows[1].error or {})["code"] == "INVALID_VALUE"


async def test_a_unique_value_goes_to_the_first_who_asks(crm: Flows) -> None:
    acme = await crm.one("companies", domain="info@acme.example")
    ann, bob = await crm.create("contacts", {}, {})
    await crm.associate((ann, acme), (bob, acme))
    first, second = await run(crm, "contacts", copy("domain", "email", source=FIRMS), on=[ann, bob])
    assert (await crm.value(ann, "email"), await crm.value(bob, "email")) == ("info@acme.example", None)
    assert (first.status, second.status) == ("COMPLETED", "FAILED")
    assert (second.error or {})["code"] == "UNIQUE_VALUE_TAKEN"


async def test_values_are_copied_between_types_on_the_clocks_of_the_account(crm: Flows) -> None:
    async with crm.db.pool.acquire() as connection:
        await connection.execute(
            "UPDATE account SET settings = jsonb_set(settings, '{time_zone}', '\"Europe/Berlin\"')"
        )
        await connection.execute("UPDATE catalogue_version SET version = version + 1")
    ann = await crm.one(
        "contacts",
        date_of_birth="2026-07-01",
        score=1.5,
        interests=["pricing", "product"],
        marketing_contact=True,
    )
    deal = await crm.one("deals")
    await crm.associate((ann, deal))
    for source, text in (("date_of_birth", "2026-07-01"), ("score", "1.5"), ("marketing_contact", "true")):
        await run(crm, "contacts", copy(source, "jobtitle"), on=[ann])
        assert await crm.value(ann, "jobtitle") == text
    await run(crm, "contacts", copy("interests", "jobtitle"), on=[ann])
    assert await crm.value(ann, "jobtitle") == "product;pricing"
    await run(crm, "contacts", copy("date_of_birth", "last_contacted_at"), on=[ann])
    assert await crm.value(ann, "last_contacted_at") == "2026-06-30T22:00:00.000Z"
    await run(crm, "contacts", copy("last_contacted_at", "closedate", target={"to": "deals"}), on=[ann])
    assert await crm.value(deal, "closedate") == "2026-07-01"
    # The first day there is began in Berlin before all years.
    await crm.set(ann, date_of_birth="0001-01-01")
    [late] = await run(crm, "contacts", copy("date_of_birth", "last_contacted_at"), on=[ann])
    assert (late.status, (late.error or {})["code"]) == ("FAILED", "INVALID_VALUE")


async def test_an_empty_value_is_copied_only_if_asked_for(crm: Flows) -> None:
    ann = await crm.one("contacts", country="France")
    await run(crm, "contacts", copy("city", "country"), on=[ann])
    assert await crm.value(ann, "country") == "France"
    await run(crm, "contacts", copy("city", "country", copyEmpty=True), on=[ann])
    assert await crm.value(ann, "country") is None


PICKS = {
    "MOST_RECENTLY_UPDATED": "b",
    "LEAST_RECENTLY_UPDATED": "c",
    "NEWEST": "d",
    "OLDEST": "a",
    "MOST_RECENTLY_ASSOCIATED": "c",
    "FIRST_ASSOCIATED": "d",
}


@pytest.mark.parametrize(("pick", "name"), PICKS.items())
async def test_one_of_several_associated_records_is_picked(crm: Flows, pick: str, name: str) -> None:
    made = {each: await crm.one("companies", name=each, city="Boston") for each in "abcd"}
    hidden = await crm.one("companies", name="hidden", city="Boston")
    away = await crm.one("companies", name="away")
    ann, eve = await crm.create("contacts", {}, {})
    for firm in (away, hidden, made["d"], made["a"], made["b"], made["c"], hidden):
        await crm.associate((ann, firm))
    for each in ("d", "a", "b"):
        await crm.set(made[each], country="x")
    await crm.set(away, country="x")
    await crm.archive(hidden)
    source = {"to": "companies", "pick": pick, "where": equals("city", "Boston")}
    await run(crm, "contacts", copy("name", "jobtitle", source=source), on=[ann, eve])
    assert (await crm.value(ann, "jobtitle"), await crm.value(eve, "jobtitle")) == (name, None)


async def test_the_lowest_id_breaks_ties(crm: Flows) -> None:
    first, second = await crm.create("companies", {"name": "first"}, {"name": "second"})
    ann = await crm.one("contacts")
    await crm.associate((ann, second), (ann, first))
    for pick in PICKS:
        if "ASSOCIATED" not in pick:
            await crm.set(ann, jobtitle=None)
            source = {"to": "companies", "pick": pick}
            await run(crm, "contacts", copy("name", "jobtitle", source=source), on=[ann])
            assert await crm.value(ann, "jobtitle") == "first"


async def test_the_time_of_the_step_and_what_a_template_says(crm: Flows) -> None:
    acme = await crm.one("companies", name="Acme")
    ann = await crm.one("contacts", firstname="Ann")
    await crm.associate((ann, acme))
    await run(
        crm,
        "contacts",
        set_property("last_contacted_at", None, stepTime=True),
        {"setProperty": {"property": "jobtitle", "template": "{{ firstname }} of {{ companies.name }}"}},
        {"setProperty": {"property": "description", "template": "Ask {{ firstname }}", "of": FIRMS}},
        on=[ann],
    )
    assert await crm.value(ann, "jobtitle") == "Ann of Acme"
    assert await crm.value(acme, "description") == "Ask Ann"
    assert (await crm.value(ann, "last_contacted_at")).startswith("2026-03-01T12:00:")


async def test_what_an_action_changes_enrolls_in_other_workflows_and_says_who_did_it(crm: Flows) -> None:
    linked = await crm.make("companies", associated("contacts"), name="linked")
    named = await crm.make("companies", equals("city", "Rome"), name="named")
    acme = await crm.one("companies", country="Italy")
    ann = await crm.one("contacts", country="Italy")
    await run(
        crm,
        "contacts",
        create_associations("companies", "country", "country"),
        set_property("city", "Rome", of=FIRMS),
        on=[ann],
    )
    assert (await crm.who(linked), await crm.who(named)) == ([acme], [acme])
    rows = await crm.read(
        "SELECT h.source FROM property_history AS h WHERE h.account_id = $1 AND h.record_id = $2 ORDER BY h.version",
        acme,
    )
    assert [row[0] for row in rows] == ["API", "WORKFLOW"]
    made = await crm.read(
        "SELECT DISTINCT a.source FROM association AS a WHERE a.account_id = $1 AND a.from_id = $2", ann
    )
    assert [row[0] for row in made] == ["WORKFLOW"]
