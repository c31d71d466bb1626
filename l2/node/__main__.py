"""`python -m l2.node`: init, run, close-from-folder. Thin: the commands for people are `interward hospital …`."""

import argparse
import json
import sys
from pathlib import Path

import lmdb
import msgspec
import trio
from structlog.contextvars import bind_contextvars

from l1.ground.faults import LocalError, Refused, first_of
from l1.serving.addresses import check_url, split_address
from l1.serving.files import read_file
from l1.serving.process import ask_password, log_to_stderr
from l1.serving.whole import is_of_disk
from l2.node.doctor import examine
from l2.node.folder import PIN, Config, Folder, HsmConfig, make_folder
from l2.node.hub.front import run_hub
from l2.node.hub.worker import Place, read_secrets, run_worker
from l2.node.keys import Hsm, HsmSigner
from l2.node.offline import close_from_folder
from l2.node.parts import WORKERS_MAX, Part
from l2.node.recovery import restore_from_backup, restore_from_peers
from l2.node.run import run_hospital
from l2.node.store import disk_failed
from l2.protocol.rows import REMEDY


def _init(arguments: argparse.Namespace) -> None:
    genesis_file = read_file(Path(arguments.genesis), "Name the chain's genesis file.")
    config = Config(
        name=arguments.name,
        chain_url=arguments.chain_url,
        listen=arguments.listen,
        endpoint=arguments.endpoint or arguments.listen,
        desk=arguments.desk,
        bench=arguments.bench,
        auto_fetch=arguments.auto_fetch,
        auto_grant=arguments.auto_grant,
        checkpoint_s=arguments.checkpoint_s,
        workers=arguments.workers,
    )
    _check(config)
    password, root = ask_password(), None
    if arguments.hsm_module:
        config, root = _in_hsm(config, arguments.hsm_module, arguments.hsm_token, arguments.hsm_key)
    hospital = make_folder(Path(arguments.folder), config, genesis_file, password, root=root)
    sys.stdout.write(json.dumps({"hospital": hospital.hex(), "folder": arguments.folder}) + "\n")


def _in_hsm(config: Config, module: str, token: str, label: str) -> tuple[Config, HsmSigner]:
    """Have the HSM make the root key; the config that names it. Raises `LocalError`."""
    hsm = Hsm(module, token, ask_password(PIN, "PIN of the HSM"))
    public = hsm.make(label)
    told = HsmConfig(module=module, token=token, label=label, public=public.hex())
    return msgspec.structs.replace(config, hsm=told), hsm.signer(label, public)


def _check(config: Config) -> None:
    """Addresses are looked at before anything is made. Raises `LocalError`."""
    for address in (config.listen, config.endpoint, config.desk):
        split_address(address)
    check_url(config.chain_url)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m l2.node", description=__doc__)
    commands = parser.add_subparsers(required=True)
    init = commands.add_parser("init")
    init.add_argument("--folder", required=True)
    init.add_argument("--name", required=True)
    init.add_argument("--chain-url", required=True)
    init.add_argument("--genesis", required=True)
    init.add_argument("--listen", default="127.0.0.1:9800")
    init.add_argument("--endpoint", default="")
    init.add_argument("--desk", default="127.0.0.1:9880")
    init.add_argument("--hsm-module", default="")
    init.add_argument("--hsm-token", default="")
    init.add_argument("--hsm-key", default="interward-root")
    init.add_argument("--bench", action="store_true")
    init.add_argument("--auto-fetch", action="store_true")
    init.add_argument("--auto-grant", action="store_true")
    init.add_argument("--checkpoint-s", type=float, default=0.0)
    init.add_argument("--workers", type=int, choices=range(1, WORKERS_MAX + 1), default=1)
    init.set_defaults(do=_init)
    run = commands.add_parser("run")
    run.add_argument("--folder", required=True)
    run.set_defaults(do=_run)
    work = commands.add_parser("work", help="started by `run`, for a part of the channels")
    for name in ("folder", "sockets", "endpoint", "url"):
        work.add_argument(f"--{name}", required=True)
    for name in ("number", "workers", "end", "lock"):
        work.add_argument(f"--{name}", type=int, required=True)
    work.set_defaults(do=_work)
    close = commands.add_parser("close-from-folder")
    close.add_argument("--folder", required=True)
    close.add_argument("--channel", default="")
    close.set_defaults(
        do=lambda arguments: trio.run(
            close_from_folder, Folder(Path(arguments.folder)), ask_password(), arguments.channel
        )
    )
    restore = commands.add_parser("restore")
    restore.add_argument("--folder", required=True)
    restore.add_argument("--from-peers", action="store_true")
    restore.add_argument("--backup", default="")
    restore.add_argument("--wait-s", type=float, default=600.0)
    restore.set_defaults(do=_restore)
    doctor = commands.add_parser("doctor")
    doctor.add_argument("--folder", required=True)
    doctor.set_defaults(do=_examine)
    return parser


def _run(arguments: argparse.Namespace) -> None:
    folder = Folder(Path(arguments.folder))
    is_hub = folder.is_one() and folder.config().workers > 1
    trio.run(run_hub if is_hub else run_hospital, folder, ask_password())


def _work(arguments: argparse.Namespace) -> int:
    """As `run`, but the front is told why it could not go on, and says so."""
    bind_contextvars(worker=arguments.number)
    place = Place(
        part=Part(arguments.number, arguments.workers),
        sockets=Path(arguments.sockets),
        endpoint=arguments.endpoint,
        url=arguments.url,
        end=arguments.end,
        lock=arguments.lock,
    )
    try:
        secrets = read_secrets(sys.stdin.buffer)
        trio.run(run_worker, Path(arguments.folder), place, secrets)
    except Exception as error:
        if (said := _said(error)) is None:
            raise
        sys.stdout.write(json.dumps({"error": said}) + "\n")
        return 2
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    folder = Folder(Path(arguments.folder))
    if arguments.from_peers:
        return trio.run(restore_from_peers, folder, ask_password(), arguments.wait_s)
    restore_from_backup(Path(arguments.backup), folder, ask_password())
    return 0


def _examine(arguments: argparse.Namespace) -> int:
    checks = trio.run(examine, Folder(Path(arguments.folder)), ask_password())
    ok = all(check["ok"] for check in checks)
    sys.stdout.write(json.dumps({"ok": ok, "checks": checks}) + "\n")
    return 0 if ok else 1


def _said(error: Exception) -> str | None:
    """What could not be gone on with, in a line; None for a bug of ours."""
    cause = first_of(error)
    if is_of_disk(cause) or isinstance(cause, lmdb.DiskError):
        cause = disk_failed(cause)
    if isinstance(cause, lmdb.Error):
        return f"a store of the folder failed ({cause}). {REMEDY}"
    return str(cause) if isinstance(cause, (LocalError, Refused)) else None


def main() -> int:
    """0: done. 1: a check failed. 2: it could not start or go on, and said why in a line."""
    log_to_stderr()
    arguments = _parser().parse_args()
    try:
        status: int | None = arguments.do(arguments)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if (said := _said(error)) is None:
            raise
        sys.stderr.write(f"error: {said}\n")
        return 2
    return status or 0


if __name__ == "__main__":
    sys.exit(main())
