"""The first catalogue: images and where they come from, the log, splits, datasets, runs, bundles, stages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_moment = sa.DateTime(timezone=True)
_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_path = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Makes every table."""
    _bundles()
    _counters()
    _datasets()
    _images()
    _runs()
    _sources()
    _splits()
    _stages()
    _annotations()
    _locations()
    _members()
    _quarantine()
    _current_annotations()


def _bundles() -> None:
    op.create_table(
        "bundles",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("manifest_json", sa.Text(), nullable=False),
        sa.Column("added_at", _moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_bundles"),
        sa.UniqueConstraint("number", name="uq_bundles_number"),
    )
    op.create_index("ix_bundles_run_id", "bundles", ["run_id"])


def _counters() -> None:
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )


def _datasets() -> None:
    op.create_table(
        "datasets",
        sa.Column("number", _number, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("record_json", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_datasets"),
        sa.UniqueConstraint("name", "version", name="uq_datasets_name"),
    )
    op.create_index("ix_datasets_id", "datasets", ["id"])


def _images() -> None:
    op.create_table(
        "images",
        sa.Column("number", _number, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("width_px", sa.Integer(), nullable=False),
        sa.Column("height_px", sa.Integer(), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("format", sa.String(length=16), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("group_name", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("licence", sa.Text(), nullable=False),
        sa.Column("collector", sa.Text(), nullable=False),
        sa.Column("collected_at", _moment, nullable=True),
        sa.Column("taken_at", _moment, nullable=True),
        sa.Column("device", sa.Text(), nullable=True),
        sa.Column("orientation", sa.Integer(), nullable=False),
        sa.Column("latitude", sa.Float(precision=53), nullable=True),
        sa.Column("longitude", sa.Float(precision=53), nullable=True),
        sa.Column("metadata_json", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_images"),
        sa.UniqueConstraint("id", name="uq_images_id"),
    )
    op.create_index("ix_images_group_name", "images", ["group_name"])
    op.create_index("ix_images_height_px", "images", ["height_px", "number"])
    op.create_index("ix_images_size_bytes", "images", ["size_bytes", "number"])
    op.create_index("ix_images_width_px", "images", ["width_px", "number"])


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("record_json", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.UniqueConstraint("number", name="uq_runs_number"),
    )
    op.create_index("ix_runs_dataset", "runs", ["dataset"])
    op.create_index("ix_runs_key", "runs", ["key"])


def _sources() -> None:
    op.create_table(
        "sources",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("path", _path, nullable=False),
        sa.Column("format", sa.String(length=64), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("added_at", _moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sources"),
        sa.UniqueConstraint("kind", "path", name="uq_sources_kind"),
        sa.UniqueConstraint("number", name="uq_sources_number"),
    )


def _splits() -> None:
    op.create_table(
        "splits",
        sa.Column("scheme", sa.String(length=64), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("split", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("scheme", "key", name="pk_splits"),
    )


def _stages() -> None:
    op.create_table(
        "stages",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("finished_at", _moment, nullable=False),
        sa.Column("record_json", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_stages"),
    )


def _annotations() -> None:
    op.create_table(
        "annotations",
        sa.Column("sequence", _number, autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("image_id", sa.String(length=64), nullable=False),
        sa.Column("slot", sa.String(length=16), nullable=False),
        sa.Column("value_json", sa.Text(), nullable=False),
        sa.Column("author_kind", sa.String(length=16), nullable=False),
        sa.Column("author_name", sa.Text(), nullable=False),
        sa.Column("at", _moment, nullable=False),
        sa.Column("confidence", sa.Float(precision=53), nullable=True),
        sa.Column("based_on", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_annotations_image_id"),
        sa.PrimaryKeyConstraint("sequence", name="pk_annotations"),
        sa.UniqueConstraint("id", name="uq_annotations_id"),
        sa.UniqueConstraint("key", name="uq_annotations_key"),
    )
    op.create_index("ix_annotations_image_id", "annotations", ["image_id", "slot", "sequence"])


def _locations() -> None:
    op.create_table(
        "locations",
        sa.Column("source_id", sa.String(length=32), nullable=False),
        sa.Column("path", _path, nullable=False),
        sa.Column("image_id", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_locations_image_id"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_locations_source_id"),
        sa.PrimaryKeyConstraint("source_id", "path", name="pk_locations"),
    )
    op.create_index("ix_locations_image_id", "locations", ["image_id"])


def _members() -> None:
    op.create_table(
        "members",
        sa.Column("dataset", _number, autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.String(length=64), nullable=False),
        sa.Column("split", sa.String(length=16), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("group_name", sa.Text(), nullable=True),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_members_image_id"),
        sa.PrimaryKeyConstraint("dataset", "position", name="pk_members"),
    )
    op.create_index("ix_members_image_id", "members", ["image_id"])


def _quarantine() -> None:
    op.create_table(
        "quarantine",
        sa.Column("source_id", sa.String(length=32), nullable=False),
        sa.Column("path", _path, nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_quarantine_source_id"),
        sa.PrimaryKeyConstraint("source_id", "path", name="pk_quarantine"),
    )


def _current_annotations() -> None:
    op.create_table(
        "current_annotations",
        sa.Column("slot", sa.String(length=16), nullable=False),
        sa.Column("image_id", sa.String(length=64), nullable=False),
        sa.Column("sequence", _number, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_current_annotations_image_id"),
        sa.ForeignKeyConstraint(
            ["sequence"], ["annotations.sequence"], name="fk_current_annotations_sequence"
        ),
        sa.PrimaryKeyConstraint("slot", "image_id", name="pk_current_annotations"),
    )
    op.create_index("ix_current_annotations_sequence", "current_annotations", ["sequence"])
    op.create_index("ix_current_annotations_slot", "current_annotations", ["slot", "kind", "answer"])
