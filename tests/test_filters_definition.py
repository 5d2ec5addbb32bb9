"""Definitions: what is refused, with its path; what is spelled out; what is counted and referred to."""

from typing import Any

import pytest

from engine import filters, properties
from engine.filters import Reference
from engine.problems import Refused
from storage.catalogue import AssociationTypeRow
from storage.database import Database
from storage.filters import shape
from tests.filtering import World, associated, leaf, world

KNOWN = leaf("text", "KNOWN")
PROPERTY, ASSOCIATED = "property", "associated"


def prop(**body: Any) -> dict[str, Any]:
    """A property leaf, however malformed."""
    return {"property": body}


def deep(levels: int) -> Any:
    """A leaf under so many NOTs."""
    found: Any = KNOWN
    for _ in range(levels):
        found = {"not": found}
    return found


# (definition, code, path)
REFUSED: list[tuple[Any, str, tuple[Any, ...]]] = [
    (None, "MALFORMED_FILTER", ()),
    ([], "MALFORMED_FILTER", ()),
    ("x", "MALFORMED_FILTER", ()),
    ({}, "MALFORMED_FILTER", ()),
    ({"and": None}, "MALFORMED_FILTER", ()),
    ({"xor": [KNOWN]}, "MALFORMED_FILTER", ()),
    ({"and": [KNOWN], "or": [KNOWN]}, "MALFORMED_FILTER", ()),
    ({"and": KNOWN}, "MALFORMED_FILTER", ("and",)),
    ({"and": []}, "EMPTY_FILTER_LIST", ("and",)),
    ({"not": {"or": []}}, "EMPTY_FILTER_LIST", ("not", "or")),
    ({"not": 5}, "MALFORMED_FILTER", ("not",)),
    (deep(5_000), "FILTER_TOO_DEEP", ("not",) * 20),
    ({"and": [KNOWN, prop(name="nix", operator="KNOWN")]}, "UNKNOWN_PROPERTY", ("and", 1, PROPERTY, "name")),
    ({"property": "text"}, "MALFORMED_LEAF", (PROPERTY,)),
    (prop(operator="KNOWN"), "MALFORMED_LEAF", (PROPERTY, "name")),
    (prop(name=7, operator="KNOWN"), "MALFORMED_LEAF", (PROPERTY, "name")),
    (prop(name="a\0\ud800", operator="KNOWN"), "UNKNOWN_PROPERTY", (PROPERTY, "name")),
    (prop(name="text"), "MALFORMED_LEAF", (PROPERTY, "operator")),
    (prop(name="text", operator="LIKE", value="x"), "UNKNOWN_OPERATOR", (PROPERTY, "operator")),
    (prop(name="text", operator="KNOWN", colour=1), "MALFORMED_LEAF", (PROPERTY,)),
    (prop(name="text", operator="KNOWN", includeEmpty="yes"), "MALFORMED_LEAF", (PROPERTY, "includeEmpty")),
    (prop(name="text", operator="KNOWN", value="x"), "VALUES_MISSING", (PROPERTY, "value")),
    (prop(name="text", operator="EQUALS"), "VALUES_MISSING", (PROPERTY, "value")),
    (prop(name="text", operator="EQUALS", values=["a", "b"]), "VALUES_MISSING", (PROPERTY, "values")),
    (prop(name="text", operator="ANY_OF", values=[]), "VALUES_MISSING", (PROPERTY, "values")),
    (prop(name="text", operator="ANY_OF", values="ab"), "MALFORMED_LEAF", (PROPERTY, "values")),
    (prop(name="text", operator="ANY_OF", value="a", values=["b"]), "MALFORMED_LEAF", (PROPERTY, "values")),
    (prop(name="text", operator="ANY_OF", values=["a"] * 1_001), "TOO_MANY_VALUES", (PROPERTY, "values")),
    (prop(name="text", operator="ANY_OF", values=["a", 5]), "INVALID_VALUE", (PROPERTY, "values", 1)),
    (prop(name="text", operator="ANY_OF", values=["a", None]), "INVALID_VALUE", (PROPERTY, "values", 1)),
    (leaf("text", "EQUALS", ""), "INVALID_VALUE", (PROPERTY, "value")),
    (leaf("text", "CONTAINS", ""), "INVALID_VALUE", (PROPERTY, "value")),
    (leaf("text", "EQUALS", "a\0b"), "INVALID_VALUE", (PROPERTY, "value")),
    (leaf("text", "CONTAINS", "\ud800"), "INVALID_VALUE", (PROPERTY, "value")),
    (leaf("text", "GREATER_THAN", "a"), "OPERATOR_DOES_NOT_FIT", (PROPERTY, "operator")),
    (leaf("grade", "CONTAINS", 1), "OPERATOR_DOES_NOT_FIT", (PROPERTY, "operator")),
    (leaf("active", "BETWEEN", False, True), "OPERATOR_DOES_NOT_FIT", (PROPERTY, "operator")),
    (leaf("tags", "EQUALS", "a"), "OPERATOR_DOES_NOT_FIT", (PROPERTY, "operator")),
    (leaf("extra", "EQUALS", 1), "OPERATOR_DOES_NOT_FIT", (PROPERTY, "operator")),
    (leaf("grade", "EQUALS", "12"), "INVALID_VALUE", (PROPERTY, "value")),
    (leaf("grade", "EQUALS", True), "INVALID_VALUE", (PROPERTY, "value")),
    (leaf("grade", "EQUALS", float("nan")), "INVALID_VALUE", (PROPERTY, "value")),
    (leaf("grade", "EQUALS", float("inf")), "INVALID_VALUE", (PROPERTY, "value")),
    (leaf("grade", "EQUALS", 10**40), "INVALID_VALUE", (PROPERTY, "value")),
    (leaf("grade", "BETWEEN", 2, 1), "RANGE_REVERSED", (PROPERTY, "values")),
    (leaf("grade", "BETWEEN", 1), "VALUES_MISSING", (PROPERTY, "value")),
    (leaf("active", "EQUALS", "true"), "INVALID_VALUE", (PROPERTY, "value")),
    (leaf("born", "ON", "2026-02-30"), "INVALID_VALUE", (PROPERTY, "value")),
    (leaf("born", "ON", "2026-01-31T00:00:00Z"), "INVALID_VALUE", (PROPERTY, "value")),
    (leaf("seen", "ON", "2026-02-30"), "INVALID_VALUE", (PROPERTY, "value")),
    (leaf("seen", "BEFORE", "yesterday"), "INVALID_VALUE", (PROPERTY, "value")),
    (leaf("seen", "BETWEEN", "2026-02-01", "2026-01-31"), "RANGE_REVERSED", (PROPERTY, "values")),
    (leaf("color", "ANY_OF", "red", "pink"), "INVALID_VALUE", (PROPERTY, "values", 1)),
    (leaf("color", "ANY_OF", {"a": 1}), "INVALID_VALUE", (PROPERTY, "value")),
    (leaf("color", "CONTAINS_ALL", "red", "blue"), "VALUES_MISSING", (PROPERTY, "values")),
    (leaf("tags", "EXACTLY", "a", "z"), "INVALID_VALUE", (PROPERTY, "values", 1)),
    (leaf("text", "EQUALS", "x", other="found"), "MALFORMED_LEAF", (PROPERTY, "other")),
    (leaf("text", "EQUALS", other="nix"), "UNKNOWN_PROPERTY", (PROPERTY, "other")),
    (leaf("text", "EQUALS", other="grade"), "PROPERTIES_NOT_COMPARABLE", (PROPERTY, "other")),
    (leaf("born", "BEFORE", other="text"), "PROPERTIES_NOT_COMPARABLE", (PROPERTY, "other")),
    (leaf("born", "BEFORE", other="seen", offset=1, unit="HOUR"), "UNKNOWN_UNIT", (PROPERTY, "unit")),
    (leaf("seen", "ON", other="left", offset=1, unit="HOUR"), "UNKNOWN_UNIT", (PROPERTY, "unit")),
    (leaf("text", "CONTAINS", other="grade"), "PROPERTIES_NOT_COMPARABLE", (PROPERTY, "other")),
    (leaf("text", "CONTAINS", other="found", unit="DAY"), "MALFORMED_LEAF", (PROPERTY, "unit")),
    (leaf("color", "CONTAINS", other="text"), "OPERATOR_DOES_NOT_FIT", (PROPERTY, "operator")),
    ({"associated": []}, "MALFORMED_LEAF", (ASSOCIATED,)),
    ({"associated": {}}, "MALFORMED_LEAF", (ASSOCIATED, "to")),
    (associated("nix"), "UNKNOWN_OBJECT_TYPE", (ASSOCIATED, "to")),
    (associated("companies", quantifier="MOST"), "MALFORMED_LEAF", (ASSOCIATED, "quantifier")),
    (associated("companies", quantifier=[]), "MALFORMED_LEAF", (ASSOCIATED, "quantifier")),
    (associated("companies", labels="billing"), "MALFORMED_LEAF", (ASSOCIATED, "labels")),
    (associated("companies", labels=0), "MALFORMED_LEAF", (ASSOCIATED, "labels")),
    (associated("companies", labels=["billing", "pays"]), "UNKNOWN_LABEL", (ASSOCIATED, "labels", 1)),
    (associated("companies", labels=[None]), "UNKNOWN_LABEL", (ASSOCIATED, "labels", 0)),
    (associated("companies", count=1), "MALFORMED_LEAF", (ASSOCIATED, "count")),
    (associated("companies", operator="EQUALS"), "MALFORMED_LEAF", (ASSOCIATED, "operator")),
    (associated("companies", quantifier="COUNT"), "MALFORMED_LEAF", (ASSOCIATED, "operator")),
    (
        associated("companies", quantifier="COUNT", operator="CONTAINS", count=1),
        "UNKNOWN_OPERATOR",
        (ASSOCIATED, "operator"),
    ),
    *(
        (
            associated("companies", quantifier="COUNT", operator="EQUALS", count=count),
            "MALFORMED_LEAF",
            (ASSOCIATED, "count"),
        )
        for count in (None, -1, 1.5, True, "1", 10**30)
    ),
    (
        associated("companies", {"or": [leaf("name", "KNOWN"), leaf("text", "KNOWN")]}),
        "UNKNOWN_PROPERTY",
        (ASSOCIATED, "where", "or", 1, PROPERTY, "name"),
    ),
]


