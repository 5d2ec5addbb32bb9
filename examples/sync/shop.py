"""A small shop with its own database, to keep in sync with: a SQLite file, so no other server is needed.

    RELATA_KEY=relata_… python3 examples/sync/shop.py make shop.db
    python3 examples/sync/shop.py show shop.db [EMAIL]
    python3 examples/sync/shop.py set shop.db EMAIL COLUMN VALUE
    python3 examples/sync/shop.py delete shop.db EMAIL

`make` asks the account for some of its contacts, so that the shop knows them, too, not always by the same phone; others
are customers of the shop alone. Needs nothing but Python.
"""

import argparse
import json
import os
import sqlite3
import sys
import urllib.error
import urllib.request
import uuid
from pathlib import Path

# Every row says when it last changed, whoever changed it: so a sync reads what is new, and no more.
NOW = "strftime('%Y-%m-%d %H:%M:%f', 'now')"
SCHEMA = f"""
CREATE TABLE companies (
  id varchar(40) PRIMARY KEY, name varchar(100) NOT NULL, domain varchar(100), city varchar(40),
  updated_at datetime NOT NULL DEFAULT ({NOW})
);
CREATE TABLE contacts (
  id varchar(40) PRIMARY KEY, email varchar(100), first_name varchar(40), last_name varchar(40), phone varchar(40),
  city varchar(20), loyalty varchar(10), company_id varchar(40) REFERENCES companies (id) ON DELETE SET NULL,
  updated_at datetime NOT NULL DEFAULT ({NOW})
);
CREATE INDEX contacts_updated_at ON contacts (updated_at, id);
CREATE INDEX contacts_email ON contacts (email);
CREATE TRIGGER contacts_changed AFTER UPDATE ON contacts WHEN new.updated_at = old.updated_at
  BEGIN UPDATE contacts SET updated_at = {NOW} WHERE id = new.id; END;
CREATE TRIGGER companies_changed AFTER UPDATE ON companies WHEN new.updated_at = old.updated_at
  BEGIN UPDATE companies SET updated_at = {NOW} WHERE id = new.id; END;
"""
KNOWN = """{ records(objectType: "contacts", first: 40, where: {property: {name: "email", operator: KNOWN}}) { nodes {
  properties(names: ["email", "firstname", "lastname", "phone", "city"])
  associations(to: "companies", labels: ["primary"], first: 1) {
    nodes { properties(names: ["name", "domain", "city"]) } } } } }"""
OWN = (
    ("mira.olsen@example.net", "Mira", "Olsen", "+47 22 555 0181", "Oslo", "gold"),
    ("tom.adeyemi@example.net", "Tom", "Adeyemi", "+234 1 555 0110", "Lagos", "silver"),
    ("yuki.tanaka@example.net", "Yuki", "Tanaka", "+81 3 5550 1234", "Kyoto", None),
    ("lea.moreau@example.net", "Lea", "Moreau", "+33 1 99 55 01 02", "Lyon", "gold"),
    (None, "Somebody", "Without-Mail", None, "Nowhere", None),
)
COLUMNS = ("email", "first_name", "last_name", "phone", "city", "loyalty")


def say(line: str) -> None:
    """Tell whoever asked."""
    sys.stdout.write(f"{line}\n")


def known(url: str, key: str) -> list[dict]:
    """Some contacts of the account, with their primary companies."""
    request = urllib.request.Request(
        url,
        json.dumps({"query": KNOWN}).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            told = json.load(response)
    except urllib.error.HTTPError as refused:
        told = json.load(refused)
    except OSError as problem:
        sys.exit(f"Nothing answers at {url} ({getattr(problem, 'reason', problem)}). Is it running, and is --url its address?")
    if "errors" in told:
        sys.exit(f"The API said: {told['errors'][0]['message']}")
    return told["data"]["records"]["nodes"]


def make(shop: sqlite3.Connection, people: list[dict]) -> None:
    """The shop's tables, with what is in them."""
    shop.executescript(SCHEMA)
    companies: dict[str, str] = {}
    for n, person in enumerate(people):
        mine, employer = person["properties"], None
        for company in (one["properties"] for one in person["associations"]["nodes"]):
            employer = companies.get(company["name"])
            if employer is None:
                employer = companies[company["name"]] = str(uuid.uuid4())
                given = (employer, company["name"], company.get("domain"), company.get("city"))
                shop.execute("INSERT INTO companies (id, name, domain, city) VALUES (?, ?, ?, ?)", given)
        # To every fourth a phone is known that we have not heard of.
        phone = f"+49 30 555 {n:04}" if n % 4 == 0 else mine.get("phone")
        city = (mine.get("city") or "")[:20] or None
        loyalty = ("gold", "silver", None)[n % 3]
        add(
            shop, (mine["email"], mine.get("firstname"), mine.get("lastname"), phone, city, loyalty), employer
        )
    for person in OWN:
        add(shop, person, None)


def add(shop: sqlite3.Connection, person: tuple, employer: str | None) -> None:
    """One more customer."""
    names = ", ".join(("id", *COLUMNS, "company_id"))
    shop.execute(
        f"INSERT INTO contacts ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (str(uuid.uuid4()), *person, employer),
    )


def show(shop: sqlite3.Connection, email: str | None) -> None:
    """Customers as the shop knows them."""
    names = ", ".join((*COLUMNS, "updated_at"))
    rows = shop.execute(f"SELECT {names} FROM contacts WHERE ? IN ('', email) ORDER BY email", (email or "",))
    for row in rows:
        say(" | ".join("–" if value is None else str(value) for value in row))


def main() -> None:
    """Do what the command line says."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("what", choices=("make", "show", "set", "delete"))
    words.add_argument("file", type=Path)
    words.add_argument("more", nargs="*", metavar="EMAIL COLUMN VALUE")
    words.add_argument("--url", default="http://127.0.0.1:8000/graphql")
    given = words.parse_args()
    if (given.what == "make") == given.file.exists():
        told = "is there already: name another" if given.what == "make" else "is not there: make it first"
        sys.exit(f"The file {given.file} {told}.")
    key = os.environ.get("RELATA_KEY")
    # Asked first: whoever is refused leaves no half a shop behind.
    people = known(given.url, key) if given.what == "make" and key else []
    with sqlite3.connect(given.file) as shop:
        match given.what, given.more:
            case "make", []:
                make(shop, people)
                say(f"A shop with {count(shop)} customers, at sqlite:///{given.file.resolve()}")
            case "show", [] | [_]:
                show(shop, given.more[0] if given.more else None)
            case "set", [email, column, value] if column in COLUMNS:
                done = shop.execute(
                    f"UPDATE contacts SET {column} = ? WHERE email = ?", (value or None, email)
                )
                say(f"{done.rowcount} changed.")
            case "delete", [email]:
                say(f"{shop.execute('DELETE FROM contacts WHERE email = ?', (email,)).rowcount} deleted.")
            case _:
                words.error(f"see --help; columns are {', '.join(COLUMNS)}")


def count(shop: sqlite3.Connection) -> int:
    """How many customers there are."""
    return shop.execute("SELECT count(*) FROM contacts").fetchone()[0]


if __name__ == "__main__":
    main()
