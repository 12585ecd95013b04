"""A plugin's package, written from the templates in `orchestrator/scaffold`: a new one, or one with roles."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

from core.conformance.declared import NAME
from core.errors import BadInput, Problem

TEMPLATES = {
    "pyproject.toml": "pyproject.toml.template",
    "dreamline_{module}.py": "module.py.template",
    "test_dreamline_{module}.py": "test.py.template",
    "README.md": "readme.md.template",
}
"""Each file of a package with its template; `$name`, `$module`, `$noun` and `$Class` are filled in."""

WITH_ROLES = {
    "pyproject.toml": "role_pyproject.toml.template",
    "dreamline_{module}/__init__.py": "role_module.py.template",
    "test_dreamline_{module}.py": "test.py.template",
    "README.md": "role_readme.md.template",
}
"""The same for a kind that brings files along: its module becomes a folder."""


def write_package(
    name: str, folder: Path, taken: Mapping[str, str], roles: Mapping[str, Path] | None = None
) -> list[Path]:
    """Writes the package and returns its files.

    Args:
        name: of the plugin and of its kind.
        folder: to write; it must not be there yet.
        taken: names of kinds and plugins that there are, with the plugins that have them.
        roles: role files that the kind brings, by the base names of model cards.

    Raises:
        BadInput: the name can't be used or is taken, or the folder is there.
    """
    BadInput.gather(package_problems(name, folder, taken))
    words = name.split("-")
    told = {
        "name": name,
        "module": name.replace("-", "_"),
        "noun": " ".join(words),
        "Class": "".join(word.capitalize() for word in words),
        "bases": ", ".join(roles or ()),
    }
    written = []
    try:
        folder.mkdir(parents=True)
        for target, template in (WITH_ROLES if roles else TEMPLATES).items():
            text = files("orchestrator").joinpath("scaffold", template).read_text(encoding="utf-8")
            path = folder / target.format(**told)
            path.parent.mkdir(exist_ok=True)
            path.write_text(Template(text).substitute(told), encoding="utf-8")
            written.append(path)
        for base, role in (roles or {}).items():
            path = folder / f"dreamline_{told['module']}" / "roles" / f"{base}.safetensors"
            path.parent.mkdir(exist_ok=True)
            written.append(Path(shutil.copyfile(role, path)))
    except OSError as error:
        mend = "Name a place with -o where files may be written"
        raise BadInput.at(str(folder), f"can't be written ({error.strerror})", mend) from error
    return written


def package_problems(name: str, folder: Path, taken: Mapping[str, str]) -> list[Problem]:
    """What keeps a package from being written."""
    problems = []
    if not NAME.fullmatch(name) or len(name) > 40:
        mend = "Use lower-case letters, digits and single hyphens, a letter first, 40 at most"
        problems.append(Problem("NAME", f"{name!r} is no name for a kind", mend))
    if name in taken:
        problems.append(Problem("NAME", f"{name!r} is taken by plugin {taken[name]!r}", "Choose another name"))
    if folder.exists():
        problems.append(Problem(str(folder), "is there already", "Name another folder with -o"))
    return problems
