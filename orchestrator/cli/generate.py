"""`dreamline generate`: images of one prompt, without a campaign and without a database.

The options for references are drawn from the kinds that plugins offer; their order on the command line is the
order of the references.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.settings import Settings
from orchestrator.cli.given import (
    Files,
    Given,
    find_files,
    joined,
    read_file,
    read_given,
    read_references,
    read_size,
    remember,
)
from orchestrator.cli.kinds import GIVEN, REGISTRY, Generate, kinds_of
from orchestrator.cli.needing import require_torch
from orchestrator.cli.written import file_name, require_writable, write_file, write_prepared

if TYPE_CHECKING:
    from core.cards import ModelCard
    from core.hookspecs import OnStep
    from core.registry import Offer, Registry
    from core.requests import Image, Reference, Request


@click.command(cls=Generate)
@click.option("-m", "--model", help="A model card's name, or the path of a card.")
@click.option("-p", "--prompt", help="What to show; [NAME] stands for the reference of that name.")
@click.option("--negative-prompt", default="", help="What to keep away from, where --true-cfg is over 1.")
@click.option("-s", "--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Of the first image [0].")
@click.option(
    "-n", "--number", type=click.IntRange(0, 1000), default=1, help="Images, with one seed after another."
)
@click.option("--size", help="WIDTHxHEIGHT in pixels, or a format [a square of the model's area].")
@click.option("--steps", type=click.IntRange(1, 1000), help="Denoising steps [the card's].")
@click.option("--guidance", type=click.FloatRange(0, 100), help="How closely to follow the prompt [the card's].")
@click.option("--first-step-guidance", type=click.FloatRange(0, 100), help="Guidance of the first step alone.")
@click.option("--true-cfg", type=click.FloatRange(1, 100), help="Over 1: a second pass with the negative prompt.")
@click.option("--true-cfg-start", type=click.IntRange(0), help="First step of the second pass, from 0.")
@click.option("--true-cfg-end", type=click.IntRange(0), help="Step before which it ends [the last one].")
@click.option("--negative-guidance", type=click.FloatRange(0, 100), help="Guidance of the second pass.")
@click.option(
    "--option", "options", multiple=True, metavar="NAME.KEY=VALUE", help="An option of a reference's kind."
)
@click.option(
    "--mask",
    "masks",
    multiple=True,
    metavar="NAME=FILE",
    help="White where a reference's thing is: cut out by that.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), default=Path("outputs"))
@click.option("--show-preparation", is_flag=True, help="Also write what the model sees of each reference.")
@click.option("--recipe", type=click.Path(path_type=Path, dir_okay=False), help="Make this PNG again.")
@click.option(
    "--pictures", multiple=True, type=click.Path(path_type=Path), help="Where a recipe's references are."
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    recipe: Path | None,
    pictures: tuple[Path, ...],
    output: Path,
    show_preparation: bool,
    **asked: Any,
) -> None:
    """Make images of one prompt with references.

    \b
    dreamline generate --model dreamo-v1.1 --subject mug=mug.jpg --prompt "a [mug] on a beach" -n 4 -o out
    dreamline generate --recipe out/a-mug-on-a-beach-0-1b2c3d4e.png -o again

    Each image is a PNG that carries its recipe. With -n 0 references are prepared and nothing is made.
    """  # noqa: D301 - click reads the \b
    settings: Settings = ctx.obj
    offers = kinds_of(ctx)
    given = read_given(ctx.meta[GIVEN])
    if recipe is not None:
        refuse_beside_recipe(ctx)
        order = from_recipe(recipe, asked["model"], given, pictures, settings, offers)
    else:
        order = from_options(asked, given, settings, offers)
    make(order, output, settings, ctx.meta[REGISTRY], show=show_preparation)


def refuse_beside_recipe(ctx: click.Context) -> None:
    """A recipe says everything but where the model card and the references' files are.

    Raises:
        BadInput: something else was said as well.
    """
    from core.errors import BadInput, Problem

    allowed = ("recipe", "model", "pictures", "output", "show_preparation")
    said = click.core.ParameterSource.COMMANDLINE
    BadInput.gather(
        Problem(f"option {param.opts[-1]}", "the recipe says this", "Leave it out")
        for param in ctx.command.params
        if param.name and param.name not in allowed and ctx.get_parameter_source(param.name) == said
    )


@dataclass(frozen=True)
class Order:
    """What is to be made: requests that share their references, and the files of those."""

    card: ModelCard
    requests: list[Request]
    references: list[Reference]
    files: list[Files]


def from_options(
    asked: dict[str, Any], given: Sequence[Given], settings: Settings, offers: dict[str, Offer]
) -> Order:
    """Reads the options.

    Raises:
        BadInput: with everything that is wrong in them.
    """
    from core import asking, prompts
    from core.cards import load_card
    from core.errors import BadInput, Problem

    BadInput.gather(
        Problem(f"option --{name}", "is missing", "Say it, or name a --recipe")
        for name in ("model", "prompt")
        if not asked[name]
    )
    card = load_card(asked["model"], settings)
    kinds = {name: offer.condition for name, offer in offers.items()}
    problems: list[Problem] = []
    width, height = read_size(asked["size"], card, problems)
    references, files = read_references(given, asked["options"], settings, offers, problems, asked["masks"])
    # The first says enough: the limits of a card and of a kind are often the same.
    problems += list(asking.combination_problems(card, kinds, [one.kind for one in given], "references"))[:1]
    for name in ("prompt", "negative_prompt"):
        if any("\ud800" <= letter <= "\udfff" for letter in asked[name] or ""):
            problems.append(
                Problem(f"option --{name.replace('_', '-')}", "is not UTF-8", "Set the terminal to UTF-8")
            )
    problems += prompts.problems(asked["prompt"], [one.name for one in given], "option --prompt")
    BadInput.gather(problems)
    tell_strange_words(card, asked["prompt"])
    changes = {key: asked[key] for key in (*asking.FROM_CARD, "negative_prompt")}
    size = {"width": width, "height": height}
    requests = [
        asking.make_request(card, kinds, asked["prompt"], references, **size, seed=asked["seed"] + k, **changes)
        for k in range(asked["number"])
    ]
    return Order(card, requests, references, files)


def tell_strange_words(card: ModelCard, prompt: str) -> None:
    """Warns of a prompt in a script or a language that the model's text encoders do not know."""
    from core.languages import names_of, strange_language, strange_script

    if card.world or not card.languages:
        return
    strange = strange_script(prompt, card.languages) or strange_language(prompt, card.languages)
    if strange is not None:
        told = f"option --prompt: {strange.what} ({strange.sample})"
        click.echo(f"{told}; the text encoders of {card.name} know {names_of(card.languages)}", err=True)


