"""Pretrained networks beside the generator: they cut out, find faces, or judge images, where they are present.

A tool's files lie below the models folder, in the folder of the repository that they come from. Nothing here
fetches: `dreamline models fetch yunet` does, and nothing else. A kind offers a method that needs a tool only
where all of its files are here, and pins their hashes.

Only weights whose licence permits commercial use are listed. A tool's `licence` is what the page of its repository (or of the project that published the weights) states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from core.errors import BadInput
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


def _by_transformers(name: str, title: str, repository: str, licence: str, purpose: str) -> Tool:
    files = ("config.json", "preprocessor_config.json", "model.safetensors")
    return Tool(name, title, repository, files, licence, purpose)


TOOLS: Mapping[str, Tool] = MappingProxyType(
    {
        tool.name: tool
        for tool in (
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
"""By name."""


def find_tool(name: str) -> Tool:
    """The tool of that name.

    Raises:
        BadInput: there is none.
    """
    if name not in TOOLS:
        raise BadInput.at("tools", f"there is no tool {name!r}", f"Tools: {', '.join(TOOLS)}")
    return TOOLS[name]


def tool_folder(tool: Tool, settings: Settings) -> Path:
    """Where its files lie, or would have to."""
    return settings.models_folder / tool.repository


def tool_files(name: str, settings: Settings) -> dict[str, Path] | None:
    """All files of a tool by their names; None unless every one is here."""
    tool = find_tool(name)
    files = {file: tool_folder(tool, settings) / file for file in tool.files}
    return files if all(path.is_file() for path in files.values()) else None


def tool_hashes(name: str, settings: Settings) -> dict[str, str]:
    """sha256 by `tool/file`, for a method's weights; empty where the tool is missing. Remembered between calls."""
    from core.generation.files import file_hash

    cache = settings.home / "cache" / "hashes"
    files = tool_files(name, settings) or {}
    return {f"{name}/{file}": file_hash(path, cache) for file, path in files.items()}
