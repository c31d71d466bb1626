"""Hospitals that can meet on a line: a registry in memory, their keys, and the two ends of a handshake."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio
from trio.testing import memory_stream_pair

from l1.ground.codec import encode
from l1.ground.faults import Fault, Refused
from l1.ground.limits import VERSION
from l1.ground.signing import PrivateKey
from l1.rules.blocks import Header, SignedHeader
from l1.rules.state import Hospital, Key
from l1.rules.transactions import CHANNEL, ROOT, SEALING, TLS, account_of
from l2.link import Credentials, Identity, Line, LineClosed, Registry, Role, Station, answer, greet, make_certificate
from l2.link.tls import Certificate

CHAIN = bytes(range(32))
NOW_MS = 1_790_000_000_000
BATCH, NOTE = 16, 17
KNOWN = {Role.CHANNEL: (BATCH, NOTE), Role.RECORDS: (18,)}


class World(Registry):
    """A registry in memory, and headers of one chain."""

    def __init__(self) -> None:
        self.hospitals: dict[bytes, Hospital] = {}
        self.header = signed_header()

    async def hospital(self, hospital: bytes) -> Hospital | None:
        return self.hospitals.get(hospital)

    async def newest_header(self) -> SignedHeader:
        return self.header

    async def check_header(self, header: SignedHeader) -> None:
        if header != self.header:
            raise Refused(Fault.FORK, "two headers at height 7")

    def admit(self, seed: bytes) -> Identity:
        """A hospital whose keys all follow from the seed."""
        root, channel = PrivateKey(seed * 32), PrivateKey(seed * 31 + b"c")
        certificate = certificate_of(seed)
        rows = [
            (ROOT, root.public_key),
            (CHANNEL, channel.public_key),
            (TLS, certificate.fingerprint),
            (SEALING, b"s" * 32),
        ]
        keys = tuple(registered(number, kind, key) for number, (kind, key) in enumerate(rows))
        hospital = Hospital(id=account_of(root.public_key), name=seed.hex(), endpoint="localhost:1", keys=keys)
        self.hospitals[hospital.id] = hospital
        return Identity(CHAIN, hospital.id, channel, 1, Credentials(certificate))

    def change_key(self, hospital: bytes, number: int, **changes: object) -> None:
        row = self.hospitals[hospital]
        keys = list(row.keys)
        fields = {name: getattr(keys[number], name) for name in keys[number].__struct_fields__}
        keys[number] = Key(**{**fields, **changes})
        self.hospitals[hospital] = Hospital(id=row.id, name=row.name, endpoint=row.endpoint, keys=tuple(keys))


def signed_header(state: bytes = bytes(32)) -> SignedHeader:
    header = Header(
        version=VERSION,
        chain=CHAIN,
        height=7,
        parent=bytes(32),
        time_ms=NOW_MS,
        clock_ms=NOW_MS,
        transactions=bytes(32),
        state=state,
        authority=PrivateKey(b"a" * 32).public_key,
    )
    return SignedHeader(body=encode(header), signature=bytes(64))


def registered(number: int, kind: int, key: bytes) -> Key:
    return Key(
        number=number,
        kind=kind,
        key=key,
        valid_from_ms=0,
        valid_until_ms=NOW_MS + 1,
        revoked_at_ms=None,
        compromised_since_ms=None,
    )


def certificate_of(seed: bytes) -> Certificate:
    return make_certificate(seed * 32, "Hospital", NOW_MS)


class Outcome:
    """What a task came to: its value or its error."""

    value: Line
    error: Exception | None = None


async def settle(outcome: Outcome, work: Callable[[], Awaitable[Line]]) -> None:
    try:
        outcome.value = await work()
    except (Refused, LineClosed) as error:
        outcome.error = error


async def meet(alice: Station, bob: Station, *, role: Role = Role.CHANNEL) -> tuple[Outcome, Outcome]:
    """Alice connects, Bob listens, over a stream in memory."""
    here, there = memory_stream_pair()
    ours, theirs = Outcome(), Outcome()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(settle, ours, partial(greet, alice, here, peer=bob.me.hospital, role=role))
            nursery.start_soon(settle, theirs, partial(answer, bob, there))
    return ours, theirs


def fault_of(outcome: Outcome) -> Fault | None:
    assert outcome.error is not None
    return outcome.error.fault if isinstance(outcome.error, Refused) else None


def told_fault(outcome: Outcome) -> int | None:
    assert isinstance(outcome.error, LineClosed)
    return outcome.error.fault


@asynccontextmanager
async def lines(alice: Station, bob: Station) -> AsyncIterator[tuple[Line, Line]]:
    ours, theirs = await meet(alice, bob)
    assert ours.error is None
    assert theirs.error is None
    yield ours.value, theirs.value
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.value.aclose)
        nursery.start_soon(theirs.value.aclose)


class Masked(Credentials):
    """Speaks TLS with one certificate and shows another."""

    def __init__(self, real: Certificate, shown: Certificate) -> None:
        super().__init__(real)
        self.certificate = shown
