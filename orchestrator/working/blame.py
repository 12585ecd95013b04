"""Working: what is told when a process had to end: the error, who was at work, and what was said last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.working.messages import Doing, Made


def tell(error: Mapping[str, Any], doing: Doing, last_words: Sequence[str]) -> dict[str, Any]:
    """The error as it is recorded, with the plugin's name where one was at work and the process's last lines."""
    told = {**error, "message": f"{error['message']} while {doing.words}"}
    if doing.plugin:
        told["plugin"] = doing.plugin
    if last_words:
        told["log"] = list(last_words)
    return told


def without_scores_of(doing: Doing, message: str) -> Made:
    """An image that a plugin was scoring when its process ended: kept, with what is missing and why."""
    assert doing.so_far is not None
    facts = doing.so_far.result["facts"]
    unscored = {**facts["unscored"], doing.plugin: message}
    return replace(doing.so_far, result={**doing.so_far.result, "facts": {**facts, "unscored": unscored}})
