"""`dreamline schema`: what campaign files and creative briefs may say, for editors."""

from __future__ import annotations

import click

from orchestrator.cli import print_json


@click.command()
@click.option("--brief", is_flag=True, help="Of creative briefs, the files that prompts `use`.")
def command(brief: bool) -> None:
    """Print the JSON schema of campaign files.

    Editors that know YAML complete and check with it: save it beside the campaign file and begin that file
    with the line `# yaml-language-server: $schema=campaign.schema.json`.
    """
    from orchestrator.planning.brief_file import brief_schema
    from orchestrator.planning.campaign_file import json_schema

    print_json(brief_schema() if brief else json_schema())
