"""A hospital's folder: its sealed seed, certificate, config, the lock, the stores. It makes and opens them.

Layout: `hospital.toml` (what the operator may change), `hospital.key` (the seed, sealed under the password),
`keyring.box` (keys made later, sealed under the seed), `certificate.pem`, `genesis.json`, `admission.json` (for the
registrar), `towers.json` (where our watchtowers are), `desk.token`, `desk.url` (while it runs), `channels.mdb`,
`bodies/`, `exchange/`, `lock`. A hub has more stores, `channels-1.mdb` and so on, and a lock for each worker.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from l1.ground.codec import encode
from l1.ground.faults import LocalError, Refused
from l1.ground.limits import BATCH_ENTRIES_MAX
from l1.ground.sealed import ENTROPY_BYTES, MODERATE, Cost, seal
from l1.ground.signing import Context, Purpose, Signer, sign
from l1.reader import dump_genesis, open_genesis
from l1.rules.genesis import Genesis, chain_id
from l1.serving.files import make_directory, write_new
from l1.serving.folders import FileReader, write_config
from l1.serving.process import ask_password, hold_lock
from l2.desk.desk import TOKEN_FILE, URL_FILE
from l2.link import Certificate, make_certificate
from l2.node.bodies import Bodies
from l2.node.clock import now_ms
from l2.node.keys import KEYRING, Hsm, KeyStore, first_certificate, load_keyring, save_keyring
from l2.node.parts import CHANNELS, WORKERS_MAX, lock_of
from l2.node.store import ChannelStore
from l2.protocol.limits import BATCH_ENTRIES_AIM
from l2.records.keys import exchange_public

__all__ = ["PIN", "Begun", "Config", "Folder", "HsmConfig", "make_folder"]

KEY, CERTIFICATE, CONFIG, GENESIS, ADMISSION = (
    "hospital.key",
    "certificate.pem",
    "hospital.toml",
    "genesis.json",
    "admission.json",
)
TOWERS_FILE = "towers.json"
BODIES = "bodies"
COPY_MARK = "copy"  # in a backup: whoever runs on it may have said more than it holds [START-6]
PIN = "INTERWARD_HSM_PIN"
WORKERS_END_S, LOOK_S = 15.0, 0.1  # longer than a worker takes to write back and end


class HsmConfig(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Where the first root key lies: the PKCS#11 module's path, the token, the key's label, its public half in hex."""

    module: str
    token: str
    label: str
    public: str


