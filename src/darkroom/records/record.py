"""What every record is made of: frozen models, maps that cannot be changed, short ids, canonical JSON."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, NoReturn, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    PlainSerializer,
)
from pydantic.json_schema import JsonSchemaValue

from darkroom.records.sentences import field_sentences

__all__ = [
    "Config",
    "Fact",
    "FrozenDict",
    "FrozenMap",
    "Record",
    "canonical_json",
    "content_id",
    "new_ulid",
    "now",
    "plain",
]

K = TypeVar("K")
V = TypeVar("V")


class FrozenDict(dict[K, V]):
    """A dict that refuses to be changed, and can therefore be hashed."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("A mapping of a frozen record cannot be changed; make a new record instead.")

    __setitem__ = __delitem__ = __ior__ = _refuse  # type: ignore[assignment]
    update = pop = popitem = clear = setdefault = _refuse  # type: ignore[assignment]

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenDict, (dict(self),)


FrozenMap = Annotated[Mapping[K, V], AfterValidator(FrozenDict), PlainSerializer(dict)]
"""A mapping that cannot be changed; a plain object in JSON and TOML."""


class _Documented(BaseModel):
    """A model whose JSON schema says of each field what the docstring under it says."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: Any, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, sentence in field_sentences(cls).items():
            if sentence and name in properties:
                properties[name].setdefault("description", sentence)
        return schema


class Config(_Documented):
    """What a person writes: a recipe, a brief, a request. Unknown keys are refused."""

    LATER: ClassVar[frozenset[str]] = frozenset()
    """Fields that came after ids were made of such values: while they have their default they count for
    nothing in canonical JSON, so that a run or a stage of before is still known by its id."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Fact(_Documented):
    """A part of a record. Unknown keys are ignored, so that what a newer version wrote can be read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Record(Fact):
    """What Darkroom writes and reads back, with the version of its shape."""

    schema_version: int = 1
    """Version of this record's shape."""


def now() -> AwareDatetime:
    """Returns the present moment in UTC, to the millisecond."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_ulid() -> str:
    """Returns a new id that sorts by its time of making.

    Source: the ULID specification, 48 bits of milliseconds and 80 random bits in Crockford's base 32.
    """
    number = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def canonical_json(value: Any) -> str:
    """Returns the one JSON text of a value: keys sorted, no white space, models dumped with defaults."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def content_id(value: Any) -> str:
    """Returns the sha256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def plain(value: Any) -> Any:
    """Returns a value as JSON has it, models dumped with their defaults; see `Config.LATER`."""
    if isinstance(value, BaseModel):
        return _plain_model(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value


def _plain_model(value: BaseModel) -> dict[str, Any]:
    dumped, later = value.model_dump(mode="json"), getattr(value, "LATER", frozenset())
    for name, field in type(value).model_fields.items():
        inner = getattr(value, name)
        if name in later and inner == field.default:
            del dumped[name]
        elif isinstance(inner, Config):
            dumped[name] = _plain_model(inner)
    return dumped
