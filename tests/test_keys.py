"""Keys and users: a secret opens one account, as far as its role goes, until it is revoked."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from engine import accounts, keys, users
from engine.access import SCOPES, Role, Scope
from engine.keys import RoleBeyondUser, ScopeBeyondRole
from engine.problems import NotFound
from engine.users import EmailTaken, LastSuperAdmin, MalformedEmail
from storage.database import Actor, Database

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADMIN = Actor("API")


@pytest.fixture
async def account(db: Database) -> int:
    return await accounts.create(db, "demo", now=T0)


async def key(
    db: Database, account: int, role: Role = Role.EDITOR, user_id: int | None = None
) -> tuple[int, str]:
    async with db.transaction(account, now=T0, actor=ADMIN) as tx:
        return await keys.create(tx, name="a key", role=role, user_id=user_id)


async def test_a_key_names_its_account_role_and_scopes(db: Database, account: int) -> None:
    number, secret = await key(db, account)
    principal = await keys.authenticate(db, secret)
    assert principal is not None
    assert (principal.account_id, principal.account_name, principal.key_id) == (account, "demo", number)
    assert (principal.role, principal.scopes) == (Role.EDITOR, SCOPES[Role.EDITOR])
    assert principal.actor == Actor("API", str(number), None)


async def test_the_secret_is_kept_nowhere(db: Database, account: int) -> None:
    _, secret = await key(db, account)
    async with db.read(account) as reader:
        (stored,) = await reader.fetch("SELECT k.* FROM api_key AS k WHERE k.account_id = $1")
        (listed,) = await keys.listing(reader)
    random = secret.rsplit("_", 1)[-1] if secret.count("_") == 2 else secret.split("_", 2)[2]
    assert all(random not in str(value) for value in stored.values())
    assert secret.startswith(listed.prefix)
    assert len(listed.prefix) <= len(secret) - 32


@pytest.mark.parametrize(
    "spoil",
    [
        lambda secret: "",
        lambda secret: secret[:-1],
        lambda secret: secret + "x",
        lambda secret: secret[:-4] + ("AAAA" if secret[-4:] != "AAAA" else "BBBB"),
        lambda secret: secret.upper(),
        lambda secret: " " + secret,
        lambda secret: "relata_" + "z" * 13 + "_" + "A" * 43,
        lambda secret: "relata_0_" + "A" * 43,
        lambda secret: "relata_\u0661_" + "A" * 43,
        lambda secret: "\x00" * 60,
    ],
)
async def test_any_other_text_opens_nothing(db: Database, account: int, spoil) -> None:  # type: ignore[no-untyped-def]
    _, secret = await key(db, account)
    assert await keys.authenticate(db, spoil(secret)) is None


async def test_a_secret_does_not_open_another_account(db: Database, account: int) -> None:
    other = await accounts.create(db, "other", now=T0)
    _, secret = await key(db, account)
    moved = secret.replace(keys.base36(account), keys.base36(other))
    assert moved != secret
    assert await keys.authenticate(db, moved) is None


async def test_a_revoked_key_opens_nothing_and_keeps_its_time(db: Database, account: int) -> None:
    number, secret = await key(db, account)
    for later in (timedelta(minutes=1), timedelta(minutes=2)):
        async with db.transaction(account, now=T0 + later, actor=ADMIN) as tx:
            revoked = await keys.revoke(tx, number)
    assert revoked.revoked_at == T0 + timedelta(minutes=1)
    assert await keys.authenticate(db, secret) is None
    with pytest.raises(NotFound):
        async with db.transaction(account, now=T0, actor=ADMIN) as tx:
            await keys.revoke(tx, number + 1)


async def test_a_key_of_another_account_cannot_be_revoked(db: Database, account: int) -> None:
    number, secret = await key(db, account)
    other = await accounts.create(db, "other", now=T0)
    with pytest.raises(NotFound):
        async with db.transaction(other, now=T0, actor=ADMIN) as tx:
            await keys.revoke(tx, number)
    assert await keys.authenticate(db, secret) is not None


async def test_a_key_has_no_more_than_its_role(db: Database, account: int) -> None:
    async with db.transaction(account, now=T0, actor=ADMIN) as tx:
        _, secret = await keys.create(tx, name="narrow", role=Role.EDITOR, scopes=[Scope.RECORDS_READ])
        with pytest.raises(ScopeBeyondRole):
            await keys.create(tx, name="wide", role=Role.EDITOR, scopes=[Scope.ACCOUNT_MANAGE])
    principal = await keys.authenticate(db, secret)
    assert principal is not None
    assert principal.scopes == {Scope.RECORDS_READ}


async def test_a_users_keys_follow_the_users_role(db: Database, account: int) -> None:
    async with db.transaction(account, now=T0, actor=ADMIN) as tx:
        ann = await users.create(tx, name="Ann", email="ann@example.com", role=Role.EDITOR)
        with pytest.raises(RoleBeyondUser):
            await keys.create(tx, name="too much", role=Role.SUPER_ADMIN, user_id=ann.id)
        with pytest.raises(NotFound):
            await keys.create(tx, name="nobody's", role=Role.VIEWER, user_id=ann.id + 1)
    _, secret = await key(db, account, Role.EDITOR, ann.id)
    before = await keys.authenticate(db, secret)
    async with db.transaction(account, now=T0, actor=ADMIN, defining=True) as tx:
        await users.update(tx, ann.id, role=Role.VIEWER)
    after = await keys.authenticate(db, secret)
    assert before is not None
    assert after is not None
    assert Scope.RECORDS_WRITE in before.scopes
    assert Scope.RECORDS_WRITE not in after.scopes
    assert after.actor.user_id == ann.id


async def test_users_have_addresses_of_their_own(db: Database, account: int) -> None:
    async with db.transaction(account, now=T0, actor=ADMIN) as tx:
        ann = await users.create(tx, name=" Ann ", email="Ann@Example.com", role=Role.VIEWER)
        with pytest.raises(EmailTaken):
            await users.create(tx, name="Ann again", email="ann@example.com", role=Role.VIEWER)
        for email in (
            "ann",
            "ann@",
            "@example.com",
            "a b@example.com",
            "a@b\x00.com",
            "a@" + "b" * 300 + ".com",
        ):
            with pytest.raises(MalformedEmail):
                await users.create(tx, name="Bob", email=email, role=Role.VIEWER)
        assert (ann.name, ann.email) == ("Ann", "ann@example.com")
        assert await users.rows(tx, [ann.id + 5, ann.id]) == [None, ann]
        assert await users.listing(tx) == [ann]


async def test_two_super_admins_cannot_demote_each_other(db: Database, account: int) -> None:
    async with db.transaction(account, now=T0, actor=ADMIN) as tx:
        admins = [
            await users.create(tx, name=name, email=f"{name}@example.com", role=Role.SUPER_ADMIN)
            for name in ("ann", "bob")
        ]

    async def demote(number: int) -> None:
        async with db.transaction(account, now=T0, actor=ADMIN, defining=True) as tx:
            await users.update(tx, number, role=Role.VIEWER)

    outcomes = await asyncio.gather(*(demote(admin.id) for admin in admins), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["LastSuperAdmin", "NoneType"]
    assert any(isinstance(outcome, LastSuperAdmin) for outcome in outcomes)
