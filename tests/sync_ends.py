"""People and firms in sync, with roles between them, edited at random on both sides; and what must hold at rest."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from engine import associations, labels
from engine.associations import Pair
from engine.batches import Mode
from engine.sync.connectors.protocol import RemoteObject, RemoteRole
from engine.sync.definition import RolePart
from engine.sync.rules import Deletes, Options, Policy
from storage.database import Database
from storage.statements import Statement
from storage.sync.links import LinkRow
from tests.sync_rig import Crash, Rig, rig
from tests.sync_world import FIRMS, PEOPLE, Trouble, World

ROLES = (
    RemoteRole("employer", "Employer", "firms", many=False, primary=True),
    RemoteRole("linked", "Linked with", "firms"),
    RemoteRole("advises", "Advises", "firms"),
    RemoteRole("owns", "Owns", "firms"),
    # What the app alone can say.
    RemoteRole("seen", "Seen at", "firms", read_only=True),
    # Nobody syncs what it leads to.
    RemoteRole("lives", "Lives in", "places"),
)
PLACES = RemoteObject("places", "Places", (), default_object_type="tickets")
# Which of our labels says the same.
LABELS: Mapping[str, str | None] = {
    "employer": "primary",
    "linked": None,
    "advises": "advises",
    "owns": "owns",
    "seen": "seen",
}
# Kinds of accounts: what is synced, and whether each role may be edited here.
PRIMARY, LABELLED, EVERYTHING = ("employer",), ("employer", "advises", "owns", "seen"), tuple(LABELS)

ENDS = Statement(
    "tests.sync_ends",
    """
    SELECT a.from_id, t.name, a.to_id
      FROM association AS a
      JOIN association_type AS t ON t.account_id = $1 AND t.id = a.type_id
      JOIN record AS r ON r.account_id = $1 AND r.id = a.to_id AND r.archived_at IS NULL
     WHERE a.account_id = $1 AND t.from_object_type_id = $2 AND t.to_object_type_id = $3
    """,
)

# (address, firm, role)
Edge = tuple[str, str, str]


@dataclass
class Ends:
    """What was done to whom: by addresses of people and names of firms, which nobody changes."""

    it: Rig
    random: random.Random
    crashes: float
    roles: tuple[str, ...]
    people: int = 0
    firms: int = 0
    edits: int = 0
    # What each side has said of an edge since both agreed.
    wanted: dict[Edge, dict[str, bool]] = field(default_factory=dict)
    # What was taken away here and cannot be over there.
    taken: set[Edge] = field(default_factory=set)
    # Whoever is deleted on one side may be anything.
    gone: set[str] = field(default_factory=set)

    def at(self, _place: str) -> None:
        """Runners end anywhere."""
        if self.random.random() < self.crashes:
            raise Crash

    # --- what there is -------------------------------------------------------------------------------------------

    async def here(self) -> tuple[dict[str, int], dict[str, int]]:
        """(people, firms) of ours, by name."""
        people = {row.properties["email"]: row.id for row in await self.it.records()}
        firms = {row.properties["name"]: row.id for row in await self.it.records("companies")}
        return people, firms

    def there(self) -> tuple[dict[str, str], dict[str, str]]:
        """(people, firms) of theirs, by name."""
        people = {one["mail"]: id_ for id_, one in self.it.world.all().items()}
        return people, {one["title"]: id_ for id_, one in self.it.world.all("firms").items()}

    async def ours(self) -> set[Edge]:
        """Edges of ours between what is there."""
        people, firms = ({id_: name for name, id_ in some.items()} for some in await self.here())
        db, account = self.it.crm.db, self.it.crm.account
        by_name = (await db.catalogue(account)).by_name
        async with db.read(account) as reader:
            rows = await reader.fetch(ENDS, by_name["contacts"].id, by_name["companies"].id)
        role_of = {label: role for role, label in LABELS.items()}
        return {
            (people[row[0]], firms[row[2]], role_of[row[1]])
            for row in rows
            if row[0] in people and row[2] in firms and role_of[row[1]] in self.roles
        }

    def theirs(self) -> set[Edge]:
        """Edges of theirs between what is there."""
        firms = {id_: one["title"] for id_, one in self.it.world.all("firms").items()}
        return {
            (one.fields["mail"], firms[end], role)
            for one in self.it.world.items["people"].values()
            for role, some in one.associations.items()
            for end in some
            if end in firms and role in self.roles
        }

    # --- what people do ------------------------------------------------------------------------------------------

    async def something(self, deletes: bool = True) -> None:
        """One thing that a person does on one of the sides."""
        self.edits += 1
        roll = self.random.random()
        here, there = await self.here(), self.there()
        if roll < 0.12 or not all((*here, *there)):
            await self.new()
        elif roll < 0.5:
            before = await self.ours()
            await self.edit_ours(*here)
            self.note("ours", before, await self.ours())
        elif roll < 0.92 or not deletes:
            before = self.theirs()
            self.edit_theirs(*there)
            self.note("theirs", before, self.theirs())
        elif roll < 0.96:
            name = self.random.choice(sorted(some := here[self.random.random() < 0.6]))
            self.gone.add(name)
            await self.it.crm.archive(some[name])
        else:
            kind = self.random.random() < 0.6
            name = self.random.choice(sorted(there[kind]))
            self.gone.add(name)
            self.it.world.remove(there[kind][name], "firms" if kind else "people")

    def note(self, side: str, before: set[Edge], after: set[Edge]) -> None:
        for edge in before ^ after:
            self.wanted.setdefault(edge, {})[side] = edge in after
            if side == "ours" and edge[2] == "seen":
                self.taken.add(edge)

    async def new(self) -> None:
        kind = self.random.random() < 0.4
        which = self.random.choice(("ours", "theirs", "both"))
        if kind:
            self.firms += 1
            name = f"Firm {self.firms}"
            if which != "theirs":
                await self.it.crm.create({"name": name}, kind="companies")
            if which != "ours":
                self.it.world.add("firms", title=name)
            return
        self.people += 1
        address = f"p{self.people}@example.com"
        if which != "theirs":
            await self.it.crm.contact(email=address)
        if which != "ours":
            self.it.world.add(mail=address)

    async def edit_ours(self, people: dict[str, int], firms: dict[str, int]) -> None:
        person, firm = self._some(people), self._some(firms)
        role = self.random.choice([one for one in self.roles if one != "seen"])
        label = LABELS[role]
        pairs = [Pair(person, firm, () if label is None else (label,))]
        crm = self.it.crm
        async with crm.db.transaction(crm.account, now=self.it.now, actor=crm.actor) as tx:
            if self.random.random() < 0.65:
                add = associations.add_labels if label else associations.associate
                await add(tx, pairs, Mode.PER_ITEM, first_primary=False)
            elif label and self.random.random() < 0.7:
                await associations.remove_labels(tx, pairs, Mode.PER_ITEM)
            else:
                await associations.dissociate(tx, [Pair(person, firm)], Mode.PER_ITEM)

    def edit_theirs(self, people: dict[str, str], firms: dict[str, str]) -> None:
        person, firm = self._some(people), self._some(firms)
        role = self.random.choice([*self.roles, "lives"])
        held = self.it.world.items["people"][person].associations.get(role, set())
        if role == "lives":
            self.it.world.relate(person, role, "a place")
        elif firm in held:
            self.it.world.relate(person, role, *held - {firm})
        elif role == "employer":
            self.it.world.relate(person, role, firm)
        else:
            self.it.world.relate(person, role, *held, firm)

    def _some(self, of: Mapping[str, Any]) -> Any:
        return of[self.random.choice(sorted(of))]

    async def some_steps(self) -> None:
        """Let runners work a little, and time go by."""
        for _ in range(self.random.randrange(1, 6)):
            if self.random.random() < 0.5:
                await self.it.evaluate()
            for sync_id in self.random.sample(self.it.syncs, len(self.it.syncs)):
                await self.it.step(sync_id)
            self.it.now += timedelta(seconds=self.random.choice((0, 0, 1, 5, 16)))
            self.it.world.now = self.it.crm.now = self.it.now

    # --- what holds ----------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """Both sides have the same ends, and those that people wanted."""
        ours, theirs = await self.ours(), self.theirs()
        links = {link.id: link for sync_id in self.it.syncs for link in await self.it.links(sync_id)}
        told = [_told(link) for link in links.values()]
        full = await self._full(links)
        for edge in sorted(ours ^ theirs):
            person, firm, role = edge
            if {person, firm} & self.gone:
                continue
            refused = edge in theirs and person in full
            # What the app alone can say, and somebody has taken away here.
            refused = refused or (role == "seen" and edge in self.taken)
            assert refused, (edge, "ours" if edge in ours else "theirs", self.wanted.get(edge), told)
        for edge, sides in sorted(self.wanted.items()):
            if len(sides) == 1 and not self._doubtful(edge) and edge[0] not in full:
                ((_, there),) = sides.items()
                if edge[2] == "linked" and any(one[:2] == edge[:2] for one in ours - {edge}):
                    # With us, whatever has a label is associated.
                    there = True
                assert (edge in ours) is there, (edge, sides, told)
        here, items = await self.here(), self.there()
        for link in links.values():
            standing = {*here[0].values(), *here[1].values()} if link.record_id else set()
            both = link.record_id in standing and link.external_id in {*items[0].values(), *items[1].values()}
            assert not (both and link.state == "PENDING"), told
        await self._rests()
        self.wanted.clear()

    def _doubtful(self, edge: Edge) -> bool:
        """Whether something else may have decided: a deletion, the other role of one association, the only place."""
        person, firm, role = edge
        if {person, firm} & self.gone:
            return True
        near = [
            (other, sides) for other, sides in self.wanted.items() if other[0] == person and other != edge
        ]
        if role == "employer":
            mine = set(self.wanted[edge])
            return any(other[2] == role and set(sides) != mine for other, sides in near)
        return "linked" in self.roles and any(other[1] == firm for other, _ in near)

    async def _full(self, links: Mapping[int, LinkRow]) -> set[str]:
        """People of whom a link says that our limits refuse something."""
        names = {id_: name for name, id_ in (await self.here())[0].items()}
        return {
            names[link.record_id]
            for link in links.values()
            if link.category == "ASSOCIATION_LIMIT_REACHED" and link.record_id in names
        }

    async def _rests(self) -> None:
        """Nothing more is written, on either side."""
        writes, held = self.it.world.writes(), await self.ours()
        await self.it.later(30.0)
        await self.it.later(1_000.0)
        assert self.it.world.writes() == writes, self.it.world.done[writes:]
        assert await self.ours() == held
        assert writes <= 6 * self.edits + 3 * (self.people + self.firms) + 10


def _told(link: LinkRow) -> tuple[Any, ...]:
    return (
        link.sync_id,
        link.record_id,
        link.external_id,
        link.state,
        link.category,
        link.deleted,
        link.base_roles,
    )


async def ends(db: Database, seed: int, world: World, roles: tuple[str, ...], crashes: float) -> Ends:
    """Two syncs of one app, with roles between their objects; one of our labels is limited."""
    world.objects = (replace(PEOPLE, roles=ROLES), FIRMS, PLACES)
    world.__post_init__()
    it = await rig(db, world, start=False)
    crm = it.crm
    for name in ("advises", "owns", "seen"):
        async with crm.db.transaction(crm.account, now=it.now, actor=crm.actor, defining=True) as tx:
            most = 2 if name == "owns" else None
            await labels.create(tx, "contacts", "companies", label=name, name=name, max_count=most)
    dice = random.Random(seed)
    deletes = dice.choice((Deletes.KEEP, Deletes.BOTH))
    policy = dice.choice((Policy.OURS, Policy.THEIRS))
    chosen = Options(
        deletes=deletes, delete_share=1.0, sweep=timedelta(minutes=5), all_companies=roles != PRIMARY
    )
    parts = [RolePart(role, "companies", LABELS[role]) for role in roles]
    if roles != PRIMARY:
        parts.append(RolePart("lives", "tickets", None))
    first = it.add("companies", "firms", {"name": "title"}, policy=policy, options=chosen)
    second = it.add("contacts", "people", {"email": "mail"}, policy=policy, options=chosen, roles=parts)
    for adding in _either(dice, first, second):
        await adding
    story = Ends(it, random.Random(seed), crashes, roles)
    it.at = story.at
    return story


def _either(dice: random.Random, *some: Any) -> Iterator[Any]:
    yield from dice.sample(some, len(some))


def trouble(dice: random.Random) -> Trouble:
    """Of every kind, a little."""
    return Trouble(
        away=0.02,
        lost=0.04,
        retry=0.04,
        unclear=0.04,
        stale=0.04,
        cursor=0.02,
        twice=0.1,
        before=0.1,
        shuffled=True,
        skew=timedelta(seconds=dice.choice((-90, 0, 90))),
    )
