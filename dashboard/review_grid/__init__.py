"""Dashboard: the review grid: grid, single view and keyboard as one component in the browser, without a build.

The scripts share one scope and are joined in the order of `SCRIPTS`; each begins with a line on what it is for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any

SCRIPTS = (
    "elements.js",
    "outbox.js",
    "review.js",
    "grid.js",
    "single.js",
    "panels.js",
    "keys.js",
    "index.js",
)


@cache
def source(kind: str) -> str:
    """The component's `js` or `css`."""
    folder = resources.files(__name__)
    names = SCRIPTS if kind == "js" else ("style.css",)
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def review_grid(data: dict[str, Any], key: str, on_renew: Callable[[], None]) -> None:
    """Draws the component.

    Args:
        data: what `index.js` says it wants: campaign, question, tokens, rights, reasons.
        key: of the element; a new key is a new component.
        on_renew: called when a token has expired: the page runs again and brings new ones.
    """
    import streamlit as st

    draw = st.components.v2.component("dreamline.review_grid", css=source("css"), js=source("js"))
    draw(key=key, data=data, on_renew_change=on_renew)
