"""Pretrained networks beside the generator: they cut out, find faces, or judge images, where they are present.

A tool's files lie below the models folder, in the folder of the repository that they come from. Nothing here
fetches: `dreamline models fetch yunet` does, and nothing else. A kind offers a method that needs a tool only
where all of its files are here, and pins their hashes.

Only weights whose licence permits commercial use are listed. What the licences rest on: the LICENSE files beside
YuNet (MIT) and SFace (Apache-2.0) in OpenCV's repositories; the tags of the model cards of DINOv2, LAION's CLIP
and the clothes parser; for U2-Net the authors' word that its weights bear its repository's licence (issue 208 of
xuebinqin/U-2-Net); for BiRefNet the tag of its authors' card (ZhengPeng7/BiRefNet). `REFUSED` says what was left
out, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from core.errors import BadInput, WeightsMissing
from core.settings import Settings


@dataclass(frozen=True, slots=True)
class Tool:
    """A pretrained network that helps prepare or score, beside the generator.

    Attributes:
        name: what `dreamline models fetch` calls it (`yunet`).
        title: one line for people.
        repository: of the Hugging Face Hub, or of GitHub where `urls` say so; also its folder below the models.
        files: paths in it that are needed.
        licence: SPDX-like words of the weights' licence.
        purpose: what uses it.
        urls: by file, where it is published, for tools that are not on the Hub.
        md5: by file, as its publisher states it, for tools that are not on the Hub.
    """

    name: str
    title: str
    repository: str
    files: tuple[str, ...]
    licence: str
    purpose: str
    urls: Mapping[str, str] = field(default_factory=dict)
    md5: Mapping[str, str] = field(default_factory=dict)


REMBG = "danielgatis/rembg"
"""Whose release `v0.0.0` holds the networks that cut out; they lie in a folder of this name."""


def _by_rembg(name: str, title: str, file: str, md5: str, licence: str) -> Tool:
    url = f"https://github.com/{REMBG}/releases/download/v0.0.0/{file}"
    kept = f"{name}.onnx"
    return Tool(name, title, REMBG, (kept,), licence, "cuts products out", {kept: url}, {kept: md5})


def _by_transformers(name: str, title: str, repository: str, licence: str, purpose: str) -> Tool:
    files = ("config.json", "preprocessor_config.json", "model.safetensors")
    return Tool(name, title, repository, files, licence, purpose)


TOOLS: Mapping[str, Tool] = MappingProxyType(
    {
        tool.name: tool
        for tool in (
            _by_rembg(
                "birefnet-general",
                "BiRefNet: cuts anything out, hair and lace too; slow",
                "BiRefNet-general-epoch_244.onnx",
                "7a35a0141cbbc80de11d9c9a28f52697",
                "MIT",
            ),
            _by_rembg(
                "birefnet-general-lite",
                "BiRefNet (Swin tiny): cuts anything out",
                "BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx",
                "4fab47adc4ff364be1713e97b7e66334",
                "MIT",
            ),
            _by_rembg(
                "u2net",
                "U2-Net: cuts anything out",
                "u2net.onnx",
                "60024c5c889badc19c04ad937298a77b",
                "Apache-2.0",
            ),
            _by_rembg(
                "u2netp",
                "U2-Net (small): cuts out in a second, edges less exact",
                "u2netp.onnx",
                "8e83ca70e441ab06c318d82300c84806",
                "Apache-2.0",
            ),
            Tool(
                "yunet",
                "YuNet: faces with five landmarks",
                "opencv/face_detection_yunet",
                ("face_detection_yunet_2023mar.onnx",),
                "MIT",
                "identity finds and aligns faces with it",
            ),
            Tool(
                "sface",
                "SFace: how alike two faces are",
                "opencv/face_recognition_sface",
                ("face_recognition_sface_2021dec.onnx",),
                "Apache-2.0",
                "scores of identity",
            ),
            _by_transformers(
                "dinov2",
                "DINOv2 (small): how alike two things are",
                "facebook/dinov2-small",
                "Apache-2.0",
                "scores",
            ),
            Tool(
                "clip",
                "CLIP ViT-B/32 of LAION: how well image and words agree",
                "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
                ("config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"),
                "MIT",
                "scores of the prompt",
            ),
            _by_transformers(
                "clothes",
                "SegFormer for people and their clothes, 18 parts",
                "mattmdjaga/segformer_b2_clothes",
                "MIT",
                "tryon takes worn garments off with it, identity paints all but the head white",
            ),
        )
    }
)
"""By name; of those that cut out, the best first."""

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "bria-rmbg": "BRIA publishes the weights of RMBG for non-commercial use only",
        "isnet-general-use": "no licence of its weights could be established",
        "isnet-anime": "no licence of its weights could be established",
        "silueta": "no licence of its weights could be established",
    }
)
"""Networks that people ask for and that are not offered, with the reason."""


def find_tool(name: str) -> Tool:
    """The tool of that name.

    Raises:
        BadInput: there is none; says why where it was left out on purpose.
    """
    if name in TOOLS:
        return TOOLS[name]
    mend = f"Tools: {', '.join(TOOLS)}"
    refused = REFUSED.get(name.removeprefix("rembg-"))
    if refused:
        raise BadInput.at(f"tool {name}", refused, mend)
    raise BadInput.at(f"tool {name}", "there is none of this name", mend)


def tool_folder(tool: Tool, settings: Settings) -> Path:
    """Where its files lie, or would have to."""
    return settings.models_folder / tool.repository


def tool_files(name: str, settings: Settings) -> dict[str, Path] | None:
    """All files of a tool by their names; None unless every one is here."""
    return files_below(name, settings.models_folder)


def files_below(name: str, models: Path) -> dict[str, Path] | None:
    """The same for those who know the models folder only, as a preparer does by its workbench."""
    tool = find_tool(name)
    files = {file: models / tool.repository / file for file in tool.files}
    return files if all(path.is_file() for path in files.values()) else None


def require_files(name: str, models: Path) -> dict[str, Path]:
    """As `files_below`, for a method that was pinned and can't do without.

    Raises:
        WeightsMissing: a file is not here.
    """
    files = files_below(name, models)
    if files is None:
        folder = models / find_tool(name).repository
        raise WeightsMissing(
            f"tool {name!r}: files are missing in {folder}. `dreamline models fetch {name}` fetches them"
        )
    return files


def tool_hashes(name: str, settings: Settings) -> dict[str, str]:
    """sha256 by `tool/file`, for a method's weights; empty where the tool is missing. Remembered between calls."""
    from core.generation.files import file_hash

    cache = settings.home / "cache" / "hashes"
    files = tool_files(name, settings) or {}
    return {f"{name}/{file}": file_hash(path, cache) for file, path in files.items()}
