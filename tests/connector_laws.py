"""The laws of connectors: one suite that holds every one to `engine/sync/connectors/protocol.py`.

For a connector of your own: copy this file (it needs Relata, pytest and pytest-asyncio, and nothing else of these
tests), say in a `Partner` how its app is changed behind the connector's back, and inherit:

    from connector_laws import ConnectorLaws, Partner

    class MyPartner(Partner): ...

    class TestMyConnector(ConnectorLaws):
        @pytest.fixture
        def partner(self) -> Iterator[Partner]:
            yield MyPartner()

Each test gets a partner without items. Laws of capabilities that the app does not declare are skipped, and so are those
for which the partner has no means: run pytest with -rs once and look whether you agree with each. With
`pytest.register_assert_rewrite("connector_laws")` in conftest.py, failures show their values. The guide is
docs/connectors.md; examples/connector is a complete one.
"""

import asyncio
import math
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import pytest

from engine.sync.categories import Category
from engine.sync.connectors.protocol import (
    App,
    Connector,
    ConnectorError,
    Create,
    CursorLost,
    Delete,
    Delivery,
    Disconnected,
    Exists,
    FieldType,
    Gone,
    Hint,
    Item,
    Links,
    Op,
    Phase,
    Rejected,
    RemoteField,
    RemoteObject,
    RemoteRole,
    Retry,
    Stale,
    Surroundings,
    Unclear,
    Update,
    Value,
    Written,
)

# An app that is not there is noticed within this time, in seconds; what takes longer hangs.
PATIENCE = 60.0
# Pages that a read of a handful of items may take. A read that goes on longer never ends.
PAGES = 500
# The laws fill a batch up to this size, however large the app's batches may be.
MANY = 60

TEXTS = (
    "plain",
    "Zoë Müßig-Ångström",
    "北京市 Владимир مرحبا",
    "🦊👩‍👩‍👧",
    'O\'Hara & "Söhne" <b>;,:|\\ 100%',
    "two\nlines",
    "=1+1",
    "null",
    "007",
    "$1 {name} %s ${x}",
)
LONG = "long äöü " * 400 + "end"
NUMBERS = (0, 1, -17, 2.5, 1_234_567_890)
DATES = ("1999-12-31", "2024-02-29")
MOMENTS = ("2024-02-29T23:59:59.000Z", "1999-12-31T00:00:00.000Z")
PHONES = ("+49 30 1234567", "+1 (555) 010-9999")
# Nobody's ids, and no connector's undoing.
NOBODYS = ("no-such-item", "0", "-1", "../../etc", "a b?c#d%e", "'; drop table x; --", "ünï", "x" * 300)


class Partner(ABC):
    """The other app, as its own people see it. One of these, without items, for every test."""

    # The app under test.
    app: App
    # The kind of item that the laws work with, and a text field of it that is writable and not unique.
    object_name: str
    text: str
    surroundings: Surroundings = Surroundings(allow_private=True, origin="laws")
    # Whether `created` finds what a key has made.
    tells_created: bool = False

    @abstractmethod
    def settings(self) -> Mapping[str, str]:
        """Settings with which the app opens and works."""

    @abstractmethod
    def new(self, number: int) -> dict[str, Value]:
        """Fields of a good new item: `text`, all required and unique ones, different for every number."""

    @abstractmethod
    async def insert(self, fields: Mapping[str, Value]) -> str:
        """Make an item without the connector; its external id."""

    @abstractmethod
    async def change(self, external_id: str, fields: Mapping[str, Value]) -> None:
        """Change fields of an item without the connector."""

    @abstractmethod
    async def remove(self, external_id: str) -> None:
        """Delete an item without the connector."""

    # What follows may be left out; then the laws that need it are skipped.

    async def settle(self) -> None:  # noqa: B027 - most need not wait
        """Wait until what was done is told by the app, and what is done next gets a later time."""

    def values_of(self, field: RemoteField) -> Sequence[Value]:
        """Values of this field that must come back as they were written."""
        return plausible(field)

    def refused(self) -> Mapping[str, Value]:
        """Fields of a new item that the app refuses for a reason of its own."""
        return pytest.skip("the partner names nothing that is refused")

    def wrong_credentials(self) -> Mapping[str, str]:
        """Settings that reach the app, and that it does not let in."""
        return pytest.skip("the partner has no credentials")

    def unreachable(self) -> Mapping[str, str]:
        """Settings of an address where nobody answers."""
        return pytest.skip("the partner is not reached by an address")

    async def stop(self) -> None:
        """Take the app away, as a crash would."""
        pytest.skip("the partner cannot be stopped")

    async def start(self) -> None:  # noqa: B027 - asked of those who can stop alone
        """Bring the app back, with what it held."""

    async def forget_cursors(self) -> None:
        """Make the app forget what it needs for the cursors that it has given."""
        pytest.skip("the partner never forgets")

    async def other(self, role: RemoteRole) -> str:
        """Make an item at the other end of a role, without the connector; its id."""
        return pytest.skip("the partner has no other ends")

    async def associate(self, external_id: str, role: RemoteRole, others: Sequence[str]) -> None:
        """Let exactly these others be associated in this role, without the connector."""
        pytest.skip("the partner cannot associate")

    def delivery(self, external_id: str) -> Delivery:
        """What the app sends when this item has changed."""
        return pytest.skip("the partner sends nothing")

    def forged(self, external_id: str) -> Delivery:
        """The same, from somebody else."""
        return pytest.skip("the partner sends nothing")


