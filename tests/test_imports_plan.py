"""Plans: every problem at its path; what is proposed for a file is a plan; dates and numbers as they are stated."""

from datetime import UTC, datetime
from typing import Any

import pytest

from engine import accounts, imports, labels, properties
from engine.imports import formats
from engine.imports.binding import bind
from engine.imports.plan import Place
from engine.problems import Refused
from storage.catalogue import Catalogue, PropertyRow
from storage.database import Actor, Database

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEADER = ["E-mail", "First name", "Company", "Born", "Role", "Id"]


@pytest.fixture
async def catalogue(db: Database) -> Catalogue:
    account = await accounts.create(db, "demo", now=T0)
    async with db.transaction(account, now=T0, actor=Actor("API"), defining=True) as tx:
        await properties.create(tx, "companies", name="number", label="Number", type="STRING", unique=True)
        await properties.create(tx, "contacts", name="born", label="Born", type="DATE")
        await properties.create(tx, "contacts", name="seen", label="Seen", type="DATETIME")
        await properties.create(tx, "contacts", name="height", label="Height", type="NUMBER")
        await labels.create(tx, "contacts", "companies", label="Billing", inverse_label="Billed")
    return await db.catalogue(account)


def part(**words: Any) -> dict[str, Any]:
    columns = [
        {"column": "E-mail", "property": "email"},
        {"column": "First name", "property": "firstname"},
    ]
    return {"objectType": "contacts", "mode": "UPSERT", "key": "E-mail", "columns": columns} | words


def wrong(document: Any, catalogue: Catalogue) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as refused:
        bind(document, HEADER, catalogue)
    return [(".".join(map(str, problem.path)), problem.code) for problem in refused.value.problems]


def test_a_plan_is_what_it_says(catalogue: Catalogue) -> None:
    company = {
        "objectType": "companies",
        "name": "firm",
        "key": "Company",
        "columns": [{"column": "Company", "property": "number"}],
    }
    link = {
        "from": {"part": "contacts"},
        "to": {"part": "firm"},
        "labels": ["Billing"],
        "labelsColumn": "Role",
    }
    plan = bind({"parts": [part(), company], "associations": [link]}, HEADER, catalogue)
    assert (plan.kind, plan.repeats, [one.name for one in plan.parts]) == (
        "RECORDS_AND_ASSOCIATIONS", True, ["contacts", "firm"],
    )  # fmt: skip
    assert plan.links[0].labels == ("billing",)
    assert plan.links[0].labels_column == Place(4, "Role")


