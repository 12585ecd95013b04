"""Measurements; each prints its figures. `docs/performance.md` has them with their commands."""