class ConnectorLaws:
    """Inherit, and give a fixture `partner`."""

    pytestmark = pytest.mark.asyncio

    # --- the app and what it says of itself --------------------------------------------------------------------

    async def test_an_app_says_what_it_is(self, partner: Partner) -> None:
        app = partner.app
        assert app.name, "an app has a name"
        assert app.title, "an app has a title"
        assert app.about, "an app says what it is about"
        names = [each.name for each in app.settings]
        assert len(set(names)) == len(names), "settings have names of their own"
        assert set(partner.settings()) <= set(names), "nothing is asked for that is not declared"
        assert app.capabilities.page >= 1
        assert app.capabilities.batch >= 1
        assert not app.capabilities.tombstones or app.capabilities.changes, "tombstones come with changes"

    async def test_settings_that_are_missing_are_refused(self, partner: Partner) -> None:
        for setting in partner.app.settings:
            if setting.required and setting.default is None:
                rest = {name: value for name, value in partner.settings().items() if name != setting.name}
                with pytest.raises(Rejected):
                    async with partner.app.open(rest, partner.surroundings):
                        pytest.fail(f'opened without "{setting.name}"')

    async def test_it_says_whose_account_it_is(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, _):
            assert (await connector.check()).strip()

    async def test_it_describes_what_there_is(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            kinds = await connector.describe()
            names = [each.name for each in kinds]
            assert len(set(names)) == len(names), "kinds of items have names of their own"
            assert list(await connector.describe()) == list(kinds), "described alike, twice"
        for each in kinds:
            fields = [field.name for field in each.fields]
            assert len(set(fields)) == len(fields), f"fields of {each.name} have names of their own"
            assert each.found_by <= set(fields), f"{each.name} is found by fields that it has"
            roles = [role.name for role in each.roles]
            assert len(set(roles)) == len(roles), f"roles of {each.name} have names of their own"
            for field in each.fields:
                options = [value for value, _ in field.options]
                assert len(set(options)) == len(options), f"options of {field.name} have values of their own"
            defaults = [field.default_property for field in each.fields if field.default_property is not None]
            assert len(set(defaults)) == len(defaults), f"one field of {each.name} for each property"
        text = field_of(kind, partner.text)
        assert not text.read_only
        assert not text.unique
        assert text.type is FieldType.STRING

    # --- reading -----------------------------------------------------------------------------------------------

    async def test_nothing_is_read_where_nothing_is(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            items, cursor = await full(connector, kind, 10)
            assert items == []
            if partner.app.capabilities.changes:
                external_id = await partner.insert(partner.new(1))
                await partner.settle()
                told, _ = await changes(connector, kind, cursor)
                assert external_id in told, "the first item of all is a change"

    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    async def test_a_full_read_meets_every_item_in_any_page_size(self, partner: Partner, limit: int) -> None:
        expected = {await partner.insert(partner.new(n)): partner.new(n) for n in range(7)}
        await partner.settle()
        async with at_work(partner) as (connector, kind):
            items, _ = await full(connector, kind, min(limit, partner.app.capabilities.page))
            assert {item.external_id for item in items} == set(expected)
            for item in items:
                assert not item.deleted
                holds(kind, item, expected[item.external_id])

    async def test_a_page_is_continued_by_another_connector(self, partner: Partner) -> None:
        """A cursor is all that is kept: processes come and go between two pages."""
        expected = {await partner.insert(partner.new(n)) for n in range(5)}
        await partner.settle()
        met: set[str] = set()
        cursor, more, pages = None, True, 0
        while more:
            async with at_work(partner) as (connector, kind):
                page = await connector.read(kind, Phase.FULL, cursor, 2)
            met |= {item.external_id for item in page.items}
            cursor, more, pages = page.cursor, page.more, pages + 1
            assert pages < PAGES, "a read comes to its end"
        assert met == expected

    async def test_a_full_read_goes_on_with_what_changed_meanwhile(self, partner: Partner) -> None:
        """The cursor after the last page is from before the first."""
        if not partner.app.capabilities.changes:
            pytest.skip("the app tells no changes")
        for n in range(4):
            await partner.insert(partner.new(n))
        await partner.settle()
        async with at_work(partner) as (connector, kind):
            page = await connector.read(kind, Phase.FULL, None, 1)
            seen = [item.external_id for item in page.items]
            for _ in range(PAGES):
                if seen or not page.more:
                    break
                page = await connector.read(kind, Phase.FULL, page.cursor, 1)
                seen = [item.external_id for item in page.items]
            await partner.change(seen[0], {partner.text: "changed in the middle"})
            added = await partner.insert(partner.new(90))
            await partner.settle()
            rest, cursor = await full(connector, kind, 1, page.cursor) if page.more else ([], page.cursor)
            told, _ = await changes(connector, kind, cursor)
            told = {**{item.external_id: item for item in rest}, **told}
            assert added in told, "what was made during the pass is told in the rest of it, or after it"
            assert seen[0] in told, "what was changed during the pass is told in the rest of it, or after it"
            assert told[seen[0]].fields[partner.text] == "changed in the middle"

    async def test_changes_since_a_cursor_tell_every_later_edit(self, partner: Partner) -> None:
        if not partner.app.capabilities.changes:
            pytest.skip("the app tells no changes")
        first, second = [await partner.insert(partner.new(n)) for n in range(2)]
        await partner.settle()
        async with at_work(partner) as (connector, kind):
            _, cursor = await full(connector, kind, 100)
            _, cursor = await changes(connector, kind, cursor)
            for turn in range(3):
                third = await partner.insert(partner.new(10 + turn))
                await partner.change(first, {partner.text: f"turn {turn}"})
                await partner.settle()
                told, after = await changes(connector, kind, cursor, limit=1)
                assert told[first].fields[partner.text] == f"turn {turn}"
                holds(kind, told[third], partner.new(10 + turn))
                again, _ = await changes(connector, kind, cursor)
                assert set(told) <= set(again), "a cursor may be used twice: a crash does that"
                cursor = after
            assert second not in told or not told[second].deleted

    async def test_changes_tell_what_was_deleted(self, partner: Partner) -> None:
        if not partner.app.capabilities.tombstones:
            pytest.skip("the app does not tell what was deleted")
        first, second = [await partner.insert(partner.new(n)) for n in range(2)]
        await partner.settle()
        async with at_work(partner) as (connector, kind):
            _, cursor = await full(connector, kind, 100)
            await partner.remove(first)
            await partner.settle()
            told, cursor = await changes(connector, kind, cursor)
            assert told[first].deleted
            assert second not in told or not told[second].deleted
            if kind.deletable:
                done(await connector.write(kind, [Delete(second)]))
                await partner.settle()
                told, _ = await changes(connector, kind, cursor)
                assert told[second].deleted, "our own deletions, too"

    async def test_a_cursor_that_nobody_knows_is_lost(self, partner: Partner) -> None:
        phases = [Phase.FULL, *([Phase.CHANGES] if partner.app.capabilities.changes else [])]
        async with at_work(partner) as (connector, kind):
            for phase in phases:
                for cursor in ("no cursor of this app", "{}", "é" * 5):
                    with pytest.raises(CursorLost):
                        await connector.read(kind, phase, cursor, 10)

    async def test_a_cursor_that_the_app_has_forgotten_is_lost(self, partner: Partner) -> None:
        if not partner.app.capabilities.changes:
            pytest.skip("the app tells no changes")
        external_id = await partner.insert(partner.new(1))
        await partner.settle()
        async with at_work(partner) as (connector, kind):
            _, cursor = await full(connector, kind, 10)
            await partner.change(external_id, {partner.text: "changed"})
            await partner.forget_cursors()
            with pytest.raises(CursorLost):
                await changes(connector, kind, cursor)
            items, _ = await full(connector, kind, 10)
            assert [item.external_id for item in items] == [external_id]

    async def test_versions_change_exactly_with_the_item(self, partner: Partner) -> None:
        first, second = [await partner.insert(partner.new(n)) for n in range(2)]
        await partner.settle()
        async with at_work(partner) as (connector, kind):
            before, still = await connector.get(kind, [first, second])
            if before.version is None:
                pytest.skip("the app has no versions")
            read, _ = await full(connector, kind, 10)
            assert {item.external_id: item.version for item in read} == {
                first: before.version,
                second: still.version,
            }, "read and get tell the same version"
            versions = [before.version]
            for turn in range(2):
                await partner.change(first, {partner.text: f"changed {turn}"})
                await partner.settle()
                changed, unchanged = await connector.get(kind, [first, second])
                assert changed.version is not None
                versions.append(changed.version)
                assert unchanged.version == still.version, "another's change is none"
            if kind.writable:
                update = Update(first, {partner.text: "by us"}, changed.version)
                written = done(await connector.write(kind, [update]))[0]
                (changed,) = await connector.get(kind, [first])
                assert changed.version is not None
                assert written.version in (None, changed.version), (
                    "a write tells the version that is read then"
                )
                versions.append(changed.version)
            assert len(set(versions)) == len(versions), "every change has a version of its own"
            if partner.app.capabilities.ordered_versions:
                assert versions == sorted(versions), "later versions are greater texts"

    # --- getting and finding -----------------------------------------------------------------------------------

    async def test_items_are_got_in_the_order_asked(self, partner: Partner) -> None:
        first, second, third = [await partner.insert(partner.new(n)) for n in range(3)]
        await partner.remove(second)
        await partner.settle()
        async with at_work(partner) as (connector, kind):
            assert await connector.get(kind, []) == []
            asked = [third, second, first, third]
            got = await connector.get(kind, asked)
            assert [item.external_id for item in got] == asked
            assert [item.deleted for item in got] == [False, True, False, False]
            holds(kind, got[0], partner.new(2))
            holds(kind, got[2], partner.new(0))

    async def test_ids_that_are_nobodys_are_told_as_deleted(self, partner: Partner) -> None:
        mine = await partner.insert(partner.new(1))
        await partner.settle()
        async with at_work(partner) as (connector, kind):
            for external_id in NOBODYS:
                got = await connector.get(kind, [external_id, mine])
                assert [(item.external_id, item.deleted) for item in got] == [
                    (external_id, True),
                    (mine, False),
                ]

    async def test_items_are_found_by_their_values(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            if not kind.found_by:
                pytest.skip("items are not found by any field")
            ids = [await partner.insert(partner.new(n)) for n in range(3)]
            await partner.settle()
            items = {item.external_id: item for item in await connector.get(kind, ids)}
            for name in sorted(kind.found_by):
                assert await connector.find(kind, name, []) == []
                known = [(id_, str(items[id_].fields[name])) for id_ in ids if items[id_].fields.get(name)]
                values = [value for _, value in known]
                asked = ["nobody@nowhere.example", *values[::-1], 'it\'s; "nobody" (or) *']
                found = await connector.find(kind, name, asked)
                assert len(found) == len(asked), "an answer for every value"
                assert found[0] == ()
                assert found[-1] == ()
                for value, answers in zip(asked[1:-1], found[1:-1], strict=True):
                    expected = {id_ for id_, held in known if held == value}
                    assert {item.external_id for item in answers} == expected
                    assert all(item.version == items[item.external_id].version for item in answers)

    async def test_all_items_with_a_value_are_found(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            names = [name for name in sorted(kind.found_by) if not field_of(kind, name).unique]
            if not names:
                pytest.skip("items are not found by a field that several may share")
            for turn, name in enumerate(names):
                value = partner.new(1)[name]
                twins = {
                    await partner.insert({**partner.new(20 + 2 * turn + twin), name: value})
                    for twin in (0, 1)
                }
                await partner.settle()
                (found,) = await connector.find(kind, name, [str(value)])
                assert twins <= {item.external_id for item in found}

    # --- writing -----------------------------------------------------------------------------------------------

    async def test_outcomes_come_in_the_order_asked(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            needs(
                kind.creatable and kind.writable and kind.deletable, "the app takes no creations or deletions"
            )
            changed, removed = [await partner.insert(partner.new(n)) for n in range(2)]
            await partner.settle()
            assert await connector.write(kind, []) == []
            ops: list[Op] = [
                Create("key-1", partner.new(31)),
                Update(changed, {partner.text: "changed by us"}),
                Delete(removed),
                Create("key-2", partner.new(32)),
            ]
            one, update, _, two = done(await connector.write(kind, ops))
            assert update.external_id == changed
            got = await connector.get(kind, [one.external_id, changed, removed, two.external_id])
            assert [item.deleted for item in got] == [False, False, True, False]
            holds(kind, got[0], partner.new(31))
            holds(kind, got[1], {**partner.new(0), partner.text: "changed by us"})
            holds(kind, got[3], partner.new(32))
            for outcome, item in zip((one, update, two), (got[0], got[1], got[3]), strict=True):
                assert outcome.version in (None, item.version), "a write tells the version that is read then"
                for name, value in (outcome.fields or {}).items():
                    assert same(field_of(kind, name), value, item.fields.get(name)), (name, value)
            items, _ = await full(connector, kind, 10)
            assert {item.external_id for item in items} == {one.external_id, changed, two.external_id}

    async def test_what_we_write_is_told_as_a_change(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            needs(partner.app.capabilities.changes, "the app tells no changes")
            needs(kind.creatable and kind.writable, "the app takes no creations")
            _, cursor = await full(connector, kind, 10)
            (made,) = done(await connector.write(kind, [Create("key", partner.new(1))]))
            await partner.settle()
            told, cursor = await changes(connector, kind, cursor)
            holds(kind, told[made.external_id], partner.new(1))
            done(
                await connector.write(kind, [Update(made.external_id, {partner.text: "again"}, made.version)])
            )
            await partner.settle()
            told, _ = await changes(connector, kind, cursor)
            assert told[made.external_id].fields[partner.text] == "again"

    async def test_what_fails_spoils_nothing_else(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            needs(kind.writable, "the app takes no changes")
            first, second, gone = [await partner.insert(partner.new(n)) for n in range(3)]
            await partner.remove(gone)
            await partner.settle()
            for missing in (gone, *NOBODYS):
                ops = [Update(id_, {partner.text: f"beside {missing}"}) for id_ in (first, missing, second)]
                outcomes = await connector.write(kind, ops)
                assert [type(each) for each in outcomes] == [Written, Gone, Written], (missing, outcomes)
                got = await connector.get(kind, [first, missing, second])
                assert [item.deleted for item in got] == [False, True, False]
                assert got[0].fields[partner.text] == got[2].fields[partner.text] == f"beside {missing}"

    async def test_deleting_what_is_gone_is_no_failure_of_others(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            needs(kind.deletable, "the app takes no deletions")
            first, gone = [await partner.insert(partner.new(n)) for n in range(2)]
            await partner.remove(gone)
            await partner.settle()
            outcomes = await connector.write(kind, [Delete(gone), Delete("no-such-item"), Delete(first)])
            assert all(isinstance(each, Gone | Written) for each in outcomes[:2]), outcomes
            assert isinstance(outcomes[2], Written)
            assert [item.deleted for item in await connector.get(kind, [first])] == [True]

    async def test_what_the_app_refuses_is_told_and_spoils_nothing(self, partner: Partner) -> None:
        refused = partner.refused()
        async with at_work(partner) as (connector, kind):
            needs(kind.creatable, "the app takes no creations")
            ops = [Create("a", partner.new(1)), Create("b", refused), Create("c", partner.new(2))]
            one, bad, two = await connector.write(kind, ops)
            assert isinstance(bad, Rejected | Exists), bad
            assert bad.message
            assert isinstance(one, Written)
            assert isinstance(two, Written)
            items, _ = await full(connector, kind, 10)
            assert {item.external_id for item in items} == {one.external_id, two.external_id}

    async def test_what_is_not_to_be_written_is_refused(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            external_id = await partner.insert(partner.new(1))
            await partner.settle()
            ops: list[Op] = []
            ops += [] if kind.creatable else [Create("key", partner.new(2))]
            ops += [] if kind.writable else [Update(external_id, {partner.text: "changed"})]
            ops += [] if kind.deletable else [Delete(external_id)]
            if not ops:
                pytest.skip("the app takes everything")
            outcomes = await connector.write(kind, ops)
            assert all(isinstance(each, Rejected) for each in outcomes), outcomes
            items, _ = await full(connector, kind, 10)
            assert [item.external_id for item in items] == [external_id]

    async def test_a_whole_batch_is_taken(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            needs(kind.creatable and kind.writable, "the app takes no creations")
            size = min(partner.app.capabilities.batch, MANY)
            creates = [Create(f"key-{n}", partner.new(n)) for n in range(size)]
            made = done(await connector.write(kind, creates))
            ids = [each.external_id for each in made]
            assert len(set(ids)) == size
            updates = [Update(id_, {partner.text: f"no. {n}"}) for n, id_ in enumerate(ids)]
            assert [each.external_id for each in done(await connector.write(kind, updates))] == ids
            some = ids[: partner.app.capabilities.page]
            got = await connector.get(kind, some)
            assert [item.fields[partner.text] for item in got] == [f"no. {n}" for n in range(len(some))]
            items, _ = await full(connector, kind, partner.app.capabilities.page)
            assert {item.external_id for item in items} == set(ids)

    async def test_only_what_is_named_changes(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            needs(kind.writable, "the app takes no changes")
            rich = {
                each.name: partner.values_of(each)[0]
                for each in kind.fields
                if not each.read_only
                and not each.unique
                and each.name != partner.text
                and partner.values_of(each)
            }
            external_id = await partner.insert({**rich, **partner.new(1)})
            await partner.settle()
            (before,) = await connector.get(kind, [external_id])
            done(await connector.write(kind, [Update(external_id, {partner.text: "changed"})]))
            (after,) = await connector.get(kind, [external_id])
            for each in kind.fields:
                expected = "changed" if each.name == partner.text else before.fields.get(each.name)
                if not each.read_only:
                    assert after.fields.get(each.name) == expected, each.name

    async def test_none_empties_a_field(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            needs(kind.writable, "the app takes no changes")
            external_id = await partner.insert(partner.new(1))
            await partner.settle()
            for each in kind.fields:
                values = () if each.read_only or each.required else partner.values_of(each)
                if values:
                    done(await connector.write(kind, [Update(external_id, {each.name: values[0]})]))
                    done(await connector.write(kind, [Update(external_id, {each.name: None})]))
                    (item,) = await connector.get(kind, [external_id])
                    assert item.fields.get(each.name) is None, each.name
                    done(await connector.write(kind, [Update(external_id, {each.name: None})]))

    async def test_fields_without_a_value_are_empty_and_nothing_else(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            needs(kind.creatable, "the app takes no creations")
            sparse = {**{each.name: None for each in kind.fields if not each.read_only}, **partner.new(1)}
            (made,) = done(await connector.write(kind, [Create("key", sparse)]))
            (item,) = await connector.get(kind, [made.external_id])
            holds(kind, item, partner.new(1))

    async def test_values_come_back_as_they_were_written(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            needs(kind.writable, "the app takes no changes")
            external_id = await partner.insert(partner.new(1))
            await partner.settle()
            for values in rounds(partner, kind):
                (written,) = done(await connector.write(kind, [Update(external_id, values)]))
                (item,) = await connector.get(kind, [external_id])
                holds(kind, item, values)
                for name in values.keys() & (written.fields or {}).keys():
                    assert (written.fields or {})[name] == item.fields.get(name), name

    async def test_writing_what_was_read_changes_no_value(self, partner: Partner) -> None:
        """Else a value would go round for ever."""
        async with at_work(partner) as (connector, kind):
            needs(kind.writable, "the app takes no changes")
            external_id = await partner.insert(partner.new(1))
            await partner.settle()
            for values in rounds(partner, kind):
                done(await connector.write(kind, [Update(external_id, values)]))
                (once,) = await connector.get(kind, [external_id])
                echo = {name: once.fields.get(name) for name in values}
                done(await connector.write(kind, [Update(external_id, echo)]))
                (twice,) = await connector.get(kind, [external_id])
                assert {name: twice.fields.get(name) for name in values} == echo

    async def test_a_creation_repeated_creates_nothing_new(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            needs(
                kind.creatable and partner.app.capabilities.idempotent_create, "creations are not idempotent"
            )
            (first,) = done(await connector.write(kind, [Create("the key", partner.new(1))]))
        async with at_work(partner) as (connector, kind):
            again, other = done(
                await connector.write(
                    kind, [Create("the key", partner.new(1)), Create("another", partner.new(2))]
                )
            )
            assert again.external_id == first.external_id != other.external_id
            items, _ = await full(connector, kind, 10)
            assert {item.external_id for item in items} == {first.external_id, other.external_id}
            assert len(items) == 2
            (item,) = await connector.get(kind, [first.external_id])
            assert again.version in (None, item.version)

    async def test_a_creation_whose_answer_was_lost_can_be_told(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            needs(kind.creatable, "the app takes no creations")
            assert await connector.created(kind, "a key that was never used") is None
            (made,) = done(await connector.write(kind, [Create("the key", partner.new(1))]))
        async with at_work(partner) as (connector, kind):
            item = await connector.created(kind, "the key")
            if partner.tells_created:
                assert item is not None
            if item is not None:
                assert item.external_id == made.external_id
                assert not item.deleted
                holds(kind, item, partner.new(1))

    async def test_a_change_of_what_has_changed_is_refused(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            needs(kind.writable and partner.app.capabilities.conditional, "writes are not conditional")
            first, second = [await partner.insert(partner.new(n)) for n in range(2)]
            await partner.settle()
            old, other = await connector.get(kind, [first, second])
            assert old.version is not None
            await partner.change(first, {partner.text: "theirs"})
            await partner.settle()
            ops: list[Op] = [
                Update(first, {partner.text: "ours"}, old.version),
                Update(second, {partner.text: "ours"}, other.version),
            ]
            outcomes = await connector.write(kind, ops)
            assert [type(each) for each in outcomes] == [Stale, Written], outcomes
            (item,) = await connector.get(kind, [first])
            assert item.fields[partner.text] == "theirs"
            if kind.deletable:
                (outcome,) = await connector.write(kind, [Delete(first, old.version)])
                assert isinstance(outcome, Stale), outcome
                done(await connector.write(kind, [Delete(first, item.version)]))
                done(await connector.write(kind, [Delete(second)]))
                assert all(each.deleted for each in await connector.get(kind, [first, second]))

    # --- associations ------------------------------------------------------------------------------------------

    async def test_associations_are_read(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            for role in some_roles(kind.roles):
                external_id = await partner.insert(partner.new(1))
                others = [await partner.other(role) for _ in range(2 if role.many else 1)]
                await partner.associate(external_id, role, others)
                await partner.settle()
                (before,) = await connector.get(kind, [external_id])
                assert sorted(before.associations[role.name]) == sorted(others)
                _, cursor = await full(connector, kind, 10)
                await partner.associate(external_id, role, others[1:])
                await partner.settle()
                (after,) = await connector.get(kind, [external_id])
                assert list(after.associations[role.name]) == others[1:]
                if partner.app.capabilities.changes:
                    told, _ = await changes(connector, kind, cursor)
                    assert list(told[external_id].associations[role.name]) == others[1:]
                assert before.version is None or before.version != after.version
                await partner.remove(external_id)

    async def test_associations_are_written(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            for role in some_roles(kind.roles):
                if role.read_only or not (kind.creatable and kind.writable):
                    continue
                one, two = [await partner.other(role) for _ in range(2)]
                await partner.settle()
                first = Links(added={role.name: (one,)}, all={role.name: (one,)})
                (made,) = done(
                    await connector.write(kind, [Create(f"with {role.name}", partner.new(1), first)])
                )
                assert await ends(connector, kind, made.external_id, role) == {one}
                both = (one, two) if role.many else (two,)
                removed = () if role.many else (one,)
                more = Links({role.name: (two,)}, {role.name: removed}, {role.name: both})
                done(await connector.write(kind, [Update(made.external_id, {}, links=more)]))
                assert await ends(connector, kind, made.external_id, role) == set(both)
                (item,) = await connector.get(kind, [made.external_id])
                holds(kind, item, partner.new(1))
                for _ in range(2):
                    none = Links({}, {role.name: both}, {role.name: ()})
                    done(await connector.write(kind, [Update(made.external_id, {}, links=none)]))
                    assert await ends(connector, kind, made.external_id, role) == set()
                await partner.remove(made.external_id)

    # --- when it goes wrong ------------------------------------------------------------------------------------

    async def test_wrong_credentials_disconnect_until_somebody_comes(self, partner: Partner) -> None:
        async with at_work(partner) as (_, kind):
            pass
        wrong = partner.wrong_credentials()
        for verb in verbs(partner, kind):
            failure = await disconnected(partner, wrong, kind, verb)
            assert failure.category is Category.AUTHENTICATION_EXPIRED, (verb, failure)

    async def test_an_app_that_is_not_there_disconnects_soon(self, partner: Partner) -> None:
        async with at_work(partner) as (_, kind):
            pass
        nowhere = partner.unreachable()
        for verb in verbs(partner, kind):
            failure = await disconnected(partner, nowhere, kind, verb)
            assert failure.category is Category.REMOTE_UNAVAILABLE, (verb, failure)

    async def test_an_app_that_goes_and_comes_back(self, partner: Partner) -> None:
        external_id = await partner.insert(partner.new(1))
        await partner.settle()
        async with at_work(partner) as (connector, kind):
            _, cursor = await full(connector, kind, 10)
            await partner.stop()
            try:
                for verb in verbs(partner, kind):
                    async with asyncio.timeout(PATIENCE):
                        with pytest.raises(Disconnected) as told:
                            await ask(connector, kind, verb)
                    assert told.value.category is Category.REMOTE_UNAVAILABLE, verb
                async with asyncio.timeout(PATIENCE):
                    try:
                        outcomes = await connector.write(kind, [Update(external_id, {partner.text: "lost"})])
                    except Disconnected:
                        pass
                    else:
                        assert all(isinstance(each, Retry | Unclear) for each in outcomes), outcomes
            finally:
                await partner.start()
            (item,) = await connector.get(kind, [external_id])
            assert not item.deleted, "the same connector goes on"
            if partner.app.capabilities.changes:
                await changes(connector, kind, cursor)

    async def test_a_call_that_is_given_up_leaves_the_connector_well(self, partner: Partner) -> None:
        external_id = await partner.insert(partner.new(1))
        await partner.settle()
        async with at_work(partner) as (connector, kind):
            for pause in (0.0, 0.0005, 0.002):
                call = asyncio.create_task(full(connector, kind, 10))
                await asyncio.sleep(pause)
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
                (item,) = await connector.get(kind, [external_id])
                holds(kind, item, partner.new(1))

    # --- being told --------------------------------------------------------------------------------------------

    async def test_hints_are_read_where_they_are_genuine(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            if not partner.app.capabilities.hints:
                with pytest.raises(Rejected):
                    await connector.hint(Delivery("POST", {}, "", b"anything"))
                return
            external_id = await partner.insert(partner.new(1))
            hints = await connector.hint(partner.delivery(external_id))
            assert any(about(hint, kind, external_id) for hint in hints), hints
            for false in (partner.forged(external_id), Delivery("POST", {}, "", b"\x00{")):
                with pytest.raises(Rejected):
                    await connector.hint(false)

    async def test_changes_are_pushed(self, partner: Partner) -> None:
        async with at_work(partner) as (connector, kind):
            needs(partner.app.capabilities.push, "the app does not push")
            external_id = await partner.insert(partner.new(1))
            hints: asyncio.Queue[Hint] = asyncio.Queue()

            async def listen() -> None:
                async for hint in connector.watch([kind.name]):
                    hints.put_nowait(hint)

            listening = asyncio.create_task(listen())
            try:
                async with asyncio.timeout(PATIENCE):
                    for turn in range(1_000):
                        # What happens before the app has begun to listen need not be told.
                        await partner.change(external_id, {partner.text: f"turn {turn}"})
                        await asyncio.sleep(0.2)
                        if any(about(hints.get_nowait(), kind, external_id) for _ in range(hints.qsize())):
                            break
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)


# --- what the laws are told with ---------------------------------------------------------------------------------


@asynccontextmanager
async def at_work(partner: Partner) -> AsyncIterator[tuple[Connector, RemoteObject]]:
    """The partner's app, open, and the kind of item that the laws work with."""
    async with partner.app.open(partner.settings(), partner.surroundings) as connector:
        kinds = {each.name: each for each in await connector.describe()}
        assert partner.object_name in kinds, f"{partner.object_name} is not described: {sorted(kinds)}"
        yield connector, kinds[partner.object_name]


async def full(
    connector: Connector, kind: RemoteObject, limit: int, cursor: str | None = None
) -> tuple[list[Item], str | None]:
    """All that a full read finds, and the cursor after it."""
    return await _pages(connector, kind, Phase.FULL, limit, cursor)


async def changes(
    connector: Connector, kind: RemoteObject, cursor: str | None, limit: int = 100
) -> tuple[dict[str, Item], str | None]:
    """What has changed since the cursor, as it was told last, and the cursor after it."""
    items, after = await _pages(connector, kind, Phase.CHANGES, limit, cursor)
    return {item.external_id: item for item in items}, after


async def _pages(
    connector: Connector, kind: RemoteObject, phase: Phase, limit: int, cursor: str | None
) -> tuple[list[Item], str | None]:
    items: list[Item] = []
    for _ in range(PAGES):
        page = await connector.read(kind, phase, cursor, limit)
        assert len(page.items) <= limit, "a page has no more items than asked for"
        assert phase is Phase.CHANGES or not any(item.deleted for item in page.items)
        items.extend(page.items)
        cursor = page.cursor
        if not page.more:
            return items, cursor
        assert cursor is not None, "where there is more, a cursor leads there"
    pytest.fail(f"a read of {kind.name} does not come to its end")


def done(outcomes: Sequence[Written | ConnectorError]) -> list[Written]:
    """All of these were done."""
    failures = [repr(each) for each in outcomes if not isinstance(each, Written)]
    assert failures == [], "written without failures"
    return [each for each in outcomes if isinstance(each, Written)]


def holds(kind: RemoteObject, item: Item, expected: Mapping[str, Value]) -> None:
    """The item has these values, and what it has is as values are."""
    assert not item.deleted, item.external_id
    for name, value in expected.items():
        told = item.fields.get(name)
        assert same(field_of(kind, name), told, value), f"{name}: {told!r} was told for {value!r}"
    for name, value in item.fields.items():
        well_formed(field_of(kind, name), value)


def well_formed(field: RemoteField, value: Value) -> None:
    """A value as the protocol has it: nothing empty but None, and of the type that the field declares."""
    if value is None:
        return
    assert value not in ("", []), f"{field.name}: empty is None"
    if field.multiple:
        assert isinstance(value, list), f"{field.name}: several are a list, not {value!r}"
    for each in value if field.multiple else [value]:
        match field.type:
            case FieldType.NUMBER:
                assert isinstance(each, int | float), f"{field.name}: {each!r}"
                assert not isinstance(each, bool), f"{field.name}: {each!r}"
                assert math.isfinite(each), f"{field.name}: {each!r}"
            case FieldType.BOOLEAN:
                assert isinstance(each, bool), f"{field.name}: {each!r}"
            case FieldType.DATE:
                assert datetime.strptime(each, "%Y-%m-%d").strftime("%Y-%m-%d")  # noqa: DTZ007 - a day
                assert len(each) == 10, f"{field.name}: {each!r}"
            case FieldType.DATETIME:
                datetime.strptime(each, "%Y-%m-%dT%H:%M:%S.%f%z")
                assert each.endswith("Z"), f"{field.name}: {each!r}"
                assert len(each) == 24, f"{field.name}: {each!r}"
            case FieldType.STRING | FieldType.PHONE | FieldType.CHOICE:
                assert isinstance(each, str), f"{field.name}: {each!r}"


def same(field: RemoteField, one: Value, other: Value) -> bool:
    """Whether two values of a field are one, loosely where the field is declared lossy."""
    return bool(_plain(field, one) == _plain(field, other))


def _plain(field: RemoteField, value: Value) -> Value:
    if value is None or not field.lossy:
        return value
    if isinstance(value, list):
        return [_plain(field, each) for each in value]
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return float(f"{value:.6g}")
    text = unicodedata.normalize("NFC", " ".join(str(value).split())).casefold()
    return text[:19] if field.type is FieldType.DATETIME else text


def plausible(field: RemoteField) -> Sequence[Value]:
    """Values that a field of this description should take."""
    values: Sequence[Value]
    match field.type:
        case FieldType.CHOICE:
            titles = [value for value, _ in field.options]
            if field.multiple:
                return [[each] for each in titles] + ([titles] if len(titles) > 1 else [])
            return titles
        case FieldType.NUMBER:
            values = NUMBERS
        case FieldType.BOOLEAN:
            values = (True, False)
        case FieldType.DATE:
            values = DATES
        case FieldType.DATETIME:
            values = MOMENTS
        case FieldType.PHONE:
            values = PHONES
        case FieldType.STRING:
            values = [
                text for text in (*TEXTS, LONG) if field.max_length is None or len(text) <= field.max_length
            ]
    return [[each] for each in values] if field.multiple else values


def rounds(partner: Partner, kind: RemoteObject) -> list[dict[str, Value]]:
    """Values for all fields that may be written, until each has had all of its own."""
    values = {each.name: partner.values_of(each) for each in kind.fields if not each.read_only}
    values = {name: some for name, some in values.items() if some}
    return [
        {name: some[turn % len(some)] for name, some in values.items()}
        for turn in range(max(map(len, values.values()), default=0))
    ]


def field_of(kind: RemoteObject, name: str) -> RemoteField:
    """The field of this name."""
    found = [each for each in kind.fields if each.name == name]
    assert found, f"{kind.name} has no field {name}"
    return found[0]


def needs(capable: bool, otherwise: str) -> None:
    """Skip what the app does not claim to do."""
    if not capable:
        pytest.skip(otherwise)


def some_roles(roles: Sequence[RemoteRole]) -> Sequence[RemoteRole]:
    """The roles, where there are some."""
    needs(bool(roles), "the items have no associations")
    return roles


async def ends(connector: Connector, kind: RemoteObject, external_id: str, role: RemoteRole) -> set[str]:
    """The other ends of an item in a role."""
    (item,) = await connector.get(kind, [external_id])
    return set(item.associations.get(role.name, ()))


def about(hint: Hint, kind: RemoteObject, external_id: str) -> bool:
    """Whether a hint leads to this item."""
    return hint.object in (None, kind.name) and hint.external_id in (None, external_id)


def verbs(partner: Partner, kind: RemoteObject) -> Iterable[str]:
    """Verbs that ask the app something."""
    yield from ("check", "full", "get")
    if kind.found_by:
        yield "find"


async def ask(connector: Connector, kind: RemoteObject, verb: str) -> None:
    """Ask something in this verb."""
    match verb:
        case "check":
            await connector.check()
        case "full":
            await connector.read(kind, Phase.FULL, None, 10)
        case "get":
            await connector.get(kind, ["some-item"])
        case "find":
            await connector.find(kind, sorted(kind.found_by)[0], ["somebody@example.com"])


async def disconnected(
    partner: Partner, settings: Mapping[str, str], kind: RemoteObject, verb: str
) -> Disconnected:
    """How this verb fails with these settings: the whole connection, soon, and without its secrets."""
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(Disconnected) as told:
            async with partner.app.open(settings, partner.surroundings) as connector:
                await ask(connector, kind, verb)
    for each in partner.app.settings:
        if each.secret and (secret := settings.get(each.name)):
            assert secret not in f"{told.value} {told.value!r}", "no secrets in messages"
    return told.value
