"""The wheel, in a clean virtual environment, away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.settings import Settings
from orchestrator.records import embedded

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path, home: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DREAMLINE_")}
    environment.pop("PYTHONPATH", None)
    if home is not None:
        environment["DREAMLINE_HOME"] = str(home)
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, cwd=ROOT)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a virtual environment with the wheel and what it always needs, no torch."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", folder, cwd=folder)
    pip = (folder / "bin" / "python", "-m", "pip", "install", "--quiet")
    run(*pip, wheel, "-c", ROOT / "constraints.txt", cwd=folder)
    return folder / "bin"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    embedded.stop(tmp_path / "home")


def test_the_wheel_brings_migrations_examples_cards_and_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert names >= {
        "migrations/env.py",
        "dreamline/examples/summer-drop/campaign.yaml",
        "core/model_cards/dreamo-mini.toml",
        "dreamline/py.typed",
    }
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "core",
        "dashboard",
        "dreamline",
        "migrations",
        "orchestrator",
        "plugins",
    }


@pytest.mark.timeout(600)
def test_the_wheel_migrates_a_database_and_runs_the_demo(installed: Path, home: Path, tmp_path: Path) -> None:
    told = run(installed / "dreamline", "db", "upgrade", cwd=tmp_path, home=home)
    assert "tables are of version" in told
    told = run(installed / "dreamline", "demo", cwd=tmp_path, home=home)
    assert "48 made, 0 reused, 0 failed" in told
    assert len(list((tmp_path / "outputs" / "summer-drop").glob("*.png"))) == 48
    told = run(installed / "dreamline", "demo", cwd=tmp_path, home=home)
    assert "0 made, 48 reused, 0 failed" in told
    assert "torch" not in run(installed / "python", "-m", "pip", "list", cwd=tmp_path)


def test_tracked_files_stay_small() -> None:
    listed = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    sizes = [(ROOT / name).stat().st_size for name in listed if name and (ROOT / name).is_file()]
    assert sum(sizes) < 44 * 2**20


def test_the_default_home_of_root_can_be_walked_to() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has another default")
    assert Settings().home == Path("/var/lib/dreamline")
