"""Many channels of two hospitals settled in one transaction: how long the chain takes for it, and for a proof of one.

The hospitals are keys, no processes: only the chain's node and its door are measured.
"""

import time
from collections.abc import Sequence
from typing import Any

from client.bench.pair import percentile
from client.progress import Bars
from l1.ground.codec import encode
from l1.ground.faults import Refused
from l1.ground.hashing import digest
from l1.ground.limits import VERSION
from l1.ground.signing import Context, PrivateKey, Purpose, sign
from l1.reader import Reader
from l1.rules.commitment import Commitment, Head, Opening, Signed, channel_id, sign_shape
from l1.rules.transactions import (
    Admit,
    ChannelHeads,
    Checkpoint,
    Open,
    Transfer,
    account_of,
    admission_words,
    sign_transaction,
)

__all__ = ["measure_checkpoints"]

AT_ONCE = 100  # openings in a request
CHANNEL_KEY = 1  # as L1 numbers the keys of an admission
DEADLINE_S = 60.0
GIFT = 10_000_000
PROOFS = 100
SIZE = 1_000  # of each settled log


class _Party:
    """A hospital that is two keys."""

    def __init__(self, name: bytes) -> None:
        self.root, self.channel = PrivateKey(digest(name + b" root")), PrivateKey(digest(name + b" channel"))
        self.name = name.decode()

    @property
    def id(self) -> bytes:
        return account_of(self.root.public_key)

    def admission(self, chain: bytes) -> Admit:
        said: dict[str, Any] = {
            "name": self.name,
            "endpoint": f"{self.name}:9800",
            "root": self.root.public_key,
            "channel": self.channel.public_key,
            "tls": digest(b"tls" + self.id),
            "sealing": digest(b"sealing" + self.id),
        }
        possession = sign(self.root, Purpose.KEY, Context(chain=chain), admission_words(**said))
        return Admit(**said, possession=possession)


async def measure_checkpoints(reader: Reader, registrar: PrivateKey, channels: int, *, bars: Bars) -> dict[str, Any]:
    """Open the channels, settle them all in one transaction, then ask for the proven rows of some."""
    parties = _Party(b"first"), _Party(b"second")
    with bars.stage(f"Open {channels} channels"):
        for party in parties:
            await reader.send(registrar, party.admission(reader.chain), DEADLINE_S)
            await reader.send(registrar, Transfer(to=party.id, amount=GIFT), DEADLINE_S)
        opened = await _open(reader, parties, channels)
    action = Checkpoint(heads=tuple(_heads(reader.chain, parties, channel) for channel in opened))
    with bars.stage(f"Settle {channels} channels at once"):
        began = time.perf_counter()
        await reader.send(parties[0].root, action, DEADLINE_S)
        seconds = time.perf_counter() - began
    asked: list[float] = []
    for channel in opened[:: max(1, channels // PROOFS)]:
        began = time.perf_counter()
        row = await reader.channel(channel)
        asked.append((time.perf_counter() - began) * 1000)
        assert row is not None
        assert row.sides[0].settled.size == SIZE
    return {
        "channels": channels,
        "seconds": round(seconds, 3),
        "transaction_bytes": len(encode(action)),
        "proven_row_ms": {"p50": percentile(asked, 0.5), "p99": percentile(asked, 0.99)},
    }


async def _open(reader: Reader, parties: Sequence[_Party], count: int) -> list[bytes]:
    first = parties[0].root
    nonce = await reader.nonce(account_of(first.public_key))
    openings = [_opening(reader, parties, number) for number in range(count)]
    signed = [
        sign_transaction(first, reader.chain, nonce + number, _agreed(reader.chain, parties, opening))
        for number, opening in enumerate(openings)
    ]
    for start in range(0, count, AT_ONCE):
        for answer in await reader.submit_many(signed[start : start + AT_ONCE]):
            if isinstance(answer, Refused):
                raise answer
    while (status := await reader.status()).mempool:
        await reader.next_header(status.height)
    await reader.sync()
    return [channel_id(opening) for opening in openings]


def _opening(reader: Reader, parties: Sequence[_Party], number: int) -> Opening:
    parameters = reader.genesis.parameters
    first, second = parties
    return Opening(
        version=VERSION,
        chain=reader.chain,
        hospitals=(first.id, second.id),
        nonce=digest(b"channel %d" % number),
        deposits=(1, 1),
        bond=max(1, parameters.bond_min),
        window_ms=parameters.window_ms_max,
        answer_ms=60_000,
        expires=reader.tip.height + 10_000,
    )


def _agreed(chain: bytes, parties: Sequence[_Party], opening: Opening) -> Open:
    words = encode(opening)
    first, second = (sign(party.root, Purpose.OPENING, Context(chain=chain), words) for party in parties)
    return Open(opening=opening, signatures=(first, second))


def _heads(chain: bytes, parties: Sequence[_Party], channel: bytes) -> ChannelHeads:
    """What both sides signed last: each has seen all of the other."""
    heads = [Head(size=SIZE, root=digest(channel + bytes((side,)))) for side in (0, 1)]
    return ChannelHeads(
        channel=channel,
        commitments=tuple(_commitment(chain, parties[side], channel, side, heads) for side in (0, 1)),
    )


def _commitment(chain: bytes, party: _Party, channel: bytes, side: int, heads: Sequence[Head]) -> Signed:
    own, seen = heads[side], heads[1 - side]
    words = Commitment(
        version=VERSION, chain=chain, channel=channel, side=side, size=own.size, root=own.root, spent=0,
        seen_size=seen.size, seen_root=seen.root, height=1,
    )  # fmt: skip
    return sign_shape(party.channel, CHANNEL_KEY, Purpose.COMMITMENT, Context(chain=chain, channel=channel), words)
