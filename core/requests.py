"""The values that travel: what is asked for, what was prepared for it, what came out, how good it is.

All are frozen and, but for pictures, plain data: they are written to the database and hashed. A `Request`
holds everything that decides its pixels and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


@dataclass(frozen=True, slots=True)
class Method:
    """One way of preparing a reference, pinned when the work is planned.

    `weights` maps the name of each weights file that the method uses to its sha256: another file, another
    image. `version` changes whenever the same input would come out differently.
    """

    name: str
    version: str = "1"
    weights: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As JSON values; `from_dict` reads them back."""
        return {"name": self.name, "version": self.version, "weights": dict(self.weights)}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Method:
        return cls(told["name"], told["version"], dict(told["weights"]))


@dataclass(frozen=True, slots=True)
class Reference:
    """A picture of which a request keeps something: the product, the face, the style, the garment.

    Attributes:
        name: how the prompt names it, without brackets (`product` for `[product]`).
        kind: the name of its `ConditionType`.
        sha256: of the file's bytes.
        source: the path it was read from, for people and messages; decides no pixels.
        options: the kind's options with defaults filled in, as JSON values.
        plugin: name and version of the plugin that offers the kind (`subject 0.1.0`).
        method: the preparation method chosen at plan time.
        mask: sha256 of the bytes of a second file, white where the thing is; empty: there is none.
    """

    name: str
    kind: str
    sha256: str
    source: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    plugin: str = ""
    method: Method = field(default_factory=lambda: Method("default"))
    mask: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As JSON values; `from_dict` reads them back."""
        return {
            "name": self.name,
            "kind": self.kind,
            "sha256": self.sha256,
            "source": self.source,
            "options": dict(self.options),
            "plugin": self.plugin,
            "method": self.method.as_dict(),
            **({"mask": self.mask} if self.mask else {}),
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Reference:
        return cls(**{**told, "method": Method.from_dict(told["method"])})


@dataclass(frozen=True, slots=True)
class Request:
    """One image to make; two equal requests are one image.

    `prompt` is final: references stand in it as `[ref#1]` … in the order of `references`, and the kinds'
    additions are in. `width` and `height` are pixels. `first_step_guidance` replaces `guidance` in the
    first step where a model card says so; `true_cfg` of 1 means no second pass. Over 1, the steps from
    `true_cfg_start` to before `true_cfg_end` (counted from 0; None: all) run a second time with the negative
    prompt, `negative_guidance` and no references.
    """

    model: str
    prompt: str
    references: tuple[Reference, ...]
    width: int
    height: int
    seed: int
    steps: int
    guidance: float
    first_step_guidance: float | None = None
    true_cfg: float = 1.0
    negative_prompt: str = ""
    negative_guidance: float = 3.5
    true_cfg_start: int = 0
    true_cfg_end: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON values; `from_dict` reads them back."""
        return {
            "model": self.model,
            "prompt": self.prompt,
            "references": [reference.as_dict() for reference in self.references],
            "width": self.width,
            "height": self.height,
            "seed": self.seed,
            "steps": self.steps,
            "guidance": self.guidance,
            "first_step_guidance": self.first_step_guidance,
            "true_cfg": self.true_cfg,
            "negative_prompt": self.negative_prompt,
            "negative_guidance": self.negative_guidance,
            "true_cfg_start": self.true_cfg_start,
            "true_cfg_end": self.true_cfg_end,
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Request:
        references = tuple(Reference.from_dict(one) for one in told["references"])
        return cls(**{**told, "references": references})


@dataclass(frozen=True, slots=True)
class Role:
    """Which learned vector is added to each token of a reference, beside the index vector.

    With `file` empty it is DreamO's own: `task[0] + index[i]` (arXiv 2504.16915, section 3.2). A kind trained
    on its own ships `file`, a safetensors file per base model, found by `base` (a model card's base name).
    """

    files: Mapping[str, Path] = field(default_factory=dict)


DREAMO_ROLE = Role()


@dataclass(frozen=True, slots=True)
class Preparation:
    """A reference made ready: what the generator encodes.

    Attributes:
        picture: RGB; both sides are multiples of the model's grid and the area fits its budget.
        mask: `L`, same size, 255 where the kept thing is; None when the whole picture counts.
        warnings: what a person should know (`the product touches the frame`).
        facts: what was found (boxes, angles), as JSON values.
        role: set by dreamline from the kind, not by the preparer.
    """

    picture: Picture
    mask: Picture | None = None
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    role: Role = DREAMO_ROLE


@dataclass(frozen=True, slots=True)
class Image:
    """A finished image: RGB, exactly `request.width` x `request.height`, and what the generator says of it."""

    picture: Picture
    request: Request
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Score:
    """A number about an image.

    Attributes:
        name: lower case and hyphens; where it is about one reference, with its name after a colon
            (`colour:product`).
        value: finite.
        compared: in words, what was held against what.
        higher_is_better: or lower.
        crop: the part of the image that was looked at: left, top, right, bottom as shares of its sides; None: all
            of it.
    """

    name: str
    value: float
    compared: str
    higher_is_better: bool = True
    crop: tuple[float, float, float, float] | None = None
