"""`interward`: noun, then verb. This file knows the nouns; each has a module in `client.commands`."""

import sys

import click

from client.commands import record_add, record_export, record_share, record_show
from client.commands.audit import audit
from client.commands.bench import bench
from client.commands.chain import chain
from client.commands.channel import channel
from client.commands.consent import consent
from client.commands.demo import demo
from client.commands.dispute import dispute
from client.commands.hospital import hospital
from client.commands.record import record
from client.commands.retention import retention
from client.commands.tower import tower
from client.output import JSON_HELP, end_with

__all__ = ["main", "interward"]

VERBS = (record_add, record_export, record_share, record_show)  # modules that add verbs to a noun of another one

HELP = """Hospitals share records over bilateral channels that a small chain keeps honest.

\b
See it all at once:        interward demo
Begin a chain:             interward chain init --folder chain --name pilot
Begin a hospital:          interward hospital init --folder a --name "Harbor General" …
Open a channel:            interward channel open PEER --deposit 1000 --bond 500

Hospital commands find their hospital by --folder, or by INTERWARD_HOSPITAL; chain commands by --folder or
INTERWARD_CHAIN. Passwords come from INTERWARD_PASSWORD, or are asked for.
"""


@click.group(help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="interward")
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def interward(as_json: bool) -> None:
    """The door to all commands; `--json` is read by each of them."""
    del as_json


for noun in (demo, bench, chain, hospital, channel, consent, record, retention, audit, dispute, tower):
    interward.add_command(noun)


def main() -> None:
    """The program. Its exit status is explained in `client.output`."""
    try:
        status = interward(standalone_mode=False)  # what a command's `Exit` carries; None after a plain end
    except BaseException as error:
        end_with(error, as_json="--json" in sys.argv)
    sys.exit(status)
