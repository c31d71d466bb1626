"""`interward`: noun, then verb. This file knows the nouns; each has a module in `client.commands`.

What loads here, loads at every call: the module of a noun is loaded when it is asked for, by `client.later`.
"""

import sys

import click

from client.ending import JSON_HELP, end_with
from client.later import Later

__all__ = ["main", "interward"]

NOUNS = {
    "demo": "Watch a chain, a follower and two hospitals do the whole job.",
    "bench": "Measure this machine with real processes: how fast, how late, how large.",
    "chain": "The layer-1 chain: begin, run or follow one, and ask it.",
    "hospital": "A hospital's own node: its keys, its process, its backup.",
    "channel": "Channels with other hospitals: two logs, two deposits, two bonds, one challenge window.",
    "consent": "Patients' consents: what may be shared with whom, for what, until when.",
    "record": "Records: FHIR bundles and resources, NDJSON, DICOM, any bytes.",
    "retention": "Terms and legal holds: how long records and logs are kept.",
    "audit": "Logs of who opened what and why; proofs that anyone can check.",
    "dispute": "Misconduct of other hospitals: found, kept and reported to the chain without you.",
    "tower": "A watchtower: it answers on the chain for hospitals that are offline, and is paid by whoever cheated.",
}
"""Each with the first words of its help."""

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


for noun, first_words in NOUNS.items():
    interward.add_command(Later(noun, f"client.commands.{noun}:{noun}", first_words))


def main() -> None:
    """The program. Its exit status is explained in `client.ending`."""
    try:
        status = interward(standalone_mode=False)  # what a command's `Exit` carries; None after a plain end
    except BaseException as error:
        end_with(error, as_json="--json" in sys.argv)
    sys.exit(status)
