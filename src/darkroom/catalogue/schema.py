"""Every table of the catalogue; the migrations must lead to exactly this."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

__all__ = [
    "REVISION",
    "UNKNOWN_US",
    "Moment",
    "annotations",
    "bundles",
    "counters",
    "current_annotations",
    "datasets",
    "images",
    "jobs",
    "locations",
    "marks",
    "members",
    "metadata",
    "quarantine",
    "run_notes",
    "runs",
    "sources",
    "splits",
    "stages",
    "tombstones",
]

REVISION = "0005"
"""The newest migration; a database at this revision has exactly the tables below."""

UNKNOWN_US = -(2**62)
"""In `taken_us`: the camera said nothing; sorts before every moment."""


class Moment(TypeDecorator[datetime]):
    """An aware moment, kept in UTC; SQLite keeps no zone, so it is added again when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"A moment without a time zone cannot be stored: {value!r}.")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite counts rows by itself only in a column that is exactly INTEGER PRIMARY KEY.
_Number = BigInteger().with_variant(Integer, "sqlite")
_Hash = String(64)

# SQLite keeps text in any column; the byte order is asked for so that both sort paths alike.
_Path = Text().with_variant(Text(collation="C"), "postgresql")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)


def _column(name: str, kind: Any, **options: Any) -> Column[Any]:
    return Column(name, kind, nullable=False, **options)


counters = Table(
    "counters",
    metadata,
    Column("name", String(32), primary_key=True),
    _column("value", BigInteger),
)
"""Last number given out, by name: the annotation log and the short ids of sources, runs, jobs, bundles."""

_SORTED_BY = ("size_bytes", "width_px", "height_px", "pixels", "taken_us")

images = Table(
    "images",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    _column("id", _Hash, unique=True),
    _column("width_px", Integer),
    _column("height_px", Integer),
    _column("mode", String(16)),
    _column("format", String(16)),
    _column("size_bytes", BigInteger),
    Column("group_name", Text),
    _column("origin", Text),
    _column("licence", Text),
    _column("collector", Text),
    Column("collected_at", Moment),
    Column("taken_at", Moment),
    Column("device", Text),
    _column("orientation", Integer),
    Column("latitude", Float(53)),
    Column("longitude", Float(53)),
    _column("metadata_json", Text),
    # Said again by the columns above, in a form that an index can be sorted by.
    _column("pixels", BigInteger, server_default=text("0")),
    _column("taken_us", BigInteger, server_default=text(str(UNKNOWN_US))),
    # 1 while the slot "class" holds no answer and no state but "unlabelled"; kept by the log's view.
    _column("unlabelled", SmallInteger, server_default=text("1")),
    # One index for each sort that a page may ask for; `number` makes the order total.
    Index("ix_images_size_bytes", "size_bytes", "number"),
    Index("ix_images_width_px", "width_px", "number"),
    Index("ix_images_height_px", "height_px", "number"),
    Index("ix_images_pixels", "pixels", "number"),
    Index("ix_images_taken_us", "taken_us", "number"),
    # This one holds what the others sort by: half a million waiting images are sorted without their rows.
    Index("ix_images_unlabelled", "unlabelled", "number", *_SORTED_BY),
    Index("ix_images_group_name", "group_name"),
)

sources = Table(
    "sources",
    metadata,
    Column("id", String(32), primary_key=True),
    _column("number", BigInteger, unique=True),
    _column("kind", String(32)),
    _column("path", _Path),
    _column("format", String(64)),
    _column("mode", String(16)),
    _column("added_at", Moment),
    UniqueConstraint("kind", "path"),
)

