"""`python -m l2.tower {init,run}`. Thin: the commands for people are `interward tower …`.

Exit status: 0 after an orderly stop, 1 when something outside was found wrong, 2 when it could not start or go on.
"""

import argparse
import json
import sys
from pathlib import Path

import trio

from l1.ground.faults import LocalError, Refused, first_of
from l1.serving.addresses import check_url, split_address
from l1.serving.files import read_file
from l1.serving.process import ask_password, log_to_stderr
from l1.serving.whole import is_of_disk
from l2.tower.folder import Config, Folder, make_folder
from l2.tower.run import run_tower


def _init(asked: argparse.Namespace) -> None:
    genesis_file = read_file(Path(asked.genesis), "Name the chain's genesis file.")
    host, port = split_address(asked.listen)
    check_url(asked.chain_url)
    config = Config(name=asked.name, chain_url=asked.chain_url, host=host.strip("[]"), port=port)
    account = make_folder(Path(asked.folder), config, genesis_file, ask_password())
    sys.stdout.write(json.dumps({"tower": account.hex(), "folder": asked.folder}) + "\n")


def _run(asked: argparse.Namespace) -> None:
    trio.run(run_tower, Folder(Path(asked.folder)), ask_password())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m l2.tower", description=__doc__)
    verbs = parser.add_subparsers(required=True)
    init = verbs.add_parser("init")
    init.add_argument("--name", required=True)
    init.add_argument("--chain-url", required=True)
    init.add_argument("--genesis", required=True)
    init.add_argument("--listen", default="127.0.0.1:8870")
    init.set_defaults(do=_init)
    run = verbs.add_parser("run")
    run.set_defaults(do=_run)
    for verb in (init, run):
        verb.add_argument("--folder", required=True)
    return parser


def main() -> int:
    log_to_stderr()
    asked = _parser().parse_args()
    try:
        asked.do(asked)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        cause = first_of(error)
        if is_of_disk(cause):
            cause = LocalError(f"the disk failed ({cause})", "Free space or replace the disk, then start again.")
        if not isinstance(cause, (LocalError, Refused)):
            raise
        sys.stderr.write(f"error: {cause}\n")
        return 2 if isinstance(cause, LocalError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
