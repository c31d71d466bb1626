"""Mallory: a hospital of her own that signs what no honest node would. `python -m client.demo.mallory GENESIS URL`.

A process with real keys on the real line. It keeps next to nothing: her own frontier, and the newest head of her peer.
It takes one JSON command a line on standard input and answers each with one JSON line; the demo says what she does.
For demos and tests only: nothing of the product imports it.
"""

import json
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import trio

from client.demo.mallory_pen import CHANNEL_KEY, Pen, now_ms
from client.demo.mallory_words import consent_terms, grant_terms, request_terms
from l1.ground.codec import encode
from l1.ground.faults import LocalError, Refused
from l1.ground.hashing import digest
from l1.ground.limits import VERSION
from l1.ground.merkle import EMPTY_ROOT
from l1.ground.signing import Context, PrivateKey, Purpose, sign
from l1.reader import Reader, load_genesis
from l1.rules.blocks import SignedHeader
from l1.rules.commitment import (
    Opening,
    channel_id,
)
from l1.rules.evidence import TwoWords, decode_evidence
from l1.rules.log.entries import Access, AccessTerms, Consent, Entry, Grant, Request
from l1.rules.state import Hospital
from l1.rules.transactions import SEALING, Close, Open, Report, account_of, admission_words
from l2.link import Credentials, Identity, Line, LineClosed, Role, Station, connect, make_certificate, slot_of
from l2.protocol.messages import (
    KNOWN,
    Accept,
    Attach,
    Message,
    Propose,
    Reestablish,
    decode_accept,
)
from l2.records.keys import channel_secret, exchange_public

__all__ = ["Mallory", "main"]

PATIENCE_S = 30.0
POLL_S = 0.02


