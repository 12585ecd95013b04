"""Dashboard: colours and type, light and dark. Pictures stand on neutral grey; there is one accent."""

from __future__ import annotations

from typing import Any

_SHARED = {
    "baseRadius": "0.5rem",
    "buttonRadius": "0.5rem",
    "showWidgetBorder": True,
    "baseFontSize": 15,
    "headingFontSizes": ["1.75rem", "1.35rem", "1.1rem", "1rem", "0.95rem", "0.9rem"],
    "headingFontWeights": [650, 650, 600, 600, 600, 600],
}

_LIGHT = {
    "primaryColor": "#3a4fd0",
    "backgroundColor": "#ffffff",
    "secondaryBackgroundColor": "#f3f3f4",
    "textColor": "#1b1c1f",
    "borderColor": "#d9dade",
    "linkColor": "#3346c4",
    "codeTextColor": "#1b1c1f",
    "sidebar.backgroundColor": "#f7f7f8",
    "sidebar.secondaryBackgroundColor": "#ffffff",
    "sidebar.borderColor": "#e3e4e7",
}

_DARK = {
    "primaryColor": "#5468e6",
    "backgroundColor": "#17181a",
    "secondaryBackgroundColor": "#232427",
    "textColor": "#ececee",
    "borderColor": "#3a3c41",
    "linkColor": "#a3b0ff",
    "codeTextColor": "#ececee",
    "sidebar.backgroundColor": "#1d1e21",
    "sidebar.secondaryBackgroundColor": "#2a2b2f",
    "sidebar.borderColor": "#303237",
}

THEME: dict[str, Any] = {
    **{f"theme.{name}": value for name, value in _SHARED.items()},
    **{f"theme.light.{name}": value for name, value in _LIGHT.items()},
    **{f"theme.dark.{name}": value for name, value in _DARK.items()},
}

MARKS = {
    "open": ":material/radio_button_unchecked:",
    "proposed": ":material/how_to_vote:",
    "approved": ":material/check_circle:",
    "rejected": ":material/cancel:",
    "making": ":material/autorenew:",
    "failed": ":material/error:",
}
"""Icons of states; they always stand beside the word."""
