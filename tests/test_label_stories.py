"""The stories that labels are there for, told as people tell them, through the face."""

from typing import Any

from storage.database import Database
from tests.face import Client, opened

LABEL = "associationLabel { id name label inverse { id name label } } warnings userErrors { code message }"
PAIRS = "results { association { labels { name } } userErrors { code message details } } userErrors { code }"
EDGES = """query ($id: ID!, $to: String!, $labels: [String!]) { record(id: $id) {
    associations(to: $to, labels: $labels) { edges { labels { name label } node { displayName } } totalCount }
    associationCount(to: $to, labels: $labels) } }"""


class Story:
    """Who is told of, by name."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.ids: dict[str, str] = {}

    async def there_is(self, object_type: str, **properties: str) -> str:
        """A record; called by its first value from now on."""
        given = {"objectType": object_type, "records": [{"properties": properties}]}
        made = await self.client.do(
            "createRecords", "results { record { id } userErrors { message } }", given
        )
        ident: str = made["results"][0]["record"]["id"]
        self.ids[next(iter(properties.values()))] = ident
        return ident

    async def label(self, near: str, far: str, label: str, inverse: str | None = None, **more: Any) -> Any:
        """A label, single or paired."""
        given = {"from": near, "to": far, "label": label, "inverseLabel": inverse, **more}
        made = await self.client.do("createAssociationLabel", LABEL, given)
        assert made["userErrors"] == []
        return made["associationLabel"]

    async def are(self, one: str, other: str, *labels: str, by: str = "associate") -> list[Any]:
        """Two records hold labels from now on; what was wrong with that."""
        pair = {"fromId": self.ids[one], "toId": self.ids[other], "labels": list(labels)}
        payload = await self.client.do(by, PAIRS, {"associations": [pair]})
        errors: list[Any] = payload["results"][0]["userErrors"]
        return errors

    async def sees(self, one: str, to: str, *labels: str) -> dict[str, set[str]]:
        """Whom a record is associated with (under any of the labels), and as what: the texts that people read."""
        wanted = list(labels) or None
        data = await self.client.get(EDGES, id=self.ids[one], to=to, labels=wanted)
        found = data["record"]["associations"]
        assert found["totalCount"] == len(found["edges"])
        assert data["record"]["associationCount"] in (None, len(found["edges"]))
        return {
            edge["node"]["displayName"]: {label["label"] for label in edge["labels"]}
            for edge in found["edges"]
        }

    async def find(self, object_type: str, where: dict[str, Any]) -> set[str]:
        """The names of the records that a filter finds."""
        data = await self.client.get(
            """query ($of: String!, $where: FilterInput!) {
                records(objectType: $of, where: $where) { nodes { displayName } } }""",
            of=object_type,
            where=where,
        )
        return {node["displayName"] for node in data["records"]["nodes"]}


def under(to: str, *labels: str) -> dict[str, Any]:
    """The filter: associated under any of these labels."""
    return {"associated": {"to": to, "labels": list(labels)}}


async def test_a_manager_at_one_company_and_former_employee_at_another(db: Database) -> None:
    async with opened(db) as client:
        story = Story(client)
        await story.label("contacts", "companies", "Manager of", "Manager")
        await story.label(
            "contacts", "companies", "Former employee of", "Former employee", inverseMaxCount=None
        )
        await story.there_is("contacts", firstname="Ann")
        await story.there_is("contacts", firstname="Bob")
        await story.there_is("companies", name="Acme")
        await story.there_is("companies", name="Globex")
        assert await story.are("Ann", "Acme", "manager_of") == []
        assert await story.are("Globex", "Ann", "former_employee") == []
        assert await story.are("Bob", "Globex") == []
        # Standing at Ann one reads of both companies, the first of which is her primary one.
        assert await story.sees("Ann", "companies") == {
            "Acme": {"Manager of", "Primary"},
            "Globex": {"Former employee of"},
        }
        # Standing at the companies one reads what she is to them.
        assert (await story.sees("Acme", "contacts"))["Ann"] >= {"Manager"}
        assert (await story.sees("Globex", "contacts", "former_employee")) == {"Ann": {"Former employee"}}
        assert await story.find("contacts", under("companies", "manager_of")) == {"Ann"}
        assert await story.find("companies", under("contacts", "former_employee")) == {"Globex"}
        # She leaves Acme too: one label goes, another comes, and she is still associated.
        assert await story.are("Ann", "Acme", "former_employee_of", by="setLabels") == []
        assert (await story.sees("Ann", "companies"))["Acme"] == {"Former employee of", "Primary"}


async def test_a_deal_with_a_decision_maker_and_a_billing_contact(db: Database) -> None:
    async with opened(db) as client:
        story = Story(client)
        await story.label("deals", "contacts", "Decision maker", maxCount=1)
        await story.label("deals", "contacts", "Billing contact", name="billing")
        await story.there_is("deals", name="Big deal")
        for name in ("Ann", "Bob", "Cid"):
            await story.there_is("contacts", firstname=name)
        assert await story.are("Big deal", "Ann", "decision_maker") == []
        assert await story.are("Big deal", "Bob", "billing") == []
        seen = await story.sees("Big deal", "contacts")
        assert seen == {"Ann": {"Decision maker"}, "Bob": {"Billing contact"}}
        # There is one decision maker only, and whoever asks for another is told who it is.
        [error] = await story.are("Big deal", "Cid", "decision_maker")
        assert error["code"] == "LABEL_LIMIT_REACHED"
        assert (error["details"]["count"], error["details"]["limit"]) == (1, 1)
        assert error["details"]["records"] == [story.ids["Ann"]]
        assert "Cid" not in await story.sees("Big deal", "contacts")
        # One person may be both.
        assert await story.are("Ann", "Big deal", "billing", by="addLabels") == []
        assert (await story.sees("Big deal", "contacts"))["Ann"] == {"Decision maker", "Billing contact"}
        assert set(await story.sees("Big deal", "contacts", "billing")) == {"Ann", "Bob"}
        # When Ann hands over, Cid can decide.
        assert await story.are("Big deal", "Ann", "decision_maker", by="removeLabels") == []
        assert await story.are("Big deal", "Cid", "decision_maker") == []
        assert await story.find("contacts", under("deals", "decision_maker")) == {"Cid"}


async def test_headquarters_and_regional_office(db: Database) -> None:
    async with opened(db) as client:
        story = Story(client)
        label = await story.label("companies", "companies", "Headquarters", "Regional office", maxCount=1)
        assert (label["name"], label["inverse"]["name"]) == ("headquarters", "regional_office")
        for name in ("Acme Boston", "Acme Berlin", "Acme Tokyo", "Globex"):
            await story.there_is("companies", name=name)
        # Standing at Berlin, Boston is its headquarters; for Boston both are regional offices.
        assert await story.are("Acme Berlin", "Acme Boston", "headquarters") == []
        assert await story.are("Acme Boston", "Acme Tokyo", "regional_office") == []
        assert await story.sees("Acme Boston", "companies") == {
            "Acme Berlin": {"Regional office"},
            "Acme Tokyo": {"Regional office"},
        }
        assert await story.sees("Acme Tokyo", "companies") == {"Acme Boston": {"Headquarters"}}
        # An office has one headquarters, whichever side asks.
        [error] = await story.are("Globex", "Acme Tokyo", "regional_office")
        assert (error["code"], error["details"]["record"]) == ("LABEL_LIMIT_REACHED", story.ids["Acme Tokyo"])
        assert await story.find("companies", under("companies", "regional_office")) == {"Acme Boston"}
        assert await story.find("companies", under("companies", "headquarters")) == {
            "Acme Berlin",
            "Acme Tokyo",
        }


async def test_a_family_with_partner_parent_and_child(db: Database) -> None:
    async with opened(db) as client:
        story = Story(client)
        partner = await story.label("contacts", "contacts", "Partner", maxCount=1)
        assert partner["inverse"]["id"] == partner["id"]
        await story.label("contacts", "contacts", "Parent", "Child", maxCount=2)
        for name in ("Ann", "Bob", "Cid", "Dot"):
            await story.there_is("contacts", firstname=name)
        assert await story.are("Ann", "Bob", "partner") == []
        for child in ("Cid", "Dot"):
            assert await story.are(child, "Ann", "parent") == []
            assert await story.are("Bob", child, "child") == []
        assert await story.sees("Ann", "contacts") == {"Bob": {"Partner"}, "Cid": {"Child"}, "Dot": {"Child"}}
        assert await story.sees("Bob", "contacts") == {"Ann": {"Partner"}, "Cid": {"Child"}, "Dot": {"Child"}}
        assert await story.sees("Cid", "contacts") == {"Ann": {"Parent"}, "Bob": {"Parent"}}
        # One partner, in either direction; two parents.
        assert [error["code"] for error in await story.are("Dot", "Bob", "partner")] == [
            "LABEL_LIMIT_REACHED"
        ]
        assert [error["code"] for error in await story.are("Cid", "Dot", "parent")] == ["LABEL_LIMIT_REACHED"]
        assert await story.find("contacts", under("contacts", "child")) == {"Ann", "Bob"}
        # Cid grows up and goes: the family is as it was without Cid.
        assert await story.are("Ann", "Cid", by="dissociate") == []
        assert await story.are("Cid", "Bob", by="dissociate") == []
        assert await story.sees("Cid", "contacts") == {}
        assert await story.sees("Ann", "contacts", "child") == {"Dot": {"Child"}}
