"""data sync."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "connection",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("app", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("settings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=False),
        sa.Column("secret_names", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("status", sa.Text(collation="C"), nullable=False),
        sa.Column("category", sa.Text(collation="C"), nullable=True),
        sa.Column("message", sa.Text(collation="C"), nullable=True),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("remote_account", sa.Text(collation="C"), nullable=True),
        sa.Column("objects", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("described_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hint_hash", sa.Text(collation="C"), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sa.UniqueConstraint("account_id", "name"),
    )
    op.create_table(
        "import_chunk",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("import_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "import_id", "n"),
    )
    op.create_table(
        "import_key",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("import_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "import_id", "digest"),
    )
    op.create_table(
        "import_pair",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("import_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("from_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("to_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "import_id", "from_id", "to_id"),
    )
    op.create_index("import_pair_to", "import_pair", ["account_id", "import_id", "to_id"], unique=False)
    op.create_table(
        "import_record",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("import_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("record_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("given", sa.ARRAY(sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "import_id", "record_id"),
    )
    op.create_table(
        "sync_attempt",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sync_id", sa.BigInteger(), nullable=False),
        sa.Column("link_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("did", sa.Text(collation="C"), nullable=False),
        sa.Column("side", sa.Text(collation="C"), nullable=True),
        sa.Column("category", sa.Text(collation="C"), nullable=True),
        sa.Column("message", sa.Text(collation="C"), nullable=True),
        sa.Column("changed", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "id"),
    )
    op.create_index(
        "sync_attempt_link", "sync_attempt", ["account_id", "sync_id", "link_id", "id"], unique=False
    )
    op.create_table(
        "sync_budget",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("connection_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "connection_id"),
    )
    op.create_table(
        "sync_conflict",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sync_id", sa.BigInteger(), nullable=False),
        sa.Column("link_id", sa.BigInteger(), nullable=False),
        sa.Column("mapping_id", sa.BigInteger(), nullable=False),
        sa.Column("held", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("winner", sa.Text(collation="C"), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sa.UniqueConstraint("account_id", "link_id", "mapping_id"),
    )
    op.create_index("sync_conflict_open", "sync_conflict", ["account_id", "sync_id", "id"], unique=False)
    op.create_table(
        "sync_dirty",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sync_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("side", sa.Text(collation="C"), nullable=False),
        sa.Column("item", sa.Text(collation="C"), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "sync_id", "side", "item"),
    )
    op.create_index("sync_dirty_due", "sync_dirty", ["account_id", "sync_id", "side", "due_at"], unique=False)
    op.create_table(
        "sync_key",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sync_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Text(collation="C"), nullable=False),
        sa.Column("link_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "sync_id", "value", "link_id"),
    )
    op.create_index("sync_key_link", "sync_key", ["account_id", "sync_id", "link_id"], unique=False)
    op.create_table(
        "sync_link",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sync_id", sa.BigInteger(), nullable=False),
        sa.Column("record_id", sa.BigInteger(), nullable=True),
        sa.Column("external_id", sa.Text(collation="C"), nullable=True),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("base_ours", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("base_theirs", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("base_roles", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("version", sa.Text(collation="C"), nullable=True),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("create_key", sa.Text(collation="C"), nullable=True),
        sa.Column("planned", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("deleted", sa.Text(collation="C"), nullable=True),
        sa.Column("deleting", sa.Boolean(), nullable=False),
        sa.Column("category", sa.Text(collation="C"), nullable=True),
        sa.Column("message", sa.Text(collation="C"), nullable=True),
        sa.Column("failed_side", sa.Text(collation="C"), nullable=True),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("url", sa.Text(collation="C"), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id"),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "sync_link_category",
        "sync_link",
        ["account_id", "sync_id", "category", "id"],
        unique=False,
        postgresql_where="category IS NOT NULL",
    )
    op.create_index(
        "sync_link_creating",
        "sync_link",
        ["account_id", "sync_id", "id"],
        unique=False,
        postgresql_where="create_key IS NOT NULL",
    )
    op.create_index(
        "sync_link_deleting",
        "sync_link",
        ["account_id", "sync_id", "id"],
        unique=False,
        postgresql_where="deleting",
    )
    op.create_index(
        "sync_link_external",
        "sync_link",
        ["account_id", "sync_id", "external_id"],
        unique=True,
        postgresql_where="external_id IS NOT NULL",
    )
    op.create_index(
        "sync_link_of_record",
        "sync_link",
        ["account_id", "record_id"],
        unique=False,
        postgresql_where="record_id IS NOT NULL",
    )
    op.create_index(
        "sync_link_record",
        "sync_link",
        ["account_id", "sync_id", "record_id"],
        unique=True,
        postgresql_where="record_id IS NOT NULL",
    )
    op.create_index(
        "sync_link_state",
        "sync_link",
        ["account_id", "sync_id", "state", "id"],
        unique=False,
        postgresql_include=["category"],
    )
    op.create_table(
        "sync_plan",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sync_id", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("cursors", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("then_start", sa.Boolean(), nullable=False),
        sa.Column("message", sa.Text(collation="C"), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "id"),
    )
    op.create_index("sync_plan_sync", "sync_plan", ["account_id", "sync_id", "id"], unique=False)
    op.create_table(
        "sync_plan_item",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("plan_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("record_id", sa.BigInteger(), nullable=True),
        sa.Column("external_id", sa.Text(collation="C"), nullable=True),
        sa.Column("record_version", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Text(collation="C"), nullable=True),
        sa.Column("effect", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("match_key", sa.Text(collation="C"), nullable=True),
        sa.Column("outcome", sa.Text(collation="C"), nullable=True),
        sa.Column("message", sa.Text(collation="C"), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "plan_id", "id"),
    )
    op.create_index(
        "sync_plan_item_external",
        "sync_plan_item",
        ["account_id", "plan_id", "external_id"],
        unique=True,
        postgresql_where="external_id IS NOT NULL",
    )
    op.create_index(
        "sync_plan_item_key",
        "sync_plan_item",
        ["account_id", "plan_id", "match_key"],
        unique=False,
        postgresql_where="match_key IS NOT NULL",
    )
    op.create_index(
        "sync_plan_item_kind", "sync_plan_item", ["account_id", "plan_id", "kind", "id"], unique=False
    )
    op.create_index(
        "sync_plan_item_record",
        "sync_plan_item",
        ["account_id", "plan_id", "record_id"],
        unique=True,
        postgresql_where="record_id IS NOT NULL",
    )
    op.create_table(
        "sync_seen",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sync_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("pass_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("external_id", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "sync_id", "pass_number", "external_id"),
    )
    op.create_table(
        "sync_wait",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("other_sync_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("side", sa.Text(collation="C"), nullable=False),
        sa.Column("item", sa.Text(collation="C"), nullable=False),
        sa.Column("sync_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("link_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "other_sync_id", "side", "item", "sync_id", "link_id"),
    )
    op.create_table(
        "report",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("object_type_id", sa.BigInteger(), nullable=False),
        sa.Column("definition", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("chart", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id", "object_type_id"],
            ["object_type.account_id", "object_type.id"],
        ),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sa.UniqueConstraint("account_id", "name"),
    )
    op.create_table(
        "sync",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("object_type_id", sa.BigInteger(), nullable=False),
        sa.Column("remote_object", sa.Text(collation="C"), nullable=False),
        sa.Column("direction", sa.Text(collation="C"), nullable=False),
        sa.Column("policy", sa.Text(collation="C"), nullable=False),
        sa.Column("definition", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("phase", sa.Text(collation="C"), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("cursors", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("pass_number", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("swept_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_token", sa.Text(collation="C"), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("progress", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("again_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id", "connection_id"],
            ["connection.account_id", "connection.id"],
        ),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sa.UniqueConstraint("account_id", "connection_id", "object_type_id", "remote_object"),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index(
        "sync_next", "sync", ["account_id", "next_at", "id"], unique=False, postgresql_where="enabled"
    )
    op.create_table(
        "sync_mapping",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sync_id", sa.BigInteger(), nullable=False),
        sa.Column("property_id", sa.BigInteger(), nullable=False),
        sa.Column("field", sa.Text(collation="C"), nullable=False),
        sa.Column("direction", sa.Text(collation="C"), nullable=False),
        sa.Column("policy", sa.Text(collation="C"), nullable=True),
        sa.Column("options", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("custom", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "sync_id"],
            ["sync.account_id", "sync.id"],
        ),
        sa.PrimaryKeyConstraint("account_id", "id"),
        sa.UniqueConstraint("account_id", "sync_id", "property_id", "field"),
    )
    op.create_index(
        "sync_mapping_property", "sync_mapping", ["account_id", "property_id", "sync_id"], unique=False
    )
    op.add_column(
        "import",
        sa.Column("file", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
    )
    op.add_column("import", sa.Column("chunks", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("import", sa.Column("position", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("import", sa.Column("share", sa.Float(), server_default="0", nullable=False))
    op.add_column("import", sa.Column("errors", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column(
        "import",
        sa.Column("figures", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
    )
    op.add_column("import", sa.Column("findings", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("import", sa.Column("reason", sa.Text(collation="C"), nullable=True))
    op.add_column("import", sa.Column("undone", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("import", sa.Column("lease_token", sa.Text(collation="C"), nullable=True))
    op.add_column("import", sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "import_work",
        "import",
        ["account_id", "id"],
        unique=False,
        postgresql_where="status IN ('CHECKING', 'RUNNING', 'UNDOING') OR chunks > 0",
    )
    # By hand from here on.
    op.execute("ALTER TABLE enrollment SET (fillfactor = 50)")


def downgrade() -> None:
    """Migrations go forward only: restore a backup to go back."""
    raise NotImplementedError
