"""Records: values of plugins and of errors as JSON that Postgres takes.

A plugin may put anything into its facts: what JSON lacks is written in words rather than refused, since the
image that it says something about was made.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def to_json(value: Any) -> str:
    """`value` as JSON text: no NUL, no lone surrogates, no NaN, nothing that is no JSON type."""
    return json.dumps(plain(value), allow_nan=False)


def plain(value: Any) -> Any:
    """`value` with only what JSON and Postgres know; what they don't know as its words."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return value.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return plain(value.item()) if hasattr(value, "item") and not hasattr(value, "__len__") else plain(str(value))
