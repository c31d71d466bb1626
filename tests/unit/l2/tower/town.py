"""A chain in a folder with two hospitals and their channels: no sockets, no sleep; every question to it is counted."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from l1.ground.codec import encode
from l1.ground.hashing import digest
from l1.ground.limits import VERSION
from l1.ground.signing import Context, PrivateKey, Purpose, sign
from l1.node.api import make_app
from l1.node.chain import Chain
from l1.reader import Reader
from l1.rules.commitment import Commitment, Opening, Resume, Signed, channel_id, sign_shape
from l1.rules.state import decode_account
from l1.rules.transactions import Action, Close, Open, ResumeChannel, Transfer, account_of, sign_transaction
from tests.unit.l1.rules.world import Party, admission, head_of, key_named, party
from tests.unit.l1.world import ALICE, REGISTRAR, Clock, open_chain, propose

__all__ = ["BOND", "TOWER", "WINDOW_MS", "Town", "in_town"]

BOND = 100
WINDOW_MS = 30_000
TOWER = key_named("tower")


class CountingNode(httpx.ASGITransport):
    """The chain's node, and how often each kind of question was asked."""

    def __init__(self, chain: Chain) -> None:
        super().__init__(app=make_app(chain))
        self.asked: Counter[str] = Counter()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked["/".join(request.url.path.split("/")[:3])] += 1
        return await super().handle_async_request(request)


class Town:
    """Alice closes, bob is the one who is watched for. A channel's sides are alice 0, bob 1."""

    def __init__(self, chain: Chain, clock: Clock) -> None:
        self.chain, self.clock = chain, clock
        self.a, self.b = party("alice"), party("bob")
        self.node = CountingNode(chain)
        self.opened = 0

    def reader(self) -> Reader:
        client = httpx.AsyncClient(transport=self.node, base_url="http://chain")
        return Reader(self.chain.genesis, "http://chain", now_ms=self.clock, client=client)

    async def do(self, key: PrivateKey, *actions: Action) -> None:
        """These actions of a key, in one block."""
        await propose(self.chain, self.clock, *self.signed(key, *actions))

    def submit(self, key: PrivateKey, *actions: Action) -> None:
        """These actions of a key wait at the chain's node."""
        self.chain.is_proposing = True
        for data in self.signed(key, *actions):
            self.chain.submit(data)

    def signed(self, key: PrivateKey, *actions: Action) -> list[bytes]:
        with self.chain.store.snapshot() as snapshot:
            row = snapshot.get(b"account/" + account_of(key.public_key))
        nonce = 0 if row is None else decode_account(row).nonce
        return [sign_transaction(key, self.chain.id, nonce + at, action) for at, action in enumerate(actions)]

    async def wait(self, blocks: int) -> None:
        for _ in range(blocks):
            await propose(self.chain, self.clock)

    async def settle_in(self) -> None:
        """Both hospitals are admitted and have credits."""
        await self.do(REGISTRAR, *(admission(who, chain=self.chain.id) for who in (self.a, self.b)))
        await self.do(ALICE, *(Transfer(to=who.id, amount=200_000) for who in (self.a, self.b)))

    def opening(self) -> Opening:
        self.opened += 1
        return Opening(
            version=VERSION,
            chain=self.chain.id,
            hospitals=(self.a.id, self.b.id),
            nonce=digest(self.opened.to_bytes(4, "big")),
            deposits=(100, 100),
            bond=BOND,
            window_ms=WINDOW_MS,
            answer_ms=5_000,
            expires=1_000_000,
        )

    def agreed(self, opening: Opening) -> Open:
        body, context = encode(opening), Context(chain=self.chain.id)
        first, second = (sign(who.root, Purpose.OPENING, context, body) for who in (self.a, self.b))
        return Open(opening=opening, signatures=(first, second))

    async def open(self, count: int = 1) -> list[bytes]:
        """Open channels, all in one block."""
        openings = [self.opening() for _ in range(count)]
        await self.do(self.a.root, *map(self.agreed, openings))
        return [channel_id(opening) for opening in openings]

    def says(
        self, channel: bytes, side: int, size: int, *, seen: int = 0, signer: PrivateKey | None = None, height: int = 0
    ) -> Signed:
        """A commitment of a side."""
        own, peer = head_of(size, "ab"[side]), head_of(seen, "ab"[1 - side])
        words = Commitment(
            version=VERSION,
            chain=self.chain.id,
            channel=channel,
            side=side,
            size=size,
            root=own.root,
            spent=0,
            seen_size=seen,
            seen_root=peer.root,
            height=height,
        )
        context = Context(chain=self.chain.id, channel=channel)
        return sign_shape(signer or self.side(side).channel, 1, Purpose.COMMITMENT, context, words)

    def resumes(self, channel: bytes, side: int, size: int, *, height: int) -> ResumeChannel:
        """A side shows that its peer held so much of its log when it started again."""
        words = Resume(
            version=VERSION,
            chain=self.chain.id,
            channel=channel,
            side=side,
            height=height,
            size=size,
            root=head_of(size, "ab"[side]).root,
        )
        context = Context(chain=self.chain.id, channel=channel)
        signed = sign_shape(self.side(1 - side).channel, 1, Purpose.RESUME, context, words)
        return ResumeChannel(channel=channel, resume=signed)

    def side(self, side: int) -> Party:
        return (self.a, self.b)[side]

    def close(self, channel: bytes, side: int = 0, size: int = 2) -> Close:
        """A side's words: I close alone, with `size` entries of mine."""
        return Close(channel=channel, own=self.says(channel, side, size), peer=None, lost=False)


@asynccontextmanager
async def in_town(folder: Path) -> AsyncIterator[Town]:
    clock = Clock()
    with open_chain(folder, now_ms=clock) as chain:
        town = Town(chain, clock)
        await town.settle_in()
        yield town
