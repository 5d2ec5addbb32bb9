"""Keys: bearer secrets of an account. Shown once, kept as a hash, never more than the role behind them."""

import hashlib
import re
import secrets
from collections.abc import Iterable

from engine import ids, naming
from engine.access import SCOPES, Principal, Role, Scope
from engine.problems import NotFound, Problem
from storage import keys, users
from storage.database import Database, Queryable, Transaction
from storage.keys import KeyRow, Known

# relata_<account in base 36>_<256 random bits>. The account stands in the key, so that looking it up is a
# statement of that account; it is as random as an id and tells nothing.
FORM = re.compile(r"relata_([0-9a-z]{1,13})_([A-Za-z0-9_-]{43})", re.ASCII)
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
LARGEST_ACCOUNT = 2**63 - 1
SECRET_BYTES = 32
# Characters of the secret that listings show.
SHOWN = 4


class ScopeBeyondRole(Problem):
    """A key of the role {role} cannot have the scope "{scope}"; it may have: {allowed}."""


class ScopeBeyondMaker(Problem):
    """This key lacks the scope "{scope}" itself, so it cannot give it to another; it may give: {allowed}."""


class RoleBeyondUser(Problem):
    """ "{user}" is {user_role}; a key of theirs cannot be {role}."""


async def create(
    tx: Transaction,
    *,
    name: str,
    role: Role,
    scopes: Iterable[Scope] | None = None,
    user_id: int | None = None,
    maker: frozenset[Scope] | None = None,
) -> tuple[int, str]:
    """A new key: its id and its secret, which nobody can read again. `scopes=None`: all of the role.

    `maker`: what the key may do that asks for it; None: an operator asks. A key that manages keys and nothing else
    would otherwise make itself one for all the rest.

    Raises `ScopeBeyondRole`, `ScopeBeyondMaker`, `RoleBeyondUser`, `NotFound` (the user) and `MalformedText`.
    """
    chosen = SCOPES[role] if scopes is None else frozenset(scopes)
    for scope in sorted(chosen - SCOPES[role]):
        raise ScopeBeyondRole(
            role=role.value, scope=scope.value, allowed=sorted(SCOPES[role]), path=("scopes",)
        )
    for scope in sorted(chosen - (SCOPES[Role.SUPER_ADMIN] if maker is None else maker)):
        raise ScopeBeyondMaker(scope=scope.value, allowed=sorted(maker or ()), path=("scopes",))
    if user_id is not None:
        await _within_user(tx, user_id, role)
    (number,) = await tx.new_ids(1)
    secret = f"relata_{base36(tx.account_id)}_{secrets.token_urlsafe(SECRET_BYTES)}"
    prefix = secret[: secret.index("_", len("relata_")) + 1 + SHOWN]
    row = KeyRow(
        number,
        user_id,
        naming.text(name, "key name", "name"),
        prefix,
        role.value,
        tuple(sorted(chosen)),
        tx.now,
        None,
    )
    await keys.insert(tx, row, _hash(secret))
    return number, secret


async def authenticate(db: Database, secret: str) -> Principal | None:
    """Who a secret stands for; None where it is malformed, unknown or revoked. One statement at most."""
    found = FORM.fullmatch(secret)
    if found is None or (account_id := int(found[1], 36)) > LARGEST_ACCOUNT:
        return None
    async with db.read(account_id) as reader:
        known = await keys.known(reader, _hash(secret))
    return None if known is None else _principal(account_id, known)


def _principal(account_id: int, known: Known) -> Principal:
    role = Role(known.role)
    scopes = frozenset(Scope(scope) for scope in known.scopes)
    # A user who has lost a role takes it from all keys of theirs, at once.
    allowed = SCOPES[role] & SCOPES[Role(known.user_role)] if known.user_role is not None else SCOPES[role]
    return Principal(account_id, known.account_name, known.id, known.user_id, role, scopes & allowed)


async def living(db: Database, account_id: int, number: int) -> Principal | None:
    """Who a key stands for, by its id; None where it is unknown or revoked. One statement."""
    async with db.read(account_id) as reader:
        known = await keys.living(reader, number)
    return None if known is None else _principal(account_id, known)


async def revoke(tx: Transaction, number: int) -> KeyRow:
    """End a key at once; ending it again changes nothing. Raises `NotFound`."""
    row = await keys.revoke(tx, number)
    if row is None:
        raise NotFound(kind="key", name=ids.encode("key", number), path=("id",))
    return row


async def listing(reader: Queryable) -> list[KeyRow]:
    """All keys, revoked ones included, oldest first; their secrets are not known."""
    return await keys.listing(reader)


async def _within_user(tx: Transaction, user_id: int, role: Role) -> None:
    user = await users.lock(tx, user_id)
    if user is None:
        raise NotFound(kind="user", name=ids.encode("user", user_id), path=("userId",))
    if not SCOPES[role] <= SCOPES[Role(user.role)]:
        raise RoleBeyondUser(user=user.name, user_role=user.role, role=role.value, path=("role",))


def base36(number: int) -> str:
    """A whole number from 1 in base 36, as `int(text, 36)` reads it."""
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
    return digits


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
