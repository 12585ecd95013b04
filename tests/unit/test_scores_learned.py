"""Scores of pretrained networks, on small random weights in the files that the real ones come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image as Pillow
from PIL.Image import Image as Picture

from core.conformance.watching import watch
from core.images import read_picture
from core.requests import Image, Preparation, Reference, Request, Score
from core.scoring import embeddings, people
from core.scoring.embeddings import bare
from core.scoring.references import Shown
from core.settings import Settings
from core.toolbox import TOOLS, tool_files, tool_folder
from plugins import measures

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PHOTOS = Path(__file__).parents[1] / "data" / "photos"
WORDS = ("a", "toy", "dress", "on", "mountain", "red")


def photo(name: str) -> Picture:
    return read_picture((PHOTOS / f"{name}.jpg").read_bytes(), name).convert("RGB")


def about(name: str, picture: Picture, kind: str = "subject") -> Shown:
    return Shown(Reference(name, kind, "0" * 64), Preparation(picture))


def place(name: str, settings: Settings) -> Path:
    """A tool's folder, with the file that dreamline needs nothing from."""
    folder = tool_folder(TOOLS[name], settings)
    folder.mkdir(parents=True)
    (folder / "preprocessor_config.json").write_text("{}")
    return folder


def write_dinov2(settings: Settings) -> None:
    torch.manual_seed(1)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 56}
    config = transformers.Dinov2Config(patch_size=14, initializer_range=0.2, **shape)
    transformers.Dinov2Model(config).save_pretrained(place("dinov2", settings))


def write_clip(settings: Settings) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    torch.manual_seed(2)
    folder = place("clip", settings)
    numbers = {word: number for number, word in enumerate(("<end>", "<start>", "<unknown>", *WORDS))}
    last = len(numbers)
    numbers["<last>"] = last
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={**layers, "vocab_size": last + 1, "max_position_embeddings": 8, "eos_token_id": last},
        vision_config={**layers, "image_size": 64, "patch_size": 16},
        projection_dim=16,
        initializer_factor=5.0,
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token="<unknown>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("<start>", numbers["<start>"]), ("<last>", last)]
    tokenizer.post_processor = processors.TemplateProcessing("<start> $A <last>", special_tokens=ends)
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(models=tmp_path_factory.mktemp("models"), device="cpu")
    write_dinov2(settings)
    write_clip(settings)
    return settings


def scores(
    picture: Picture, references: Sequence[Shown], settings: Settings, prompt: str = ""
) -> dict[str, Score]:
    every = [
        *embeddings.by_dinov2(picture, references, settings),
        *embeddings.by_clip(picture, references, prompt, settings),
    ]
    return {one.name: one for one in every}


@pytest.mark.parametrize("network", ["dino", "clip"])
def test_an_image_is_most_like_itself(network: str, settings: Settings) -> None:
    found = scores(photo("toy"), [about("same", photo("toy")), about("other", photo("mountain"))], settings)
    same, other = found[f"{network}:same"], found[f"{network}:other"]
    assert same.value == pytest.approx(1, abs=1e-5)
    assert -1 <= other.value < same.value - 0.001
    assert "the whole image with the reference other, cosine" in other.compared
    assert same.higher_is_better


def test_nothing_at_the_sides_of_a_wide_image_is_lost(settings: Settings) -> None:
    wide = Pillow.new("RGB", (600, 200), "white")
    changed = wide.copy()
    changed.paste(photo("toy").resize((150, 150)), (0, 20))
    found = scores(changed, [about("wide", wide)], settings)
    assert max(found["dino:wide"].value, found["clip:wide"].value) < 0.9999


def test_words_are_held_against_the_image_without_placeholders(settings: Settings) -> None:
    one, other = (
        scores(photo("toy"), [], settings, prompt)["clip-text"]
        for prompt in ("a red [ref#1] on mountain", "dress")
    )
    assert one.value != other.value
    assert -1 <= one.value <= 1
    assert "with the words 'a red on mountain'" in one.compared
    assert bare("a mug from [ref#1] and [ref#2] on a desk") == "a mug and on a desk"
    assert "clip-text" not in scores(photo("toy"), [], settings, "[ref#1]")


def test_prompts_longer_than_the_network_reads_are_cut(settings: Settings) -> None:
    long = scores(photo("toy"), [], settings, "red " * 50)["clip-text"].value
    assert long == scores(photo("toy"), [], settings, "red " * 6)["clip-text"].value


def test_networks_are_loaded_once(settings: Settings) -> None:
    embeddings._dinov2.cache_clear()
    embeddings._clip.cache_clear()
    first = scores(photo("toy"), [about("it", photo("dress"))], settings, "a dress")
    assert scores(photo("toy"), [about("it", photo("dress"))], settings, "a dress") == first
    assert (embeddings._dinov2.cache_info().misses, embeddings._clip.cache_info().misses) == (1, 1)


def test_scoring_with_networks_touches_nothing_else(settings: Settings) -> None:
    embeddings._dinov2.cache_clear()
    embeddings._clip.cache_clear()
    picture = photo("toy")
    request = Request("storyboard", "a toy", (Reference("it", "style", "0" * 64),), *picture.size, 0, 1, 1.0)
    with watch() as seen:
        found = measures.score_image(Image(picture, request), request, [Preparation(photo("dress"))], settings)
    assert seen.deeds == []
    assert {"dino:it", "clip:it", "clip-text", "copy:it"} <= {one.name for one in found}


@pytest.mark.parametrize("name", ["dinov2", "clip"])
def test_damaged_weights_cost_their_own_scores_alone(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(models=tmp_path, device="cpu")
    write_dinov2(settings)
    write_clip(settings)
    files = tool_files(name, settings)
    assert files is not None
    files["model.safetensors"].write_bytes(b"half a file")
    picture = photo("toy")
    request = Request("storyboard", "a toy", (Reference("it", "style", "0" * 64),), *picture.size, 0, 1, 1.0)
    found = measures.score_image(Image(picture, request), request, [Preparation(photo("dress"))], settings)
    lost, kept = ("dino:it", "clip:it") if name == "dinov2" else ("clip:it", "dino:it")
    names = {one.name for one in found}
    assert lost not in names
    assert {kept, "sharpness"} <= names
    assert "no scores by" in caplog.text


def test_without_weights_there_is_no_score_and_nothing_is_said(
    tmp_path: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    bare_settings = Settings(models=tmp_path, device="cpu")
    assert scores(photo("toy"), [about("it", photo("toy"))], bare_settings, "a toy") == {}
    assert list(people.by_faces(photo("toy"), [about("it", photo("toy"))], bare_settings)) == []
    some = replace(settings, models=tmp_path / "some")
    place("dinov2", some)
    assert tool_files("dinov2", some) is None
    assert scores(photo("toy"), [about("it", photo("toy"))], some) == {}
    assert not caplog.text
