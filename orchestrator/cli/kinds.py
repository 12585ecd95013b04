"""A command with an option for each kind of reference, drawn from what plugins offer."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import click

from core.settings import Settings

if TYPE_CHECKING:
    from core.conditions import ConditionType
    from core.registry import Offer

GIVEN = "dreamline.references"
REGISTRY = "dreamline.registry"
KINDS = "dreamline.kinds"
"""Under which click's context keeps what a call asked for and found."""


class Generate(click.Command):
    """A command with one option more for each kind of reference."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        taken = {word for param in own for word in param.opts}
        return own + [
            click.Option(
                [f"kind_{kind.replace('-', '_')}", f"--{kind}"],
                multiple=True,
                expose_value=False,
                metavar="[NAME=]FILE",
                help=help_of(offer.condition),
            )
            for kind, offer in kinds_of(ctx).items()
            if f"--{kind}" not in taken
        ]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        values, _, order = self.make_parser(ctx).parse_args(args=list(args))
        left = {name: list(given) for name, given in values.items() if name.startswith("kind_")}
        ctx.meta[GIVEN] = [
            (param.opts[0].removeprefix("--"), left[str(param.name)].pop(0))
            for param in order
            if left.get(str(param.name))
        ]
        return super().parse_args(ctx, args)


def help_of(condition: ConditionType[Any]) -> str:
    """A kind's title and its options, as its dataclass has them."""
    options = [f"{one.name} ({one.metadata.get('help') or one.type})" for one in fields(condition.options)]
    return f"Reference: {condition.title}." + (f" Options: {', '.join(options)}." if options else "")


def kinds_of(ctx: click.Context) -> dict[str, Offer]:
    """The kinds that plugins offer, asked once a call."""
    from core import registry

    if KINDS not in ctx.meta:
        settings = ctx.obj if isinstance(ctx.obj, Settings) else Settings.from_env()
        ctx.meta[REGISTRY] = registry.load(settings)
        ctx.meta[KINDS] = ctx.meta[REGISTRY].kinds()
    found: dict[str, Offer] = ctx.meta[KINDS]
    return found
