"""CardDAV against a real Radicale: the laws of connectors, and what is special about address books."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sync.categories import Category
from engine.sync.connectors.carddav import APP, fields
from engine.sync.connectors.carddav.cards import Card, Line, structured
from engine.sync.connectors.protocol import (
    Disconnected,
    Gone,
    Phase,
    Rejected,
    RemoteField,
    RemoteObject,
    Surroundings,
    Update,
    Value,
)
from tests.connector_laws import ConnectorLaws, Partner, at_work, done, full, plausible
from tests.gate import Gate, free_port
from tests.radicale import USER, Radicale, serving

HERE = Surroundings(allow_private=True)
_BOOKS = itertools.count(1)


@pytest.fixture(scope="module")
def radicale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Radicale]:
    with serving(tmp_path_factory.mktemp("radicale")) as server:
        yield server


@pytest.fixture(scope="module")
def gate(radicale: Radicale) -> Iterator[Gate]:
    passing = Gate(radicale.port)
    yield passing
    passing.close()


class Contacts(Partner):
    """An address book that its owner edits with something else."""

    app = APP
    text = "note"
    tells_created = True

    def __init__(self, radicale: Radicale, gate: Gate) -> None:
        self.radicale, self.gate = radicale, gate
        self.object_name = f"book{next(_BOOKS)}"
        radicale.make_book(self.object_name)

    def settings(self) -> Mapping[str, str]:
        return self.radicale.settings(self.object_name, self.gate.port)

    def wrong_credentials(self) -> Mapping[str, str]:
        return {**self.settings(), "password": "a wrong word"}

    def unreachable(self) -> Mapping[str, str]:
        return self.radicale.settings(self.object_name, free_port())

    def new(self, number: int) -> dict[str, Value]:
        return {
            "firstname": "Ann",
            "lastname": f"O'Hara-Nr {number}",
            "email": f"ann{number}@example.com",
            "note": f"Note {number}",
        }

    def values_of(self, field: RemoteField) -> Sequence[Value]:
        if field.name == "categories":
            return [["friends"], ["family, close", "a;b", "Zoë"], ["friends", "work"]]
        if field.name == "email":
            return ["zoe@example.com", "o'hara+x@example.co.uk", "Ann.Lee@Example.COM"]
        return plausible(field)

    def refused(self) -> Mapping[str, Value]:
        return {**self.new(50), "birthday": "some day"}

    async def insert(self, fields: Mapping[str, Value]) -> str:
        return self.radicale.insert(self.object_name, fields)

    async def change(self, external_id: str, fields: Mapping[str, Value]) -> None:
        self.radicale.change(self.object_name, external_id, fields)

    async def remove(self, external_id: str) -> None:
        self.radicale.remove(self.object_name, external_id)

    async def stop(self) -> None:
        self.gate.shut()

    async def start(self) -> None:
        self.gate.open()

    async def forget_cursors(self) -> None:
        self.radicale.forget_tokens(self.object_name)


@pytest.fixture
def contacts(radicale: Radicale, gate: Gate) -> Iterator[Contacts]:
    made = Contacts(radicale, gate)
    yield made
    radicale.remove(made.object_name, "")


class TestCardDav(ConnectorLaws):
    @pytest.fixture
    def partner(self, contacts: Contacts) -> Partner:
        return contacts


class OldServer(Gate):
    """Hides from both sides that changes can be told: many servers cannot."""

    def passed(self, piece: bytes) -> bytes:
        # Nothing packed, so that it can be read on its way.
        return piece.replace(b"gzip, deflate", b"identity     ").replace(
            b"sync-collection", b"sync-kollection"
        )


class ContactsOfOld(Contacts):
    """The same, at a server that tells no changes."""

    async def forget_cursors(self) -> None:
        pytest.skip("the cursor is all that is known")


class TestWithoutToldChanges(ConnectorLaws):
    """Everything is compared by versions instead."""

    @pytest.fixture
    def partner(self, radicale: Radicale) -> Iterator[Partner]:
        passing = OldServer(radicale.port)
        made = ContactsOfOld(radicale, passing)
        yield made
        radicale.remove(made.object_name, "")
        passing.close()


# --- address books -----------------------------------------------------------------------------------------------


async def kinds(settings: Mapping[str, str]) -> dict[str, RemoteObject]:
    async with APP.open(settings, HERE) as connector:
        return {each.name: each for each in await connector.describe()}


async def test_address_books_are_found_from_any_address_of_theirs(contacts: Contacts) -> None:
    book, settings = contacts.object_name, {**contacts.settings(), "address_book": ""}
    contacts.radicale.make_book("family", "Family & friends")
    try:
        for path in ("", "/", "/.well-known/carddav", f"/{USER}", f"/{USER}/"):
            found = await kinds({**settings, "url": settings["url"] + path})
            assert found.keys() == {book, "family"}, path
            assert found["family"].title == "Family & friends"
        assert (await kinds({**settings, "url": f"{settings['url']}/{USER}/{book}/"})).keys() == {book}
        for chosen in ("family", "Family & friends", f"http://127.0.0.1:{contacts.gate.port}/{USER}/family"):
            assert (await kinds({**settings, "address_book": chosen})).keys() == {"family"}
        with pytest.raises(Disconnected) as told:
            await kinds({**settings, "address_book": "work"})
        assert told.value.category is Category.RECORD_NOT_FOUND
    finally:
        contacts.radicale.remove("family", "")


async def test_an_address_book_that_is_gone_is_told(contacts: Contacts) -> None:
    async with at_work(contacts) as (connector, kind):
        _, cursor = await full(connector, kind, 10)
        contacts.radicale.remove(contacts.object_name, "")
        try:
            for phase, after in ((Phase.FULL, None), (Phase.CHANGES, cursor)):
                with pytest.raises((Rejected, Disconnected)) as told:
                    await connector.read(kind, phase, after, 10)
                assert told.value.category is Category.RECORD_NOT_FOUND
        finally:
            contacts.radicale.make_book(contacts.object_name)


# --- cards -------------------------------------------------------------------------------------------------------

RICH = """BEGIN:VCARD
VERSION:3.0
UID:rich
FN:Dr. Ann Lee
N:Lee;Ann;;Dr.;
X-UNKNOWN;X-A="b:c;d":some\\, thing; else
item1.EMAIL;type=INTERNET;type=pref:ann@example.com
item1.X-ABLabel:_$!<Work>!$_
EMAIL;type=INTERNET;type=HOME:ann@home.example
TEL;TYPE=HOME,VOICE:+49 1
TEL;TYPE=CELL:+49 2
TEL;TYPE=WORK:+49 3
TEL;TYPE=WORK,FAX:+49 4
ADR;TYPE=HOME:;;Home Street 1;Homeville;;11111;
ADR;TYPE=WORK:;Suite 5;Work Road 2;Berlin;BE;22222;Germany
ORG:Acme;Sales;Unit 7
BDAY;VALUE=date:1990-01-31
IMPP;X-SERVICE-TYPE=Jabber:xmpp:ann@example.com
PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgICAgMCAgIDAwMDBAYEBA
 QEBAgGBgUGCQgKCgkICQkKDA8MCgsOCwkJDRENDg8QEBEQCgwSExIQEw8QEBD/wAALCAABAAEBAREA/8QAFAAB
