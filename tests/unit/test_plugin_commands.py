"""`dreamline plugins new` and `check`: packages that pass at once, plugins that take their process along."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

from core.conformance.kit import Finding
from core.settings import Settings
from dreamline import BadInput
from dreamline.conformance import CHECKS, check_plugin, promise
from orchestrator.cli import cli
from orchestrator.cli.plugins import read_options
from orchestrator.plugin_package import write_package
from orchestrator.plugin_trial import (
    ELSEWHERE,
    ELSEWHERE_PROMISE,
    LOADS,
    LOADS_PROMISE,
    Limits,
    Order,
    check_installed,
)

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "plugin-logo"


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look their own module up by name.
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    finally:
        sys.modules.pop(path.stem)
    return module


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Installs a plugin `broken` for this process and those that it starts."""
    site = tmp_path / "site"

    def install(source: str) -> None:
        information = site / "broken-1.dist-info"
        information.mkdir(parents=True)
        (site / "broken.py").write_text(source)
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
        (information / "entry_points.txt").write_text("[dreamline]\nbroken = broken\n")
        monkeypatch.syspath_prepend(site)
        monkeypatch.setenv("PYTHONPATH", str(site))

    yield install
    sys.modules.pop("broken", None)


def in_a_process(*checks: str, seconds: float = 30, memory: int = 10**10) -> Sequence[Finding]:
    return [*check_installed(Order("broken", checks), Limits(seconds, memory))]


DEED = """
import os, sys, time
from dreamline import ConditionType, hookimpl

def prepare(picture, options, bench):
    {}

@hookimpl
def condition_types():
    return [ConditionType(name="broken", title="Broken", prepare=prepare)]
"""


@pytest.mark.parametrize(
    ("deed", "said", "limits"),
    [
        ("os._exit(7)", "ended its process with exit code 7", {}),
        ("print('goodbye', file=sys.stderr); sys.exit(3)", r"exit code 3 \(it said: goodbye\)", {}),
        ("time.sleep(1000)", "did not come back within 4 s", {"seconds": 4}),
        ("held = b'x' * 10**9; time.sleep(1000)", "more than 0.8 GB of memory", {"memory": 8 * 10**8}),
    ],
    ids=["dies", "leaves", "hangs", "hoards"],
)
def test_a_plugin_that_takes_its_process_along_fails_that_check_alone(
    install: Callable[[str], None], deed: str, said: str, limits: dict[str, Any]
) -> None:
    install(DEED.format(deed))
    first, last = in_a_process("prepares", "methods", **limits)
    assert re.search(said, str(first.problems[0]))
    assert (last.check, last.kept) == ("methods", True)


def test_a_plugin_that_cant_be_loaded_is_told_once(install: Callable[[str], None]) -> None:
    install("import nothing_like_this")
    (finding,) = in_a_process("loads", *CHECKS)
    assert "can't be loaded: ModuleNotFoundError" in str(finding.problems[0])


def test_what_a_plugin_prints_does_not_mix_with_what_is_found(install: Callable[[str], None]) -> None:
    install(DEED.format("print('{}'); raise ValueError"))
    (finding,) = in_a_process("prepares")
    assert "raised ValueError" in str(finding.problems[0])


def test_the_command_marks_what_is_broken_with_its_mend_and_exits_with_1(install: Callable[[str], None]) -> None:
    install(DEED.format("return picture"))
    done = plugins_command("check", "broken")
    assert done.exit_code == 1
    assert "✓ options" in done.output
    assert "✗ prepares" in done.output
    assert "not a Preparation. Stay within the contract" in done.output
    assert "checks not passed" in done.output


def test_the_command_asks_for_a_picture_where_samples_dont_do(install: Callable[[str], None]) -> None:
    install("from dreamline import BadInput\n" + DEED.format("raise BadInput.at(bench.source, 'is odd', 'No')"))
    told = json.loads(plugins_command("check", "broken", "--json").output)
    by_name = {one["check"]: one for one in told["checks"]}
    assert not told["kept"]
    assert "--picture FILE" in by_name["prepares"]["problems"][0]["mend"]
    assert by_name["repeats"]["skipped"]
    assert by_name["odd-pictures"]["kept"]
    done = plugins_command("check", "broken", "--picture", "nowhere.png")
    assert "there is no file nowhere.png" in str(done.exception)


