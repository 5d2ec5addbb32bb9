"""Alembic's entry: run the migrations on the connection that `storage.migrate` hands over."""

from alembic import context

from storage.tables import metadata

if context.is_offline_mode():
    raise SystemExit("Migrations run online: call `relata migrate`.")

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=True,
    compare_server_default=True,
    include_object=lambda _object, name, kind, _reflected, _other: (
        not (kind == "table" and str(name).startswith("event_log_"))
    ),
)
context.run_migrations()
