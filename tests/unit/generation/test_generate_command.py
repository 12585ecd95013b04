"""`dreamline generate` and `dreamline models`, with kinds of a plugin that nobody's code names."""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest
from PIL import Image

from core.recipes import read_recipe
from orchestrator import cli

PLUGIN = '''
"""Two kinds: one that keeps the picture, one that stands alone."""
from dataclasses import dataclass, field

from dreamline import BadInput, ConditionType, Preparation, hookimpl

__version__ = "1.0"


@dataclass(frozen=True)
class Options:
    flip: bool = field(default=False, metadata={"help": "mirror it"})


def prepare(picture, options, bench):
    if picture.width < 16:
        raise BadInput.at(bench.source, "is too small", "Give a larger picture")
    if picture.width == 99:
        raise ZeroDivisionError("a bug")
    side = int(bench.area**0.5) // bench.multiple * bench.multiple
    kept = picture.convert("RGB").resize((side, side))
    if options.flip:
        kept = kept.transpose(0)
    warnings = ("it is a square",) if picture.width == picture.height else ()
    return Preparation(kept, warnings=warnings, facts={"side": side})


@hookimpl
def condition_types():
    return [
        ConditionType(name="thing", title="A thing", prepare=prepare, options=Options, per_request=9),
        ConditionType(
            name="mood", title="A mood", prepare=prepare, options=Options, prompt_prefix="in this mood:", tokens=4
        ),
    ]
'''

CARD = """
name = "{name}"
title = "for tests"
generator = "{generator}"
sides = [48, 128]
area = 4096
reference_area = 1024
steps = 2
alone = ["mood"]
"""
DREAMO = """
base = "black-forest-labs/FLUX.1-dev"
embeddings = "dreamo.safetensors"
[[adapters]]
repository = "ByteDance/DreamO"
file = "dreamo.safetensors"
"""


