"""What the tensors in adapter files are called, and which weight of the transformer each belongs to.

Two namings are read: DreamO's published one (`double_blocks_0_processor_qkv_lora1.down.weight`; 1 is the image
stream, 2 the text stream; q, k and v share `down`) and diffusers' (`transformer.transformer_blocks.0.attn.to_q.
lora_A.weight`). A name that is neither is an error: weights that are silently left out make other images.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from core.errors import BadInput, Problem

TASK = "dreamo_task_embedding.weight"
INDEX = "dreamo_idx_embedding.weight"
PLACEHOLDERS = "dreamo_t5_embedding.weight"
EMBEDDINGS = (TASK, INDEX, PLACEHOLDERS)

_PUBLISHED = re.compile(
    r"(?:(?P<double>double)|single)_blocks[._](?P<block>\d+)[._](?:[a-z]+[._])?"
    r"(?P<layer>qkv|proj)_lora(?P<stream>[12]?)\.(?P<part>down|up)\.weight"
)
_DIFFUSERS = re.compile(
    r"(?:transformer\.)?(?P<module>(?:single_)?transformer_blocks\.\d+\..+|(?:x|context)_embedder|proj_out|"
    r"norm_out\.linear|time_text_embed\..+)\.(?:(?:lora_(?P<letter>[AB])(?:\.default)?|"
    r"lora\.(?P<part>down|up))\.weight|(?P<alpha>alpha))"
)


@dataclass(frozen=True, slots=True)
class Pair:
    """One low-rank change, by the names of its tensors: scale · alpha / rank · up @ down.

    Attributes:
        down: (rank, in).
        up: (out, rank).
        targets: the weights that get it; where there are several, `up` is cut into equal parts in their order.
        alpha: name of the scalar that stands for the rank's share; None: alpha is the rank.
    """

    down: str
    up: str
    targets: tuple[str, ...]
    alpha: str | None = None


def pairs_of(names: Iterable[str], where: str, naming: str = "") -> list[Pair]:
    """Sorts an adapter file's tensor names, embeddings left out, into pairs.

    Args:
        names: of the tensors.
        where: the file, for messages.
        naming: `published` or `diffusers` where a card says so; empty: either.

    Raises:
        BadInput: naming every tensor that no naming knows, or whose other half is missing.
    """
    readers = [NAMINGS[naming]] if naming else list(NAMINGS.values())
    halves: dict[tuple[str, ...], dict[str, str]] = {}
    problems = []
    for name in sorted(names):
        found = next(filter(None, (read(name) for read in readers)), None)
        if found is None:
            problems.append(
                Problem(
                    f"{where}, tensor {name}",
                    "no layer of the transformer is known by this name",
                    f"Its adapter has to use the naming {naming or 'published or diffusers'}",
                )
            )
            continue
        targets, part = found
        other = halves.setdefault(targets, {}).setdefault(part, name)
        if other != name:
            problems.append(Problem(f"{where}, tensor {name}", f"says again what {other} says", ONE_NAMING))
    problems += _said_twice(halves, where)
    for parts in halves.values():
        for missing, present in (("down", "up"), ("up", "down")):
            if missing not in parts:
                name = parts.get(present, parts.get("alpha", ""))
                problems.append(
                    Problem(f"{where}, tensor {name}", f"its {missing} half is missing", "Fetch it again")
                )
    BadInput.gather(problems)
    return [Pair(parts["down"], parts["up"], targets, parts.get("alpha")) for targets, parts in halves.items()]


ONE_NAMING = "An adapter changes each weight once"


def _said_twice(halves: Mapping[tuple[str, ...], Mapping[str, str]], where: str) -> Iterator[Problem]:
    """Weights that two pairs change, one by each naming."""
    owners: dict[str, str] = {}
    for targets, parts in halves.items():
        name = next(iter(parts.values()))
        for target in targets:
            if target in owners:
                text = f"changes {target}, and so does {owners[target]}"
                yield Problem(f"{where}, tensor {name}", text, ONE_NAMING)
            owners[target] = name


def _published(name: str) -> tuple[tuple[str, ...], str] | None:
    found = _PUBLISHED.fullmatch(name)
    if found is None or bool(found["double"]) != bool(found["stream"]):
        return None
    if found["double"]:
        at = f"transformer_blocks.{found['block']}.attn"
        layers = _DOUBLE[found["layer"], found["stream"]]
    else:
        at = f"single_transformer_blocks.{found['block']}"
        layers = _SINGLE[found["layer"]]
    return tuple(f"{at}.{layer}.weight" for layer in layers), found["part"]


_DOUBLE: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("qkv", "1"): ("to_q", "to_k", "to_v"),
    ("qkv", "2"): ("add_q_proj", "add_k_proj", "add_v_proj"),
    ("proj", "1"): ("to_out.0",),
    ("proj", "2"): ("to_add_out",),
}
_SINGLE: Mapping[str, tuple[str, ...]] = {
    "qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "proj": ("proj_out",),
}


def _diffusers(name: str) -> tuple[tuple[str, ...], str] | None:
    found = _DIFFUSERS.fullmatch(name)
    if found is None:
        return None
    part = "alpha" if found["alpha"] else found["part"] or {"A": "down", "B": "up"}[found["letter"]]
    return (f"{found['module']}.weight",), part


NAMINGS = {"published": _published, "diffusers": _diffusers}


def published_shapes(
    width: int, double_blocks: int, single_blocks: int, rank: int, mlp_ratio: int = 4
) -> dict[str, tuple[int, int]]:
    """Names and shapes of DreamO's own LoRA for a FLUX of this size, in the published naming.

    For FLUX.1-dev at rank 128 they hold 239,075,328 numbers.
    """
    shapes: dict[str, tuple[int, int]] = {}

    def add(name: str, inner: int, outer: int) -> None:
        shapes[f"{name}.down.weight"] = (rank, inner)
        shapes[f"{name}.up.weight"] = (outer, rank)

    for block in range(double_blocks):
        for stream in (1, 2):
            add(f"double_blocks_{block}_processor_qkv_lora{stream}", width, 3 * width)
            add(f"double_blocks_{block}_processor_proj_lora{stream}", width, width)
    for block in range(single_blocks):
        add(f"single_blocks_{block}_processor_qkv_lora", width, 3 * width)
        add(f"single_blocks_{block}_processor_proj_lora", (1 + mlp_ratio) * width, width)
    return shapes
