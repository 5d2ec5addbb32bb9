"""Two Relatas in sync over a real port: values, labels, primary companies, deletions; nothing goes round."""

from typing import Any

from server.app import create_app
from storage.database import Database
from tests.face import opened
from tests.relata_partner import RelataPartner, reached
from tests.sync_pair import begun

KINDS = [("companies", "companies"), ("contacts", "contacts")]
# Each side calls its labels as it likes.
ROLES = {
    "roles": [
        {"role": "companies", "to": "companies"},
        {"role": "companies.primary", "to": "companies", "label": "primary"},
        {"role": "companies.payer", "to": "companies", "label": "billing"},
        {"role": "contacts", "to": "contacts"},
        {"role": "contacts.boss", "to": "contacts", "label": "manager"},
    ],
    "options": {"allCompanies": True},
}
LABELS = [
    ("contacts", "companies", "billing", "bills"),
    ("contacts", "contacts", "manager", "employee"),
]


class Far(RelataPartner):
    """The other account, as its own people see it."""

    async def label(self, one: str, other: str, name: str, inverse: str) -> None:
        """A new label."""
        asked = {"from": one, "to": other, "label": name, "inverseLabel": inverse, "name": name}
        await self.done("createAssociationLabel", {**asked, "inverseName": inverse})

    async def join(self, one: str, other: str, *labels: str) -> None:
        """Associate two records."""
        pair = {"fromId": one, "toId": other, "labels": list(labels)}
        await self.done("associate", {"associations": [pair], "firstPrimary": False})

    async def contacts(self) -> dict[str, dict[str, Any]]:
        """By e-mail address: values, and {name of the other: labels} of companies and contacts."""
        data = await self.client.get(
            'query { records(objectType: "contacts", first: 100) { nodes { id properties '
            'companies: associations(to: "companies") { edges { labels { name } node { id properties } } } '
            'people: associations(to: "contacts") { edges { labels { name } node { id properties } } } } } }'
        )
        found = {}
        for node in data["records"]["nodes"]:
            edges = [*node["companies"]["edges"], *node["people"]["edges"]]
            ends = {
                edge["node"]["properties"].get("name") or edge["node"]["properties"]["firstname"]: sorted(
                    label["name"] for label in edge["labels"]
                )
                for edge in edges
            }
            found[node["properties"]["email"]] = {
                "id": node["id"],
                "values": node["properties"],
                "ends": ends,
            }
        assert len(found) == len(data["records"]["nodes"]), "nobody is there twice"
        return found


async def test_two_relatas_meet_and_stay_together(db: Database) -> None:
    async with opened(db, "far") as client, reached(create_app(db)) as url:
        far = Far(url, client)
        await far.label("contacts", "companies", "payer", "pays")
        await far.label("contacts", "contacts", "boss", "minion")
        acme = await far.made("companies", {"name": "Acme", "domain": "acme.example"})
        ann = await far.made("contacts", {"email": "ann@acme.example", "firstname": "Ann"})
        bob = await far.made("contacts", {"email": "bob@acme.example", "firstname": "Bob"})
        await far.join(ann, acme, "primary", "payer")
        await far.join(ann, bob, "boss")
        story = await begun(db, "relata", far.settings(), KINDS, {"contacts": ROLES}, LABELS)
        cleo = await story.it.contact(email="cleo@cargo.example", firstname="Cleo")
        own_bob = await story.it.contact(email="bob@acme.example", lastname="Moss")
        (made,) = await story.it.create({"name": "Cargo", "domain": "cargo.example"}, kind="companies")
        assert made.value is not None
        cargo = made.value.id
        await story.associate(cleo, cargo, "billing")
        await story.associate(own_bob, cleo, "manager")

        await story.rest()
        assert await story.states() == {("IN_SYNC", None)}
        theirs = await far.contacts()
        assert {who: each["ends"] for who, each in theirs.items()} == {
            "ann@acme.example": {"Acme": ["payer", "primary"], "Bob": ["boss"]},
            "bob@acme.example": {"Ann": ["minion"], "Cleo": ["boss"]},
            # His first company became primary on our side by itself.
            "cleo@cargo.example": {"Cargo": ["payer", "primary"], "Bob": ["minion"]},
        }
        assert theirs["bob@acme.example"]["values"]["lastname"] == "Moss"
        own_ann, own_acme = await story.id_of("email", "ann@acme.example"), await story.id_of("name", "Acme")
        assert await story.ends(own_ann) == {
            own_acme: {None, "primary", "billing"},
            own_bob: {None, "manager"},
        }

        # Both sides change the same people: other values, other labels.
        await far.change(ann, {"city": "Berlin"})
        await far.done("removeLabels", {"associations": [{"fromId": ann, "toId": acme, "labels": ["payer"]}]})
        await story.it.update((own_ann, {"lastname": "Lee"}))
        await story.associate(own_ann, cargo, "billing")
        await story.part(own_bob, cleo)
        await story.rest()
        theirs = await far.contacts()
        assert theirs["ann@acme.example"]["values"] == {
            "email": "ann@acme.example",
            "firstname": "Ann",
            "lastname": "Lee",
            "city": "Berlin",
        }
        assert theirs["ann@acme.example"]["ends"] == {
            "Acme": ["primary"],
            "Cargo": ["payer"],
            "Bob": ["boss"],
        }
        assert theirs["cleo@cargo.example"]["ends"] == {"Cargo": ["payer", "primary"]}
        assert await story.ends(own_ann) == {
            own_acme: {None, "primary"},
            cargo: {None, "billing"},
            own_bob: {None, "manager"},
        }
        assert (await story.records("contacts", "email"))["ann@acme.example"]["city"] == "Berlin"

        # Nothing goes round.
        text = 'query ($after: String) { changes(objectType: "contacts", after: $after) { cursor nodes { kind } } }'
        cursor = (await client.get(text))["changes"]["cursor"]
        before = await story.writes()
        for _ in range(3):
            await story.rest()
        assert (await client.get(text, after=cursor))["changes"]["nodes"] == []
        assert await story.writes() == before

        # Who is put away over there stays here, and is told.
        await far.done("archiveRecords", {"ids": [theirs["cleo@cargo.example"]["id"]]})
        await story.rest()
        assert ("FAILED", "RECORD_DELETED") in await story.states()
        assert "cleo@cargo.example" in await story.records("contacts", "email")
