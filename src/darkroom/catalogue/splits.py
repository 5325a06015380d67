"""Which split an image or a group belongs to, once and for ever."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import sqlalchemy as sa

from darkroom.catalogue import schema
from darkroom.catalogue.database import Database, chunks, insert_new, turns
from darkroom.errors import Invalid
from darkroom.records import SPLITS, Split

__all__ = ["Splits"]

_KEYS = 1000  # keys in one query

_splits = schema.splits


class Splits:
    """Where images and groups lie; a key is "image:<id>" or "group:<name>"."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def assigned(self, keys: Iterable[str], scheme: str = "default") -> dict[str, Split]:
        """Returns the splits of those keys that have one."""
        found: dict[str, Split] = {}
        with self._database.read() as connection:
            for chunk in chunks(dict.fromkeys(keys), _KEYS):
                query = sa.select(_splits.c.key, _splits.c.split).where(
                    _splits.c.scheme == scheme, _splits.c.key.in_(chunk)
                )
                found.update((key, cast(Split, split)) for key, split in connection.execute(query))
        return found

    def assign(self, splits: Mapping[str, Split], scheme: str = "default") -> dict[str, Split]:
        """Gives keys their split; a key that has one keeps it.

        Returns:
            What holds now for each of the keys.

        Raises:
            Invalid: a split or a key is not one.
        """
        for key, split in splits.items():
            _check(key, split)
        for chunk in turns(splits.items()):
            rows = [{"scheme": scheme, "key": key, "split": split} for key, split in chunk]
            with self._database.write() as connection:
                insert_new(connection, _splits, rows)
        return self.assigned(splits, scheme)


def _check(key: str, split: str) -> None:
    if split not in SPLITS:
        raise Invalid(
            "split.unknown", "No split {split!r}. Known: {known}.", split=split, known=", ".join(SPLITS)
        )
    if not key.startswith(("image:", "group:")):
        raise Invalid(
            "split.key", 'A split is given to "image:<id>" or "group:<name>". Received: {key!r}.', key=key
        )
