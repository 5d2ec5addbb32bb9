"""Bad input through the face: each time a clear code and a path, nothing lost, and never an internal error."""

from typing import Any

from storage.database import Database
from tests.face import Client, opened

ERRORS = "userErrors { code message path }"


async def code_of(client: Client, query: str, **variables: Any) -> tuple[str, list[Any] | None]:
    """Code and input path of the one error of a query."""
    (error,) = (await client.ask(query, **variables))["errors"]
    extensions = error["extensions"]
    return extensions["code"], extensions.get("path")


async def told(client: Client, mutation: str, input: dict[str, Any]) -> list[tuple[str, list[Any] | None]]:
    """Codes and paths of a mutation's errors."""
    payload = await client.do(mutation, ERRORS, input)
    return [(error["code"], error["path"]) for error in payload["userErrors"]]


async def test_reads_that_mean_nothing_are_told(db: Database) -> None:
    async with opened(db) as client:
        assert (await code_of(client, '{ records(objectType: "ships") { nodes { id } } }'))[
            0
        ] == "UNKNOWN_OBJECT_TYPE"
        assert (await code_of(client, '{ objectType(name: "ships") { id } }'))[0] == "UNKNOWN_OBJECT_TYPE"
        assert (await code_of(client, '{ record(id: "rec_0") { id } }'))[0] == "MALFORMED_ID"
        assert (await code_of(client, '{ record(id: "con_1") { id } }'))[0] == "MALFORMED_ID"
        assert (await code_of(client, '{ node(id: "nonsense") { id } }'))[0] == "MALFORMED_ID"
        assert (await code_of(client, "{ record { id } }"))[0] == "ID_OR_UNIQUE"
        by = '{ record(objectType: "contacts", by: {property: "firstname", value: "x"}) { id } }'
        assert (await code_of(client, by))[0] == "NOT_UNIQUE"
        page = '{ records(objectType: "contacts", first: 501) { nodes { id } } }'
        assert (await code_of(client, page))[0] == "INVALID_PAGE_SIZE"
        cursor = '{ records(objectType: "contacts", after: "x") { nodes { id } } }'
        assert (await code_of(client, cursor))[0] == "MALFORMED_CURSOR"


async def test_moments_that_no_calendar_has_in_utc_are_told(db: Database) -> None:
    async with opened(db) as client:
        asked = "query ($at: DateTime) { enrollments(enrolledBefore: $at) { nodes { id } } }"
        for wrong in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z"):
            assert (await code_of(client, asked, at=wrong))[0] == "BAD_USER_INPUT", wrong
            assert (
                await code_of(client, asked.replace("$at)", f'"{wrong}")').replace("($at: DateTime)", ""))
            )[0] == "GRAPHQL_VALIDATION_FAILED", wrong
        for right in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999+14:00"):
            assert "errors" not in await client.ask(asked, at=right), right


async def test_a_cursor_of_another_list_is_told(db: Database) -> None:
    async with opened(db) as client:
        await client.do(
            "createRecords", ERRORS, {"objectType": "contacts", "records": [{"properties": {}}] * 2}
        )
        page = '{ records(objectType: "contacts", first: 1) { pageInfo { endCursor } } }'
        cursor = (await client.get(page))["records"]["pageInfo"]["endCursor"]
        other = 'query ($c: String) { records(objectType: "companies", after: $c) { nodes { id } } }'
        assert (await code_of(client, other, c=cursor))[0] == "WRONG_CURSOR"
        sorted_ = """query ($c: String) {
            records(objectType: "contacts", after: $c, orderBy: [{property: "email"}]) { nodes { id } } }"""
        assert (await code_of(client, sorted_, c=cursor))[0] == "WRONG_CURSOR"


