"""The one place that asks plugins: one typed function per hook.

The registry keeps no list of its own; every question goes to pluggy's manager. A plugin that can't be
imported is left out and remembered with its error, so that it spoils its own kinds and nobody else's.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

import pluggy

from core import hookspecs
from core.cards import ModelCard
from core.conditions import ConditionType
from core.errors import BadInput, DreamlineError, PluginError, Problem
from core.hookspecs import PROJECT, Event, Generator, Panel
from core.requests import Image, Preparation, Request, Score
from core.roles import with_roles_pinned
from core.settings import Settings

if TYPE_CHECKING:
    import click

log = logging.getLogger(PROJECT)

GENERATION = "generation"
"""dreamline's own generators: a plugin too, kept when `DREAMLINE_PLUGINS` chooses others."""


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """What `dreamline plugins` prints of one plugin."""

    name: str
    version: str
    module: str
    distribution: str
    hooks: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """A kind with the plugin that offers it."""

    condition: ConditionType[Any]
    plugin: str
    version: str

    @property
    def pin(self) -> str:
        return f"{self.plugin} {self.version}"


class Registry:
    """Plugins as questions. Built by `load`; tests build it around a manager of their own."""

    def __init__(
        self,
        manager: pluggy.PluginManager,
        broken: Mapping[str, PluginInfo] | None = None,
        *,
        trace: bool = False,
    ) -> None:
        self.manager = manager
        self.broken = dict(broken or {})
        self.trace = trace

    def plugins(self) -> list[PluginInfo]:
        """Every plugin, also those that could not be loaded, by name."""
        found = [self._info(name, plugin) for name, plugin in self.manager.list_name_plugin() if plugin]
        return sorted([*found, *self.broken.values()], key=lambda info: info.name)

    def kinds(self, *, sound: bool = False) -> dict[str, Offer]:
        """All kinds by name; with `sound` without those of plugins that are at fault, which are logged.

        Raises:
            PluginError: a plugin raised, returned something else, or offers a name that another one has.
        """
        offers: dict[str, Offer] = {}
        for name, one in self._implementing("condition_types"):
            try:
                offers |= self._offers(name, one, offers)
            except PluginError as error:
                if not sound:
                    raise
                log.warning("%s", error)
        return offers

    def _offers(self, name: str, one: pluggy.HookImpl, before: dict[str, Offer]) -> dict[str, Offer]:
        """The kinds of one plugin, beside those of the plugins before it."""
        offers: dict[str, Offer] = {}
        for condition in self._ask(name, one, "condition_types"):
            if not isinstance(condition, ConditionType):
                raise PluginError(name, f"condition_types returned {condition!r}, not a ConditionType")
            if condition.name in before or condition.name in offers:
                other = (before | offers)[condition.name].plugin
                raise PluginError(
                    name,
                    f"offers the kind {condition.name!r}, and so does plugin {other!r}: "
                    f"leave one out with DREAMLINE_BLOCK={name} or DREAMLINE_BLOCK={other}",
                )
            offers[condition.name] = Offer(with_roles_pinned(condition), name, self._version(one.plugin))
        return offers

    def generator(self, card: ModelCard, settings: Settings, device: str) -> Generator:
        """The first generator that a plugin makes for the card; dreamline's own are asked last.

        Raises:
            DreamlineError: nobody makes generators for this card.
        """
        try:
            made = self.manager.hook.make_generator(card=card, settings=settings, device=device)
        except DreamlineError:
            raise
        except Exception as error:
            raise PluginError(card.generator, f"make_generator raised {error!r}") from error
        if made is None:
            raise DreamlineError(
                f"model card {card.name!r}: no plugin makes the generator {card.generator!r}. "
                "Install the plugin that brings it, or name another model"
            )
        return made  # type: ignore[no-any-return]

    def change_request(self, request: Request) -> tuple[Request, dict[str, str]]:
        """Runs `before_generate`: the changed request, and for each changed field the plugin's name.

        Raises:
            PluginError: two plugins change one field, or a plugin names a field that requests don't have.
        """
        changes: dict[str, Any] = {}
        changed_by: dict[str, str] = {}
        for name, one in self._implementing("before_generate"):
            for key, value in (self._ask(name, one, "before_generate", request=request) or {}).items():
                if key not in _REQUEST_FIELDS:
                    raise PluginError(name, f"before_generate changes {key!r}, which requests don't have")
                if key in changed_by:
                    raise PluginError(
                        name, f"before_generate changes {key!r}, and so does plugin {changed_by[key]!r}"
                    )
                changes[key], changed_by[key] = value, name
        return (replace(request, **changes), changed_by) if changes else (request, changed_by)

    def changes_requests(self) -> bool:
        """Whether any plugin implements `before_generate`: planning 100,000 rows asks once, not each time."""
        return bool(self._implementing("before_generate"))

    def scorers(self) -> list[str]:
        """The plugins that score images, by name."""
        return [name for name, _ in self._implementing("score_image")]

    def scores(
        self, plugin: str, image: Image, references: Sequence[Preparation], settings: Settings
    ) -> list[Score]:
        """What one plugin makes of an image, beside its prepared references.

        Raises:
            PluginError: it raised, or returned something else than scores with finite values.
        """
        one = dict(self._implementing("score_image")).get(plugin)
        if one is None:
            return []
        told = {"image": image, "request": image.request, "references": references, "settings": settings}
        found = list(self._ask(plugin, one, "score_image", **told) or ())
        for score in found:
            if not isinstance(score, Score) or not math.isfinite(score.value):
                raise PluginError(plugin, f"score_image returned {score!r}, not a Score with a finite value")
        return found

    def guards(self) -> list[str]:
        """The plugins that may hold images back, by name."""
        return [name for name, _ in self._implementing("hold_back")]

    def hold_back(self, plugin: str, image: Image, settings: Settings) -> str:
        """Why one plugin holds an image back; empty where it does not. One that raises holds it back."""
        one = dict(self._implementing("hold_back"))[plugin]
        told = {"image": image, "request": image.request, "settings": settings}
        try:
            return str(self._ask(plugin, one, "hold_back", **told) or "")
        except DreamlineError as error:
            return str(error).removeprefix(f"plugin {plugin!r}: ")

    def panels(self) -> list[Panel]:
        """Panels for the dashboard."""
        return [
            panel
            for name, one in self._implementing("review_panels")
            for panel in self._ask(name, one, "review_panels")
        ]

    def tell(self, event: Event) -> None:
        """Tells every observer; a failing one is logged with its name: what it is told of has happened."""
        for name, one in self._implementing("campaign_changed"):
            try:
                self._ask(name, one, "campaign_changed", event=event)
            except PluginError as error:
                log.warning("%s", error)
            except DreamlineError as error:
                log.warning("plugin %r: campaign_changed raised %s: %s", name, type(error).__name__, error)

    def add_commands(self, cli: click.Group) -> None:
        """Lets plugins add commands to the command line."""
        for name, one in self._implementing("register_commands"):
            self._ask(name, one, "register_commands", cli=cli)

    def _implementing(self, hook: str) -> list[tuple[str, pluggy.HookImpl]]:
        implementations = getattr(self.manager.hook, hook).get_hookimpls()
        return sorted(((one.plugin_name, one) for one in implementations), key=lambda pair: pair[0])

    def _ask(self, name: str, one: pluggy.HookImpl, hook: str, **arguments: Any) -> Any:
        """Calls one plugin's implementation, so that whatever goes wrong bears its name."""
        try:
            answer = one.function(*(arguments[argument] for argument in one.argnames))
        except DreamlineError:
            raise
        except Exception as error:
            raise PluginError(name, f"{hook} raised {type(error).__name__}: {error}") from error
        if self.trace:
            log.warning("hook %s: plugin %s answered %r", hook, name, answer)
        return answer

    def _distribution(self, plugin: object) -> Any:
        return next((dist for other, dist in self.manager.list_plugin_distinfo() if other is plugin), None)

    def _version(self, plugin: object) -> str:
        own = getattr(plugin, "__version__", None)
        distribution = self._distribution(plugin)
        return str(own or (distribution.version if distribution is not None else "0"))

    def _info(self, name: str, plugin: object) -> PluginInfo:
        distribution = self._distribution(plugin)
        callers = self.manager.get_hookcallers(plugin) or []
        return PluginInfo(
            name=name,
            version=self._version(plugin),
            module=str(getattr(plugin, "__name__", type(plugin).__name__)),
            distribution=f"{distribution.name} {distribution.version}" if distribution is not None else "",
            hooks=tuple(sorted(caller.name for caller in callers)),
            kinds=tuple(kind for kind, offer in self.kinds().items() if offer.plugin == name),
        )