locations = Table(
    "locations",
    metadata,
    Column("source_id", ForeignKey("sources.id"), primary_key=True),
    Column("path", _Path, primary_key=True),
    _column("image_id", ForeignKey("images.id"), index=True),
    _column("size_bytes", BigInteger),
    _column("mtime_ns", BigInteger),
    _column("image_number", BigInteger, server_default=text("0")),
    Index("ix_locations_source_id", "source_id", "image_number"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("source_id", ForeignKey("sources.id"), primary_key=True),
    Column("path", _Path, primary_key=True),
    _column("reason", String(64)),
    _column("message", Text),
    _column("size_bytes", BigInteger),
    _column("mtime_ns", BigInteger),
)

annotations = Table(
    "annotations",
    metadata,
    Column("sequence", _Number, primary_key=True, autoincrement=False),
    _column("id", String(64), unique=True),
    _column("key", Text, unique=True),
    _column("image_id", ForeignKey("images.id")),
    _column("slot", String(16)),
    _column("value_json", Text),
    _column("author_kind", String(16)),
    _column("author_name", Text),
    _column("at", Moment),
    Column("confidence", Float(53)),
    Column("based_on", BigInteger),
    Index("ix_annotations_image_id", "image_id", "slot", "sequence"),
)
"""The log; rows are only ever added."""

current_annotations = Table(
    "current_annotations",
    metadata,
    Column("slot", String(16), primary_key=True),
    Column("image_id", ForeignKey("images.id"), primary_key=True),
    _column("sequence", ForeignKey("annotations.sequence"), index=True),
    _column("kind", String(16)),
    _column("answer", Text),
    _column("image_number", BigInteger, server_default=text("0")),
    Index("ix_current_annotations_slot", "slot", "kind", "answer", "image_number"),
)
"""The view of the log: which event holds; `answer` is the label, the labels as JSON, or the state."""

splits = Table(
    "splits",
    metadata,
    Column("scheme", String(64), primary_key=True),
    Column("key", Text, primary_key=True),
    _column("split", String(16)),
    Index("ix_splits_scheme", "scheme", "split", "key"),
)

datasets = Table(
    "datasets",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=False),
    _column("name", Text),
    _column("version", Integer),
    _column("id", _Hash, index=True),
    _column("record_json", Text),
    UniqueConstraint("name", "version"),
)
"""The row of a version is written last: from then on it is there, with all its members."""

members = Table(
    "members",
    metadata,
    Column("dataset", _Number, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True),
    _column("image_id", ForeignKey("images.id"), index=True),
    _column("split", String(16)),
    _column("label", Text),
    Column("group_name", Text),
    _column("sequence", BigInteger),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(32), primary_key=True),
    _column("number", BigInteger, unique=True),
    _column("key", Text, index=True),
    _column("state", String(16)),
    _column("dataset", Text, index=True),
    _column("record_json", Text),
)

run_notes = Table(
    "run_notes",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=False),
    _column("run_id", ForeignKey("runs.id")),
    _column("kind", String(16)),
    _column("text", Text),
    _column("author", Text),
    _column("at", Moment),
    Index("ix_run_notes_run_id", "run_id", "number"),
)
"""What people wrote about runs, "note", "tag" or "untag"; rows are only ever added, the last word holds."""

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    _column("number", BigInteger, unique=True),
    _column("state", String(16)),
    _column("record_json", Text),
    Index("ix_jobs_state", "state", "number"),
)

bundles = Table(
    "bundles",
    metadata,
    Column("id", String(32), primary_key=True),
    _column("number", BigInteger, unique=True),
    _column("run_id", Text, index=True),
    _column("path", Text),
    _column("manifest_json", Text),
    _column("added_at", Moment),
)

stages = Table(
    "stages",
    metadata,
    Column("name", String(128), primary_key=True),
    _column("finished_at", Moment),
    _column("record_json", Text),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("image_id", _Hash, primary_key=True),
    _column("at", Moment),
    _column("by", Text),
    _column("reason", Text),
    _column("finished", Boolean),
)
"""Pictures that were forgotten. `image_id` refers to no row: the picture's own is gone."""

marks = Table(
    "marks",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("image_id", _Hash, primary_key=True),
)
"""What held a picture that was forgotten since; stays when the picture may come back."""
