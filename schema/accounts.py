"""The account that a key belongs to."""

from datetime import datetime

import strawberry

from engine import ids
from engine.access import Scope
from engine.accounts import Account as AccountRow
from engine.accounts import Settings
from resolvers import accounts
from schema.access import Requires
from schema.context import Info
from schema.errors import UserError, told


@strawberry.type
class AccountSettings:
    """What an account may choose."""

    time_zone: str = strawberry.field(
        description='The time zone of days, weeks and months, such as "Europe/Berlin".'
    )
    labels_per_pair: int = strawberry.field(
        description="How many labels a pair of object types may have; a paired label counts once."
    )

    webhook_events: int = strawberry.field(description="How many webhook events there may be at once.")
    webhook_replay_seconds: int = strawberry.field(
        description="How far the clock of who signs a delivery may be from ours, in seconds."
    )
    event_days: int = strawberry.field(
        description="How many days events are kept: an older cursor is told that it has expired."
    )
    idempotency_days: int = strawberry.field(
        description="How many days an idempotency key is remembered; after that, it does its work again."
    )
    delivery_days: int = strawberry.field(
        description="How many days deliveries are kept: those that webhooks received, and mails and calls that have "
        "come to an end. After that, they are neither shown nor sent again."
    )
    import_days: int = strawberry.field(
        description="How many days the errors of an import are kept when it has ended, and a file that nobody starts "
        "to import."
    )
    deleted_workflow_days: int = strawberry.field(
        description="How many days the histories of a workflow are kept when it is deleted."
    )
    record_event_days: int = strawberry.field(
        description="How many days what has occurred to records is kept after it was recorded; 0: for ever. Filters "
        "find what is kept and nothing else. Bounces, subscriptions and consents are kept in any case."
    )

    @classmethod
    def of(cls, settings: Settings) -> "AccountSettings":
        """The settings as clients see them."""
        return cls(
            time_zone=settings.time_zone,
            labels_per_pair=settings.labels_per_pair,
            webhook_events=settings.webhook_events,
            webhook_replay_seconds=settings.webhook_replay_seconds,
            event_days=settings.event_days,
            idempotency_days=settings.idempotency_days,
            delivery_days=settings.delivery_days,
            import_days=settings.import_days,
            deleted_workflow_days=settings.deleted_workflow_days,
            record_event_days=settings.record_event_days,
        )


@strawberry.type
class Account:
    """A tenant: everything that a key can see belongs to one account."""

    id: strawberry.ID = strawberry.field(description="The account's id.")
    name: str = strawberry.field(description="The account's name.")
    settings: AccountSettings = strawberry.field(description="What the account has chosen.")
    created_at: datetime = strawberry.field(description="When the account was made.")

    @classmethod
    def of(cls, row: AccountRow) -> "Account":
        """The account as clients see it."""
        return cls(
            id=strawberry.ID(ids.encode("account", row.id)),
            name=row.name,
            settings=AccountSettings.of(row.settings),
            created_at=row.created_at,
        )


@strawberry.input
class UpdateAccountSettingsInput:
    """The settings to change; what is left out stays."""

    time_zone: str | None = strawberry.field(
        default=None, description='The name of a time zone, such as "Europe/Berlin".'
    )
    labels_per_pair: int | None = strawberry.field(default=None, description="From 0 to 1000.")
    webhook_events: int | None = strawberry.field(default=None, description="From 0 to 1000.")
    webhook_replay_seconds: int | None = strawberry.field(default=None, description="From 0 to 86400.")
    event_days: int | None = strawberry.field(default=None, description="From 1 to 3650.")
    idempotency_days: int | None = strawberry.field(default=None, description="From 1 to 365.")
    delivery_days: int | None = strawberry.field(default=None, description="From 1 to 3650.")
    import_days: int | None = strawberry.field(default=None, description="From 1 to 3650.")
    deleted_workflow_days: int | None = strawberry.field(default=None, description="From 1 to 36500.")
    record_event_days: int | None = strawberry.field(
        default=None, description="From 30 to 36500; 0: for ever."
    )


@strawberry.type
class AccountPayload:
    """An account after a change."""

    account: Account | None = strawberry.field(description="The account as it is now.")
    user_errors: list[UserError]


@strawberry.type
class AccountQuery:
    """Reads of the account."""

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def account(self, info: Info) -> Account:
        """The account that the key belongs to."""
        return Account.of(await accounts.read(info.context))


@strawberry.type
class AccountMutation:
    """Changes of the account."""

    @strawberry.mutation(extensions=[Requires(Scope.ACCOUNT_MANAGE)])
    async def update_account_settings(self, info: Info, input: UpdateAccountSettingsInput) -> AccountPayload:
        """Change settings of the account."""
        changes = {
            "time_zone": input.time_zone,
            "labels_per_pair": input.labels_per_pair,
            "webhook_events": input.webhook_events,
            "webhook_replay_seconds": input.webhook_replay_seconds,
            "event_days": input.event_days,
            "idempotency_days": input.idempotency_days,
            "delivery_days": input.delivery_days,
            "import_days": input.import_days,
            "deleted_workflow_days": input.deleted_workflow_days,
            "record_event_days": input.record_event_days,
        }
        chosen = {name: value for name, value in changes.items() if value is not None}
        row, errors = await told(accounts.change_settings(info.context, chosen))
        return AccountPayload(account=None if row is None else Account.of(row), user_errors=errors)
