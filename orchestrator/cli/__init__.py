"""The command line: `dreamline`. One file a noun; each is imported only when it is called.

Exit codes: 0 done, 1 failed, 2 bad input (nothing was written), 3 ended with images that could not be made,
130 interrupted (the same command goes on).
"""

from __future__ import annotations

import getpass
import importlib
import json
import sys
from typing import Any

import click

from core.errors import BadInput, DreamlineError
from core.settings import Settings
from orchestrator import interrupts

COMMANDS = {
    "audit": "The record of who decided what: verify, export.",
    "campaign": "See and steer campaigns: list, show, gates, pause, resume, cancel, retry, priority.",
    "clean": "Say what is of no use any more: old events, images, previews; --delete lets it go.",
    "dashboard": "Open the dashboard in a browser.",
    "db": "The database: upgrade, status, url.",
    "deliver": "Write what was approved, marked, with a manifest of who said yes.",
    "demo": "Make a first campaign, with pictures that come along.",
    "destinations": "List the channels that deliveries can be made for, with what they ask of pictures.",
    "doctor": "Check database, broker, storage and plugins; --fix mends what it can.",
    "generate": "Make images of one prompt, without a campaign.",
    "metrics": "Figures for Prometheus: print, or serve with health checks.",
    "models": "Model cards and their weights: list, show, fetch, check, fuse.",
    "people": "Who may see, decide and steer in the dashboard: list, set, remove.",
    "plan": "Say what a campaign file would change, make, take and cost; writes nothing.",
    "plugins": "List plugins with their kinds and hooks; new, check.",
    "prepare": "Show what a kind makes of pictures, on a sheet.",
    "prompt": "Print the prompts of a campaign file, with their sections.",
    "run": "Plan a campaign file, make its images and wait for them.",
    "schema": "Print the JSON schema of campaign files, for editors.",
    "train": "Train a model of your own: run, resume, report, eval, export.",
    "worker": "Work on planned images until told to stop.",
}


class Commands(click.Group):
    """Names and one-line helps are here, so that `--help` imports nothing else; plugins' commands follow."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*COMMANDS, *self._plugins().commands})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            module = importlib.import_module(f"orchestrator.cli.{cmd_name}")
            command: click.Command = module.command
            return command
        return self._plugins().commands.get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = {name: command.get_short_help_str(80) for name, command in self._plugins().commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted({**rows, **COMMANDS}.items()))

    def _plugins(self) -> click.Group:
        from core import registry

        group = click.Group()
        registry.load(Settings.from_env()).add_commands(group)
        return group


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="dreamline")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Turns a table of products, people, garments, styles and scenes into reviewed images.

    Start with `dreamline demo`. A campaign file is checked with `dreamline plan FILE` and made with
    `dreamline run FILE`; both can be called again at any time and make nothing twice.
    """
    from orchestrator import logs

    settings = Settings.from_env()
    logs.set_up(settings)
    ctx.obj = settings


def main() -> None:
    """The program: errors become messages on standard error and an exit code."""
    interrupts.listen()
    try:
        sys.exit(cli.main(standalone_mode=False) or 0)
    except click.exceptions.Exit as left:
        sys.exit(left.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted. Nothing is lost: the same command goes on from here.", err=True)
        sys.exit(130)
    except DreamlineError as error:
        report(error)
        sys.exit(error.exit_code)


def report(error: DreamlineError) -> None:
    """Writes an error for people, one line a problem."""
    if isinstance(error, BadInput):
        for problem in error.problems:
            click.echo(f"{click.style('error', fg='red')}: {problem}", err=True)
        if len(error.problems) > 1:
            click.echo(f"{len(error.problems)} errors. Nothing was written.", err=True)
    else:
        click.echo(f"{click.style('error', fg='red')}: {error}", err=True)


def print_json(value: Any) -> None:
    """What `--json` prints: one document on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def user_name() -> str:
    """The name of whoever runs this; empty where the machine knows none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