def from_recipe(
    recipe: Path,
    model: str | None,
    given: Sequence[Given],
    folders: Sequence[Path],
    settings: Settings,
    offers: dict[str, Offer],
) -> Order:
    """Reads the request that a PNG carries, and finds its references by their hashes.

    Raises:
        BadInput: the file carries none, or a reference is nowhere to be found.
    """
    from core import asking
    from core.cards import load_card
    from core.errors import BadInput, Problem
    from core.recipes import read_recipe

    request = read_recipe(read_file(recipe), str(recipe))
    card = load_card(model or request.model, settings)
    where, used = str(recipe), [reference.kind for reference in request.references]
    kinds = {name: offer.condition for name, offer in offers.items()}
    BadInput.gather(asking.size_problems(card, request.width, request.height, where))
    BadInput.gather(asking.combination_problems(card, kinds, used, where))
    folders = [*folders, recipe.parent, Path()]
    wanted = {sha256 for one in request.references for sha256 in (one.sha256, one.mask) if sha256}
    found = find_files(wanted, [one.path for one in given], folders, settings)
    problems = []
    for reference in request.references:
        if reference.kind not in offers:
            text = f"no plugin here offers the kind {reference.kind!r}"
            problems.append(Problem(str(recipe), text, f"Install {reference.plugin}"))
        elif offers[reference.kind].pin != reference.plugin:
            pin = offers[reference.kind].pin
            click.echo(
                f"{recipe} was made with {reference.plugin}; {pin} is here and may prepare otherwise", err=True
            )
        for what, sha256 in (("reference", reference.sha256), ("the mask of reference", reference.mask)):
            if sha256 and sha256 not in found:
                text = f"{what} {reference.name!r} (sha256 {sha256[:12]}…) is not in {joined(folders)}"
                problems.append(Problem(str(recipe), text, "Say --pictures FOLDER"))
    BadInput.gather(problems)
    references = [replace(one, source=str(found[one.sha256])) for one in request.references]
    files = []
    for one in references:
        mask = found.get(one.mask)
        files.append(
            Files(read_file(found[one.sha256]), found[one.sha256], read_file(mask) if mask else None, mask)
        )
    return Order(card, [replace(request, model=card.name, references=tuple(references))], references, files)


def make(order: Order, output: Path, settings: Settings, registry: Registry, *, show: bool) -> None:
    """Prepares, makes and writes; the first file is written when the first image is there.

    Raises:
        DreamlineError: a picture can't serve, weights are missing, memory does not suffice.
    """
    from core.preparing import prepare_reference
    from core.recipes import encode_image

    require_writable(output)
    kinds = registry.kinds()
    prepared = [
        prepare_reference(one.data, reference, kinds[reference.kind].condition, order.card, settings, one.mask)
        for one, reference in zip(order.files, order.references, strict=True)
    ]
    for reference, preparation in zip(order.references, prepared, strict=True):
        for warning in preparation.warnings:
            click.echo(f"{reference.source or reference.name}: {warning}", err=True)
    if order.card.notice:
        click.echo(order.card.notice, err=True)
    pending = [*zip(order.references, prepared, strict=True)] if show or not order.requests else []
    if not order.requests:
        write_prepared(pending, output)
        return
    # One at a time, so that a recipe, which is made alone, gives these very bytes.
    if order.card.generator == "dreamo":
        require_torch()
    generator = registry.generator(order.card, replace(settings, batch_size=1), settings.device)
    begun = False
    with progress(len(order.requests)) as on_step:
        for image in generator.generate(order.requests, [prepared] * len(order.requests), on_step):
            if not begun:
                tell_memory(image)
                write_prepared(pending, output)
                remember(order.references, order.files, settings)
            begun = True
            path = output / file_name(image.request)
            write_file(path, encode_image(image))
            click.echo(str(path))
            for warning in image.facts.get("warnings", ()):
                click.echo(f"{path}: {warning}", err=True)


def tell_memory(image: Image) -> None:
    """Where the weights are, and why: said once."""
    if "memory" in image.facts:
        click.echo(f"memory {image.facts['memory']} ({image.facts['precision']})", err=True)


@contextlib.contextmanager
def progress(images: int) -> Iterator[OnStep]:
    """A bar on terminals; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"{images} image{'s' if images > 1 else ''}", total=None)

        def on_step(step: int, steps: int) -> None:
            bar.update(task, completed=step, total=steps)

        yield on_step
