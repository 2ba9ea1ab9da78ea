"""The configuration as JSON Schema (2020-12), for editors that complete and check YAML.

It describes what YAML makes of a natural file: ``keep: 5`` may be a number and ``off`` may have
become false. What depends on more than one key is left to ``aprp check``.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from aprp.config.scalars import Scalar
from aprp.config.settings import KINDS, LogSettings, Settings, SourceSettings

_WITH_DEFAULTS: tuple[type[BaseModel], ...] = (LogSettings, SourceSettings, *KINDS.values())


def json_schema() -> dict[str, Any]:
    """The schema as plain dicts and lists."""
    schema = Settings.model_json_schema()
    models = schema["$defs"]
    for model in _WITH_DEFAULTS:
        _write_defaults(model, models[model.__name__]["properties"])
    _write_defaults(Settings, schema["properties"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "aprp configuration",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _write_defaults(model: type[BaseModel], properties: dict[str, Any]) -> None:
    """Put each default as it would be written in a file: ``1MiB`` and not 1048576."""
    for name, field in model.model_fields.items():
        scalar = next((each for each in field.metadata if isinstance(each, Scalar)), None)
        if scalar is not None and not field.is_required():
            properties[name]["default"] = scalar.write(field.default)
        properties[name].pop("title", None)