@pytest.fixture
def place(tmp_path, models, monkeypatch):
    """A folder with pictures and cards, in which `dreamline` is run."""
    site = tmp_path / "site"
    (site / "kindly-1.0.dist-info").mkdir(parents=True)
    (site / "kindly.py").write_text(PLUGIN)
    (site / "kindly-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: kindly\nVersion: 1.0\n")
    (site / "kindly-1.0.dist-info/entry_points.txt").write_text("[dreamline]\nkindly = kindly\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "kindly", raising=False)
    cards = tmp_path / "cards"
    cards.mkdir()
    (cards / "tiny.toml").write_text(CARD.format(name="tiny", generator="dreamo") + DREAMO)
    (cards / "drawn.toml").write_text(CARD.format(name="drawn", generator="fake"))
    lacking = CARD.format(name="lacking", generator="dreamo") + DREAMO.replace('DreamO"', 'Nowhere"')
    (cards / "lacking.toml").write_text(lacking)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    for name in [name for name in os.environ if name.startswith("DREAMLINE_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "HOME": tmp_path / "home",
        "MODELS": models,
        "CARDS": cards,
        "PLUGINS": "kindly",
        "DEVICE": "cpu",
    }.items():
        monkeypatch.setenv(f"DREAMLINE_{name}", str(value))
    for k, name in enumerate(("mug", "cup", "hat")):
        levels = np.random.default_rng(k).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(levels).save(work / f"{name}.png")
    return work


@pytest.fixture
def run(place, monkeypatch, capsys):
    """Runs `dreamline` in this process: (exit code, output, errors)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["dreamline", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        captured = capsys.readouterr()
        return left.value.code or 0, captured.out, captured.err

    return call


def size_of(path):
    with Image.open(path) as picture:
        return picture.size


ASK = ("generate", "--model", "tiny", "--size", "64x48", "--seed", 7, "-o", "out")


def test_images_are_made_and_carry_their_recipe(run, place):
    code, out, err = run(
        *ASK, "--thing", "mug=mug.png", "--thing", "cup.png", "-n", 2, "--prompt", "a [mug] [thing2]"
    )
    assert code == 0, err
    files = [place / line for line in out.split()]
    assert [file.exists() for file in files] == [True, True]
    assert err.count("memory resident: on the CPU all weights are in main memory (float32)") == 1
    requests = [read_recipe(file.read_bytes(), file.name) for file in files]
    assert [request.seed for request in requests] == [7, 8]
    assert requests[0].prompt == "a [ref#1] [ref#2]"
    assert [(one.name, one.kind, one.source) for one in requests[0].references] == [
        ("mug", "thing", ""),
        ("thing2", "thing", ""),
    ]
    assert size_of(files[0]) == (64, 48)


def test_a_recipe_makes_the_same_bytes_again(run, place):
    first = run(
        *ASK, "--thing", "mug=mug.png", "--prompt", "a [mug]", "--option", "mug.flip=true", "--guidance", 2
    )
    file = place / first[1].strip()
    code, out, err = run("generate", "--recipe", file, "-o", "again")
    assert code == 0, err
    assert (place / out.strip()).read_bytes() == file.read_bytes()
    assert out.strip() != first[1].strip()


def test_an_image_of_several_is_made_again_alone_with_the_same_bytes(run, place):
    _, out, _ = run(*ASK, "--thing", "mug=mug.png", "--prompt", "a [mug]", "-n", 3)
    for file in out.split():
        code, again, err = run("generate", "--recipe", file, "-o", "again")
        assert code == 0, err
        assert (place / again.strip()).read_bytes() == (place / file).read_bytes()


def test_a_recipe_of_a_card_by_path_is_made_again_with_that_path(run, place, monkeypatch):
    path = place / "tiny.toml"
    path.write_text((place.parent / "cards/tiny.toml").read_text())
    monkeypatch.setenv("DREAMLINE_CARDS", "")
    said = ("generate", "--model", path, "--size", "64x48", "--prompt", "a", "-o", "out")
    file = place / run(*said)[1].strip()
    assert run("generate", "--recipe", file, "-o", "again")[0] == 2
    code, out, err = run("generate", "--recipe", file, "--model", path, "-o", "again")
    assert code == 0, err
    assert (place / out.strip()).read_bytes() == file.read_bytes()


def test_a_recipe_finds_moved_references_by_their_hash_or_says_which_is_missing(run, place):
    first = run(*ASK, "--thing", "mug=mug.png", "--prompt", "a [mug]")
    file = place / first[1].strip()
    (place / "elsewhere").mkdir()
    (place / "mug.png").rename(place / "elsewhere" / "renamed.png")
    code, out, err = run("generate", "--recipe", file, "-o", "again")
    assert (code, out) == (2, "")
    assert "reference 'mug'" in err
    assert not (place / "again").exists()
    code, out, err = run("generate", "--recipe", file, "-o", "again", "--pictures", "elsewhere")
    assert code == 0, err
    assert (place / out.strip()).read_bytes() == file.read_bytes()


def test_references_keep_the_order_of_the_command_line_across_kinds(run, place):
    (place.parent / "cards/tiny.toml").write_text(
        (place.parent / "cards/tiny.toml").read_text().replace('alone = ["mood"]', "")
    )
    code, out, err = run(*ASK, "--mood", "m=hat.png", "--thing", "mug.png", "--mood", "cup.png", "--prompt", "x")
    assert code == 0, err
    request = read_recipe((place / out.strip()).read_bytes(), "x")
    assert [one.kind for one in request.references] == ["mood", "thing", "mood"]
    assert request.prompt == "in this mood: x"


def test_preparation_is_shown_and_alone_where_no_image_is_asked_for(run, place):
    code, out, err = run(*ASK, "--thing", "mug=mug.png", "--prompt", "a", "-n", 0)
    assert code == 0, err
    assert [path.name for path in (place / "out").iterdir()] == ["reference-1-mug.png"]
    assert size_of(place / "out/reference-1-mug.png") == (32, 32)
    assert '"side": 32' in out
    code, out, err = run(*ASK, "--thing", "mug=mug.png", "--prompt", "a", "--show-preparation", "-o", "both")
    assert len(list((place / "both").iterdir())) == 2


def test_a_kind_with_few_tokens_gets_a_smaller_area(run, place):
    run(*ASK, "--mood", "m=mug.png", "--prompt", "a", "-n", 0)
    (place.parent / "cards/tiny.toml").write_text(
        (place.parent / "cards/tiny.toml").read_text().replace("reference_area = 1024", "reference_area = 4096")
    )
    run(*ASK, "--mood", "m=mug.png", "--prompt", "a", "-n", 0)
    assert size_of(place / "out/reference-1-m.png") == (32, 32)
    run(*ASK, "--thing", "t=mug.png", "--prompt", "a", "-n", 0)
    assert size_of(place / "out/reference-1-t.png") == (64, 64)


def test_the_fake_generator_works_alike(run, place):
    code, out, err = run(
        "generate", "--model", "drawn", "--thing", "mug=mug.png", "--prompt", "a [mug]", "-o", "out"
    )
    assert code == 0, err
    assert size_of(place / out.strip()) == (64, 64)


def test_a_size_outside_the_published_range_is_made_and_marked(run):
    code, _, err = run(*ASK, "--prompt", "a", "--size", "144x48")
    assert code == 0
    assert "144x48 lies outside the sides" in err


MANY = [part for k in range(10) for part in ("--thing", f"t{k}=mug.png")]
GIVEN = ("--prompt", "a mug")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*GIVEN, "--wrong", 1), "No such option"),
        ((*GIVEN, "--seed", "x"), "seed"),
        ((*GIVEN, "--steps", 0), "steps"),
        ((*GIVEN, "--size", "65x48"), "width 65 is off the grid. Say a multiple of 16, like 64 or 80"),
        ((*GIVEN, "--size", "wide-ish"), "is no size"),
        ((*GIVEN, "--size", "9600x48"), "is too large"),
        ((*GIVEN, "--model", "nothing"), "there is no model card 'nothing'"),
        ((*GIVEN, "--model", "lacking"), "dreamo.safetensors"),
        ((*GIVEN, "--thing", "not-here.png"), "not-here.png: can't be read"),
        ((*GIVEN, "--thing", "broken.png"), "broken.png"),
        ((*GIVEN, "--thing", "cut.png"), "cut.png"),
        ((*GIVEN, "--thing", "small.png"), "small.png: is too small"),
        ((*GIVEN, "--thing", "bug.png"), "plugin 'kindly'"),
        ((*GIVEN, *MANY), "10 references are too many"),
        ((*GIVEN, "--thing", "mug.png", "--mood", "cup.png"), "takes a mood reference only by itself"),
        ((*GIVEN, "--thing", "a=mug.png", "--thing", "a=cup.png"), "the name 'a' is taken"),
        ((*GIVEN, "--thing", "a=mug.png", "--option", "a.colour=1"), "has no option 'colour'"),
        ((*GIVEN, "--thing", "a=mug.png", "--option", "a.flip=3"), "3 is not true or false"),
        ((*GIVEN, "--thing", "a=mug.png", "--option", "b.flip=true"), "names no option of a reference"),
        (("--prompt", "a [mug]", "--thing", "cup=cup.png"), "[mug] is no reference"),
        ((), "option --prompt: is missing"),
    ],
)
def test_a_mistake_is_one_clear_line_and_nothing_is_written(arguments, said, run, place):
    (place / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    (place / "cut.png").write_bytes((place / "mug.png").read_bytes()[:500])
    Image.new("RGB", (8, 8)).save(place / "small.png")
    Image.new("RGB", (99, 40)).save(place / "bug.png")
    code, out, err = run(*ASK, *arguments)
    assert code == (1 if "bug.png" in arguments else 2)
    assert out == ""
    assert said in err
    assert len([line for line in err.splitlines() if "rror" in line]) == 1, err
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--recipe", "mug.png"), "carries no recipe"),
        (("--recipe", "nothing.png"), "nothing.png: can't be read"),
        (("--recipe", "mug.png", "--seed", 3), "option --seed: the recipe says this"),
    ],
)
def test_a_recipe_that_is_none_is_told_in_one_line(arguments, said, run, place):
    code, out, err = run("generate", *arguments, "-o", "out")
    assert (code, out) == (2, "")
    assert said in err
    assert not (place / "out").exists()


def test_all_mistakes_come_at_once(run):
    code, _, err = run(*ASK, "--prompt", "a [b]", "--thing", "x.png", "--size", "65x50", "--option", "y.z=1")
    assert code == 2
    assert "5 errors. Nothing was written." in err


def test_help_shows_an_option_for_each_kind(run):
    code, out, _ = run("generate", "--help")
    assert code == 0
    assert "--thing [NAME=]FILE" in out
    assert "A mood" in out
    assert "flip (mirror it)" in " ".join(out.split())


def test_models_are_listed_shown_checked_and_fused(run, place):
    code, out, _ = run("models", "list", "--json")
    states = {one["name"]: one["state"] for one in json.loads(out)}
    assert (states["tiny"], states["drawn"]) == ("here", "needs none")
    assert states["lacking"] == "1 of 14 missing"
    code, out, _ = run("models", "show", "tiny", "--json")
    assert all(file["here"] for file in json.loads(out)["files"])
    code, out, _ = run("models", "check", "tiny", "--no-record", "--json")
    told = json.loads(out)
    assert (code, told["good"]) == (0, True)
    assert len(told["files"]["ByteDance/DreamO/dreamo.safetensors"]["sha256"]) == 64
    code, out, _ = run("models", "fuse", "tiny")
    assert (code, (place / out.strip()).is_dir()) == (0, True)


def test_a_check_that_finds_something_exits_with_2(run):
    code, _, err = run("models", "check", "lacking", "--no-record")
    assert code == 2
    assert "Put dreamo.safetensors of ByteDance/Nowhere into" in err
    assert "dreamline models fetch lacking" in err


def test_fetching_without_the_network_is_one_clear_line(run, monkeypatch):
    import huggingface_hub

    def refuse(*args, **kwargs):
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    code, out, err = run("models", "fetch", "lacking")
    assert (code, out) == (1, "")
    assert "the Hugging Face Hub did not answer (no network)" in err
    assert "/models" in err


def test_a_gated_repository_says_what_to_accept(run, monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError

    def refuse(*args, **kwargs):
        raise GatedRepoError.__new__(GatedRepoError, "gated")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    code, _, err = run("models", "fetch", "dreamo-v1.1")
    assert code == 2
    assert "accept its licence at https://huggingface.co/black-forest-labs/FLUX.1-dev" in err
