"""unknown accounts."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    # By hand.
    # Of an account that statistics do not know the planner believes that it has one row. Reading "all of it" then looks
    # as good as a probe of the right index, and a first sync that has grown meanwhile is read whole for each of a
    # thousand items. Without statistics of whose a row is, an account is taken for a two-hundredth of the table: probes
    # are right for all. These tables are probed by several indexes, each of which begins with the account, and read
    # along their own; nothing is joined by their size.
    for table in ("sync_link", "sync_attempt", "outbox", "enrollment", "match_state"):
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
