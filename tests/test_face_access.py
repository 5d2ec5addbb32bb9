"""Who may do what at the face: each role and scope, and nobody anything of another account."""

from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLSchema,
    ObjectTypeDefinitionNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
    parse,
)

from engine import accounts
from engine.access import SCOPES, Role, Scope
from schema.access import required
from schema.root import SCHEMA, SDL
from storage.database import Database
from tests.face import T0, Client, new_key, opened


def test_every_root_field_says_what_it_requires() -> None:
    scopes = required(SCHEMA)
    assert [place for place, scope in scopes.items() if scope is None] == []
    assert len(scopes) > 20


def test_writes_never_ask_for_less_than_a_scope_to_write() -> None:
    reading = {Scope.RECORDS_READ, Scope.DEFINITIONS_READ, Scope.AUTOMATION_READ}
    assert [
        name
        for (kind, name), scope in required(SCHEMA).items()
        if kind == "Mutation" and scope in reading
        # Makes an address of what its key may read, and writes nothing.
    ] == ["createExport"]


def test_what_is_required_can_be_read_in_the_sdl() -> None:
    told = {
        (kind.name.value, field.name.value): directive.arguments[0].value.value  # type: ignore[index, union-attr]
        for kind in parse(SDL).definitions
        if isinstance(kind, ObjectTypeDefinitionNode)
        for field in kind.fields or ()
        for directive in field.directives or ()
    }
    assert {place: told.get(place) for place in required(SCHEMA)} == required(SCHEMA)


async def test_a_key_may_do_what_its_scopes_say_and_nothing_else(db: Database) -> None:
    """Every root field, asked by a key of every role and by a key of every single scope."""
    async with opened(db) as client:
        keys = [(await new_key(db, client.account_id, role), SCOPES[role]) for role in Role]
        keys += [
            (await new_key(db, client.account_id, Role.SUPER_ADMIN, [scope]), frozenset({scope}))
            for scope in Scope
        ]
        for secret, held in keys:
            caller = Client(client.http, secret, client.account_id)
            for (kind, name), scope in required(SCHEMA).items():
                if kind == "Subscription":
                    continue
                text, variables = call(SCHEMA, kind, name)
                answer = await caller.ask(text, **variables)
                codes = {error["extensions"]["code"] for error in answer.get("errors", [])}
                assert ("MISSING_SCOPE" in codes) is (scope not in held), (kind, name, held, answer)
                assert "INTERNAL_ERROR" not in codes, (name, answer)
                if "MISSING_SCOPE" in codes:
                    assert not any((answer.get("data") or {}).values())


def call(schema: GraphQLSchema, kind: str, name: str) -> tuple[str, dict[str, Any]]:
    """An operation that calls a root field with arguments that are well-formed and mean nothing."""
    root = schema.get_type(kind)
    field = root.fields[name]  # type: ignore[union-attr]
    needed = {arg: given for arg, given in field.args.items() if is_required_argument(given)}
    declared = ", ".join(f"${arg}: {given.type}" for arg, given in needed.items())
    passed = ", ".join(f"{arg}: ${arg}" for arg in needed)
    selection = "" if is_leaf_type(get_named_type(field.type)) else "{ __typename }"
    called = f"{name}({passed})" if passed else name
    text = f"{kind.lower()} {f'({declared})' if declared else ''} {{ {called} {selection} }}"
    return text, {arg: _value(given.type) for arg, given in needed.items()}


def _value(kind: Any) -> Any:
    match kind:
        case GraphQLNonNull():
            return _value(kind.of_type)
        case GraphQLList():
            return []
        case GraphQLEnumType():
            return next(iter(kind.values))
        case GraphQLInputObjectType():
            if kind.extensions["strawberry-definition"].is_one_of:
                name = next(iter(kind.fields))
                return {name: _value(get_nullable_type(kind.fields[name].type))}
            return {
                name: _value(field.type)
                for name, field in kind.fields.items()
                if is_required_input_field(field)
            }
        case GraphQLScalarType(name="Int"):
            return 1
        case GraphQLScalarType(name="Boolean"):
            return False
        case GraphQLScalarType(name="JSON"):
            return {}
        case GraphQLScalarType(name="ID"):
            return "rec_1"
        case _:
            return "x"