CATEGORIES:friends,"a\\,b"
REV:2020-01-01T00:00:00Z
END:VCARD
"""


async def test_what_nobody_knows_of_a_card_stays_as_it_is(contacts: Contacts) -> None:
    contacts.radicale.put(contacts.object_name, "rich.vcf", RICH)
    before = contacts.radicale.text(contacts.object_name, "rich.vcf")
    async with at_work(contacts) as (connector, kind):
        (item,) = await connector.get(kind, ["rich.vcf"])
        assert item.fields["city"] == "Berlin"
        fields = {
            "email": "lee@example.com",
            "mobile": "+49 22",
            "city": "Bonn",
            "company": "Beta",
            "note": "New",
        }
        done(await connector.write(kind, [Update("rich.vcf", fields, item.version)]))
        (item,) = await connector.get(kind, ["rich.vcf"])
        assert {**item.fields, **fields} == item.fields
    after = contacts.radicale.text(contacts.object_name, "rich.vcf")
    lost, new = (lines(one) - lines(other) for one, other in ((before, after), (after, before)))
    assert {line.split(":")[0].split(";")[0].split(".")[-1].upper() for line in lost} == {
        "EMAIL",
        "TEL",
        "ADR",
        "ORG",
        "REV",
    }
    assert {each.rpartition(":")[2] for each in new} == {
        "lee@example.com",
        "+49 22",
        ";Suite 5;Work Road 2;Bonn;BE;22222;Germany",
        "Beta;Sales;Unit 7",
        "New",
    }


def lines(card: str) -> set[str]:
    """A card's lines without their folds."""
    return set(card.replace("\r\n ", "").replace("\n ", "").splitlines())


