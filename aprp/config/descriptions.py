"""The sentences under the fields of settings, as messages, the schema and the manual show them.

They are read from the source when they are needed: pydantic would read them whenever the models are
loaded, which took a fifth of the time that it takes to read a configuration.
"""

from __future__ import annotations

import ast
import inspect
from functools import cache
from itertools import pairwise

from pydantic import BaseModel


def description_of(model: type[BaseModel], name: str) -> str:
    """Return the sentence under a field of a model, or of the base that it inherits it from."""
    for each in model.__mro__:
        if name in inspect.get_annotations(each):
            return _sentences_of(each).get(name, "")
    return ""


@cache
def _sentences_of(model: type) -> dict[str, str]:
    """Return the sentences under the fields that a class defines itself."""
    (found,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(found, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(below.value.value)
        for field, below in pairwise(found.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }
