"""`interward hospital keys`: what a hospital's keys are, and what to do when one grows old, is lost, or is stolen."""

import secrets
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from client.chain_places import chain_reader
from client.output import Result, facts_table, rows_table, verb
from client.places import hospital_option, password
from client.wording import amount, day, moment, short
from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.limits import TIME_MS_MAX
from l1.ground.sealed import ENTROPY_BYTES, open_sealed, seal
from l1.ground.signing import Context, PrivateKey, Purpose, sign
from l1.reader import Reader
from l1.rules.transactions import RECOVERY, ROOT, RegisterKey, RevokeKey
from l1.rules.transactions import key_words as words_of_key
from l1.serving.files import read_file, write_new
from l2.desk import key_words
from l2.desk.desk import Desk

__all__ = ["keys"]

RECOVERY_PASSWORD = "INTERWARD_RECOVERY_PASSWORD"

recovery_option = click.option(
    "--recovery",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=f"The recovery key's file. Its password: {RECOVERY_PASSWORD}, or asked for.",
)


@click.group()
def keys() -> None:
    """The hospital's keys on the chain: list, change, end, recover.

    root governs the others · channel signs commitments · tls is the certificate · sealing makes the secrets of new
    channels · recovery, kept in a safe, vetoes root changes and brings a new root key.
    """


@verb(keys, "list")
@hospital_option
async def list_(folder: Path) -> Result:
    """List the hospital's keys as they stand on the chain."""
    async with Desk.of_folder(folder) as desk:
        found = await desk.keys()
    rows = [
        (
            key.number,
            key.kind,
            key.state,
            "here" if key.held else "",
            f"{key.key[:16]}…",
            day(key.valid_from_ms),
            day(key.valid_until_ms),
            key.by,
        )
        for key in found
    ]
    columns = ("key", "kind", "state", "held", "begins with", "from", "until", "by")
    return Result([msgspec.structs.asdict(key) for key in found], rows_table("Keys", columns, rows))


@verb(keys, "rotate")
@hospital_option
@click.argument("kind", type=click.Choice(["channel", "tls", "sealing", "root"]))
@click.option("--valid-days", type=click.FloatRange(0, 36_500, min_open=True), help="When the new key ends.  [never]")
@click.option("--keep-old", is_flag=True, help="Let the older keys of its kind go on counting.")
@click.option("--hsm-key", default="", help="For a root key in an HSM: the label of the new one.")
async def rotate(
    folder: Path, *, kind: key_words.KeyKind, valid_days: float | None, keep_old: bool, hsm_key: str
) -> Result:
    """Change a key while everything runs.

    The new key is written to keyring.box first, then registered on the chain, then used; the old one is ended when
    nothing uses it any more. Nothing stops for it. After a crash or an error the hospital goes on by itself, and so
    does this command. A new root key waits one key window; then the hospital finishes, as `keys list` shows.

    Back keyring.box up afterwards, together with hospital.key.
    """
    async with Desk.of_folder(folder) as desk:
        done = await desk.rotate(key_words.Rotate(kind=kind, valid_days=valid_days, keep_old=keep_old, hsm_key=hsm_key))
    ended = ", ".join(map(str, done.ended)) or "none"
    waits = moment(done.counts_from_ms) if done.state == "waits" else ""
    facts = [
        ("key", f"{done.number}, {done.kind}"),
        ("state", done.state),
        ("counts from", waits),
        ("until", day(done.until_ms)),
        ("ended", ended),
        ("next", f"back up {folder / 'keyring.box'}"),
    ]
    return Result(msgspec.structs.asdict(done), facts_table("Rotated", facts))


@verb(keys, "revoke")
@hospital_option
@click.argument("number", type=click.IntRange(0))
@click.option("--compromised-since", type=click.DateTime(), help="For auditors; UTC. The chain judges nothing by it.")
async def revoke(folder: Path, number: int, *, compromised_since: datetime | None) -> Result:
    """End key NUMBER on the chain, at once. Its live lines are cut; what it signed still counts (see `affected`)."""
    async with Desk.of_folder(folder) as desk:
        done = await desk.revoke_key(number, key_words.Revoke(compromised_since_ms=_to_ms(compromised_since)))
    said = f"{done.kind} key {done.number} is revoked since {moment(done.revoked_at_ms)}."
    return Result(msgspec.structs.asdict(done), said)


def _to_ms(at: datetime | None) -> int | None:
    return None if at is None else int(at.replace(tzinfo=UTC).timestamp() * 1000)


@verb(keys, "affected")
@hospital_option
@click.argument("number", type=click.IntRange(0))
@click.option("--since", type=click.DateTime(), help="Since when it may have been in other hands; UTC.")
async def affected(folder: Path, number: int, *, since: datetime | None) -> Result:
    """List what a lost key touches: commitments, records, channels and credits at stake, other keys."""
    async with Desk.of_folder(folder) as desk:
        found = await desk.affected(number, _to_ms(since))
    rows = [
        (
            short(one.channel),
            one.peer_name,
            one.why,
            f"{one.commitments:,}",
            "" if one.first is None else f"{one.first:,} to {one.last:,}",
            len(one.records),
            _counts(one),
            amount(one.at_stake),
        )
        for one in found.channels
    ]
    columns = ("channel", "peer", "why", "commitments", "entries", "records", "counts", "at stake")
    title = f"{found.kind} key {found.number} ({found.state}) {found.says}"
    return Result(msgspec.to_builtins(found), rows_table(title, columns, rows))


