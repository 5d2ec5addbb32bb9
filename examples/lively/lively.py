"""Makes things happen in the demo account, so that there is something to watch: through the API, like anybody else.

    RELATA_KEY=relata_… python3 examples/lively/lively.py [--url http://127.0.0.1:8000/graphql] [--rate 4] [--seconds 120]

Companies change their industry, deals their stage, tickets their urgency; people are hired, labelled and ask for demos.
Workflows and segments follow by themselves. Needs nothing but Python.
"""

import argparse
import json
import os
import random
import sys
import time
import urllib.error
import urllib.request

PRODUCTS = ("Onboarding", "Migration", "Support contract", "Renewal")
FIRST = ("Ada", "Boris", "Chiara", "Dagny", "Emre", "Fatima", "Goran", "Hanna", "Ivo", "Jana")
LAST = ("Alder", "Brandt", "Costa", "Dahl", "Egli", "Ferrari", "Grimm", "Haas", "Ito", "Jansen")
STAGES = ("qualified_to_buy", "presentation_scheduled", "contract_sent", "closed_won", "closed_won", "closed_lost")

SAMPLE = """query ($type: String!, $after: String) {
  records(objectType: $type, first: 500, after: $after) { nodes { id } pageInfo { hasNextPage endCursor } } }"""
UPDATE = "mutation ($input: UpdateRecordsInput!) { updateRecords(input: $input) { userErrors { message } } }"
CREATE = """mutation ($input: CreateRecordsInput!) {
  createRecords(input: $input) { results { record { id } } userErrors { message } } }"""
LABEL = "mutation ($input: AddLabelsInput!) { addLabels(input: $input) { userErrors { message } } }"
EVENT = "mutation ($input: RecordEventsInput!) { recordEvents(input: $input) { userErrors { message } } }"


class Api:
    """The account of a key."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def ask(self, query: str, **variables: object) -> dict:
        """The data of an answer; ends the program where there is none."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self.url, body, self.headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            told = json.load(response)
        if "errors" in told:
            sys.exit(f"The API said: {told['errors'][0]['message']}")
        return told["data"]

    def sample(self, object_type: str) -> list[str]:
        """Ids of some records, in no order."""
        records = self.ask(SAMPLE, type=object_type)["records"]
        ids = [node["id"] for node in records["nodes"]]
        if not ids:
            sys.exit(f"This account has no {object_type}: the demo account has.")
        random.shuffle(ids)
        return ids


def lively(api: Api) -> list:
    """What can happen, the likelier the more often it stands in the list."""
    companies, contacts, deals, tickets = map(api.sample, ("companies", "contacts", "deals", "tickets"))

    def change(ids: list[str], **properties: object) -> None:
        api.ask(UPDATE, input={"records": [{"id": random.choice(ids), "properties": properties}]})

    def industry() -> None:
        change(companies, industry=random.choice(("software", "software", "energy", "retail", "logistics")))

    def stage() -> None:
        change(deals, stage=random.choice(STAGES), amount=random.randrange(20, 900) * 100)

    def ticket() -> None:
        change(tickets, priority=random.choice(("low", "medium", "urgent")), status=random.choice(("new", "closed")))

    def hire() -> None:
        first, last = random.choice(FIRST), random.choice(LAST)
        email = f"{first}.{last}.{random.randrange(10**9)}@lively.example".lower()
        person = {"properties": {"firstname": first, "lastname": last, "email": email}}
        made = api.ask(CREATE, input={"objectType": "contacts", "records": [person]})["createRecords"]
        new = made["results"][0]["record"]["id"]
        contacts.append(new)
        labels = random.choice(([], ["decision_maker"], ["decision_maker"]))
        pair = {"fromId": new, "toId": random.choice(companies), "labels": labels}
        api.ask(LABEL, input={"associations": [pair]}) if labels else None

    def demo() -> None:
        event = {
            "type": "demo_requested",
            "record": {"id": random.choice(contacts)},
            "properties": {"seats": random.randrange(3, 200)},
        }
        api.ask(EVENT, input={"events": [event]})

    def call() -> None:
        change(contacts, leadstatus="connected")

    return [industry, industry, stage, stage, stage, ticket, ticket, hire, hire, demo, demo, call]


def main() -> None:
    """Go on until it is enough."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000/graphql")
    parser.add_argument("--rate", type=float, default=4, help="changes a second")
    parser.add_argument("--seconds", type=float, default=120)
    given = parser.parse_args()
    key = os.environ.get("RELATA_KEY") or sys.exit("Set RELATA_KEY to a key that may write records.")
    deadline, done = time.monotonic() + given.seconds, 0
    try:
        happenings = lively(Api(given.url, key))
        while time.monotonic() < deadline:
            random.choice(happenings)()
            done += 1
            time.sleep(random.expovariate(given.rate))
    except urllib.error.URLError as error:
        sys.exit(f"{given.url} does not answer: {error}")
    except KeyboardInterrupt:
        pass
    print(f"{done} changes made.")


if __name__ == "__main__":
    main()
