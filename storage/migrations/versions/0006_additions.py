"""additions."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "property_part",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("record_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("property_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("parts", sa.ARRAY(sa.Integer()), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "record_id", "property_id"),
    )
    op.create_index(
        "property_part_parts",
        "property_part",
        ["parts"],
        unique=False,
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": "1024"},
    )
    op.add_column(
        "property", sa.Column("parts_state", sa.Text(collation="C"), server_default="NONE", nullable=False)
    )
    op.add_column("property", sa.Column("parts_changed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("property", sa.Column("parts_last", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("property", sa.Column("parts_seed", sa.BigInteger(), server_default="0", nullable=False))
    op.drop_index(
        op.f("property_indexing"), table_name="property", postgresql_where="(index_state <> 'READY'::text)"
    )
    op.create_index(
        "property_changing",
        "property",
        ["account_id", "id"],
        unique=False,
        postgresql_where="index_state <> 'READY' OR (parts_state <> 'NONE' AND parts_state <> 'READY')",
    )
    op.create_index(
        "record_created",
        "record",
        ["account_id", "object_type_id", "created_at", "id"],
        unique=False,
        postgresql_where="object_type_id IS NOT NULL",
    )
    op.drop_index("record_pages", table_name="record")
    op.create_index(
        "record_pages",
        "record",
        ["account_id", "object_type_id", "id"],
        unique=False,
        postgresql_include=["archived_at"],
        postgresql_where="object_type_id IS NOT NULL",
    )
    # By hand from here on.
    # What is looked for is a parameter, and narrow in any case: to count the commonest parts would take most of an ANALYZE
    # and could only mislead.
    op.execute("ALTER TABLE property_part ALTER COLUMN parts SET STATISTICS 0")
    # As for the other tables that grow with records: see migration 0004.
    op.execute(
        "ALTER TABLE property_part SET (autovacuum_analyze_threshold = 1000, autovacuum_analyze_scale_factor = 0.002)"
    )


def downgrade() -> None:
    """Migrations go forward only: restore a backup to go back."""
    raise NotImplementedError
