"""From a prompt that names references, `a mug from [product]`, to the words the model was trained on.

DreamO's placeholders are `[ref#1]` … `[ref#9]` in the order of the references (arXiv 2504.16915, section 3.1).
`[[` and `]]` stand for brackets that are meant as such.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from core.errors import Problem

_TOKEN = re.compile(r"\[\[|\]\]|\[([^\[\]]*)\]")


def names_in(prompt: str) -> list[str]:
    """Names in single square brackets, in order."""
    return [found[1] for found in _TOKEN.finditer(prompt) if found[1] is not None]


def place(prompt: str, references: Sequence[str]) -> str:
    """Replaces `[name]` by `[ref#k]`, k counted from 1 in `references`.

    Raises:
        KeyError: a name that is no reference; callers check with `problems` first.
    """
    index = {name: k for k, name in enumerate(references, start=1)}

    def replace(found: re.Match[str]) -> str:
        return f"[ref#{index[found[1]]}]" if found[1] is not None else found[0][0]

    return _TOKEN.sub(replace, prompt)


def with_prefixes(prompt: str, prefixes: Sequence[str]) -> str:
    """Puts each kind's words before the prompt once, unless it has them already."""
    for prefix in dict.fromkeys(filter(None, prefixes)):
        if prefix not in prompt:
            prompt = f"{prefix} {prompt}"
    return prompt


def problems(prompt: str, references: Mapping[str, str] | Sequence[str], where: str) -> list[Problem]:
    """Names in the prompt that are no references."""
    known = ", ".join(f"[{name}]" for name in references) or "none"
    taken = re.findall(r"\[\[(ref#[1-9]|res)\]\]", prompt)
    return [
        Problem(where, f"[[{word}]] would be read as one of the model's placeholders", "Write it in other words")
        for word in taken
    ] + [
        Problem(
            where,
            f"[{name}] is no reference",
            f"References here: {known}. Write [[{name}]] for brackets that mean nothing",
        )
        for name in names_in(prompt)
        if name not in references
    ]
