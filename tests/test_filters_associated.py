"""What associated leaves mean: whom they regard, and how many of them must be how."""

import pytest

from storage.database import Database
from tests.filtering import World, associated, leaf, world

CITY = {"acme": "Rome", "bolt": "Oslo", "core": "Rome", "dusk": "Bern"}


@pytest.fixture
async def firm(db: Database) -> World:
    """ann: acme (billing, first: primary), bolt; bob: bolt (billing + advisor); cat: core, archived; dan: had acme."""
    found = await world(db)
    await found.make(ann={}, bob={}, cat={}, dan={}, eve={})
    await found.make("companies", **{name: {"name": name, "city": city} for name, city in CITY.items()})
    await found.make("deals", big={"name": "big"}, small={"name": "small"})
    await found.join(("ann", "acme", "billing"), ("ann", "bolt"), ("bob", "bolt", "billing", "advisor"))
    await found.join(("cat", "core"), ("dan", "acme"), ("acme", "big"), ("bolt", "small"))
    await found.join(("bob", "ann", "manager"), ("cat", "bob", "colleague"))
    await found.archive(found.ids["core"])
    await found.part(("dan", "acme"))
    return found


ROME = leaf("city", "EQUALS", "Rome")


async def test_any_regards_visible_records_under_the_labels(firm: World) -> None:
    assert await firm.met(associated("companies")) == {"ann", "bob"}
    assert await firm.met(associated("companies", ROME)) == {"ann"}
    assert await firm.met(associated("companies", labels=["billing"])) == {"ann", "bob"}
    assert await firm.met(associated("companies", ROME, labels=["advisor"])) == set()
    assert await firm.met(associated("companies", labels=["primary"])) == {"ann", "bob"}
    assert await firm.met(associated("companies", ROME, labels=["primary"])) == {"ann"}
    assert await firm.met(associated("companies", leaf("name", "EQUALS", "bolt"), labels=["primary"])) == {
        "bob"
    }


async def test_unlabelled_only_regards_associations_without_any_label(firm: World) -> None:
    assert await firm.met(associated("companies", labels=[])) == {"ann"}
    assert await firm.met(associated("companies", leaf("name", "EQUALS", "acme"), labels=[])) == set()
    assert await firm.met(associated("companies", leaf("name", "EQUALS", "bolt"), labels=[])) == {"ann"}
    assert await firm.met(associated("contacts", labels=[])) == set()


async def test_several_labels_mean_any_of_them_and_count_a_record_once(firm: World) -> None:
    both = {"labels": ["billing", "advisor"], "quantifier": "COUNT", "operator": "EQUALS"}
    assert await firm.met(associated("companies", count=1, **both)) == {"ann", "bob"}
    assert await firm.met(associated("companies", count=2, **both)) == set()


async def test_all_needs_at_least_one(firm: World) -> None:
    assert await firm.met(associated("companies", ROME, quantifier="ALL")) == set()
    assert await firm.met(associated("companies", ROME, quantifier="ALL", labels=["billing"])) == {"ann"}
    assert await firm.met(associated("companies", leaf("name", "KNOWN"), quantifier="ALL")) == {"ann", "bob"}
    assert await firm.met(associated("companies", quantifier="ALL")) == {"ann", "bob"}
    never = associated("companies", ROME, quantifier="ALL", includeEmpty=True)
    assert await firm.met(never) == {"eve"}


async def test_none_holds_for_whoever_has_none(firm: World) -> None:
    assert await firm.met(associated("companies", quantifier="NONE")) == {"cat", "dan", "eve"}
    assert await firm.met(associated("companies", ROME, quantifier="NONE")) == {"bob", "cat", "dan", "eve"}
    assert await firm.met(associated("companies", quantifier="NONE", includeEmpty=False)) == {
        "cat",
        "dan",
        "eve",
    }


async def test_a_record_that_never_had_one_has_no_count(firm: World) -> None:
    def count(operator: str, n: int, **words: object) -> dict[str, object]:
        return associated("companies", quantifier="COUNT", operator=operator, count=n, **words)

    assert await firm.met(count("EQUALS", 0)) == {"cat", "dan"}
    assert await firm.met(count("EQUALS", 0, includeEmpty=True)) == {"cat", "dan", "eve"}
    assert await firm.met(count("EQUALS", 2)) == {"ann"}
    assert await firm.met(count("GREATER_THAN_OR_EQUAL", 1)) == {"ann", "bob"}
    assert await firm.met(count("LESS_THAN", 1)) == {"cat", "dan"}
    # Negative, in a definition of contacts: without a value it holds by default.
    assert await firm.met(count("NOT_EQUALS", 0)) == {"ann", "bob", "eve"}
    assert await firm.met(count("NOT_EQUALS", 0, includeEmpty=False)) == {"ann", "bob"}


async def test_counts_of_those_that_meet_a_filter(firm: World) -> None:
    def rome(operator: str, n: int, **words: object) -> dict[str, object]:
        return associated("companies", ROME, quantifier="COUNT", operator=operator, count=n, **words)

    assert await firm.met(rome("EQUALS", 1)) == {"ann"}
    assert await firm.met(rome("EQUALS", 0)) == {"bob", "cat", "dan"}
    assert await firm.met(rome("LESS_THAN_OR_EQUAL", 1, includeEmpty=True)) == {
        "ann",
        "bob",
        "cat",
        "dan",
        "eve",
    }
    assert await firm.met(rome("LESS_THAN", 0)) == set()
    assert await firm.met(rome("GREATER_THAN_OR_EQUAL", 0)) == {"ann", "bob", "cat", "dan"}


async def test_direction_is_the_name_of_the_label(firm: World) -> None:
    # On the edge Bob→Ann, `manager` says that Ann is Bob's manager.
    assert await firm.met(associated("contacts", labels=["manager"])) == {"bob"}
    assert await firm.met(associated("contacts", labels=["report"])) == {"ann"}
    assert await firm.met(associated("contacts", labels=["colleague"])) == {"bob", "cat"}
    assert await firm.met(associated("contacts", labels=["pays"]), "companies") == {"acme", "bolt"}


async def test_one_nested_filter_is_met_by_one_and_the_same_record(firm: World) -> None:
    here, there = leaf("city", "EQUALS", "Rome"), leaf("name", "EQUALS", "bolt")
    assert await firm.met(associated("companies", {"and": [here, there]})) == set()
    assert await firm.met({"and": [associated("companies", here), associated("companies", there)]}) == {"ann"}


async def test_filters_nest_to_any_depth(firm: World) -> None:
    deal = associated("deals", leaf("name", "EQUALS", "big"))
    assert await firm.met(associated("companies", deal)) == {"ann"}
    managed = associated("contacts", associated("companies", deal), labels=["manager"])
    assert await firm.met(managed) == {"bob"}
    assert await firm.met(associated("contacts", managed, labels=["colleague"])) == {"cat"}
    deep = leaf("name", "EQUALS", "acme")
    for n in range(19):
        deep = associated("contacts" if n % 2 else "companies", deep)
    # Back and forth between acme and whom it is associated with, and on to bolt and its contacts.
    assert await firm.met(deep) == {"ann", "bob"}


async def test_archived_neighbours_are_invisible_and_come_back(firm: World) -> None:
    core = associated("companies", leaf("name", "EQUALS", "core"))
    assert await firm.met(core) == set()
    await firm.restore(firm.ids["core"])
    assert await firm.met(core) == {"cat"}
    assert await firm.met(associated("companies", ROME, quantifier="ALL")) == {"cat"}
