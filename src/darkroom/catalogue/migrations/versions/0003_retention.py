"""Pictures can be forgotten: tombstones, and marks on what held them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Makes the two tables."""
    op.create_table(
        "tombstones",
        sa.Column("image_id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("finished", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", name="pk_tombstones"),
    )
    op.create_table(
        "marks",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("image_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", "image_id", name="pk_marks"),
    )
