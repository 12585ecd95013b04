"""Writes the generated parts of the documentation; a test holds that they are what the code says.

A generated part stands between `<!-- begin NAME -->` and `<!-- end NAME -->`.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path

from core import hookspecs
from core.settings import Settings

DOCS = Path(__file__).parent


def hooks() -> str:
    """Each hook with its exact signature, its mode and its text."""
    parts = []
    for name, function in vars(hookspecs).items():
        options = getattr(function, f"{hookspecs.PROJECT}_spec", None)
        if options is None:
            continue
        mode = "the first result counts" if options["firstresult"] else "all are asked"
        text = inspect.cleandoc(function.__doc__ or "")
        text = re.sub(r"\n*\.\. versionadded:: (\S+)", r"\n\nSince \1", text)
        parts.append(f"### `{name}`\n\n```python\n{signature(name)}\n```\n\n{text}; {mode}.")
    return "\n\n".join(parts)


def signature(name: str) -> str:
    """A hook's signature as it is written in `core/hookspecs.py`."""
    function = getattr(hookspecs, name)
    told = inspect.signature(function)
    arguments = ", ".join(f"{one.name}: {one.annotation}" for one in told.parameters.values())
    return f"def {name}({arguments}) -> {told.return_annotation}"


def settings() -> str:
    """Each setting with its variable and default."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for one in fields(Settings):
        if one.default is MISSING:
            default = "`~/.local/share/dreamline`; `/var/lib/dreamline` for root"
        elif one.default is None or one.default == ():
            default = ""
        else:
            default = f"`{int(one.default) if isinstance(one.default, bool) else one.default}`"
        rows.append(f"| `DREAMLINE_{one.name.upper()}` | {default} | {one.metadata['help']} |")
    return "\n".join(rows)


PARTS: Mapping[str, Callable[[], str]] = {"hooks": hooks, "settings": settings}


def written(text: str) -> str:
    """`text` with every generated part as the code has it now."""
    for name, make in PARTS.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        if begin in text:
            before, rest = text.split(begin, 1)
            text = f"{before}{begin}\n{make()}\n{end}{rest.split(end, 1)[1]}"
    return text


def main() -> None:
    """Writes every page that changed and names it."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (new := written(text)) != text:
            page.write_text(new, encoding="utf-8")
            sys.stdout.write(f"{page.name} written\n")


if __name__ == "__main__":
    main()
