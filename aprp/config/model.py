"""What all settings have in common, and the mappings of fields among them.

Settings are typed the same whether a file or a program makes them: text is read, values of the
right type are taken as they are, and both are held to the same bounds. Sizes are bytes, times are
seconds. The sentence under a field is what an editor shows of it; see `descriptions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    WithJsonSchema,
)

from aprp.config.fields import (
    FieldName,
    FieldValue,
    ResponseFieldName,
)
from aprp.config.scalars import (
    EMPTY,
)


def _pairs(value: object) -> object:
    if value is None:
        raise ValueError(EMPTY)
    if isinstance(value, str | list):
        raise ValueError("must be a mapping of names and values, as {X-Token: abc}")
    return tuple(value.items()) if isinstance(value, Mapping) else value


Header = tuple[Annotated[str, FieldName()], Annotated[str, FieldValue()]]


Headers = Annotated[
    tuple[Header, ...],
    BeforeValidator(_pairs),
    WithJsonSchema({"type": "object", "additionalProperties": FieldValue().json_schema()}),
]


ResponseHeader = tuple[Annotated[str, ResponseFieldName()], Annotated[str, FieldValue()]]


ResponseHeaders = Annotated[
    tuple[ResponseHeader, ...],
    BeforeValidator(_pairs),
    WithJsonSchema({"type": "object", "additionalProperties": FieldValue().json_schema()}),
]


class Model(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        defer_build=True,
    )
