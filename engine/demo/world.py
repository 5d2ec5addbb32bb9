"""The demo's world as values: records by object type, and who is linked with whom under which labels. Pure."""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from engine.demo.words import (
    CALLS,
    COMPANY_FIRST,
    COMPANY_LAST,
    DECIDERS,
    HOUSING,
    JOBS,
    MEETINGS,
    NOTES,
    PAYERS,
    PLACES,
    PRODUCTS,
    SUBJECTS,
    TASKS,
)
from engine.standard.core import LIFECYCLE, SOURCES
from engine.standard.shapes import value

SEED = 20_260_301
COMPANIES, CONTACTS, DEALS, TICKETS, ACTIVITIES, LISTINGS = 400, 2_400, 1_200, 900, 150, 60
# A company has at most this many; the label's limit says so too.
BILLING_CONTACTS = 2

# Where a record stands: object type and place in its list.
Place = tuple[str, int]


@dataclass(slots=True)
class World:
    """`records[object type]` are properties in order; `links` are (from, to, labels that stand at `from`)."""

    records: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    links: list[tuple[Place, Place, tuple[str, ...]]] = field(default_factory=list)

    def add(self, object_type: str, properties: dict[str, Any]) -> Place:
        """Add a record."""
        found = self.records.setdefault(object_type, [])
        found.append(properties)
        return object_type, len(found) - 1

    def link(self, one: Place, other: Place, *labels: str) -> None:
        """Associate two records."""
        self.links.append((one, other, labels))


def imagine(now: datetime) -> World:
    """The demo's world; the same for the same `now`."""
    return _Author(now).write()


