"""The documentation says what the code does."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from core import hookspecs

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md"]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_hook_is_documented_with_its_exact_signature(generate: ModuleType) -> None:
    page = (ROOT / "docs" / "plugins.md").read_text()
    specs = [name for name in vars(hookspecs) if hasattr(getattr(hookspecs, name), "dreamline_spec")]
    assert len(specs) >= 7
    for name in specs:
        assert generate.signature(name) in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_generated_parts_are_what_the_code_says(page: Path, generate: ModuleType) -> None:
    text = page.read_text()
    assert generate.written(text) == text, "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_dependency_has_a_reason() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(one for name in extras for one in extras[name])]
    names = {re.split(r"[\[<>=;~ ]", one)[0].lower() for one in wanted} - {"dreamline"}
    text = (ROOT / "docs" / "dependencies.md").read_text().lower()
    assert {name for name in names if f"`{name}`" not in text} == set()
