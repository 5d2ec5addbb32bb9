"""unknown accounts, again."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    # By hand.
    # As migration 0005, of tables that are probed by several indexes, each of which begins with the account: for one
    # that statistics do not know, any of them seemed as good as the one that leads to the row, and all that the account
    # had was read for each. Nothing is joined by their size.
    for table in ("outbox", "enrollment", "match_state"):
        op.execute(f"ALTER TABLE {table} ALTER COLUMN account_id SET STATISTICS 0")
        # What was known before stays, unless it is cleared; PostgreSQL knows how from version 18 on.
        op.execute(
            f"""
            DO $$ BEGIN
                IF to_regproc('pg_catalog.pg_clear_attribute_stats') IS NOT NULL THEN
                    PERFORM pg_catalog.pg_clear_attribute_stats(
                        current_schema()::text, '{table}', 'account_id', false);
                END IF;
            END $$
            """
        )


def downgrade() -> None:
    """Migrations go forward only: restore a backup to go back."""
    raise NotImplementedError
