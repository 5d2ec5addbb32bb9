"""operations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "import",
        sa.Column("lanes", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
    )
    op.drop_index(op.f("record_page"), table_name="record")
    op.create_index(
        "record_pages",
        "record",
        ["account_id", "object_type_id", "id"],
        unique=False,
        postgresql_include=["archived_at"],
    )
    # By hand from here on.
    # Of a large table, a share is many accounts: see storage.statistics.
    for table in (
        "record",
        "association",
        "association_count",
        "property_value",
        "property_key",
        "segment_member",
        "enrollment",
        "sync_link",
    ):
        op.execute(
            f"ALTER TABLE {table} SET (autovacuum_analyze_threshold = 1000, autovacuum_analyze_scale_factor = 0.002)"
        )


def downgrade() -> None:
    """Migrations go forward only: restore a backup to go back."""
    raise NotImplementedError