def test_every_problem_is_told_at_its_path(catalogue: Catalogue) -> None:
    document = {
        "colour": "red",
        "timeZone": "Mars/Olympus",
        "parts": [
            part(mode="MERGE"),
            part(key="First name"),
            part(
                name="third",
                key="Missing",
                columns=[
                    {"column": "Nowhere", "property": "email"},
                    {"column": "Company", "property": "shoe_size"},
                    {"column": "Born", "property": "born", "format": "D.M."},
                    {"column": "Born", "property": "firstname", "format": "YYYY-MM-DD"},
                    {"column": "Id", "property": "id"},
                    {"column": "Role"},
                    "text",
                ],
            ),
            {"objectType": "ships", "columns": []},
            {"objectType": "leads", "key": "E-mail", "columns": [{"column": "E-mail", "property": "email"}]},
            7,
        ],
        "associations": [
            {
                "from": {"part": "nobody"},
                "to": {"objectType": "companies", "property": "name", "column": "Company"},
            },
            {
                "from": {"part": "contacts"},
                "to": {"objectType": "companies", "property": "id", "column": "Id"},
                "labels": ["Billed", 5],
                "labelsColumn": "Labels",
            },
            {"from": {"part": "contacts"}, "to": {"part": "contacts"}},
        ],
    }
    told = wrong(document, catalogue)
    assert set(told) >= {
        ("colour", "MALFORMED_PLAN"),
        ("timeZone", "MALFORMED_PLAN"),
        ("parts.0.mode", "MALFORMED_PLAN"),
        ("parts.1.key", "KEY_NOT_UNIQUE"),
        ("parts.1.name", "MALFORMED_PLAN"),
        ("parts.2.columns.0.column", "COLUMN_MISSING"),
        ("parts.2.columns.1.property", "PROPERTY_MISSING"),
        ("parts.2.columns.2.format", "UNKNOWN_FORMAT"),
        ("parts.2.columns.3.format", "UNKNOWN_FORMAT"),
        ("parts.2.columns.4.property", "MALFORMED_PLAN"),
        ("parts.2.columns.5.property", "MALFORMED_PLAN"),
        ("parts.2.columns.6", "MALFORMED_PLAN"),
        ("parts.3.objectType", "UNKNOWN_OBJECT_TYPE"),
        ("parts.4.objectType", "OBJECT_TYPE_INACTIVE"),
        ("parts.5", "MALFORMED_PLAN"),
        ("associations.0.from.part", "UNKNOWN_PART"),
        ("associations.0.to.property", "KEY_NOT_UNIQUE"),
        # The direction of a paired label matters.
        ("associations.1.labels.0", "LABEL_OTHER_DIRECTION"),
        ("associations.1.labels.1", "MALFORMED_PLAN"),
        ("associations.1.labelsColumn", "COLUMN_MISSING"),
        ("associations.2.to", "MALFORMED_PLAN"),
    }


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], ("", "MALFORMED_PLAN")),
        ({}, ("", "MALFORMED_PLAN")),
        ({"parts": "all"}, ("parts", "MALFORMED_PLAN")),
        ({"parts": [part(key=None)]}, ("parts.0.key", "MALFORMED_PLAN")),
        ({"parts": [part(columns=[])]}, ("parts.0.columns", "MALFORMED_PLAN")),
        ({"parts": [part()], "file": {"colour": "red"}}, ("file.colour", "MALFORMED_PLAN")),
        ({"parts": [part(name="no\0text")]}, ("parts.0.name", "MALFORMED_PLAN")),
        (
            {"parts": [part(columns=[*part()["columns"], {"column": "Role", "property": "firstname"}])]},
            ("parts.0.columns.2", "PROPERTY_TWICE"),
        ),
        (
            {"parts": [part(mode="CREATE", key="Id", columns=[{"column": "Id", "property": "id"}])]},
            ("parts.0.key", "MALFORMED_PLAN"),
        ),
    ],
)
def test_documents_that_are_no_plan(catalogue: Catalogue, document: Any, problem: tuple[str, str]) -> None:
    assert problem in wrong(document, catalogue)


def test_a_plan_is_proposed_from_names_and_cells(catalogue: Catalogue) -> None:
    header = [
        "E-Mail",
        "First Name",
        "Born",
        "Height",
        "Company name",
        "Company: Number",
        "Associated label",
        "Shoes",
    ]
    sample = [
        ["ann@x.example", "Ann", "31.01.1990", "1,75", "Acme", "A-1", "Billing", "38"],
        ["bob@x.example", "Bob", "01.12.1985", "1,80", "Bolt", "B-2", "", "42"],
    ]
    proposal = imports.propose(header, sample, catalogue)
    assert proposal.unmapped == ("Shoes",)
    contacts, companies = proposal.plan["parts"]
    assert (contacts["objectType"], contacts["key"], contacts["mode"]) == ("contacts", "E-Mail", "UPSERT")
    assert {one["column"]: (one["property"], one.get("format")) for one in contacts["columns"]} == {
        "E-Mail": ("email", None),
        "First Name": ("firstname", None),
        "Born": ("born", "DD.MM.YYYY"),
        "Height": ("height", "1.234,56"),
    }
    assert (companies["objectType"], companies["key"]) == ("companies", "Company: Number")
    assert proposal.plan["associations"] == [
        {"from": {"part": "contacts"}, "to": {"part": "companies"}, "labelsColumn": "Associated label"}
    ]
    assert bind(proposal.plan, header, catalogue).kind == "RECORDS_AND_ASSOCIATIONS"


@pytest.mark.parametrize(
    ("cells", "link"),
    [
        (("Billing", "billing;Billing"), {"from": {"part": "contacts"}, "to": {"part": "companies"}}),
        # The same label as it is called at the companies: there it is read.
        (("Billed", ""), {"from": {"part": "companies"}, "to": {"part": "contacts"}}),
    ],
)
def test_a_column_of_labels_is_known_by_what_stands_in_it(
    catalogue: Catalogue, cells: tuple[str, str], link: dict[str, Any]
) -> None:
    header = ["E-Mail", "First name", "Company name", "Company number", "Domain", "What they do", "Shoes"]
    sample = [
        [f"{n}@x.example", "Ann", "Acme", "A-1", "acme.example", cell, "38"] for n, cell in enumerate(cells)
    ]
    proposal = imports.propose(header, sample, catalogue)
    assert proposal.plan["associations"] == [{**link, "labelsColumn": "What they do"}]
    assert proposal.unmapped == ("Shoes",)
    # What contacts do not have is taken for the companies'.
    assert {"column": "Domain", "property": "domain"} in proposal.plan["parts"][1]["columns"]
    assert bind(proposal.plan, header, catalogue).kind == "RECORDS_AND_ASSOCIATIONS"