@pytest.fixture
async def account(db: Database) -> World:
    """Definitions to name."""
    return await world(db)


async def test_what_is_wrong_is_told_by_code_and_path(account: World) -> None:
    for definition, code, path in REFUSED:
        with pytest.raises(Refused) as refused:
            await account.bind(definition)
        (problem,) = refused.value.problems
        assert (problem.code, problem.path) == (code, path), definition
        assert problem.message
        # Errors travel as JSON.
        problem.message.encode()


async def test_all_problems_are_told_at_once(account: World) -> None:
    wrong = {
        "and": [leaf("nix", "KNOWN"), KNOWN, associated("companies", leaf("nix", "KNOWN"), labels=["no"])]
    }
    with pytest.raises(Refused) as refused:
        await account.bind(wrong)
    assert [problem.path for problem in refused.value.problems] == [
        ("and", 0, "property", "name"),
        ("and", 2, "associated", "where", "property", "name"),
        ("and", 2, "associated", "labels", 0),
    ]


async def test_an_operator_that_does_not_fit_is_answered_with_those_that_do(account: World) -> None:
    with pytest.raises(Refused) as refused:
        await account.bind(leaf("active", "CONTAINS", "x"))
    (problem,) = refused.value.problems
    assert problem.details["fitting"] == [
        *("KNOWN", "UNKNOWN", "EQUALS", "NOT_EQUALS"),
        *("HAS_EVER_BEEN", "HAS_NEVER_BEEN", "UPDATED_IN_LAST", "NOT_UPDATED_IN_LAST"),
    ]


