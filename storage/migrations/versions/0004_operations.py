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
    # By hand from here on.


def downgrade() -> None:
    """Migrations go forward only: restore a backup to go back."""
    raise NotImplementedError
