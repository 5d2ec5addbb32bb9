"""Where a problem is told: at the field that is at fault, by the name that it has in the input, of all mutations."""

import re
from collections.abc import Iterator
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLScalarType,
    get_named_type,
    get_nullable_type,
    is_required_input_field,
)

from engine.ids import PREFIXES
from schema.root import SCHEMA
from server.limits import Limits
from storage.database import Database
from tests.face import Client, opened

# What is wrong with none of the fields: the installation lacks something.
OF_NO_FIELD = {"SIGNING_KEY_MISSING"}
DEEPEST = 4
PLAIN = {
    "String": "some",
    "ID": "rec_1",
    "Int": 1,
    "Float": 1.0,
    "Boolean": True,
    "JSON": {},
    "DateTime": "2026-01-01T00:00:00Z",
}
WRONG: dict[str, list[Any]] = {
    "String": ["", " ", "\0", "Bad Name!", "x" * 300, "nothing", "event_days"],
    "Int": [-1, 0, 2**31 - 1],
}


def mutations() -> Iterator[tuple[str, GraphQLInputObjectType]]:
    assert SCHEMA.mutation_type is not None
    for name, field in SCHEMA.mutation_type.fields.items():
        kind = get_named_type(field.args["input"].type)
        assert isinstance(kind, GraphQLInputObjectType)
        assert "userErrors" in payload(name)
        yield name, kind


def payload(mutation: str) -> dict[str, Any]:
    assert SCHEMA.mutation_type is not None
    kind = get_named_type(SCHEMA.mutation_type.fields[mutation].type)
    assert isinstance(kind, GraphQLObjectType)
    return dict(kind.fields)


def least(kind: GraphQLInputType, name: str, depth: int = 0) -> Any:
    """The smallest value that the schema takes; it need not mean anything."""
    match get_nullable_type(kind):
        case GraphQLList(of_type=one):
            return [least(one, name, depth)]
        case GraphQLEnumType(values=values):
            return next(iter(values))
        case GraphQLInputObjectType() as form:
            found = {n: f for n, f in form.fields.items() if is_required_input_field(f)}
            if not found and 0 < depth < DEEPEST:
                found = dict([next(iter(form.fields.items()))])
            return {n: least(f.type, n, depth + 1) for n, f in found.items()}
        case GraphQLScalarType(name=scalar):
            known = {"objectType": "contacts", "from": "contacts", "to": "companies"}
            return known.get(name, PLAIN[scalar])
    raise AssertionError(kind)


def wrong(kind: GraphQLInputType, name: str, idents: list[str]) -> list[Any]:
    """Values of this type, most of which cannot be meant."""
    match get_nullable_type(kind):
        case GraphQLList(of_type=one):
            return [[], *([value] for value in wrong(one, name, idents)), [least(one, name, 1)] * 3]
        case GraphQLEnumType(values=values):
            return list(values)
        case GraphQLInputObjectType() as form:
            base = least(form, name, 1)
            inner = {n: f for n, f in form.fields.items() if plain(f)}
            return [base] + [
                (base if not form.is_one_of else {}) | {n: value}
                for n, f in inner.items()
                for value in wrong(f.type, n, idents)
            ]
        case GraphQLScalarType(name="ID"):
            return idents
        case GraphQLScalarType(name=scalar):
            return WRONG.get(scalar, [])
    raise AssertionError(kind)


def plain(field: GraphQLInputField) -> bool:
    return isinstance(get_nullable_type(field.type), GraphQLScalarType | GraphQLEnumType)


def strays(form: GraphQLInputType, path: list[Any]) -> bool:
    """Whether a path leads to what the input has not got; below a scalar it may lead on."""
    kind = get_nullable_type(form)
    if not path or isinstance(kind, GraphQLScalarType | GraphQLEnumType):
        return False
    if isinstance(kind, GraphQLList):
        return not isinstance(path[0], int) or strays(kind.of_type, path[1:])
    assert isinstance(kind, GraphQLInputObjectType)
    return path[0] not in kind.fields or strays(kind.fields[path[0]].type, path[1:])


async def known(client: Client) -> list[str]:
    """Ids of things that are there."""
    found = [one["id"] for one in (await client.get(TYPES))["associationTypes"]]
    for mutation, kind, given in (
        ("createUser", "user", {"name": "Ann", "email": "ann@acme.example", "role": "SUPER_ADMIN"}),
        ("createSegment", "segment", {"name": "All", "objectType": "contacts", "kind": "STATIC"}),
        ("createWebhookEvent", "webhookEvent", {"name": "hook", "label": "Hook", "objectType": "contacts"}),
        ("createImport", "import", {"name": "people.csv"}),
    ):
        found.append((await client.do(mutation, f"{kind} {{ id }}", given))[kind]["id"])
    new = {"objectType": "contacts", "records": [{"properties": {}}] * 2}
    made = await client.do("createRecords", "results { record { id } }", new)
    return found + [one["record"]["id"] for one in made["results"]]


TYPES = '{ associationTypes(from: "contacts", to: "companies") { id } }'


async def test_every_problem_of_a_field_is_told_at_that_field(db: Database) -> None:
    told = 0
    async with opened(db, limits=Limits(batch=2)) as client:
        there = await known(client)
        idents = ["nonsense", *(f"{prefix}_99999" for prefix in PREFIXES.values()), *there]
        # What an account may have is set last: it would be used up.
        for mutation, form in sorted(mutations(), key=lambda one: one[0] == "updateAccountSettings"):
            base = least(form, mutation)
            given = [base] + [
                base | {name: value}
                for name, field in form.fields.items()
                for value in wrong(field.type, name, idents)
            ]
            text = f"mutation ($i: {form.name}!) {{ {mutation}(input: $i) {{ userErrors {{ code message path }} }} }}"
            ours = {re.sub(r"(?=[A-Z])", "_", name).lower() for name in form.fields}
            for input in given:
                answer = await client.ask(text, i=input)
                if "errors" in answer:
                    # The form was not kept: the schema's own words.
                    assert {one["extensions"]["code"] for one in answer["errors"]} == {"BAD_USER_INPUT"}, (
                        answer
                    )
                    continue
                for error in answer["data"][mutation]["userErrors"]:
                    told += 1
                    where = (mutation, input, error)
                    assert error["path"][:1] == ["input"], where
                    assert len(error["path"]) > 1 or error["code"] in OF_NO_FIELD, where
                    assert not strays(form, error["path"][1:]), where
                    spoken = set(re.findall(r"[a-z]+_[a-z_]+", error["message"])) & ours
                    assert not spoken - set(re.findall(r"\w+", str(input))), where
    assert told > 500
