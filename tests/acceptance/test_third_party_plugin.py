"""A stranger's plugin: installed by pip beside dreamline, checked, used in a campaign, and taken away again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from PIL import Image, ImageDraw

from orchestrator.records import embedded

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin-logo"

CAMPAIGN = """
campaign: caps
model: storyboard
references:
  mark: {kind: logo, image: logo.png, options: {colour: "#e4002b"}}
prompt: "a {{ noun }} with [mark] on its front"
vary: {noun: [cap, shirt]}
seeds: 2
formats: [square]
"""

PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")
INSTALL = (*PIP, "install", "--no-deps", "--no-build-isolation", "--no-index")


class Place:
    """A folder with a virtual environment that sees dreamline as installed here, and nothing of the checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "venv" / "bin"
        self.home = folder / "home"

    def run(self, *words: str | Path, expect: int = 0) -> str:
        process = self.start(*words)
        out, errors = process.communicate()
        assert process.returncode == expect, out + errors
        return out + errors

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DREAMLINE_", "PYTHON", "PIP_", "VIRTUAL_ENV"))
        }
        environment |= {"DREAMLINE_HOME": str(self.home), "DREAMLINE_POLL_SECONDS": "0.3"}
        return subprocess.Popen(
            [str(self.bin / "python"), *map(str, words)],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def dreamline(self, *words: str | Path, expect: int = 0) -> str:
        return self.run("-P", "-m", "orchestrator.cli", *words, expect=expect)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv", "--without-pip"], check=True)
    site = sysconfig.get_path("purelib", vars={"base": str(tmp_path / "venv")})
    # Beside dreamline, as after `pip install dreamline`; downloading all of it again would test nothing more.
    Path(site, "beside.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    yield place
    embedded.stop(place.home)


def draw_logo(path: Path, colour: str = "#e4002b") -> None:
    picture = Image.new("RGB", (400, 300), "white")
    pen = ImageDraw.Draw(picture)
    pen.ellipse([90, 60, 250, 220], fill=colour)
    pen.rectangle([230, 110, 320, 220], fill=colour)
    picture.save(path)


def scores(place: Place) -> list[tuple[str, str, float]]:
    with psycopg.connect(embedded.ensure_running(place.home)) as connection:
        return connection.execute("select plugin, name, value from score where plugin = 'logo'").fetchall()


def plans(place: Place) -> int:
    """How often `caps` was planned."""
    with psycopg.connect(embedded.ensure_running(place.home)) as connection:
        (found,) = connection.execute("select plan from campaign where name = 'caps'").fetchone() or (0,)
    return int(found)


def plan_without_workers(place: Place) -> None:
    """Records the plan of `caps.yaml` and is interrupted before anything of it is made."""
    before = plans(place)
    planning = place.start("-P", "-m", "orchestrator.cli", "run", "caps.yaml", "--workers", "0")
    deadline = time.monotonic() + 60
    while plans(place) == before:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    planning.send_signal(signal.SIGINT)
    planning.communicate(timeout=60)


@pytest.mark.timeout(600)
def test_a_strangers_plugin_is_installed_checked_used_and_missed(place: Place) -> None:
    shutil.copytree(EXAMPLE, place.folder / "package")
    draw_logo(place.folder / "logo.png")
    (place.folder / "caps.yaml").write_text(CAMPAIGN)
    place.run(*INSTALL, place.folder / "package")
    origin = place.run("-P", "-c", "import dreamline_logo; print(dreamline_logo.__file__)")
    assert origin.startswith(str(place.folder / "venv"))
    (logo,) = [one for one in json.loads(place.dreamline("plugins", "--json")) if one["name"] == "logo"]
    assert logo["kinds"] == ["logo"]
    assert logo["distribution"] == "dreamline-logo 1.0.0"
    assert "keeps its promises" in place.dreamline("plugins", "check", "logo")

    told = place.dreamline("run", "caps.yaml", "-o", "out")
    assert "4 made, 0 reused, 0 failed" in told
    assert len(list((place.folder / "out").glob("*.png"))) == 4
    recorded = scores(place)
    assert [(plugin, name) for plugin, name, _ in recorded] == [("logo", "logo-colour")] * 4
    assert all(0 <= value < 10 for _, _, value in recorded), "storyboard's cards show the logo"

    place.run(*PIP, "uninstall", "--yes", "dreamline-logo")
    told = place.dreamline("plan", "caps.yaml", expect=2)
    assert "caps.yaml, line 5, key references.mark.kind: there is no kind 'logo'" in told
    assert "Kinds here: " in told
    assert "Traceback" not in told
    told = place.dreamline("plugins", "impact", "logo")
    assert "logo: not installed" in told

    more = CAMPAIGN.replace("[cap, shirt]", "[cap, shirt, bag]")
    place.run(*INSTALL, place.folder / "package")
    told = place.dreamline("plugins", "impact", "logo")
    assert "Planning again would prepare every reference as before" in told
    (place.folder / "caps.yaml").write_text(
        more.replace("kind: logo, image: logo.png", "kind: logo, image: new.png")
    )
    draw_logo(place.folder / "new.png", "navy")
    plan_without_workers(place)
    place.run(*PIP, "uninstall", "--yes", "dreamline-logo")
    told = place.dreamline("campaign", "show", "caps")
    assert "1 reference and 6 images wait: plugin 'logo' (planned with logo 1) is not installed here" in told
    assert "Install it again" in told
    place.run(*INSTALL, place.folder / "package")
    assert "6 made, 0 reused, 0 failed" in place.dreamline("run", "caps.yaml", "-o", "out")


def test_a_new_package_is_installed_and_passes_its_checks_at_once(place: Place) -> None:
    told = place.dreamline("plugins", "new", "garden-gnome")
    assert "pip install -e dreamline-garden-gnome" in told
    place.run(*INSTALL, place.folder / "dreamline-garden-gnome")
    assert "11 passed" in place.run("-m", "pytest", "-q", "dreamline-garden-gnome")
    found = json.loads(place.dreamline("plugins", "check", "garden-gnome", "--json"))
    assert found["kept"]
    assert {one["check"] for one in found["checks"]} >= {"loads", "pure", "odd-pictures", "image"}
    told = place.dreamline("plugins", "new", "garden-gnome", expect=2)
    assert "'garden-gnome' is taken by plugin 'garden-gnome'" in told
    assert "is there already" in told
