"""How a file is cut: nothing is lost, and rows that depend on their order keep it."""

import random
from typing import Any

import pytest

from engine import accounts, labels, properties
from engine.imports.binding import bind
from engine.imports.cutting import Cut, Size, Way, cut, decided, way, windows
from engine.imports.files import Row
from engine.imports.problems import FileUnreadable, RaggedRow
from storage.database import Actor, Database
from tests.test_imports import T0

MANY = Size(4, 10, 0)


def rows(cells: list[list[str]], first: int = 1) -> list[Row]:
    return [Row(first + n, one) for n, one in enumerate(cells)]


def people(chance: random.Random, n: int) -> list[list[str]]:
    """Keys that come again, in other letters, and companies of which some are named often."""
    spaced = ("{}", " {}", "{} ")
    return [
        [
            chance.choice(spaced).format(
                chance.choice((str.upper, str.lower))(f"p{chance.randrange(n)}@x.org")
            ),
            f"F{min(chance.randrange(20), chance.randrange(20))}",
        ]
        for _ in range(n)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_lost_and_rows_of_one_key_are_in_one_lane_in_their_order(seed: int) -> None:
    chance = random.Random(seed)
    how = Cut(chance.randrange(2, 9), 10, 0)
    lanes: dict[str, int] = {}
    for n in range(3):
        window = rows(people(chance, 60), 1 + 60 * n)
        window[7] = Row(window[7].number, [], RaggedRow(count=1, expected=2))
        portions = cut(window, how, 0.5)
        found = [row.number for portion in portions for row in portion.rows]
        assert sorted(found) == [row.number for row in window]
        assert {portion.end for portion in portions} == {window[-1].number}
        for portion in portions:
            numbers = [row.number for row in portion.rows]
            assert numbers == sorted(numbers)
            for row in portion.rows:
                if row.problem is None:
                    key = row.cells[0].strip().lower()
                    assert lanes.setdefault(key, portion.lane) == portion.lane


@pytest.mark.parametrize("seed", range(20))
def test_where_order_matters_rows_of_one_key_are_together_though_another_column_tells_the_lane(
    seed: int,
) -> None:
    chance = random.Random(seed)
    how = Cut(4, 10, 1, (0,))
    cells = people(chance, 60)
    for _ in range(chance.choice((0, 0, 1, 5))):
        # Some name several.
        cells[chance.randrange(60)][0] = f"p{chance.randrange(60)}@x.org;P{chance.randrange(60)}@x.org"
    window = rows(cells)
    portions = cut(window, how, 1.0)
    assert sorted(row.number for portion in portions for row in portion.rows) == [
        row.number for row in window
    ]
    for portion in portions:
        numbers = [row.number for row in portion.rows]
        assert numbers == sorted(numbers)
        named = {
            key.strip().lower() for row in portion.rows for key in (row.cells[0], *row.cells[0].split(";"))
        }  # fmt: skip
        assert portion.keys == named
    for one in portions:
        assert all(one is other or one.keys.isdisjoint(other.keys) for other in portions)
    again = [[row.number for row in portion.rows] for portion in cut(window, how, 1.0)]
    assert again == [[row.number for row in portion.rows] for portion in portions], (
        "it is cut the same way again"
    )


def test_rows_that_nothing_tells_apart_are_dealt_out_and_a_single_lane_has_all() -> None:
    window = rows([["a"]] * 10)
    dealt = [[row.number for row in portion.rows] for portion in cut(window, Cut(4, 10), 1.0)]
    assert dealt == [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10]]
    (only,) = cut(window, Cut(1, 10), 1.0)
    assert (only.lane, only.rows) == (0, window)


def test_a_window_is_a_batch_for_each_lane_less_where_rows_are_long_and_what_was_read_before_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from engine.imports import cutting

    def batches(broken: bool = False) -> Any:
        for n in range(5):
            yield rows([["x" * 10]] * 2, 1 + 2 * n)
        if broken:
            raise FileUnreadable(reason="it is torn")

    assert [len(one) for one in windows(batches(), 3)] == [6, 4]
    monkeypatch.setattr(cutting, "LONG", 30)
    assert [len(one) for one in windows(batches(), 3)] == [4, 4, 2]
    seen = []
    with pytest.raises(FileUnreadable):
        for one in windows(batches(broken=True), 4):
            seen.append(len(one))
    assert seen == [4, 4, 2]


