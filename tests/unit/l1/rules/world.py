"""A chain in a dictionary, two hospitals on it, and short words for what they do. No store, no network, no clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace

from l1.ground.codec import encode
from l1.ground.faults import Fault, Refused
from l1.ground.hashing import digest
from l1.ground.limits import TIME_MS_MAX, VERSION
from l1.ground.merkle import leaf_hash, root_of
from l1.ground.signing import Context, PrivateKey, Purpose, sign
from l1.rules.blocks import Header, begin, check_follows, execute
from l1.rules.commitment import Commitment, Head, Opening, Resume, Signed, channel_id, closing_of, sign_shape
from l1.rules.genesis import Allocation, Genesis, Parameters, chain_id
from l1.rules.invariants import check_conserved
from l1.rules.state import Channel, Draft, Hospital
from l1.rules.transactions import (
    Action,
    Admit,
    CloseTogether,
    Open,
    RegisterKey,
    Transfer,
    account_of,
    admission_words,
    key_words,
    sign_transaction,
)

WINDOW_MS = 25_000
KEY_WINDOW_MS = 60_000
TOTAL = 1_000_000


@contextmanager
def refuses(fault: Fault) -> Iterator[None]:
    """What stands inside is refused, for exactly this reason."""
    with pytest.raises(Refused) as caught:
        yield
    assert caught.value.fault == fault, caught.value


def key_named(name: str) -> PrivateKey:
    return PrivateKey(digest(name.encode()))


def head_of(size: int, log: str = "log") -> Head:
    """The head of a log of `size` entries; another `log` has other entries."""
    return Head(size=size, root=root_of([leaf_hash(f"{log} {index}".encode()) for index in range(size)]))


@dataclass
class Party:
    """A hospital's keys, by the number they have on the chain."""

    name: str
    keys: dict[int, PrivateKey] = field(default_factory=dict)

    @property
    def root(self) -> PrivateKey:
        return self.keys[0]

    @property
    def channel(self) -> PrivateKey:
        return self.keys[1]

    @property
    def id(self) -> bytes:
        return account_of(self.root.public_key)


def party(name: str) -> Party:
    return Party(name, {0: key_named(name + " root"), 1: key_named(name + " channel")})


def admission(who: Party, root: PrivateKey | None = None, chain: bytes = b"") -> Admit:
    """`root` signs for possession: by default the hospital's own."""
    fields = {
        "name": who.name,
        "endpoint": "127.0.0.1:7000",
        "root": who.root.public_key,
        "channel": who.channel.public_key,
        "tls": digest(who.name.encode() + b" tls"),
        "sealing": digest(who.name.encode() + b" sealing"),
    }
    possession = sign(root or who.root, Purpose.KEY, Context(chain=chain), admission_words(**fields))  # type: ignore[arg-type]
    return Admit(**fields, possession=possession)  # type: ignore[arg-type]


