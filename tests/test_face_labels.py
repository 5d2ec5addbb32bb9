"""Labels and limits through the face: made, worded anew, limited, set and taken away, each with its history."""

from typing import Any

from storage.database import Database
from tests.face import Client, opened

LABEL = """associationLabel { id name label maxCount inverse { id name label maxCount } }
           warnings userErrors { code message path }"""
PAIRS = "results { association { associated labels { name } } changed userErrors { code } } userErrors { code path }"


async def contacts(client: Client, count: int) -> list[str]:
    """New contacts."""
    given = {"objectType": "contacts", "records": [{"properties": {}}] * count}
    made = await client.do("createRecords", "results { record { id } }", given)
    return [result["record"]["id"] for result in made["results"]]


async def names(client: Client, mutation: str, ann: str, bob: str, *labels: str, **more: Any) -> Any:
    """What holds between two records after a mutation; None: they are not associated."""
    pair = {"fromId": ann, "toId": bob, "labels": list(labels)}
    payload = await client.do(mutation, PAIRS, {"associations": [pair], **more})
    assert payload["userErrors"] == []
    found = payload["results"][0]["association"]
    return sorted(label["name"] for label in found["labels"]) if found["associated"] else None


async def test_a_label_is_made_worded_anew_and_limited_with_its_history(db: Database) -> None:
    async with opened(db) as client:
        given = {"from": "contacts", "to": "contacts", "label": "Manager; boss", "inverseLabel": "Employee"}
        made = await client.do("createAssociationLabel", LABEL, given | {"name": "manager"})
        label = made["associationLabel"]
        assert made["warnings"]
        assert (label["name"], label["inverse"]["name"]) == ("manager", "employee")
        changed = await client.do("updateAssociationLabel", LABEL, {"id": label["id"], "label": "Manager"})
        assert changed["associationLabel"]["label"] == "Manager"
        limited = await client.do(
            "setAssociationLimits", LABEL, {"id": label["inverse"]["id"], "maxCount": 7}
        )
        assert limited["associationLabel"]["maxCount"] == 7
        assert limited["associationLabel"]["inverse"]["maxCount"] is None
        data = await client.get(
            """query ($id: ID!) {
                associationLabel(id: $id) { label maxCount inverse { maxCount } from to category symmetric }
                associationLabelHistory(id: $id) { kind changes { field old new } }
                associationTypes(from: "contacts", to: "contacts") { name }
            }""",
            id=label["id"],
        )
        assert data["associationLabel"]["inverse"]["maxCount"] == 7
        assert [change["kind"] for change in data["associationLabelHistory"]] == [
            "CREATED",
            "UPDATED",
            "UPDATED",
        ]
        reworded = {"field": "label", "old": "Manager; boss", "new": "Manager"}
        assert reworded in data["associationLabelHistory"][1]["changes"]
        assert next(row["name"] for row in data["associationTypes"]) is None
        wrong = await client.do("setAssociationLimits", LABEL, {"id": label["id"], "maxCount": 0})
        assert (wrong["userErrors"][0]["code"], wrong["userErrors"][0]["path"]) == (
            "LIMIT_OUT_OF_RANGE",
            ["input", "maxCount"],
        )


async def test_labels_are_added_set_and_taken_away(db: Database) -> None:
    async with opened(db) as client:
        for text in ("Friend", "Rival"):
            await client.do(
                "createAssociationLabel", LABEL, {"from": "contacts", "to": "contacts", "label": text}
            )
        ann, bob = await contacts(client, 2)
        assert await names(client, "associate", ann, bob) == []
        assert await names(client, "addLabels", ann, bob, "friend", "rival") == ["friend", "rival"]
        assert await names(client, "removeLabels", ann, bob, "rival") == ["friend"]
        assert await names(client, "setLabels", ann, bob, "rival") == ["rival"]
        assert await names(client, "removeLabels", bob, ann, "rival", withAssociation=True) is None
        assert await names(client, "setLabels", ann, bob, "friend") == ["friend"]
        assert await names(client, "dissociate", bob, ann) is None


async def test_the_first_company_is_primary_unless_it_is_not_to_be(db: Database) -> None:
    async with opened(db) as client:
        ann, bob = await contacts(client, 2)
        given = {"objectType": "companies", "records": [{"properties": {"name": "Acme"}}]}
        made = await client.do("createRecords", "results { record { id } }", given)
        acme = made["results"][0]["record"]["id"]
        assert await names(client, "associate", ann, acme) == ["primary"]
        assert await names(client, "associate", bob, acme, firstPrimary=False) == []