def test_few_rows_are_not_cut_and_what_comes_more_often_tells_the_lane() -> None:
    found = Way((0, 1))
    sample = rows([[f"p{n}", f"F{n % 3}"] for n in range(30)])
    assert decided(found, sample, Size(4, 10, 31)) == Cut(1, 10)
    assert decided(None, sample, MANY) == Cut(1, 10)
    assert decided(found, sample, Size(1, 10, 0)) == Cut(1, 10)
    assert decided(found, sample, MANY) == Cut(4, 10, 1)
    flipped = rows([row.cells[::-1] for row in sample])
    assert decided(found, flipped, MANY) == Cut(4, 10, 0)
    how = decided(Way((0, 1), (0,)), sample, MANY)
    assert Cut.of(how.document([7, 7, 7, 7])) == how
    assert (Cut.of({}), Cut(1, 10).document([3])) == (None, {})


@pytest.fixture
async def account(db: Database) -> int:
    made = await accounts.create(db, "demo", now=T0)
    async with db.transaction(made, now=T0, actor=Actor("API"), defining=True) as tx:
        for name, type_ in (("code", "STRING"), ("number", "NUMBER")):
            await properties.create(tx, "contacts", name=name, label=name, type=type_, unique=True)
        await properties.create(tx, "companies", name="number", label="No", type="STRING", unique=True)
        await properties.create(tx, "tickets", name="number", label="No", type="STRING", unique=True)
        await labels.create(tx, "contacts", "contacts", label="Friend")
    return made


def part(*columns: str, key: str | None = "email", mode: str = "UPSERT") -> dict[str, Any]:
    listed = [{"column": name, "property": name} for name in columns]
    return {"parts": [{"objectType": "contacts", "mode": mode, "key": key, "columns": listed}]}


def link(near: str, far: str) -> dict[str, Any]:
    ends = []
    for column, end in (("a", near), ("b", far)):
        object_type, _, name = end.partition(".")
        ends.append({"objectType": object_type, "property": name, "column": column})
    return {"associations": [{"from": ends[0], "to": ends[1], "labelsColumn": "labels"}]}


async def found(db: Database, account: int, document: dict[str, Any]) -> Way | None:
    catalogue = await db.catalogue(account)
    header = ["email", "city", "code", "number", "id", "a", "b", "labels"]
    return way(bind(document, header, catalogue), catalogue)


async def test_which_rows_can_be_told_apart(db: Database, account: int) -> None:
    async def of(document: dict[str, Any]) -> Way | None:
        return await found(db, account, document)

    assert await of(part("email", "city")) == Way((0,))
    assert await of(part("city", "email", mode="UPDATE")) == Way((0,))
    assert await of(part("id", "city", key="id")) == Way((4,))
    # Which of two rows has another unique value is a matter of order; numbers are equal in several ways.
    assert await of(part("email", "code")) is None
    assert await of(part("number", "city", key="number")) is None
    assert await of(part("city", key=None, mode="CREATE")) == Way(())
    assert await of(part("code", key=None, mode="CREATE")) is None
    assert await of(part("email") | link("contacts.email", "companies.number")) is None
    # The first company of a contact becomes its primary.
    assert await of(link("contacts.email", "companies.number")) == Way((5, 6), (5,))
    assert await of(link("companies.number", "contacts.email")) == Way((5, 6), (6,))
    assert await of(link("contacts.number", "companies.number")) is None
    assert await of(link("contacts.email", "tickets.number")) == Way((5, 6))
    assert await of(link("contacts.email", "contacts.id")) == Way((5, 6))


async def test_limits_make_order_matter_where_they_stand(db: Database, account: int) -> None:
    async with db.transaction(account, now=T0, actor=Actor("API"), defining=True) as tx:
        await labels.create(
            tx, "contacts", "tickets", label="Reported", inverse_label="Reporter", inverse_max_count=1
        )
    assert await found(db, account, link("contacts.email", "tickets.number")) == Way((5, 6), (6,))
    async with db.transaction(account, now=T0, actor=Actor("API"), defining=True) as tx:
        await labels.create(tx, "contacts", "tickets", label="Solved", max_count=1)
        await labels.create(tx, "contacts", "contacts", label="Best friend", max_count=1)
    assert await found(db, account, link("contacts.email", "tickets.number")) is None
    assert await found(db, account, link("contacts.email", "contacts.email")) is None