class _Chain:
    """What the line asks the chain."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def hospital(self, hospital: bytes) -> Hospital | None:
        return await self._reader.hospital(hospital)

    async def newest_header(self) -> SignedHeader:
        await self._reader.sync()
        newest = self._reader.newest_signed()
        assert newest is not None
        return newest

    async def check_header(self, header: SignedHeader) -> None:
        await self._reader.check_header(header)


class Mallory:
    """Her keys, her channels, and what she can be told to do."""

    def __init__(self, reader: Reader, nursery: trio.Nursery) -> None:
        self._reader, self._nursery = reader, nursery
        self._root, self._signer = (PrivateKey(secrets.token_bytes(32)) for _ in range(2))
        self._sealing = secrets.token_bytes(32)
        self._certificate = make_certificate(secrets.token_bytes(32), "M", now_ms())
        self._pens: dict[bytes, Pen] = {}
        self.id = account_of(self._root.public_key)

    def admission(self) -> dict[str, str]:
        """What a registrar needs."""
        fields: dict[str, Any] = {
            "name": "M",
            "endpoint": "127.0.0.1:1",  # she calls, and is never called
            "root": self._root.public_key,
            "channel": self._signer.public_key,
            "tls": self._certificate.fingerprint,
            "sealing": exchange_public(self._sealing),
        }
        possession = sign(self._root, Purpose.KEY, Context(chain=self._reader.chain), admission_words(**fields))
        shown = {**fields, "possession": possession}
        return {name: value.hex() if isinstance(value, bytes) else value for name, value in shown.items()}

    # -- commands: each is called with the fields of its JSON line

    async def open(self, peer: str, deposit: int, bond: int, window_ms: int, slot: int | None = None) -> dict[str, Any]:
        """Open a channel, and have a line on it. `slot`: the first byte of its id."""
        victim = await self._reader.hospital(bytes.fromhex(peer))
        assert victim is not None
        tip = await self._reader.sync()
        while True:
            opening = Opening(
                version=VERSION,
                chain=self._reader.chain,
                hospitals=(self.id, victim.id),
                nonce=secrets.token_bytes(32),
                deposits=(deposit, deposit),
                bond=bond,
                window_ms=window_ms,
                answer_ms=10_000,
                expires=tip.height + 1_000,
            )
            if slot in (None, slot_of(channel_id(opening))):
                break
        signature = sign(self._root, Purpose.OPENING, Context(chain=self._reader.chain), encode(opening))
        line = await self._dial(victim, channel_id(opening))
        await line.send(Message.PROPOSE, encode(Propose(opening=opening, signature=signature)))
        kind, payload = await line.receive()
        await line.aclose()
        if kind != Message.ACCEPT:
            raise LocalError(f"the peer declines: {payload!r}", "")
        accepted: Accept = decode_accept(payload)
        await self._reader.send(self._root, Open(opening=opening, signatures=(signature, accepted.signature)))
        channel = channel_id(opening)
        sealing = [key.key for key in victim.keys if key.kind == SEALING][-1]
        line = await self._attach(victim, channel, Reestablish(0, EMPTY_ROOT, 0, EMPTY_ROOT, 0))
        context = Context(chain=self._reader.chain, channel=channel)
        pen = Pen(line, context, self._signer, channel_secret(self._sealing, sealing, channel))
        self._pens[channel] = pen
        self._nursery.start_soon(pen.listen)
        return {"channel": channel.hex()}

    async def _dial(self, victim: Hospital, channel: bytes) -> Line:
        identity = Identity(
            chain=self._reader.chain,
            hospital=self.id,
            signer=self._signer,
            key_number=CHANNEL_KEY,
            credentials=Credentials(self._certificate),
        )
        station = Station(me=identity, registry=_Chain(self._reader), known={Role.CHANNEL: KNOWN})
        host, _, port = victim.endpoint.rpartition(":")
        slot = slot_of(channel)
        return await connect(station, host, int(port), peer=victim.id, role=Role.CHANNEL, slot=slot)

    async def _attach(self, victim: Hospital, channel: bytes, heads: Reestablish) -> Line:
        """The peer keeps the channel once it has seen the block that opened it."""
        with trio.fail_after(PATIENCE_S):
            while True:
                try:
                    line = await self._dial(victim, channel)
                    await line.send(Message.ATTACH, encode(Attach(channel=channel)))
                    await line.send(Message.REESTABLISH, encode(heads))
                    await line.receive()
                except (LineClosed, Refused):
                    await trio.sleep(POLL_S)
                    continue
                return line

    async def come_back(self, channel: str, peer: str, size: int) -> dict[str, Any]:
        """A line again, to a peer that has started anew; she holds `size` entries of its log, or so she says."""
        victim, pen = await self._reader.hospital(bytes.fromhex(peer)), self.pen(channel)
        assert victim is not None
        held, own = pen.head_heard(size), pen.frontier
        heads = Reestablish(own.size, own.root(), held.size, held.root, 0)
        pen.move(await self._attach(victim, bytes.fromhex(channel), heads), size)
        self._nursery.start_soon(pen.listen)
        return {}

    async def words(self, channel: str, size: int) -> dict[str, Any]:
        """What the peer signed at that size, first and last: evidence."""
        heard = self.pen(channel).heard[size]
        return {"evidence": encode(TwoWords(first=heard[0], second=heard[-1])).hex(), "count": len(heard)}

    async def report(self, channel: str, evidence: str) -> dict[str, Any]:
        """Accuse, by her own key."""
        shown = Report(channel=bytes.fromhex(channel), evidence=decode_evidence(bytes.fromhex(evidence)))
        return {"height": (await self._reader.send(self._root, shown)).height}

    async def wait(self, channel: str, size: int) -> dict[str, Any]:
        """Until the peer's log has come so far."""
        with trio.fail_after(PATIENCE_S):
            while self.pen(channel).peer.size < size:  # noqa: ASYNC110 - it is for a demo
                await trio.sleep(POLL_S)
        return {}

    async def request(self, channel: str, count: int = 1, spent: int = 0) -> dict[str, Any]:
        """Entries that harm nobody; `spent` is what she says that she paid."""
        entries: list[Entry] = [Request(time=now_ms(), emergency=False) for _ in range(count)]
        return {"index": await self.pen(channel).say(entries, [request_terms() for _ in entries], spent=spent)}

    async def twice(self, channel: str, spent: int = 0) -> dict[str, Any]:
        """Two words at one size of her log: with other entries, or with another total."""
        entry = Request(time=now_ms(), emergency=False)
        await self.pen(channel).say([entry], [request_terms()], keep=False)
        await self.pen(channel).say([entry], [request_terms(purpose=0 if spent else 1)], spent=spent)
        return {}

    async def fork(self, channel: str) -> dict[str, Any]:
        """One request for the peer, and a proof for somebody else that stands in another log."""
        await self.request(channel)
        return self.pen(channel).other_log(2)

    async def fall(self, channel: str) -> dict[str, Any]:
        """She has seen less of the peer's log than she said before."""
        entry = Request(time=now_ms(), emergency=False)
        await self.pen(channel).say([entry], [request_terms()], seen_size=0, seen_root=EMPTY_ROOT)
        return {}

    async def access(self, channel: str, grant: int, purpose: int = 0) -> dict[str, Any]:
        """Open a record, whether or not she may."""
        terms = AccessTerms(practitioner=b"p" * 16, role=0, purpose=purpose)
        return {"index": await self.pen(channel).say([Access(time=now_ms(), grant=grant)], [terms])}

    async def grant(self, channel: str) -> dict[str, Any]:
        """Grant a record whose key she will keep."""
        pen, time_ms = self.pen(channel), now_ms()
        at = pen.frontier.size + (1 if pen.peer.size else 0)
        entries: list[Entry] = [
            Consent(time=time_ms),
            Grant(time=time_ms, basis=0, consent=at, request=None, fee=0, lock=digest(b"nobody will see this")),
        ]
        first = await pen.say(entries, [consent_terms(), grant_terms()])
        assert first == at
        return {"index": first + 1}

    async def close_stale(self, channel: str) -> dict[str, Any]:
        """Close alone with the first thing that she signed."""
        first = self.pen(channel).first
        close = Close(channel=bytes.fromhex(channel), own=first, peer=None, lost=False)
        included = await self._reader.send(self._root, close)
        return {"height": included.height}

    def pen(self, channel: str) -> Pen:
        return self._pens[bytes.fromhex(channel)]


COMMANDS = frozenset(
    (
        "open",
        "wait",
        "request",
        "twice",
        "fork",
        "fall",
        "access",
        "grant",
        "close_stale",
        "come_back",
        "words",
        "report",
    )
)


def _print(said: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


async def _live(genesis: bytes, url: str) -> None:
    reader = Reader(load_genesis(genesis), url, now_ms=now_ms)
    async with reader, trio.open_nursery() as nursery:
        mallory = Mallory(reader, nursery)
        _print({"ready": True, "url": "", "hospital": mallory.id.hex(), "admission": mallory.admission()})
        while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            asked: dict[str, Any] = json.loads(line)
            name = asked.pop("do")
            assert name in COMMANDS
            command: Callable[..., Awaitable[dict[str, Any]]] = getattr(mallory, name)
            try:
                _print({"at_s": time.monotonic(), **await command(**asked)})
            except (LocalError, Refused, LineClosed, trio.TooSlowError) as error:
                _print({"error": f"{name}: {error or type(error).__name__}"})
        nursery.cancel_scope.cancel()


def main(arguments: Sequence[str]) -> int:
    trio.run(_live, Path(arguments[0]).read_bytes(), arguments[1])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
