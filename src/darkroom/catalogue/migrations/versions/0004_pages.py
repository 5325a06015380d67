"""Pages of images in more orders and under filters; each place and answer knows its image's number."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds what pages are sorted and filtered by, fills it in, and makes its indexes."""
    unknown = str(-(2**62))
    _add("images", "pixels", sa.BigInteger(), "0")
    _add("images", "taken_us", sa.BigInteger(), unknown)
    _add("images", "unlabelled", sa.SmallInteger(), "1")
    _add("current_annotations", "image_number", sa.BigInteger(), "0")
    _add("locations", "image_number", sa.BigInteger(), "0")
    _fill()
    op.create_index("ix_images_pixels", "images", ["pixels", "number"])
    op.create_index("ix_images_taken_us", "images", ["taken_us", "number"])
    sorted_by = ["size_bytes", "width_px", "height_px", "pixels", "taken_us"]
    op.create_index("ix_images_unlabelled", "images", ["unlabelled", "number", *sorted_by])
    op.drop_index("ix_current_annotations_slot", "current_annotations")
    op.create_index(
        "ix_current_annotations_slot", "current_annotations", ["slot", "kind", "answer", "image_number"]
    )
    op.create_index("ix_locations_source_id", "locations", ["source_id", "image_number"])
    op.create_index("ix_splits_scheme", "splits", ["scheme", "split", "key"])


def _add(table: str, name: str, kind: sa.types.TypeEngine[int], default: str) -> None:
    op.add_column(table, sa.Column(name, kind, nullable=False, server_default=sa.text(default)))


def _fill() -> None:
    if op.get_bind().dialect.name == "sqlite":
        # A moment is kept as the text 2024-02-29 23:59:58.123000, in UTC.
        # Without its fraction, which would be rounded to the next second from .9995 on.
        seconds = "CAST(strftime('%s', substr(taken_at, 1, 19)) AS INTEGER) * 1000000"
        moment = f"{seconds} + CAST(substr(taken_at, 21, 6) AS INTEGER)"
    else:
        moment = "CAST(extract(epoch FROM taken_at) * 1000000 AS BIGINT)"
    op.execute("UPDATE images SET pixels = CAST(width_px AS BIGINT) * height_px")
    op.execute(f"UPDATE images SET taken_us = {moment} WHERE taken_at IS NOT NULL")
    op.execute(
        "UPDATE images SET unlabelled = 0 WHERE id IN (SELECT image_id FROM current_annotations"
        " WHERE slot = 'class' AND NOT (kind = 'state' AND answer = 'unlabelled'))"
    )
    for table in ("current_annotations", "locations"):
        number = f"SELECT number FROM images WHERE images.id = {table}.image_id"
        op.execute(f"UPDATE {table} SET image_number = ({number})")
