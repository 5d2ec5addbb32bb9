"""People of an account and their roles."""

import re
from collections.abc import Sequence
from dataclasses import replace

from engine import ids, naming
from engine.access import Role
from engine.problems import NotFound, Problem
from storage import users
from storage.database import Queryable, Transaction
from storage.users import UserRow

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


class EmailTaken(Problem):
    """There is already a user with the e-mail address "{email}"."""


class MalformedEmail(Problem):
    """The value "{email}" is not an e-mail address."""


class LastSuperAdmin(Problem):
    """ "{name}" is the only super admin among the users; make somebody else one first."""


async def create(tx: Transaction, *, name: str, email: str, role: Role) -> UserRow:
    """A new user; raises `EmailTaken`, `MalformedEmail` and `MalformedText`."""
    (number,) = await tx.new_ids(1)
    row = UserRow(number, naming.text(name, "user name", "name"), _email(email), role.value, tx.now)
    if not await users.insert(tx, row):
        raise EmailTaken(email=row.email, path=("email",))
    return row


async def update(
    tx: Transaction, number: int, *, name: str | None = None, role: Role | None = None
) -> UserRow:
    """Change a user's name or role; raises `NotFound`, `MalformedText` and `LastSuperAdmin`."""
    # The catalogue's lock makes changes of roles take turns: two super admins cannot demote each other.
    await tx.redefine()
    row = await users.lock(tx, number)
    if row is None:
        raise NotFound(kind="user", name=ids.encode("user", number), path=("id",))
    changed = replace(
        row,
        name=row.name if name is None else naming.text(name, "user name", "name"),
        role=row.role if role is None else role.value,
    )
    if row.role == Role.SUPER_ADMIN and changed.role != Role.SUPER_ADMIN:
        admins = [user for user in await users.listing(tx) if user.role == Role.SUPER_ADMIN]
        if len(admins) == 1:
            raise LastSuperAdmin(name=row.name, path=("role",))
    await users.update(tx, changed)
    return changed


async def rows(reader: Queryable, numbers: Sequence[int]) -> list[UserRow | None]:
    """Users by id, in the order asked."""
    return await users.rows(reader, numbers)


async def listing(reader: Queryable) -> list[UserRow]:
    """All users, oldest first."""
    return await users.listing(reader)


def _email(value: str) -> str:
    email = value.strip().lower()
    if EMAIL.fullmatch(email) is None or len(email) > 254 or not naming.storable(email):
        raise MalformedEmail(email=email[:100].encode("utf-8", "replace").decode(), path=("email",))
    return email