class _Author:
    """Writes the world from one source of chance, noun by noun."""

    def __init__(self, now: datetime) -> None:
        self.world = World()
        self.now = now
        # Chance of its own and always the same: nothing here is a secret.
        self.chance = random.Random(SEED)
        self.staff: dict[Place, list[Place]] = {}
        self.place_of: dict[Place, int] = {}
        self.payers: Counter[Place] = Counter()

    def write(self) -> World:
        companies = [self._company(n) for n in range(COMPANIES)]
        self._families(companies)
        for n in range(CONTACTS):
            self._contact(n, companies)
        for company in companies:
            self._hierarchy(company)
        people = [company for company in companies if self.staff.get(company)]
        deals = [self._deal(self.chance.choice(people)) for _ in range(DEALS)]
        for _ in range(TICKETS):
            self._ticket(self.chance.choice(people))
        for _ in range(ACTIVITIES):
            self._activities(self.chance.choice(people), self.chance.choice(deals))
        # Last, with a chance of its own: whoever knew the demo finds everything else as it was.
        self.chance = random.Random(SEED + 1)
        for _ in range(LISTINGS):
            self._listing()
        return self.world

    def _company(self, n: int) -> Place:
        chance = self.chance
        first = COMPANY_FIRST[n % len(COMPANY_FIRST)]
        last, industry = COMPANY_LAST[(n // len(COMPANY_FIRST) + n) % len(COMPANY_LAST)]
        where = chance.randrange(len(PLACES))
        country, dial, _, cities, _, _ = PLACES[where]
        city = chance.choice(cities)
        domain = f"{_host(first)}-{_host(last)}-{n}.example"
        size = int(chance.lognormvariate(4.6, 1.4)) + 2
        company = self.world.add(
            "companies",
            _known(
                # Names repeat after eight rounds of first words: later ones are branches, named after their city.
                name=f"{first} {last}" if n < 8 * len(COMPANY_FIRST) else f"{first} {last} {city}",
                domain=domain,
                website=f"https://www.{domain}",
                industry=industry,
                type=chance.choices(("prospect", "customer", "partner", "vendor"), (50, 35, 10, 5))[0],
                city=city,
                country=country,
                phone=f"{dial} {chance.randrange(100, 999)} {chance.randrange(1000, 9999)}",
                numberofemployees=size,
                annualrevenue=None if chance.random() < 0.2 else size * chance.randrange(60, 240) * 1_000,
                founded_year=chance.randrange(1890, 2024),
                is_public=size > 900,
                original_source=_source(chance),
            ),
        )
        self.place_of[company] = where
        return company

    def _families(self, companies: list[Place]) -> None:
        """The first companies are groups: each has children, some of which have children of their own."""
        for n, company in enumerate(companies[40:180]):
            # On the edge, `child` says what the other one is.
            parent = companies[n % 40] if n < 110 else companies[40 + n % 30]
            self.world.link(parent, company, "child")
        for _ in range(60):
            one, other = self.chance.sample(companies, 2)
            self.world.link(one, other, "partner")

    def _contact(self, n: int, companies: list[Place]) -> None:
        chance = self.chance
        # A few companies have many people, most have a handful.
        company = chance.choice(companies)
        if chance.random() < 0.5:
            company = companies[min(int(chance.paretovariate(0.9) * 12) - 12, COMPANIES - 1)]
        where = self.place_of[company] if chance.random() < 0.8 else chance.randrange(len(PLACES))
        country, dial, language, cities, firsts, lasts = PLACES[where]
        (first, first_latin), (last, last_latin) = chance.choice(firsts), chance.choice(lasts)
        job = chance.choice(JOBS)
        properties = self.world.records["companies"][company[1]]
        contact = self.world.add(
            "contacts",
            _known(
                firstname=first,
                lastname=last,
                email=f"{first_latin}.{last_latin}.{n}@{properties['domain']}",
                phone=f"{dial} {chance.randrange(100, 999)} {chance.randrange(1000, 9999)}"
                if chance.random() < 0.7
                else None,
                jobtitle=job,
                city=chance.choice(cities),
                country=country,
                preferred_language=language,
                lifecyclestage=value(chance.choices(LIFECYCLE, (18, 25, 15, 10, 0, 25, 4, 3))[0]),
                leadstatus=chance.choice(("new", "open", "in_progress", "connected", None)),
                original_source=_source(chance),
                marketing_contact=chance.random() < 0.6,
                score=chance.randrange(0, 101),
                interests=sorted(
                    chance.sample(("product", "pricing", "events", "research"), chance.randrange(0, 3))
                )
                or None,
                last_contacted_at=self._moment(400) if chance.random() < 0.75 else None,
            ),
        )
        self.world.link(contact, company, *self._roles(company, job))
        self.staff.setdefault(company, []).append(contact)
        if chance.random() < 0.12:
            earlier = chance.choice(companies)
            if earlier != company:
                self.world.link(contact, earlier, "former_employer")

    def _roles(self, company: Place, job: str) -> list[str]:
        roles = []
        if job in DECIDERS and self.chance.random() < 0.7:
            roles.append("decision_maker")
        if job in PAYERS and self.payers[company] < BILLING_CONTACTS:
            self.payers[company] += 1
            roles.append("billing_contact")
        return roles

    def _hierarchy(self, company: Place) -> None:
        """One manager for every eight people; the managers report to the first of them."""
        staff = self.staff.get(company, [])
        for n, contact in enumerate(staff[1:], start=1):
            boss = staff[0] if n % 8 == 0 else staff[n - n % 8]
            self.world.link(contact, boss, "manager")
            if n % 8 > 1 and self.chance.random() < 0.3:
                self.world.link(contact, staff[n - 1], "colleague")

    def _deal(self, company: Place) -> Place:
        chance = self.chance
        stage, probability = chance.choice(
            (
                ("appointment_scheduled", 20),
                ("qualified_to_buy", 40),
                ("presentation_scheduled", 60),
                ("decision_maker_bought_in", 80),
                ("contract_sent", 90),
                ("closed_won", 100),
                ("closed_lost", 0),
            )
        )
        days = chance.randrange(-300, 0) if stage.startswith("closed") else chance.randrange(3, 240)
        product = chance.choice(PRODUCTS)
        company_name = self.world.records["companies"][company[1]]["name"]
        deal = self.world.add(
            "deals",
            _known(
                name=f"{company_name} – {product}",
                amount=round(chance.lognormvariate(9, 1.1), -2) + 500,
                currency=chance.choice(("EUR", "USD", "GBP")).lower(),
                pipeline="renewals" if product == "Renewal" else "sales",
                stage=stage,
                probability=probability,
                type="existing_business" if product in ("Renewal", "Support contract") else "new_business",
                priority=chance.choice(("low", "medium", "high")),
                closedate=(self.now + timedelta(days=days)).date().isoformat(),
            ),
        )
        self.world.link(deal, company)
        staff = self.staff[company]
        for n, contact in enumerate(chance.sample(staff, min(len(staff), chance.randrange(1, 4)))):
            self.world.link(
                deal, contact, *(("champion",) if n == 0 else ("budget_holder",) if n == 1 else ())
            )
        return deal

    def _ticket(self, company: Place) -> None:
        chance = self.chance
        subject, category = chance.choice(SUBJECTS)
        status = chance.choice(("new", "waiting_on_contact", "waiting_on_us", "closed", "closed"))
        ticket = self.world.add(
            "tickets",
            _known(
                subject=subject,
                content=f"{subject}. It happens since the last update; please have a look.",
                status=status,
                priority=chance.choices(("low", "medium", "high", "urgent"), (4, 5, 3, 1))[0],
                category=category,
                source=chance.choice(("chat", "email", "form", "phone")),
                closed_at=self._moment(90) if status == "closed" else None,
            ),
        )
        self.world.link(ticket, chance.choice(self.staff[company]), "reporter")
        self.world.link(ticket, company)

    def _activities(self, company: Place, deal: Place) -> None:
        chance, staff = self.chance, self.staff[company]
        start = self.now + timedelta(days=chance.randrange(-60, 30), hours=chance.randrange(8))
        meeting = self.world.add(
            "meetings",
            {
                "title": chance.choice(MEETINGS),
                "start_at": _text(start),
                "end_at": _text(start + timedelta(hours=1)),
                "outcome": "completed" if start < self.now else "scheduled",
            },
        )
        task = self.world.add(
            "tasks",
            {
                "subject": chance.choice(TASKS),
                "type": "to_do",
                "status": chance.choice(("not_started", "in_progress", "completed")),
                "due_at": _text(self.now + timedelta(days=chance.randrange(-10, 30))),
            },
        )
        note = self.world.add("notes", {"body": chance.choice(NOTES), "noted_at": self._moment(120)})
        call = self.world.add(
            "calls",
            {
                "title": chance.choice(CALLS),
                "direction": chance.choice(("incoming", "outgoing")),
                "outcome": chance.choice(("connected", "busy", "no_answer")),
                "duration_seconds": chance.randrange(20, 2_400),
                "called_at": self._moment(120),
            },
        )
        for activity in (meeting, task, note, call):
            self.world.link(activity, chance.choice(staff))
            self.world.link(activity, company)
        self.world.link(meeting, deal)

    def _listing(self) -> None:
        """Something to rent, and who is interested: for a short time, for long, for both, or nobody knows yet."""
        chance = self.chance
        country, _, _, cities, _, _ = chance.choice(PLACES)
        city, kind = chance.choice(cities), chance.choice(HOUSING)
        area = chance.randrange(25, 400)
        listing = self.world.add(
            "listings",
            {
                "name": f"{kind}, {city}, {area} m²",
                "type": value(kind),
                "price": area * chance.randrange(9, 40),
                "square_meters": area,
                "city": city,
                "country": country,
                "status": chance.choice(("active", "active", "under_offer", "closed")),
            },
        )
        for n in chance.sample(range(CONTACTS), chance.randrange(2, 9)):
            terms = chance.choices(
                ((), ("short_term",), ("long_term",), ("short_term", "long_term")), (2, 4, 5, 1)
            )
            self.world.link(("contacts", n), listing, *terms[0])

    def _moment(self, days: int) -> str:
        return _text(self.now - timedelta(seconds=self.chance.randrange(days * 86_400)))


def _source(chance: random.Random) -> str:
    return value(chance.choice(SOURCES))


def _known(**properties: Any) -> dict[str, Any]:
    return {name: given for name, given in properties.items() if given is not None}


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _host(text: str) -> str:
    plain = text.lower().translate(str.maketrans("åöøíé", "aooie"))
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in plain).replace(
        "---", "-"
    )
