"""Is a hospital's folder in order, and the world around it? Each check says what it found, and what to do if not.

It opens what can be opened beside a running hospital and changes nothing.
"""

import shutil
from collections.abc import Callable
from typing import Any

import lmdb
import trio

from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.limits import CLOCK_SKEW_MS_MAX
from l1.reader.client import Reader
from l1.rules import state as l1_state
from l1.rules.blocks import Header
from l1.serving.addresses import split_address
from l2.desk.desk import URL_FILE, Desk
from l2.node.clock import now_ms
from l2.node.examination import examine_rows
from l2.node.folder import Folder
from l2.node.keys import KeyStore, key_warnings
from l2.node.parts import stores_in
from l2.node.store import SCHEMA
from l2.protocol.rows import REMEDY

__all__ = ["examine"]

ROOM_BYTES_MIN = 1 << 30  # an hour of full speed; below that somebody should look
ANSWER_S = 5.0
START_MS = 60_000  # for lines, and a new block
RESUME = (
    "Nothing is lost: it goes on by itself once the peers answer. For a peer that never will: docs/how-to/recovery.md."
)
ROTATE = "See docs/how-to/keys.md."

Check = dict[str, Any]


async def examine(folder: Folder, password: str) -> list[Check]:
    """All checks, in the order in which they matter. One that stands on another that failed is left out."""
    done = _Examination(folder, password)
    await done.run()
    return done.checks


class _Examination:
    def __init__(self, folder: Folder, password: str) -> None:
        self._folder, self._password = folder, password
        self.checks: list[Check] = []

    def _note(self, name: str, ok: bool, found: str, remedy: str = "") -> None:
        self.checks.append({"name": name, "ok": ok, "found": found, "remedy": "" if ok else remedy})

    def _try(self, name: str, read: Callable[[], Any], found: str) -> Any:
        """What `read` gives, or None when it cannot."""
        try:
            value = read()
        except (LocalError, Refused, lmdb.Error, OSError) as error:
            cause, remedy = (error.cause, error.remedy) if isinstance(error, LocalError) else (str(error), REMEDY)
            self._note(name, False, cause, remedy)
            return None
        self._note(name, True, found)
        return value

    async def run(self) -> None:
        folder = self._folder
        config = self._try("config", folder.config, "hospital.toml reads well")
        keys = self._try("keys", lambda: folder.keys(self._password), "hospital.key opens")
        genesis = self._try("genesis", folder.genesis, "genesis.json reads well")
        certificate = None
        if keys is not None:
            certificate = self._try("certificate", lambda: folder.certificate(keys), "it is of our own key")
        self._try(
            "channels",
            self._read_channels,
            f"channels.mdb and its journal are whole: every page, every row; schema {SCHEMA}",
        )
        self._room()
        if config is None or keys is None or genesis is None or certificate is None:
            return
        async with Reader(genesis, config.chain_url, now_ms=now_ms) as reader:
            tip = await self._chain(reader)
            if tip is None:
                return
            self._clock(tip)
            await self._registry(reader, keys, certificate.fingerprint, tip)
            await self._peers(reader, keys.hospital)
        await self._signing()

    async def _signing(self) -> None:
        """Of a running hospital: whether it may sign in every open channel."""
        if not (self._folder.path / URL_FILE).exists():
            return
        try:
            async with Desk.of_folder(self._folder.path) as desk:
                status = await desk.status()
        except (LocalError, Refused) as error:
            remedy = "If no hospital runs, start it: interward hospital run"
            self._note("signing", False, f"the desk does not answer ({error})", remedy)
            return
        if now_ms() - status.started_ms < START_MS:
            self._note("signing", True, "it has just started; each peer is asked for `resume` first")
            return
        found = "; ".join(status.resuming) or "it may sign in every open channel"
        self._note("signing", not status.resuming, found, RESUME)

    def _read_channels(self) -> None:
        """Beside a running hospital too: read only, every page and every row once."""
        stores = stores_in(self._folder.path)
        if not stores:
            raise LocalError("there is no channels.mdb", "interward hospital restore --from-peers")
        for path in stores.values():
            examine_rows(path)

    def _room(self) -> None:
        free = shutil.disk_usage(self._folder.path).free
        ok = free >= ROOM_BYTES_MIN
        self._note("disk", ok, f"{free:,} bytes are free", "Make room: a full disk stops the hospital.")

    async def _chain(self, reader: Reader) -> Header | None:
        try:
            tip = await reader.sync()
        except Refused as refused:
            forked = refused.fault is Fault.FORK
            remedy = "Stop, and ask the chain's operators: it has forked." if forked else "Look at both clocks."
            self._note("chain", False, str(refused), remedy)
        except LocalError as error:
            self._note("chain", False, error.cause, error.remedy)
        else:
            self._note("chain", True, f"every header up to {tip.height:,} verifies, no fork")
            return tip
        return None

    def _clock(self, tip: Header) -> None:
        off_ms = now_ms() - tip.time_ms
        ok = abs(off_ms) <= CLOCK_SKEW_MS_MAX
        remedy = "Set this machine's clock (NTP). If it is right, the chain makes no blocks: ask its operators."
        self._note("clock", ok, f"the chain's newest block is {off_ms / 1000:.1f} s behind our clock", remedy)

    async def _registry(self, reader: Reader, keys: KeyStore, fingerprint: bytes, tip: Header) -> None:
        me = await reader.hospital(keys.hospital)
        if me is None:
            remedy = "Have a registrar run: interward chain hospital admit admission.json"
            self._note("registry", False, "the chain does not know this hospital", remedy)
            return
        found = key_warnings(me, lambda key: keys.holds(key, fingerprint), tip.clock_ms)
        self._note(
            "registry", not found, "all keys of this folder count on L1" if not found else "; ".join(found), ROTATE
        )

    async def _peers(self, reader: Reader, me: bytes) -> None:
        rows = [row for row in await reader.channels_of(me) if row.phase == l1_state.Phase.OPEN]
        for peer in dict.fromkeys(one for row in rows for one in row.opening.hospitals if one != me):
            registered = await reader.hospital(peer)
            assert registered is not None
            try:
                with trio.fail_after(ANSWER_S):
                    await (await trio.open_tcp_stream(*split_address(registered.endpoint))).aclose()
            except (OSError, trio.TooSlowError, LocalError) as error:
                found = f"{registered.endpoint} does not answer ({str(error) or 'too slow'})"
                self._note(f"peer {registered.name}", False, found, "Ask its operators; nothing is lost meanwhile.")
            else:
                self._note(f"peer {registered.name}", True, f"{registered.endpoint} answers")