def test_a_card_that_is_not_changed_is_written_as_it_was_read() -> None:
    text = RICH.replace("\n", "\r\n")
    card = Card.read(text)
    fields.write(card, fields.read(card))
    assert card.write() == text


def test_a_rich_card_is_read() -> None:
    assert fields.read(Card.read(RICH)) == {
        "firstname": "Ann",
        "lastname": "Lee",
        "prefix": "Dr.",
        "email": "ann@example.com",
        "phone": "+49 3",
        "mobile": "+49 2",
        "homephone": "+49 1",
        "fax": "+49 4",
        "company": "Acme",
        "department": "Sales",
        "street": "Work Road 2",
        "city": "Berlin",
        "region": "BE",
        "zip": "22222",
        "country": "Germany",
        "birthday": "1990-01-31",
        "categories": ["friends", '"a,b"'],
    }


def card_of(*some: str, version: str = "3.0") -> Card:
    return Card.read("\r\n".join(("BEGIN:VCARD", f"VERSION:{version}", *some, "END:VCARD", "")))


def test_a_card_of_version_4_is_read_and_changed() -> None:
    card = card_of(
        "FN:Ann Lee",
        "N:Lee;Ann;;;",
        'TEL;VALUE=uri;PREF=2;TYPE="voice,cell":tel:+49-2',
        "TEL;VALUE=uri;PREF=1;TYPE=work:tel:+49-3",
        "EMAIL;PREF=2:two@example.com",
        "EMAIL;PREF=1:one@example.com",
        "BDAY:19900131",
        version="4.0",
    )
    assert fields.read(card) == {
        "firstname": "Ann",
        "lastname": "Lee",
        "phone": "+49-3",
        "mobile": "+49-2",
        "email": "one@example.com",
        "birthday": "1990-01-31",
    }
    fields.write(card, {"mobile": "+49 9", "email": "uno@example.com", "phone": None, "note": "a\nb"})
    assert 'TEL;PREF=2;TYPE="voice,cell":+49 9' in card.write()
    assert "EMAIL;PREF=1:uno@example.com" in card.write()
    assert "EMAIL;PREF=2:two@example.com" in card.write()
    assert "NOTE:a\\nb" in card.write()
    fields.write(card, {"birthday": "2000-02-29"})
    assert "BDAY:20000229" in card.write()
    assert fields.read(card).get("phone") is None


@pytest.mark.parametrize(
    ("line", "day"),
    [
        ("BDAY:1990-01-31", "1990-01-31"),
        ("BDAY;VALUE=date-time:1990-01-31T00:00:00Z", "1990-01-31"),
        ("BDAY:--0131", None),
        ("BDAY;X-APPLE-OMIT-YEAR=1604:1604-01-31", None),
        ("BDAY:1990-02-31", None),
        ("BDAY;VALUE=text:circa 1800", None),
    ],
)
def test_birthdays_are_days_with_a_year(line: str, day: str | None) -> None:
    card = card_of("FN:Ann", line)
    assert fields.read(card).get("birthday") == day
    before = card.write()
    fields.write(card, {"birthday": day})
    assert card.write() == before, "a birthday that we cannot say is not lost"
    fields.write(card, {"birthday": "2000-02-29"})
    assert fields.read(card)["birthday"] == "2000-02-29"


