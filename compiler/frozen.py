"""The base of data classes: immutable, strict, without unknown keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic_core import core_schema

SLUG = r"^[a-z0-9][a-z0-9._-]{0,63}$"  # names of specs, plans, bundles and their folders
MOST = 1000  # the most items of a list in a spec that are looked up one by one


class Frozen(BaseModel):
    """An immutable pydantic model that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


class Json(Mapping[str, Any]):
    """An immutable JSON object: the record of a variant in the plan.

    >>> Json({"a": [1, {"b": 2}]})["a"][1]["b"]
    2
    """

    def __init__(self, value: Mapping[str, Any] | None = None) -> None:
        self._items = {str(key): _freeze(item) for key, item in (value or {}).items()}

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(tuple(sorted(self._items.items(), key=lambda item: item[0])))

    def __repr__(self) -> str:
        return f"Json({self._items!r})"

    def plain(self) -> dict[str, Any]:
        """The object as dicts and lists."""
        return {key: _thaw(item) for key, item in self._items.items()}

    @classmethod
    def _read(cls, value: Any) -> Json:
        if not isinstance(value, Mapping):
            raise ValueError("expected keys and values")
        return value if isinstance(value, cls) else cls(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._read,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value.plain()),
        )


def _freeze(value: Any) -> Any:
    if isinstance(value, Json):
        return value
    if isinstance(value, Mapping):
        return Json(value)
    if isinstance(value, list | tuple):
        return tuple(_freeze(item) for item in value)
    return value


def _thaw(value: Any) -> Any:
    if isinstance(value, Json):
        return value.plain()
    if isinstance(value, tuple):
        return [_thaw(item) for item in value]
    return value


def _texts(value: Json) -> Json:
    if not all(isinstance(each, str) for each in value.values()):
        raise ValueError("expected texts")
    return value


Texts = Annotated[Json, AfterValidator(_texts)]  # an immutable JSON object whose values are texts