async def test_at_most_250_leaves_and_20_levels(account: World) -> None:
    half = associated("companies", {"or": [leaf("name", "KNOWN")] * 124})
    assert filters.leaves({"and": [half, half]}) == 250
    await account.bind({"and": [half, half]})
    with pytest.raises(Refused) as refused:
        await account.bind({"and": [half, half, {"not": KNOWN}]})
    (problem,) = refused.value.problems
    assert (problem.code, problem.details) == ("TOO_MANY_LEAVES", {"count": 251, "limit": 250})
    await account.bind(deep(19))
    with pytest.raises(Refused) as refused:
        await account.bind(deep(20))
    (problem,) = refused.value.problems
    assert problem.message.endswith(": keep an inner part as a segment, and ask who is in that.")


async def test_leaves_of_anything_can_be_counted() -> None:
    nonsense: list[Any] = [None, 5, [], {"and": 5}, {"and": [5, None]}, {"associated": 5, "property": None}]
    for one in nonsense:
        assert filters.leaves(one) <= 1


async def test_a_property_that_was_archived_is_no_longer_there(account: World) -> None:
    async with account.db.transaction(
        account.account, now=account.now, actor=account.actor, defining=True
    ) as tx:
        await properties.archive(tx, "contacts", "text")
    with pytest.raises(Refused) as refused:
        await account.bind(KNOWN)
    assert refused.value.problems[0].code == "UNKNOWN_PROPERTY"


