"""The run of docs/kinds.md, command by command, as a stranger would type it; only shorter."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "kinds.md"
SHORTER = {"-n 400": "-n 18", "--minutes 10": "--steps 2 --batch 2 --threads 1"}
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet", "install")
OFFLINE = ("--no-deps", "--no-build-isolation", "--no-index", "--target", "site")


def commands() -> list[str]:
    """Of the page's first block."""
    found = re.search(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.S | re.M)
    assert found is not None
    text = found[1]
    for told, shorter in SHORTER.items():
        assert told in text
        text = text.replace(told, shorter)
    return text.splitlines()


@pytest.mark.timeout(600)
def test_the_documented_run_goes_from_data_to_a_passing_check_and_an_image(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DREAMLINE_")}
    environment |= {"DREAMLINE_HOME": str(tmp_path / "home"), "PYTHONPATH": str(tmp_path / "site")}
    told = {}
    for line in commands():
        program, *words = shlex.split(line)
        python = [*PIP, *OFFLINE, *words[1:]] if program == "pip" else ["-P", "-m", "orchestrator.cli", *words]
        done = subprocess.run(
            [sys.executable, *python], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        told[" ".join(words[:2])] = done.stdout + done.stderr
    assert "18 samples, 0 errors" in told["train data"]
    assert "kinds/palette/dreamline-palette" in told["train kind"]
    assert "palette keeps its promises" in told["plugins check"]
    assert "image" in told["plugins check"]
    assert len(list((tmp_path / "out").glob("*.png"))) == 1
    assert sorted(path.stem for path in (tmp_path / "site").glob("dreamline_palette/roles/*.safetensors")) == [
        "dreamo-mini",
        "dreamo-mini-palette",
    ]
    assert "| role | 1 |" in (tmp_path / "kinds" / "palette" / "report.md").read_text()