def load(settings: Settings) -> Registry:
    """Finds plugins by entry point, leaves out those that settings say, and checks them.

    Raises:
        BadInput: a chosen or blocked plugin is not installed.
        PluginError: a plugin implements a hook that does not exist, or with an argument that it lacks.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    found = {point.name: point for point in entry_points(group=PROJECT)}
    _refuse_unknown(settings, found)
    broken = {}
    for name, point in sorted(found.items()):
        if name in settings.block or (settings.plugins and name not in (*settings.plugins, GENERATION)):
            continue
        try:
            manager.load_setuptools_entrypoints(PROJECT, name=name)
        except Exception as error:
            distribution = f"{point.dist.name} {point.dist.version}" if point.dist else ""
            version = point.dist.version if point.dist else "0"
            text = f"{type(error).__name__}: {error}"
            broken[name] = PluginInfo(name, version, point.value, distribution, error=text)
            log.warning("plugin %r could not be loaded: %s", name, text)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        name = manager.get_name(error.plugin) or "?"
        raise PluginError(name, f"{error}. docs/plugins.md lists the hooks") from error
    return Registry(manager, broken, trace=settings.trace_hooks)


def _refuse_unknown(settings: Settings, found: Mapping[str, EntryPoint]) -> None:
    BadInput.gather(
        Problem(
            f"environment variable {variable}",
            f"no plugin is called {name!r}",
            f"Installed: {', '.join(sorted(found)) or 'none'}",
        )
        for variable, names in (("DREAMLINE_PLUGINS", settings.plugins), ("DREAMLINE_BLOCK", settings.block))
        for name in names
        if name not in found
    )


_REQUEST_FIELDS = frozenset(one.name for one in fields(Request))
