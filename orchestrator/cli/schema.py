"""`dreamline schema`: what a campaign file may say, for editors."""

from __future__ import annotations

import click

from orchestrator.cli import print_json


@click.command()
def command() -> None:
    """Print the JSON schema of campaign files.

    Editors that know YAML complete and check with it: save it beside the campaign file and begin that file
    with the line `# yaml-language-server: $schema=campaign.schema.json`.
    """
    from orchestrator.planning.campaign_file import json_schema

    print_json(json_schema())