class World:
    """Every `do` is a block of one transaction, executed as nodes do; credits are counted after each."""

    def __init__(self) -> None:
        self.registrar = key_named("registrar")
        parameters = Parameters(heartbeat_ms=5_000, window_ms_min=1_000, bond_min=10, key_window_ms=KEY_WINDOW_MS)
        self.genesis = Genesis(
            version=VERSION,
            name="test",
            time_ms=1_000_000,
            salt=bytes(32),
            authority=key_named("authority").public_key,
            registrars=(self.registrar.public_key,),
            allocations=(Allocation(account=account_of(self.registrar.public_key), credits=TOTAL),),
            parameters=parameters,
        )
        self.chain = chain_id(self.genesis)
        first = begin(self.genesis)
        self.tip: Header = first.header
        self.rows, self.nodes = dict(first.writes), dict(first.nodes)
        self.a, self.b = party("alice"), party("bob")

    def get(self, key: bytes) -> bytes | None:
        return self.rows.get(key)

    @property
    def draft(self) -> Draft:
        return Draft(self)

    def nonce(self, key: PrivateKey) -> int:
        return self.draft.get_account(account_of(key.public_key)).nonce

    def credits(self, who: Party) -> int:
        return self.draft.get_account(who.id).credits

    def hospital(self, who: Party) -> Hospital:
        found = self.draft.get_hospital(who.id)
        assert found is not None
        return found

    def channel(self, channel: bytes) -> Channel:
        found = self.draft.get_channel(channel)
        assert found is not None
        return found

    def sign(self, key: PrivateKey, action: Action) -> bytes:
        return sign_transaction(key, self.chain, self.nonce(key), action)

    def block(self, *transactions: bytes, after_ms: int = 100) -> None:
        done = execute(self, self.nodes.__getitem__, self.tip, transactions, time_ms=self.tip.time_ms + after_ms)
        check_follows(self.tip, done.header, self.genesis.parameters)
        self.rows.update(done.writes)
        self.nodes.update(done.nodes)
        self.tip = done.header
        check_conserved(self.rows, TOTAL)

    def do(self, key: PrivateKey, action: Action, *, after_ms: int = 100) -> None:
        self.block(self.sign(key, action), after_ms=after_ms)

    def try_do(self, key: PrivateKey, action: Action) -> bool:
        """Whether the chain took it; a refusal must leave no trace."""
        before, tip = dict(self.rows), self.tip
        try:
            self.do(key, action)
        except Refused:
            assert self.rows == before
            assert self.tip == tip
            return False
        return True

    def wait(self, duration_ms: int) -> None:
        """Empty blocks, until the chain clock has come so far."""
        until = self.tip.clock_ms + duration_ms
        while self.tip.clock_ms < until:
            self.block(after_ms=min(until - self.tip.clock_ms, 10_000))

    def admit(self, who: Party, amount: int = 10_000) -> None:
        self.do(self.registrar, admission(who, chain=self.chain))
        if amount:
            self.do(self.registrar, Transfer(to=who.id, amount=amount))

    def new_key(
        self, who: Party, kind: int, name: str, *, until_ms: int = TIME_MS_MAX, from_ms: int = 0
    ) -> RegisterKey:
        """The registration of a new signing key, which gets the hospital's next number."""
        key = key_named(name)
        who.keys[len(self.hospital(who).keys)] = key
        words = key_words(hospital=who.id, kind=kind, key=key.public_key)
        return RegisterKey(
            hospital=who.id,
            kind=kind,
            key=key.public_key,
            valid_from_ms=from_ms,
            valid_until_ms=until_ms,
            possession=sign(key, Purpose.KEY, Context(chain=self.chain), words),
        )

    def opening(self, nonce: int = 1, **changes: Any) -> Opening:
        terms = Opening(
            version=VERSION,
            chain=self.chain,
            hospitals=(self.a.id, self.b.id),
            nonce=digest(nonce.to_bytes(4, "big")),
            deposits=(1_000, 500),
            bond=100,
            window_ms=WINDOW_MS,
            answer_ms=5_000,
            expires=1_000,
        )
        return replace(terms, **changes)

    def signed_opening(self, opening: Opening, *, keys: tuple[PrivateKey, PrivateKey] | None = None) -> Open:
        first, second = keys or (self.a.root, self.b.root)
        context, body = Context(chain=self.chain), encode(opening)
        return Open(
            opening=opening,
            signatures=(
                sign(first, Purpose.OPENING, context, body),
                sign(second, Purpose.OPENING, context, body),
            ),
        )

    def with_channel(self) -> bytes:
        """Admits alice and bob and opens a channel between them: deposits 1,000 and 500, bonds 100."""
        self.admit(self.a)
        self.admit(self.b)
        opening = self.opening()
        self.do(self.a.root, self.signed_opening(opening))
        return channel_id(opening)

    def side(self, side: int) -> Party:
        return (self.a, self.b)[side]

    def says(
        self,
        channel: bytes,
        side: int,
        size: int,
        *,
        seen: int = 0,
        spent: int = 0,
        height: int = 0,
        key: int = 1,
        log: str = "",
        seen_log: str = "",
        signer: PrivateKey | None = None,
    ) -> Signed:
        """A side's signed commitment to `size` entries, having seen `seen` of the peer's."""
        names = ("a", "b")
        own, peer = head_of(size, log or names[side]), head_of(seen, seen_log or names[1 - side])
        commitment = Commitment(
            version=VERSION,
            chain=self.chain,
            channel=channel,
            side=side,
            size=size,
            root=own.root,
            spent=spent,
            seen_size=seen,
            seen_root=peer.root,
            height=height,
        )
        context = Context(chain=self.chain, channel=channel)
        return sign_shape(signer or self.side(side).keys[key], key, Purpose.COMMITMENT, context, commitment)

    def resume(self, channel: bytes, side: int, size: int, height: int, *, signer: int | None = None) -> Signed:
        """What the other side (or `signer`) signs for `side` that has come back."""
        root = head_of(size, ("a", "b")[side]).root
        words = Resume(
            version=VERSION, chain=self.chain, channel=channel, side=side, height=height, size=size, root=root
        )
        context = Context(chain=self.chain, channel=channel)
        return sign_shape(self.side(1 - side if signer is None else signer).channel, 1, Purpose.RESUME, context, words)

    def together(self, channel: bytes, finals: tuple[Signed, Signed], *, key: int = 1) -> CloseTogether:
        context = Context(chain=self.chain, channel=channel)
        words = closing_of(context, finals)
        first, second = (sign_shape(self.side(s).keys[key], key, Purpose.CLOSING, context, words) for s in (0, 1))
        return CloseTogether(channel=channel, finals=finals, closings=(first, second))