def test_results_that_hang_on_the_process_are_found(install: Callable[[str], None]) -> None:
    hangs = "return Preparation(keep_whole(picture, bench.area, 16, ''), facts={'word': hash('word')})"
    faces = "from dreamline import Preparation\nfrom dreamline.preparation import keep_whole\n"
    install(faces + DEED.format(hangs))
    here, elsewhere = in_a_process("repeats", "elsewhere")
    assert here.kept
    assert "came out differently there" in str(elsewhere.problems[0])


def test_options_on_the_command_line_are_json_or_text() -> None:
    assert read_options(["a=true", "b=0.5", "c=#e4002b", "d="]) == {"a": True, "b": 0.5, "c": "#e4002b", "d": ""}
    with pytest.raises(BadInput, match="KEY=VALUE"):
        read_options(["aligned"])


def plugins_command(*words: str) -> Any:
    return CliRunner().invoke(cli, ["plugins", *words], obj=Settings())


def test_checking_a_plugin_that_is_not_there_names_those_that_are() -> None:
    assert "no plugin is called 'pet'. Installed: " in str(plugins_command("check", "pet").exception)


def test_a_new_package_keeps_its_promises_at_once(tmp_path: Path) -> None:
    files = write_package("garden-gnome", tmp_path / "new", {})
    assert [path.name for path in files] == [
        "pyproject.toml",
        "dreamline_garden_gnome.py",
        "test_dreamline_garden_gnome.py",
        "README.md",
    ]
    module = imported(files[1])
    (offered,) = module.condition_types()
    assert offered.name == "garden-gnome"
    sys.modules[module.__name__] = module
    try:
        check_plugin(module, name="garden-gnome")
        imported(files[2])
    finally:
        sys.modules.pop(module.__name__)
    assert "$" not in "".join(path.read_text() for path in files)


def test_new_refuses_bad_and_taken_names_and_folders_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    done = plugins_command("new", "Style", "-o", str(tmp_path / "here"))
    assert isinstance(done.exception, BadInput)
    assert "'Style' is no name" in str(done.exception)
    assert "is there already" in str(done.exception)
    assert "'style' is taken by plugin 'style'" in str(plugins_command("new", "style").exception)
    assert "'generation' is taken" in str(plugins_command("new", "generation").exception)
    assert list((tmp_path / "here").iterdir()) == []
    done = plugins_command("new", "pet", "-o", str(tmp_path / "pet"))
    assert f"pip install -e {tmp_path / 'pet'}\n  dreamline plugins check pet" in done.output


def test_the_tutorial_is_the_example_package() -> None:
    page = (ROOT / "docs" / "plugins.md").read_text()
    shown = dict(re.findall(r"^\*\*`([^`\n]+)`\*\*\n\n```\w*\n(.*?)^```$", page, re.S | re.M))
    assert set(shown) == {"pyproject.toml", "dreamline_logo.py", "test_dreamline_logo.py"}
    assert {name: (EXAMPLE / name).read_text() for name in shown} == shown


def test_the_example_is_short_and_imports_only_the_face() -> None:
    source = (EXAMPLE / "dreamline_logo.py").read_text()
    assert len([line for line in source.splitlines() if line.strip()]) < 60
    ours = re.findall(r"^\s*(?:from|import) ((?:dreamline|core|plugins|orchestrator)[\w.]*)", source, re.M)
    assert set(ours) == {"dreamline", "dreamline.preparation"}


def test_the_page_lists_every_check_with_its_promise() -> None:
    page = (ROOT / "docs" / "plugins.md").read_text()
    every = {**{check: promise(check) for check in CHECKS}, LOADS: LOADS_PROMISE, ELSEWHERE: ELSEWHERE_PROMISE}
    assert [check for check, words in every.items() if f"| `{check}` | {words} |" not in page] == []
