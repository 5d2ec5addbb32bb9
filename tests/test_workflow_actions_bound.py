"""What actions on data name must be there and fit; else the definition is refused, at the path of what is wrong."""

from typing import Any

import pytest

from storage.database import Database
from tests.flows import Flows, apply_label, equals, flows, set_property
from tests.workflow_actions import (
    copy,
    create_associations,
    define,
    increment,
    refused,
    remove_labels,
    update_labels,
)

FIRMS = {"to": "companies"}
GOOD: list[dict[str, Any]] = [
    create_associations("companies", "city", "city"),
    create_associations("companies", "phone", "phone", label="primary"),
    create_associations("companies", "score", "annualrevenue"),
    create_associations("deals", "date_of_birth", "closedate", where=equals("name", "x")),
    create_associations("companies", "email", "domain", match={"matching": "EMAIL_DOMAIN"}),
    create_associations("companies", "lifecyclestage", "lifecyclestage"),
    create_associations("companies", "lifecyclestage", "city", match={"matching": "CASE_INSENSITIVE"}),
    apply_label("companies", "chief", match={"own": "city", "other": "city", "negated": True}),
    apply_label("companies", "primary", where=equals("city", "x"), ownWhere=equals("jobtitle", "y")),
    update_labels("companies", "chief", "primary", replace=True),
    remove_labels("companies", "chief", "primary", withAssociation=True),
    remove_labels("companies", withAssociation=True),
    {"removeLabels": {"to": "companies", "withAssociation": True}},
    set_property("city", "Boston", of=FIRMS | {"labels": ["chief"], "where": equals("city", "x")}),
    set_property("last_contacted_at", None, stepTime=True),
    set_property("date_of_birth", None, stepTime=True),
    {"setProperty": {"property": "email", "template": "{{ firstname }}@{{ companies.domain }}"}},
    copy("city", "country", source=FIRMS),
    copy("score", "city", target=FIRMS),
    copy("closedate", "last_contacted_at", source={"to": "deals"}),
    copy("last_contacted_at", "closedate", target={"to": "deals"}),
    copy("interests", "city"),
    copy("city", "phone", source=FIRMS, target=FIRMS | {"labels": []}),
    increment("score", by=-0.5),
    increment("annualrevenue", of=FIRMS),
]
WRONG: list[tuple[dict[str, Any], str, tuple[Any, ...]]] = [
    (create_associations("planets", "city", "city"), "UNKNOWN_OBJECT_TYPE", ("to",)),
    (create_associations("companies", "town", "city"), "NOT_FOUND", ("match", "own")),
    (create_associations("companies", "city", "town"), "NOT_FOUND", ("match", "other")),
    (create_associations("companies", "city", "annualrevenue"), "NOT_COMPARABLE", ("match", "other")),
    (
        create_associations("companies", "marketing_contact", "is_public"),
        "NOT_COMPARABLE",
        ("match", "other"),
    ),
    (
        create_associations("companies", "score", "annualrevenue", match={"matching": "TRIMMED"}),
        "MATCHING_NEEDS_TEXT",
        ("match", "matching"),
    ),
    (
        create_associations("companies", "city", "city", match={"negated": True}),
        "NEGATED_MATCH",
        ("match", "negated"),
    ),
    (create_associations("companies", "city", "city", label="led_by"), "NO_LABEL", ("label",)),
    (
        create_associations("companies", "city", "city", where=equals("town", "x")),
        "UNKNOWN_PROPERTY",
        ("where",),
    ),
    # The label as it stands at the company: the direction is wrong.
    (apply_label("companies", "led_by"), "NO_LABEL", ("label",)),
    (apply_label("companies", "chief", ownWhere=equals("domain", "x")), "UNKNOWN_PROPERTY", ("ownWhere",)),
    (apply_label("companies", "chief", where=equals("jobtitle", "x")), "UNKNOWN_PROPERTY", ("where",)),
    (
        apply_label("companies", "chief", match={"own": "city", "other": "score"}),
        "NOT_FOUND",
        ("match", "other"),
    ),
    (update_labels("companies", "led_by", "chief"), "NO_LABEL", ("label",)),
    (update_labels("companies", "chief", "led_by"), "NO_LABEL", ("newLabel",)),
    (update_labels("companies", "chief", "chief"), "SAME_LABEL", ("newLabel",)),
    (remove_labels("companies"), "NOTHING_TO_REMOVE", ("labels",)),
    (remove_labels("companies", "chief", "led_by"), "NO_LABEL", ("labels", 1)),
    (set_property("town", "x"), "NOT_FOUND", ("property",)),
    (set_property("gone", "x"), "NOT_FOUND", ("property",)),
    (set_property("score", "many"), "INVALID_VALUE", ("value",)),
    (set_property("sealed", "x"), "NOT_WRITABLE", ("property",)),
    (set_property("email", "a@b.example"), "UNIQUE_PROPERTY", ("property",)),
    (set_property("city", "x", stepTime=True), "SEVERAL_VALUES", ("value",)),
    (set_property("city", None, stepTime=True), "STEP_TIME_NEEDS_DATE", ("stepTime",)),
    (set_property("city", "x", of={"to": "planets"}), "UNKNOWN_OBJECT_TYPE", ("of", "to")),
    (set_property("city", "x", of=FIRMS | {"labels": ["led_by"]}), "NO_LABEL", ("of", "labels", 0)),
    (set_property("jobtitle", "x", of=FIRMS), "NOT_FOUND", ("property",)),
    ({"setProperty": {"property": "city", "template": "{{ town }}"}}, "UNKNOWN_PROPERTY", ("template",)),
    ({"setProperty": {"property": "city", "template": "{{ city"}}, "MALFORMED_TEMPLATE", ("template",)),
    (
        {"setProperty": {"property": "email", "template": "{{ city }}", "of": {"to": "contacts"}}},
        "UNIQUE_PROPERTY",
        ("property",),
    ),
    (copy("town", "city"), "NOT_FOUND", ("property",)),
    (copy("city", "town"), "NOT_FOUND", ("into",)),
    (copy("city", "sealed"), "NOT_WRITABLE", ("into",)),
    (copy("city", "score"), "TYPES_INCOMPATIBLE", ("into",)),
    (copy("interests", "lifecyclestage"), "TYPES_INCOMPATIBLE", ("into",)),
    (copy("city", "email", target={"to": "contacts"}), "UNIQUE_PROPERTY", ("into",)),
    (
        copy("city", "city", source={"to": "companies", "labels": ["led_by"]}),
        "NO_LABEL",
        ("source", "labels", 0),
    ),
    (copy("city", "city", target=FIRMS | {"where": equals("x", 1)}), "UNKNOWN_PROPERTY", ("target", "where")),
    (increment("city"), "NOT_NUMERIC", ("property",)),
    (increment("score", by=2**60), "INVALID_VALUE", ("by",)),
]


@pytest.fixture
async def crm(db: Database) -> Flows:
    made = await flows(db)
    await made.label(
        "contacts", "companies", "Chief of", inverse_label="Led by", name="chief", inverse_name="led_by"
    )
    await define(made, "contacts", "sealed")
    await define(made, "contacts", "gone")
    async with db.pool.acquire() as connection:
        await connection.execute("UPDATE property SET read_only = true WHERE name = 'sealed'")
        await connection.execute("UPDATE property SET archived_at = '2026-01-01' WHERE name = 'gone'")
        await connection.execute("UPDATE catalogue_version SET version = version + 1")
    return made


async def test_what_fits_is_taken(crm: Flows) -> None:
    for action in GOOD:
        assert await refused(crm, "contacts", action) == [], action


async def test_what_is_wrong_is_told_at_its_path(crm: Flows) -> None:
    for action, code, path in WRONG:
        found = await refused(crm, "contacts", action)
        assert [(one, way[: len(path)]) for one, way in found] == [(code, path)], action