async def test_filters_that_mean_nothing_are_told_with_the_path_of_the_leaf(db: Database) -> None:
    async with opened(db) as client:
        text = 'query ($w: FilterInput) { records(objectType: "contacts", where: $w) { nodes { id } } }'
        wrong: list[tuple[dict[str, Any], list[Any]]] = [
            ({"property": {"name": "nothing", "operator": "KNOWN"}}, ["where", "property"]),
            (
                {"property": {"name": "firstname", "operator": "LESS_THAN", "value": "a"}},
                ["where", "property"],
            ),
            (
                {"and": [{"not": {"property": {"name": "nothing", "operator": "KNOWN"}}}]},
                ["where", "and", 0, "not", "property"],
            ),
            ({"associated": {"to": "ships"}}, ["where", "associated"]),
            ({"associated": {"to": "companies", "labels": ["nothing"]}}, ["where", "associated"]),
        ]
        for where, path in wrong:
            code, found = await code_of(client, text, w=where)
            assert code not in ("INTERNAL_ERROR", "GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT")
            assert (found or [])[: len(path)] == path, (code, found)
        code, _ = await code_of(client, text, w={"property": {"name": "firstname", "operator": "NONSENSE"}})
        assert code == "BAD_USER_INPUT"
        code, _ = await code_of(client, text, w={"and": [], "or": []})
        assert code == "BAD_USER_INPUT"


async def test_values_that_do_not_fit_are_told_with_their_path(db: Database) -> None:
    async with opened(db) as client:
        made = await client.do(
            "createProperty",
            ERRORS,
            {"objectType": "contacts", "name": "age", "label": "Age", "type": "NUMBER"},
        )
        assert made["userErrors"] == []
        wrong: list[Any] = ["old", True, [], {}, "\x00", "１２"]
        for value in wrong:
            found = await told(
                client,
                "createRecords",
                {"objectType": "contacts", "records": [{"properties": {"age": value}}]},
            )
            assert [path for _, path in found] == [["input", "records", 0, "properties", "age"]], (
                value,
                found,
            )
        malformed: tuple[Any, ...] = (None, [], "x", 3)
        for properties in malformed:
            answer = await client.ask(
                f"mutation ($i: CreateRecordsInput!) {{ createRecords(input: $i) {{ {ERRORS} }} }}",
                i={"objectType": "contacts", "records": [{"properties": properties}]},
            )
            assert "INTERNAL_ERROR" not in str(answer)
            assert answer.get("errors") or answer["data"]["createRecords"]["userErrors"]
        for text in ("\x00", "a\x00b"):
            found = await told(
                client,
                "createRecords",
                {"objectType": "contacts", "records": [{"properties": {"firstname": text}}]},
            )
            assert found[0][1] == ["input", "records", 0, "properties", "firstname"]


async def test_a_number_of_thousands_of_digits_is_told_in_our_words(db: Database) -> None:
    long, longest = "9" * 5_000, "9" * 4_300
    async with opened(db) as client:
        for text in (
            f'{{ records(objectType: "contacts", first: {long}) {{ nodes {{ id }} }} }}',
            f'{{ records(objectType: "contacts", where: {{all: [-{long}]}}) {{ nodes {{ id }} }} }}',
            f"query ($n: Int = {long}) {{ keys {{ id }} }}",
            f'mutation {{ createRecords(input: {{objectType: "contacts", records: [{{properties: {{age: {long}}}}}]}})'
            " { results { created } } }",
        ):
            (error,) = (await client.ask(text))["errors"]
            assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
            assert error["message"] == (
                "The document holds a number of more than 4300 digits, which no field takes."
                " Send a smaller one, or a text in quotes."
            )
        # Nothing but numbers is meant.
        for text in (
            f'{{ node(id: "{long}") {{ id }} }}',
            f"# {long}\n{{ keys {{ id }} }}",
            f"{{ a{long}: __typename }}",
        ):
            assert "digits" not in str((await client.ask(text)).get("errors"))
        for name, text in (("Int", f"first: {longest}"), ("Float", f"first: 1.{long}")):
            asked = f'{{ records(objectType: "contacts", {text}) {{ nodes {{ id }} }} }}'
            (error,) = (await client.ask(asked))["errors"]
            assert "set_int_max_str_digits" not in error["message"], name


async def test_a_duplicate_of_a_unique_value_is_told(db: Database) -> None:
    async with opened(db) as client:
        one = {"objectType": "contacts", "records": [{"properties": {"email": "ann@acme.example"}}]}
        assert await told(client, "createRecords", one) == []
        assert await told(client, "createRecords", one) == [
            ("UNIQUE_VALUE_TAKEN", ["input", "records", 0, "properties", "email"])
        ]


