"""The conformance kit: does a plugin keep what `docs/plugins.md` says of plugins?

`dreamline plugins check NAME` runs it on an installed plugin, in a process of its own. A plugin's tests run it
by `dreamline.conformance`:

    @pytest.mark.parametrize("check", CHECKS)
    def test_the_plugin_keeps_its_promises(check):
        check_plugin(my_plugin, check)

Observers (`campaign_changed`) are not called: what they do to the world is what they are for.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any

import pluggy

from core import hookspecs
from core.conditions import ConditionType
from core.conformance import declared, finished, prepared
from core.conformance.trial import NothingTaken, Trial
from core.conformance.watching import empty_folder
from core.errors import BadInput, DreamlineError, PluginError, Problem
from core.registry import GENERATION, Registry
from core.settings import Settings

Check = Callable[[Trial], Iterator[Problem]]

_CHECKS: Mapping[str, Check] = {
    "hooks": declared.hooks,
    "names": declared.names,
    "options": declared.options,
    "methods": declared.methods,
    "prepares": prepared.prepares,
    "repeats": prepared.repeats,
    "pure": prepared.pure,
    "odd-pictures": prepared.odd_pictures,
    "odd-options": prepared.odd_options,
    "limits": prepared.limits,
    "image": finished.image,
}

CHECKS: tuple[str, ...] = tuple(_CHECKS)
"""The names of all checks, in the order in which they are run."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: its name.
        promise: what it holds the plugin to, one line.
        problems: what is broken, with the mends; none: the promise is kept.
        skipped: why it could not be tried; empty: it was.
        seconds: how long it took.
    """

    check: str
    promise: str
    problems: tuple[Problem, ...] = ()
    skipped: str = ""
    seconds: float = 0.0

    @property
    def kept(self) -> bool:
        return not self.problems and not self.skipped

    def as_dict(self) -> dict[str, Any]:
        """As JSON values; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Finding:
        return cls(**{**told, "problems": tuple(Problem(**one) for one in told["problems"])})


def promise(check: str) -> str:
    """What a check holds a plugin to.

    Raises:
        BadInput: there is no such check.
    """
    if check not in _CHECKS:
        raise BadInput.at("check", f"there is no check {check!r}", f"Checks: {', '.join(CHECKS)}")
    return inspect.cleandoc(_CHECKS[check].__doc__ or "").split("\n")[0]


def examine(trial: Trial, check: str) -> Finding:
    """Runs one check, away from the working folder; whatever the plugin raises is a problem like any other."""
    told, began = promise(check), time.perf_counter()
    found: list[Problem] = []
    skipped = ""
    try:
        with empty_folder():
            found.extend(_CHECKS[check](trial))
    except NothingTaken as error:
        skipped = f"no sample picture is taken ({error})"
    except BadInput as error:
        found.extend(error.problems)
    except DreamlineError as error:
        found.append(Problem(f"plugin {trial.plugin}", _bare(error, trial.plugin), "Mend what it names"))
    except Exception as error:
        mend = "Catch it; what can't serve is refused with BadInput.at(where, what, mend)"
        found.append(Problem(f"plugin {trial.plugin}", f"raised {error!r}", mend))
    return Finding(check, told, tuple(found), skipped, round(time.perf_counter() - began, 2))


def put_on_trial(
    plugin: object,
    name: str,
    settings: Settings,
    *,
    beside: Registry | None = None,
    picture: bytes | None = None,
    options: Mapping[str, Any] | None = None,
) -> Trial:
    """A plugin by itself, with dreamline's own generators.

    Raises:
        PluginError: it implements a hook that there is not, or with an argument that the hook lacks.
    """
    from core.generation import builtin

    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(plugin, name)
        if name != GENERATION:
            manager.register(builtin, GENERATION)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(name, f"{error}. docs/plugins.md lists the hooks") from error
    return Trial(name, Registry(manager), beside, settings, picture, options)


def check_plugin(
    plugin: object,
    *checks: str,
    name: str = "",
    picture: bytes | None = None,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Holds a plugin's module to its prepared.

    Args:
        plugin: the module that the entry point names.
        checks: some of `CHECKS`; none: all.
        name: of the plugin; the module's where nothing is said.
        picture: the bytes of a file that its kinds take, where the samples drawn by the kit are none.
        options: of its kinds, where their defaults don't do.

    Raises:
        PluginError: with everything that is broken, one line each.
    """
    called = name or getattr(plugin, "__name__", type(plugin).__name__)
    trial = put_on_trial(plugin, called, Settings(), picture=picture, options=options)
    _hold(trial, checks)


def check_kind(
    condition: ConditionType[Any],
    *checks: str,
    picture: bytes | None = None,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Holds one kind to the promises, without the module that offers it; see `check_plugin`."""

    def condition_types() -> Sequence[ConditionType[Any]]:
        return [condition]

    plugin = SimpleNamespace(condition_types=hookspecs.hookimpl(condition_types), __version__="1")
    trial = put_on_trial(plugin, "plugin", Settings(), picture=picture, options=options)
    _hold(trial, checks)


def _hold(trial: Trial, checks: Sequence[str]) -> None:
    findings = [examine(trial, check) for check in checks or CHECKS]
    broken = [f"{one.check}: {problem}" for one in findings for problem in one.problems]
    broken += [f"{one.check}: {one.skipped}" for one in findings if one.skipped]
    if broken:
        raise PluginError(trial.plugin, "does not keep its promises\n" + "\n".join(broken))


def _bare(error: DreamlineError, plugin: str) -> str:
    return str(error).removeprefix(f"plugin {plugin!r}: ")