async def test_a_key_gives_no_other_what_it_may_not_itself(db: Database) -> None:
    async with opened(db) as admin:
        manages = [Scope.ACCOUNT_MANAGE, Scope.RECORDS_READ]
        secret = await new_key(db, admin.account_id, Role.SUPER_ADMIN, manages)
        limited = Client(admin.http, secret, admin.account_id)
        fields = "secret key { scopes } userErrors { code path }"
        for asked in ({}, {"scopes": ["RECORDS_READ", "RECORDS_WRITE"]}, {"role": "VIEWER"}):
            told = await limited.do("createKey", fields, {"name": "k", "role": "SUPER_ADMIN"} | asked)
            assert (told["secret"], told["userErrors"]) == (
                None,
                [{"code": "SCOPE_BEYOND_MAKER", "path": ["input", "scopes"]}],
            ), asked
        within = {"name": "k", "role": "SUPER_ADMIN", "scopes": ["RECORDS_READ"]}
        assert (await limited.do("createKey", fields, within))["key"] == {"scopes": ["RECORDS_READ"]}
        assert (await admin.do("createKey", fields, {"name": "k", "role": "SUPER_ADMIN"}))["userErrors"] == []


async def test_what_is_anothers_looks_as_if_it_were_not_there(db: Database) -> None:
    async with opened(db) as client:
        other = await accounts.create(db, "other", now=T0)
        stranger = Client(client.http, await new_key(db, other), other)
        fields = "results { record { id } userErrors { code message path } } userErrors { code message path }"
        made = await client.do(
            "createRecords",
            fields,
            {"objectType": "contacts", "records": [{"properties": {"email": "a@b.example"}}] * 1},
        )
        theirs = made["results"][0]["record"]["id"]
        missing = f"rec_{int(theirs[4:]) + 50}"
        questions: list[tuple[str, str, Any]] = [
            ("updateRecords", fields, lambda one: {"records": [{"id": one, "properties": {}}]}),
            ("archiveRecords", fields, lambda one: {"ids": [one]}),
            (
                "restoreRecords",
                "results { record { id } userErrors { code message path } }",
                lambda one: {"ids": [one]},
            ),
            (
                "mergeRecords",
                "record { id } userErrors { code message path }",
                lambda one: {"survivorId": one, "mergedId": "rec_77777"},
            ),
            (
                "associate",
                "results { association { associated } userErrors { code message path } }",
                lambda one: {"associations": [{"fromId": one, "toId": "rec_77777"}]},
            ),
        ]
        for mutation, selection, question in questions:
            foreign = await stranger.do(mutation, selection, question(theirs))
            absent = await stranger.do(mutation, selection, question(missing))
            assert "userErrors': []" not in str(foreign).replace("[[]]", "")
            assert str(foreign).replace(theirs, "?") == str(absent).replace(missing, "?")
        for text in (
            "query ($id: ID!) { record(id: $id) { id } }",
            "query ($id: ID!) { node(id: $id) { id } }",
        ):
            assert await stranger.ask(text, id=theirs) == await stranger.ask(text, id=missing)
        found = (
            'query { record(objectType: "contacts", by: {property: "email", value: "a@b.example"}) { id } }'
        )
        assert (await stranger.get(found))["record"] is None
        # The value is free in the other account, as if nobody had it.
        mine = await stranger.do(
            "createRecords",
            fields,
            {"objectType": "contacts", "records": [{"properties": {"email": "a@b.example"}}]},
        )
        assert mine["userErrors"] == []
        assert (await client.get(found))["record"]["id"] == theirs