class Config(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What the operator may change. Addresses are host:port; port 0 takes any free one.

    `listen` is where the secure line listens, `endpoint` what L1 tells others (the same unless there is a NAT).
    `accept_*` bound the terms of channels that peers propose. `auto_fetch`: fetch what is granted to us as it comes.
    `auto_grant`: answer requests that a consent permits. `checkpoint_s`: settle new heads on L1 so often, 0 never.
    `batch_entries`: at most so many entries share one signature. `record_bytes_per_s`: record bodies go to each peer no
    faster, 0 as fast as they can. `log_retention_years`: how long logs are to be kept, as `retention status` shows; six
    years are what 45 CFR 164.316 and 164.528 ask for. `demand_after_s`: a release that is overdue for so long is
    demanded on the chain, 0 never.
    `hsm`: the root key lies in an HSM.
    `workers`: over so many processes the channels are spread; a change counts from the next start.
    `bench`: take drafts of grants without a body; never on a hospital with real patients.
    """

    name: str
    chain_url: str
    listen: str = "127.0.0.1:9800"
    endpoint: str = "127.0.0.1:9800"
    desk: str = "127.0.0.1:9880"
    accept_deposit_max: int = 1_000_000
    accept_bond_max: int = 1_000_000
    accept_window_ms_min: int = 1_000
    auto_fetch: bool = False
    auto_grant: bool = False
    checkpoint_s: float = 0.0
    batch_entries: Annotated[int, msgspec.Meta(ge=1, le=BATCH_ENTRIES_MAX)] = BATCH_ENTRIES_AIM
    record_bytes_per_s: Annotated[int, msgspec.Meta(ge=0)] = 0
    log_retention_years: Annotated[float, msgspec.Meta(ge=0)] = 6.0
    demand_after_s: Annotated[float, msgspec.Meta(ge=0)] = 600.0
    workers: Annotated[int, msgspec.Meta(ge=1, le=WORKERS_MAX)] = 1
    bench: bool = False
    hsm: HsmConfig | None = None


class Begun(msgspec.Struct, frozen=True):
    """What an operator may change at any time, as it stood when the hospital began. It shows no token."""

    config: Config
    token: str

    def __repr__(self) -> str:
        return "Begun(…)"


@dataclass(frozen=True)
class Folder:
    """An existing folder, whoever runs on it.

    `begun`: goes by this, and not by what the files say now: a hub's worker that is started again is as the others are.
    """

    path: Path
    begun: Begun | None = None

    @property
    def _files(self) -> FileReader:
        return FileReader(self.path, "Make a hospital with `interward hospital init`, or name its folder.")

    def config(self) -> Config:
        return self._files.config(CONFIG, Config) if self.begun is None else self.begun.config

    def genesis(self) -> Genesis:
        return open_genesis(self._files.bytes_of(GENESIS), self.path / GENESIS)

    def seed(self, password: str) -> bytes:
        """Raises `LocalError` for a wrong password or a damaged file."""
        return self._files.secret(KEY, password, "Restore it from a backup.")

    def keys(self, password: str, pin: str = "") -> KeyStore:
        """Raises as `seed`, and for a damaged keyring."""
        return self.keys_from(self.seed(password), pin)

    def keys_from(self, seed: bytes, pin: str = "") -> KeyStore:
        """The HSM, if there is one, is asked to sign only, so only who signs with the root key needs its PIN."""
        told = self.config().hsm
        hsm = None if told is None else Hsm(told.module, told.token, pin)
        first = None if told is None or hsm is None else hsm.signer(told.label, bytes.fromhex(told.public))
        return KeyStore(
            seed,
            load_keyring(self.path, seed),
            keep=lambda keys: save_keyring(self.path, seed, keys),
            again=lambda: load_keyring(self.path, seed),
            first_root=first,
            hsm=hsm,
        )

    def pin(self) -> str:
        """The PIN of the HSM, asked for like the password; nothing where there is no HSM."""
        return "" if self.config().hsm is None else ask_password(PIN, "PIN of the HSM")

    def certificate(self, keys: KeyStore) -> Certificate:
        try:
            return first_certificate(self._files.bytes_of(CERTIFICATE), keys)
        except Refused as refused:
            raise LocalError(f"{self.path / CERTIFICATE}: {refused.detail}", "Restore it from a backup.") from None

    def token(self) -> str:
        if self.begun is not None:
            return self.begun.token
        return self._files.bytes_of(TOKEN_FILE).decode().strip()

    def say_url(self, url: str) -> None:
        """Tell the desk's clients where we listen."""
        (self.path / URL_FILE).write_text(url + "\n")

    def forget_url(self) -> None:
        (self.path / URL_FILE).unlink(missing_ok=True)

    def mark_copy(self) -> None:
        """[START-6] This folder is a copy of another one, which may have said more since. Done twice, it is done."""
        (self.path / COPY_MARK).touch()

    def is_copy(self) -> bool:
        return (self.path / COPY_MARK).exists()

    def forget_copy(self) -> None:
        """Every channel has resumed, and the chain knows it."""
        (self.path / COPY_MARK).unlink(missing_ok=True)

    def copy_to(self, to: Path, bodies: Bodies, store: ChannelStore) -> None:
        """A copy of the folder of a running hospital. The channels' rows come last; those of a hub's other workers are
        to be put beside them."""
        if to.exists() and any(to.iterdir()):
            raise LocalError(f"{to} is not empty", "Name a new folder; nothing was overwritten.")
        to.mkdir(parents=True, exist_ok=True)
        Folder(to).mark_copy()
        for name in (KEY, CERTIFICATE, CONFIG, GENESIS, ADMISSION, TOKEN_FILE):
            write_new(to / name, self._files.bytes_of(name), 0o600 if name in (KEY, TOKEN_FILE) else 0o644)
        if (self.path / TOWERS_FILE).exists():
            write_new(to / TOWERS_FILE, self._files.bytes_of(TOWERS_FILE))
        if (self.path / KEYRING).exists():
            write_new(to / KEYRING, self._files.bytes_of(KEYRING), 0o600)
        bodies.backup(to / BODIES)
        store.copy(to / CHANNELS)

    def is_one(self) -> bool:
        """Whether it is a hospital's at all."""
        return (self.path / KEY).is_file()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """The folder for this process alone."""
        if not self.is_one():
            raise LocalError(f"{self.path} is not a hospital's folder", "Make one with `interward hospital init`.")
        with hold_lock(self.path):
            self._wait_for_workers()
            yield

    def _wait_for_workers(self) -> None:
        """Workers of a hub whose front was killed end by themselves, soon; until then their channels are theirs."""
        deadline_s = time.monotonic() + WORKERS_END_S
        for number in range(WORKERS_MAX):
            while (self.path / lock_of(number)).exists():
                try:
                    with hold_lock(self.path, lock_of(number)):
                        break
                except LocalError:
                    if time.monotonic() > deadline_s:
                        raise
                    time.sleep(LOOK_S)


def make_folder(
    path: Path, config: Config, genesis_file: bytes, password: str, cost: Cost = MODERATE, root: Signer | None = None
) -> bytes:
    """Make a new hospital: keys, certificate, config that runs as it is. Returns the hospital's id.

    `root` is a root key that lies elsewhere: in the HSM that the config names.
    """
    genesis = open_genesis(genesis_file, "the genesis file")
    make_directory(path)
    seed = secrets.token_bytes(32)
    keys = KeyStore(seed, first_root=root)
    certificate = make_certificate(keys.tls_seed(), config.name, now_ms())
    write_new(path / KEY, seal(seed, password, secrets.token_bytes(ENTROPY_BYTES), cost), 0o600)
    write_new(path / CERTIFICATE, certificate.to_pem())
    write_new(path / GENESIS, dump_genesis(genesis))
    write_new(path / TOKEN_FILE, secrets.token_urlsafe(32).encode(), 0o600)
    write_config(path / CONFIG, config)
    write_new(path / ADMISSION, admission(config, keys, certificate, chain_id(genesis)))
    return keys.hospital


def admission(config: Config, keys: KeyStore, certificate: Certificate, chain: bytes) -> bytes:
    """What the registrar needs, as JSON: public keys, and the root key's word that it is ours."""
    root, channel, sealing = keys.first_root, keys.first_channel(), exchange_public(keys.first_sealing())
    said = [
        config.name,
        config.endpoint,
        root.public_key,
        channel.public_key,
        certificate.fingerprint,
        sealing,
    ]
    possession = sign(root, Purpose.KEY, Context(chain=chain), encode(said))
    fields = {
        "name": config.name,
        "endpoint": config.endpoint,
        "root": root.public_key.hex(),
        "channel": channel.public_key.hex(),
        "tls": certificate.fingerprint.hex(),
        "sealing": sealing.hex(),
        "possession": possession.hex(),
    }
    return msgspec.json.format(msgspec.json.encode(fields)) + b"\n"