async def test_saving_spells_out_what_holds_without_a_value(account: World) -> None:
    catalogue = await account.catalogue()
    contacts, companies = catalogue.by_name["contacts"], catalogue.by_name["companies"]
    definition = {
        "and": [
            leaf("text", "EQUALS", "a"),
            leaf("text", "NOT_EQUALS", "a"),
            leaf("text", "NOT_EQUALS", "a", includeEmpty=False),
            leaf("text", "UNKNOWN"),
            {"not": leaf("grade", "NONE_OF", 1)},
            associated("companies", leaf("name", "NOT_CONTAINS", "x")),
            associated("companies", quantifier="NONE"),
            associated("companies", quantifier="COUNT", operator="NOT_EQUALS", count=1),
        ]
    }

    def told(one: Any) -> list[bool]:
        match one:
            case {"and": parts}:
                return [flag for part in parts for flag in told(part)]
            case {"not": part}:
                return told(part)
            case {"property": body} | {"associated": body}:
                return [body["includeEmpty"], *(told(body["where"]) if "where" in body else [])]
        raise AssertionError(one)

    spelled = filters.explicit(definition, contacts)
    assert told(spelled) == [False, True, False, True, True, False, True, True, True]
    assert told(filters.explicit(definition, companies)) == [
        False, False, False, True, False, False, False, True, False,
    ]  # fmt: skip
    # It means the same, now and wherever its parts stand, and saving it again changes nothing.
    assert filters.bind(spelled, contacts, catalogue) == filters.bind(definition, contacts, catalogue)
    assert filters.explicit(spelled, companies) == spelled


async def test_shapes_have_no_values_and_keep_everything_else(account: World) -> None:
    def asked(text: str, number: float, count: int) -> Any:
        return {
            "and": [
                leaf("text", "EQUALS", text),
                leaf("text", "CONTAINS", text, text * 2),
                leaf("grade", "BETWEEN", number, number + 1),
                leaf("seen", "BEFORE", "2026-01-31"),
                leaf("tags", "EXACTLY", "a"),
                associated(
                    "companies", leaf("name", "KNOWN"), quantifier="COUNT", operator="EQUALS", count=count
                ),
            ]
        }

    one, other = await account.bind(asked("a", 1, 2)), await account.bind(asked("b", 2.5, 0))
    assert one != other
    assert shape.shape(one) == shape.shape(other)
    assert hash(shape.shape(one)) == hash(shape.shape(other))
    assert shape.shape(shape.shape(one)) == shape.shape(one)
    more = await account.bind(leaf("text", "ANY_OF", "a", "b"))
    assert shape.shape(more) != shape.shape(await account.bind(leaf("text", "ANY_OF", "a")))
    assert shape.shape(more) == shape.shape(await account.bind(leaf("text", "ANY_OF", "a", "b", "c")))


async def test_references_lead_back_to_the_filters_own_records(account: World) -> None:
    catalogue = await account.catalogue()
    contacts, companies = catalogue.by_name["contacts"], catalogue.by_name["companies"]
    deals = catalogue.by_name["deals"]

    def label(one: int, other: int, name: str) -> AssociationTypeRow:
        found = catalogue.label(one, other, name)
        assert found is not None
        return found

    billing = label(contacts.id, companies.id, "billing")
    advisor = label(contacts.id, companies.id, "advisor")
    plain = catalogue.unlabelled(contacts.id, companies.id)
    dealing = catalogue.unlabelled(companies.id, deals.id)
    name, amount = companies.properties["name"].id, deals.properties["amount"].id

    async def found(definition: Any) -> set[Reference]:
        return filters.references(await account.bind(definition), contacts.id, catalogue)

    assert await found(leaf("text", "EQUALS", other="found")) == {
        Reference("PROPERTY", contacts.properties["text"].id, ()),
        Reference("PROPERTY", contacts.properties["found"].id, ()),
    }
    big = associated("deals", leaf("amount", "GREATER_THAN", 5))
    nested = associated("companies", {"and": [leaf("name", "KNOWN"), {"not": big}]}, labels=["billing"])
    assert await found(nested) == {
        Reference("ASSOCIATION", billing.id, ()),
        Reference("PROPERTY", name, (billing.inverse_id,)),
        Reference("ASSOCIATION", dealing.id, (billing.inverse_id,)),
        Reference("PROPERTY", amount, (dealing.inverse_id, billing.inverse_id)),
    }
    several = associated("companies", leaf("name", "KNOWN"), labels=["billing", "advisor"])
    assert await found(several) == {
        Reference("ASSOCIATION", billing.id, ()),
        Reference("ASSOCIATION", advisor.id, ()),
        Reference("PROPERTY", name, (plain.inverse_id,)),
    }
    # A label that comes or goes decides about "unlabelled only".
    pair = {row.id for row in catalogue.between(contacts.id, companies.id)}
    assert await found(associated("companies", labels=[])) == {
        Reference("ASSOCIATION", one, ()) for one in pair
    }
