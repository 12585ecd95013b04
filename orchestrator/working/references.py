"""Working: prepared references, read from the store as generators and scorers want them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from core.errors import Infrastructure
from core.registry import Registry
from core.requests import DREAMO_ROLE, Preparation, Role
from core.roles import pinned_roles, role_hashes
from orchestrator.records.storage import Storage


def open_references(store: Storage, registry: Registry, payload: Mapping[str, Any]) -> list[Preparation]:
    """The prepared references of a job, in order.

    Raises:
        ContentMissing: the store lacks one.
        Infrastructure: the store can't be reached, or a kind has other role files than were planned with.
    """
    planned = payload["request"]["references"]
    return [
        _open_reference(store, one, _role(registry, reference))
        for one, reference in zip(payload["references"], planned, strict=True)
    ]


def _role(registry: Registry, planned: Mapping[str, Any]) -> Role:
    """The kind's role, where it is the one that was planned with."""
    offer = registry.kinds(sound=True).get(planned["kind"])
    role = offer.condition.role if offer is not None else DREAMO_ROLE
    if role_hashes(role.files) != pinned_roles(planned["method"]["weights"]):
        what = f"kind {planned['kind']} was planned with other role files than are here"
        raise Infrastructure(f"{what}: install {planned['plugin']} as it was, and start the worker anew")
    return role


def _open_reference(store: Storage, prepared: Mapping[str, Any], role: Role) -> Preparation:
    from PIL import Image as PillowImage

    mask = prepared["mask"]
    return Preparation(
        picture=PillowImage.open(io.BytesIO(store.get(prepared["result"]))).convert("RGB"),
        mask=PillowImage.open(io.BytesIO(store.get(mask))).convert("L") if mask else None,
        role=role,
    )