def test_who_has_no_name_in_parts_has_the_one_that_is_shown() -> None:
    card = card_of("FN:Mary Ann Lee", "ORG:Acme")
    assert fields.read(card) == {"firstname": "Mary Ann", "lastname": "Lee", "company": "Acme"}
    fields.write(card, {"lastname": "Low"})
    assert fields.read(card) == {"firstname": "Mary Ann", "lastname": "Low", "company": "Acme"}
    assert card.text("FN") == "Mary Ann Low"


def test_what_no_card_can_hold_is_left_out() -> None:
    card = Card.new("uid")
    fields.write(card, {"note": "a\x00b\ud800c\r\nEND:VCARD", "categories": ["\x07", " x\x00 "]})
    again = Card.read(card.write())
    assert fields.read(again) == {"note": "abc\nEND:VCARD", "categories": ["x"]}
    assert again.write().count("\r\nEND:VCARD\r\n") == 1


def test_a_card_shows_something_even_without_a_name() -> None:
    card = Card.new("some-uid")
    fields.show(card)
    assert card.text("FN") == fields.NAMELESS
    for wanted, shown in (
        ({"email": "ann@example.com"}, "ann@example.com"),
        ({"email": "lee@example.com"}, "lee@example.com"),
        ({"company": "Acme"}, "lee@example.com"),
        ({"email": None}, "Acme"),
        ({"company": "Beta"}, "Beta"),
        ({"firstname": "Ann"}, "Ann"),
        ({"lastname": "Lee", "prefix": "Dr."}, "Dr. Ann Lee"),
        ({"lastname": None, "firstname": None, "prefix": None}, "Beta"),
    ):
        fields.write(card, wanted)
        assert card.text("FN") == shown
        assert "(no name)" not in fields.read(card).values()
        assert fields.read(card).get("lastname") == ("Lee" if shown.endswith("Lee") else None)


async def test_lists_of_people_are_no_contacts(contacts: Contacts) -> None:
    group = "BEGIN:VCARD\nVERSION:3.0\nUID:g\nFN:Friends\nN:Friends;;;;\nX-ADDRESSBOOKSERVER-KIND:group\nEND:VCARD\n"
    contacts.radicale.put(contacts.object_name, "g.vcf", group)
    async with at_work(contacts) as (connector, kind):
        items, _ = await full(connector, kind, 10)
        assert items == []
        outcome, other = await connector.write(
            kind, [Update("g.vcf", {"note": "x"}), Update("h.vcf", {"note": "x"})]
        )
        assert isinstance(outcome, Gone)
        assert isinstance(other, Gone)


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=300),
    st.sampled_from(["NOTE", "N"]),
)
def test_any_text_stands_on_a_line(text: str, name: str) -> None:
    """Of 75 bytes at most, whatever characters it has."""
    card = Card.new("uid")
    card.add(Line(name, structured([text, "second"]), [("TYPE", ["WORK"])]))
    written = card.write()
    assert all(len(line.encode()) <= 75 for line in written.split("\r\n"))
    again = Card.read(written)
    line = again.first(name)
    assert line is not None
    assert line.parts() == [text, "second"]
    assert line.types() == {"work"}
    assert again.write() == written


@given(st.text(st.sampled_from('ABEGINVCARD:;,="\\.\n\r \tü-'), max_size=200))
def test_whatever_is_read_is_written_again(text: str) -> None:
    card = Card.read(text)
    fields.read(card)
    assert Card.read(card.write()).write() == card.write()
    fields.write(card, {"lastname": "Lee"})
    assert fields.read(card).get("lastname") == "Lee"
