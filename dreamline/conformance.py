"""Checks for the tests of a plugin: does it keep what plugins promise? `docs/plugins.md` shows them at work."""

from core.conformance.kit import CHECKS, Finding, check_kind, check_plugin, promise

__all__ = ["CHECKS", "Finding", "check_kind", "check_plugin", "promise"]