async def test_definitions_that_cannot_be_are_told(db: Database) -> None:
    async with opened(db) as client:
        contact = {"objectType": "contacts", "label": "X", "type": "STRING"}
        cases: list[tuple[str, dict[str, Any], str]] = [
            ("createObjectType", {"name": "Ships!", "singular": "a", "plural": "b"}, "MALFORMED_NAME"),
            ("createObjectType", {"name": "contacts", "singular": "a", "plural": "b"}, "NAME_TAKEN"),
            ("createObjectType", {"name": "ships", "singular": " ", "plural": "b"}, "MALFORMED_TEXT"),
            ("createObjectType", {"name": "ships", "singular": "\x00", "plural": "b"}, "MALFORMED_TEXT"),
            ("updateObjectType", {"name": "ships"}, "UNKNOWN_OBJECT_TYPE"),
            ("createProperty", contact | {"name": "email"}, "NAME_TAKEN"),
            ("createProperty", contact | {"name": "x", "objectType": "ships"}, "UNKNOWN_OBJECT_TYPE"),
            ("createProperty", contact | {"name": "x", "type": "ENUMERATION"}, "OPTIONS_MISSING"),
            ("createProperty", contact | {"name": "x", "field": "CURRENCY"}, "FIELD_DOES_NOT_FIT"),
            ("archiveProperty", {"objectType": "contacts", "name": "nothing"}, "NOT_FOUND"),
            (
                "createAssociationLabel",
                {"from": "ships", "to": "contacts", "label": "x"},
                "UNKNOWN_OBJECT_TYPE",
            ),
            (
                "createAssociationLabel",
                {"from": "deals", "to": "contacts", "label": "x", "name": "X"},
                "MALFORMED_NAME",
            ),
            (
                "createAssociationLabel",
                {"from": "deals", "to": "contacts", "label": "x", "maxCount": 0},
                "LIMIT_OUT_OF_RANGE",
            ),
            ("updateAssociationLabel", {"id": "typ_99999", "label": "x"}, "NOT_FOUND"),
            ("updateAssociationLabel", {"id": "nonsense", "label": "x"}, "MALFORMED_ID"),
            ("createKey", {"name": "k", "role": "VIEWER", "scopes": ["RECORDS_WRITE"]}, "SCOPE_BEYOND_ROLE"),
            ("createKey", {"name": "k", "role": "VIEWER", "userId": "usr_99999"}, "NOT_FOUND"),
            ("revokeKey", {"id": "key_99999"}, "NOT_FOUND"),
            ("createUser", {"name": "A", "email": "nonsense", "role": "VIEWER"}, "MALFORMED_EMAIL"),
            ("updateUser", {"id": "usr_99999", "name": "A"}, "NOT_FOUND"),
            ("updateAccountSettings", {"timeZone": "Mars/Olympus"}, "INVALID_SETTING"),
        ]
        for mutation, given, code in cases:
            found = await told(client, mutation, given)
            assert [one for one, _ in found] == [code], (mutation, given)
            assert found[0][1] is not None
            assert found[0][1][0] == "input"


async def test_pairs_that_cannot_be_are_told(db: Database) -> None:
    async with opened(db) as client:
        made = await client.do(
            "createRecords",
            "results { record { id } }",
            {"objectType": "contacts", "records": [{"properties": {}}, {"properties": {}}]},
        )
        ann, bob = (result["record"]["id"] for result in made["results"])
        cases: list[tuple[dict[str, Any], str]] = [
            ({"fromId": ann, "toId": ann}, "SELF_ASSOCIATION"),
            ({"fromId": ann, "toId": bob, "labels": ["nothing"]}, "UNKNOWN_LABEL"),
            ({"fromId": ann, "toId": "rec_99999"}, "NOT_FOUND"),
            ({"fromId": "nonsense", "toId": bob}, "MALFORMED_ID"),
        ]
        found = await told(client, "associate", {"associations": [pair for pair, _ in cases]})
        assert [code for code, _ in found] == [code for _, code in cases]
        assert [path[:3] for _, path in found if path] == [["input", "associations", n] for n in range(4)]
        assert await told(client, "associate", {"associations": []}) == []
        assert (await told(client, "createRecords", {"objectType": "ships", "records": []}))[0] == (
            "UNKNOWN_OBJECT_TYPE",
            ["input", "objectType"],
        )
        key = {"objectType": "contacts", "records": [], "idempotencyKey": ""}
        assert (await told(client, "createRecords", key))[0][0] == "MALFORMED_IDEMPOTENCY_KEY"