def _counts(one: key_words.AffectedChannel) -> str:
    if not one.counts:
        return "no"
    return "yes" if one.counts_until_ms is None else f"until {moment(one.counts_until_ms)}"


@verb(keys, "recovery")
@hospital_option
@click.argument("out", type=click.Path(path_type=Path))
async def recovery(folder: Path, out: Path) -> Result:
    """Make a recovery key in the new file OUT, and register it. Put the file into a safe, and not on this machine.

    It waits one key window before it counts. Its password is another than the hospital's: INTERWARD_RECOVERY_PASSWORD.
    """
    secret_password = password(RECOVERY_PASSWORD, "Password of the recovery key: ")
    async with chain_reader(folder, None, None) as reader, Desk.of_folder(folder) as desk:
        status = await desk.status()
        hospital = bytes.fromhex(status.hospital)
        signer = _make_recovery(out, secret_password)
        possession = _possession(signer, RECOVERY, hospital, reader.chain)
        said = key_words.RegisterRecovery(key=signer.public_key.hex(), possession=possession.hex())
        done = await desk.register_recovery(said)
    text = f"Recovery key {done.number} is in {out}, and counts from {moment(done.counts_from_ms)}. Put it into a safe."
    return Result({"out": str(out), **msgspec.structs.asdict(done)}, text)


def _make_recovery(out: Path, secret_password: str) -> PrivateKey:
    """A new recovery key, in its file; or the one that is there, which a crash may have left unregistered."""
    if out.exists():
        return _open_recovery(out, secret_password)
    secret = secrets.token_bytes(32)
    write_new(out, seal(secret, secret_password, secrets.token_bytes(ENTROPY_BYTES)), 0o600)
    return PrivateKey(secret)


def _possession(signer: PrivateKey, kind: int, hospital: bytes, chain: bytes) -> bytes:
    said = words_of_key(hospital=hospital, kind=kind, key=signer.public_key)
    return sign(signer, Purpose.KEY, Context(chain=chain), said)


def _open_recovery(path: Path, secret_password: str) -> PrivateKey:
    try:
        return PrivateKey(open_sealed(read_file(path, "Name the recovery key's file."), secret_password))
    except Refused as refused:
        wrong = refused.fault is Fault.BAD_CIPHERTEXT
        remedy = f"Set {RECOVERY_PASSWORD} to its password." if wrong else "Is this the recovery key's file?"
        raise LocalError(f"{path} does not open: {refused.detail}", remedy) from None


@verb(keys, "veto")
@hospital_option
@recovery_option
@click.argument("number", type=click.IntRange(0))
async def veto(folder: Path, recovery: Path, number: int) -> Result:
    """Stop root or recovery key NUMBER while it waits. The hospital need not run."""
    signer = _open_recovery(recovery, password(RECOVERY_PASSWORD, "Password of the recovery key: "))
    async with chain_reader(folder, None, None) as reader:
        hospital = await _hospital_of(reader, signer)
        action = RevokeKey(hospital=hospital, number=number, compromised_since_ms=None)
        included = await reader.send(signer, action)
    return Result({"number": number, "height": included.height}, f"Key {number} is vetoed, in block {included.height}.")


@verb(keys, "recover")
@hospital_option
@recovery_option
async def recover(folder: Path, recovery: Path) -> Result:
    """Bring a new root key by the recovery key: for a root key that is stolen or lost.

    The running hospital makes the key and keeps it in keyring.box; the recovery key registers it. It waits one key
    window; when it begins, every earlier root key ends for good. Root keys cannot cancel it.
    """
    signer = _open_recovery(recovery, password(RECOVERY_PASSWORD, "Password of the recovery key: "))
    async with chain_reader(folder, None, None) as reader, Desk.of_folder(folder) as desk:
        hospital = await _hospital_of(reader, signer)
        made = await desk.make_root()
        key = bytes.fromhex(made.key)
        action = RegisterKey(
            hospital=hospital,
            kind=ROOT,
            key=key,
            valid_from_ms=0,
            valid_until_ms=TIME_MS_MAX,
            possession=bytes.fromhex(made.possession),
        )
        try:
            await reader.send(signer, action)
        except Refused as refused:
            if refused.fault is not Fault.ALREADY_DONE:
                raise
        row = await reader.hospital(hospital)
    assert row is not None
    found = next(one for one in row.keys if one.kind == ROOT and one.key == key)
    text = f"Root key {found.number} counts from {moment(found.valid_from_ms)}; then all earlier root keys end."
    said = {"number": found.number, "key": made.key, "counts_from_ms": found.valid_from_ms}
    return Result(said, f"{text} Back up {folder / 'keyring.box'}.")


async def _hospital_of(reader: Reader, signer: PrivateKey) -> bytes:
    """The hospital whose recovery key this is. Raises `LocalError`."""
    for row in await reader.hospitals():
        if any(key.kind == RECOVERY and key.key == signer.public_key for key in row.keys):
            return row.id
    raise LocalError("the chain knows no hospital with this recovery key", "Is it the right file, the right chain?")
