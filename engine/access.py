"""Who may do what: roles, scopes, and the principal on whose behalf a request runs."""

import enum
from dataclasses import dataclass

from engine.problems import Problem
from storage.database import Actor


class Scope(enum.StrEnum):
    """What a key may do. A key never holds more than its role allows."""

    RECORDS_READ = "records:read"
    RECORDS_WRITE = "records:write"
    # Object types, properties, labels and their limits.
    DEFINITIONS_READ = "definitions:read"
    DEFINITIONS_WRITE = "definitions:write"
    AUTOMATION_READ = "automation:read"
    AUTOMATION_WRITE = "automation:write"
    # Users, keys and settings.
    ACCOUNT_MANAGE = "account:manage"


class Role(enum.StrEnum):
    """What a person is in an account; each role holds all scopes of the ones before it."""

    VIEWER = "viewer"
    EDITOR = "editor"
    AUTOMATION_MANAGER = "automation_manager"
    SUPER_ADMIN = "super_admin"


_READ = frozenset({Scope.RECORDS_READ, Scope.DEFINITIONS_READ, Scope.AUTOMATION_READ})

SCOPES: dict[Role, frozenset[Scope]] = {
    Role.VIEWER: _READ,
    Role.EDITOR: _READ | {Scope.RECORDS_WRITE},
    Role.AUTOMATION_MANAGER: _READ | {Scope.RECORDS_WRITE, Scope.AUTOMATION_WRITE},
    Role.SUPER_ADMIN: frozenset(Scope),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a key of an account, with what it may do."""

    account_id: int
    account_name: str
    key_id: int
    user_id: int | None
    role: Role
    scopes: frozenset[Scope]

    @property
    def actor(self) -> Actor:
        """The principal as the source of a write."""
        return Actor("API", str(self.key_id), self.user_id)

    def require(self, scope: Scope) -> None:
        """Raise `MissingScope` unless the principal has `scope`."""
        if scope not in self.scopes:
            raise MissingScope(scope=scope.value, role=self.role.value)


class MissingScope(Problem):
    """This key lacks the scope "{scope}" (its role is {role}); ask a super admin for a key that has it."""


class Unauthenticated(Problem):
    """A valid key is needed: send it as "Authorization: Bearer KEY", or in connection_init over WebSocket."""
