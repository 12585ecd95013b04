"""Records: the classes of errors. A class, not a text, decides what happens next."""

from __future__ import annotations

BAD_INPUT = "bad input"
PLUGIN = "plugin"
MEMORY = "out of memory"
INFRASTRUCTURE = "infrastructure"
CRASH = "crash"
TIME = "time limit"
UNKNOWN = "unknown"

CLASSES = (BAD_INPUT, PLUGIN, MEMORY, INFRASTRUCTURE, CRASH, TIME, UNKNOWN)
"""All of them, as people name them."""
