"""The wheel, in a clean virtual environment, away from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
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


def environment(folder: Path, wheel: Path) -> Path:
    """The `bin` of a virtual environment with the wheel and what it always needs, no torch."""
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    pip = (folder / "bin" / "python", "-m", "pip", "install", "--quiet")
    run(*pip, wheel, "-c", ROOT / "constraints.txt", cwd=folder)
    return folder / "bin"


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("plain") / "venv", wheel)


@pytest.fixture(scope="module")
def with_torch(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, where the packages of this environment come after its own: dreamline is the wheel's."""
    folder = tmp_path_factory.mktemp("torch") / "venv"
    programs = environment(folder, wheel)
    own = run(programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder)
    Path(own.strip(), "behind.pth").write_text(sysconfig.get_path("purelib") + "\n")
    found = run(programs / "python", "-c", "import core, torch; print(core.__file__)", cwd=folder)
    assert found.startswith(str(folder))
    return programs


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
        "core/model_cards/dreamo-mini/dreamo.safetensors",
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
def test_the_wheel_migrates_a_database_and_makes_a_storyboard(installed: Path, home: Path, tmp_path: Path) -> None:
    told = run(installed / "dreamline", "db", "upgrade", cwd=tmp_path, home=home)
    assert "tables are of version" in told
    shutil.copytree(ROOT / "examples" / "summer-drop", tmp_path / "drop")
    file = tmp_path / "drop" / "campaign.yaml"
    file.write_text(file.read_text().replace("dreamo-mini", "storyboard"))
    told = run(installed / "dreamline", "run", file, cwd=tmp_path, home=home)
    assert "48 made, 0 reused, 0 failed" in told
    assert "torch" not in run(installed / "python", "-m", "pip", "list", cwd=tmp_path)


def test_the_demo_names_what_it_lacks(installed: Path, home: Path, tmp_path: Path) -> None:
    command = [str(installed / "dreamline"), "demo"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"DREAMLINE_HOME": str(home)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "package torch: is not installed" in done.stderr
    assert "pip install 'dreamline[generation]'" in done.stderr
    assert not home.exists()


@pytest.mark.timeout(900)
def test_the_wheel_runs_the_demo_with_its_own_model(with_torch: Path, home: Path, tmp_path: Path) -> None:
    told = run(with_torch / "dreamline", "demo", cwd=tmp_path, home=home)
    assert "48 made, 0 reused, 0 failed" in told
    assert len(list((tmp_path / "outputs" / "summer-drop").glob("*.png"))) == 48
    told = run(with_torch / "dreamline", "demo", cwd=tmp_path, home=home)
    assert "0 made, 48 reused, 0 failed" in told


def test_tracked_files_stay_small() -> None:
    listed = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    sizes = [(ROOT / name).stat().st_size for name in listed if name and (ROOT / name).is_file()]
    assert sum(sizes) < 44 * 2**20


def test_the_default_home_of_root_can_be_walked_to() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has another default")
    assert Settings().home == Path("/var/lib/dreamline")
