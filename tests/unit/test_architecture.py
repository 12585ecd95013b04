"""The walls of the house: who may import whom, and what may be loaded when."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("core", "dashboard", "dreamline", "migrations", "orchestrator", "plugins")

MAY_IMPORT = {
    "core": {"core"},
    "dreamline": {"core", "dreamline"},
    "plugins": {"dreamline"},
    "orchestrator": {"core", "dreamline", "migrations", "orchestrator"},
    "dashboard": {"core", "dashboard", "orchestrator"},
    "migrations": {"migrations", "orchestrator"},
}
"""By top-level package: the packages of ours that it may import. A plugin may not import another plugin."""

ROOMS = ("records", "planning", "working", "reviewing", "delivering")
MAY_ENTER = {
    "records": {"records"},
    "planning": {"records", "planning"},
    "working": {"records", "planning", "working"},
    "reviewing": {"records", "planning", "reviewing"},
    "delivering": {"records", "planning", "reviewing", "delivering"},
}
"""Within the orchestrator: records know nothing above them, planning never works, reviewing never runs."""

HEAVY = ("torch", "sqlalchemy", "celery", "streamlit", "diffusers", "transformers", "cv2", "psycopg")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("package", OURS)
def test_arrows_between_packages_point_one_way(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sources(package)
        for module in imports(path)
        if (top := module.split(".")[0]) in OURS and top not in MAY_IMPORT[package]
    ]
    assert not wrong


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_of_the_orchestrator_know_nothing_above_them(room: str) -> None:
    wrong = []
    for path in sources(f"orchestrator/{room}"):
        for module in imports(path):
            parts = module.split(".")
            if parts[0] != "orchestrator" or len(parts) < 2:
                continue
            if parts[1] in ROOMS and parts[1] not in MAY_ENTER[room]:
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
            if room in ("records", "planning") and parts[1] not in ROOMS:
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong


def test_the_dashboard_never_reaches_into_generation() -> None:
    wrong = [
        f"{path.name} imports {module}"
        for path in sources("dashboard")
        for module in imports(path)
        if module.startswith(("core.generation", "core.training", "core.preparation"))
    ]
    assert not wrong


def loaded_by(statement: str) -> set[str]:
    """The heavy modules that a fresh interpreter has loaded after `statement`."""
    program = f"import sys\n{statement}\nprint(*(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/")
    return set(done.stdout.split("\n")[-2].split())


def test_core_imports_without_anything_heavy() -> None:
    names = ("registry", "cards", "requests", "conditions", "prompts", "formats", "recipes")
    modules = ", ".join(["core", "dreamline", *(f"core.{name}" for name in names)])
    assert loaded_by(f"import {modules}") == set()


def test_core_works_where_torch_is_not_installed() -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from core import registry; from core.settings import Settings; from core.cards import load_card\n"
        "found = registry.load(Settings()); assert not found.broken, found.broken\n"
        "print(sorted(found.kinds()), found.generator(load_card('storyboard', Settings()), Settings(), 'cpu').id)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/")
    assert "['identity', 'style', 'subject', 'tryon']" in done.stdout


def test_help_loads_nothing_heavy() -> None:
    statement = (
        "from orchestrator.cli import cli\n"
        "try: cli.main(['--help'], standalone_mode=False)\n"
        "except SystemExit: pass"
    )
    assert loaded_by(statement) == set()


def test_every_file_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for package in OURS
        for path in sources(package)
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent


def test_no_other_distribution_owns_our_names() -> None:
    owners = packages_distributions()
    assert {name: owners[name] for name in OURS if set(owners.get(name, ["dreamline"])) != {"dreamline"}} == {}


def test_nothing_shadows_our_packages() -> None:
    program = f"import importlib.util as u; print(*(u.find_spec(n).origin for n in {OURS!r}), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/")
    found = [Path(line).parent.parent for line in done.stdout.split()]
    assert set(found) == {Path(__import__("core").__file__).parents[1]}