def test_a_proposal_without_a_key_says_that_it_makes_records_each_time(catalogue: Catalogue) -> None:
    proposal = imports.propose(["First name", "Born"], [["Ann", "03/04/2020"]], catalogue)
    assert proposal.plan["parts"][0]["mode"] == "CREATE"
    assert any("each row makes a new one" in note for note in proposal.notes)
    assert any("day first or month first" in note for note in proposal.notes)
    # What does not fit is not taken for it.
    proposal = imports.propose(["E-mail", "Height"], [["a@x.example", "tall"]], catalogue)
    assert proposal.unmapped == ("Height",)


@pytest.mark.parametrize(
    ("name", "stated", "cell", "value"),
    [
        ("born", "DD.MM.YYYY", " 31.1.2026 ", "2026-01-31"),
        ("born", "MM/DD/YYYY", "01/31/2026", "2026-01-31"),
        ("born", "MM/DD/YYYY", "31/01/2026", "31/01/2026"),
        ("born", "YYYYMMDD", "20260131", "2026-01-31"),
        ("born", "DD.MM.YYYY", "", None),
        ("seen", None, "2026-07-01 12:00", "2026-07-01T10:00:00.000Z"),
        ("seen", None, "2026-07-01", "2026-06-30T22:00:00.000Z"),
        ("seen", None, "2026-07-01T12:00:00Z", "2026-07-01T12:00:00Z"),
        ("seen", "DD.MM.YYYY HH:mm", "01.01.2026 00:30", "2025-12-31T23:30:00.000Z"),
        ("seen", "DD.MM.YYYY HH:mm", "01.01.2026 25:30", "01.01.2026 25:30"),
        ("height", "1.234,56", "1.234,5", 1234.5),
        ("height", "1,234.56", "1,234", 1234),
        ("height", "1 234,56", "12\u00a0345,6", 12345.6),
        ("height", "1.234,56", "1,2,3", "1,2,3"),
    ],
)
def test_cells_are_read_by_stated_formats(
    catalogue: Catalogue, name: str, stated: str | None, cell: str, value: Any
) -> None:
    prop: PropertyRow = catalogue.by_name["contacts"].properties[name]
    assert formats.parser(prop, stated, "Europe/Berlin")(cell) == value


@pytest.mark.parametrize(
    ("name", "stated", "cell", "value"),
    [
        ("height", "1.234,56", "1.234", 1.234),
        ("height", "1.234,56", "12.5", 12.5),
        ("born", "YYYY-DD-MM", "2026-01-05", "2026-01-05"),
        ("seen", "DD.MM.YYYY HH:mm", "2026-07-01 12:00:15", "2026-07-01T10:00:15.000Z"),
        ("firstname", None, "7", "7"),
    ],
)
def test_what_a_spreadsheet_keeps_as_such_is_read_as_such_whatever_is_stated(
    catalogue: Catalogue, name: str, stated: str | None, cell: str, value: Any
) -> None:
    prop: PropertyRow = catalogue.by_name["contacts"].properties[name]
    read = formats.parser(prop, stated, "Europe/Berlin")
    found = read(formats.Typed(cell))
    assert found == value
    # A value is compared with what is kept: nothing of the cell may be left in it.
    assert type(found) in (str, int, float)
    # What is remembered of texts holds for texts.
    assert {cell: 1, formats.Typed(cell): 2}[cell] == 1


def test_a_column_of_dates_and_of_texts_has_the_format_of_its_texts(catalogue: Catalogue) -> None:
    rows = [["a@x.example", formats.Typed("2026-01-31")], ["b@x.example", "31.12.2025"]]
    proposal = imports.propose(["E-mail", "Born"], rows, catalogue)
    assert proposal.plan["parts"][0]["columns"][1] == {
        "column": "Born", "property": "born", "format": "DD.MM.YYYY",
    }  # fmt: skip


def test_options_are_named_by_value_or_label(catalogue: Catalogue) -> None:
    prop = catalogue.by_name["contacts"].properties["interests"]
    label = next(option["label"] for option in prop.options if option["value"] == "pricing")
    assert formats.parser(prop, None, "UTC")(f"{label.upper()}; product;other") == [
        "pricing",
        "product",
        "other",
    ]
