"""Mallory's log in one channel: she writes and signs what she likes, and says what she likes of her peer's.

Knows the line and the words of a channel; not the chain, nor why she does it.
"""

import time
from collections.abc import Sequence
from typing import Any

import trio

from client.demo.mallory_words import request_terms
from l1.ground.codec import encode
from l1.ground.faults import Refused
from l1.ground.hashing import digest
from l1.ground.limits import VERSION
from l1.ground.merkle import Frontier
from l1.ground.signing import Context, PrivateKey, Purpose
from l1.rules.commitment import EMPTY_HEAD, Commitment, Head, Resume, Signed, decode_commitment, sign_shape
from l1.rules.log.entries import Entry, Request, Seen, Terms
from l1.rules.log.leaves import Hidden, cut_parts, encode_parts, leaf_hashes
from l2.link import Line, LineClosed
from l2.protocol.batch import Salts, decode_batch, encode_batch
from l2.protocol.messages import Message, ResumeGiven, decode_resume_ask
from l2.protocol.proof_file import proof_to_json
from l2.protocol.proofs import EntryProof

__all__ = ["CHANNEL_KEY", "Pen", "now_ms"]

CHANNEL_KEY = 1  # as L1 numbers the keys of an admission


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Pen:
    """Her log in one channel: she writes and signs what she likes. She is side 0."""

    def __init__(self, line: Line, context: Context, signer: PrivateKey, secret: bytes) -> None:
        self._line, self._context, self._signer = line, context, signer
        self._salts = Salts(secret, 0)
        self.frontier = Frontier()
        self.first: Signed | None = None
        self.peer = EMPTY_HEAD
        self.heard: dict[int, list[Signed]] = {}
        self._seen = EMPTY_HEAD
        self.acknowledged = 0  # entries of hers
        self.news = trio.Event()  # of the peer's next words

    async def listen(self) -> None:
        """Note how far the peer's log has come, for as long as the peer speaks to her."""
        line = self._line
        try:
            while True:
                for kind, payload in await line.receive_many():
                    if kind == Message.BATCH:
                        signed = decode_batch(bytes(payload)).commitment
                        said = decode_commitment(signed.body)
                        self.peer, self.acknowledged = said.head, said.seen_size
                        self.heard.setdefault(self.peer.size, []).append(signed)
                    elif kind == Message.RESUME_ASK:
                        height = decode_resume_ask(bytes(payload)).height
                        await line.send(Message.RESUME_GIVEN, encode(ResumeGiven(resume=self._resume(height))))
                self.news.set()
                self.news = trio.Event()
        except (LineClosed, Refused):
            return

    def move(self, line: Line, size: int) -> None:
        """Go on on another line, and deny what she heard past `size` entries of the peer's log."""
        self._line = line
        self.peer = self.head_heard(size)

    def head_heard(self, size: int) -> Head:
        return decode_commitment(self.heard[size][0].body).head if size else EMPTY_HEAD

    def _resume(self, height: int) -> Signed:
        """What she says that she holds of the peer's log."""
        chain, channel = self._context.chain, self._context.channel
        words = Resume(
            version=VERSION,
            chain=chain,
            channel=channel,
            side=1,
            height=height,
            size=self.peer.size,
            root=self.peer.root,
        )
        return sign_shape(self._signer, CHANNEL_KEY, Purpose.RESUME, self._context, words)

    def other_log(self, count: int) -> dict[str, Any]:
        """A proof that the first entry of another log of hers stands in it: what she tells somebody else."""
        entries: list[Entry] = [Request(time=now_ms(), emergency=False) for _ in range(count)]
        parts = encode_parts(entries, [request_terms(purpose=1) for _ in entries])
        publics, privates = cut_parts(*parts)
        leaves = leaf_hashes(*parts, self._salts.span(0, count))
        other, _ = Frontier().extend(leaves)
        signed = self.commitment(other, self._seen)
        hidden = Hidden(digest=digest(self._salts.one(0) + privates[0]))
        proof = EntryProof(
            version=VERSION,
            chain=self._context.chain,
            channel=self._context.channel,
            side=0,
            index=0,
            public=publics[0],
            private=hidden,
            inclusion=tuple(leaves[1:2]),
            commitment=signed,
            acknowledgement=signed,
            anchor=None,
            consistency=(),
        )
        return {"proof": proof_to_json(proof)}

    def commitment(self, frontier: Frontier, seen: Head, **changes: Any) -> Signed:
        """Over her log, as an honest hospital would sign it but for the changes."""
        fields: dict[str, Any] = {
            "version": VERSION,
            "chain": self._context.chain,
            "channel": self._context.channel,
            "side": 0,
            "size": frontier.size,
            "root": frontier.root(),
            "spent": 0,
            "seen_size": seen.size,
            "seen_root": seen.root,
            "height": 1,
        }
        words = Commitment(**fields | changes)
        return sign_shape(self._signer, CHANNEL_KEY, Purpose.COMMITMENT, self._context, words)

    async def say(self, entries: Sequence[Entry], terms: Sequence[Terms], *, keep: bool = True, **changes: Any) -> int:
        """Send a batch; the index of its first entry after the `seen`. `keep` False: she will deny it."""
        message, end = self.write(entries, terms, keep=keep, **changes)
        await self.send([message])
        return end - len(entries)

    async def send(self, batches: Sequence[bytes]) -> None:
        """Send what was written."""
        await self._line.send_many([(Message.BATCH, batch) for batch in batches])

    def write(
        self, entries: Sequence[Entry], terms: Sequence[Terms], *, keep: bool = True, **changes: Any
    ) -> tuple[bytes, int]:
        """A batch, signed, and the size of her log after it."""
        said = list(entries)
        if self.peer.size > self._seen.size and "seen_size" not in changes:
            said.insert(0, Seen(time=said[0].time, size=self.peer.size, root=self.peer.root))
            seen = self.peer
        else:
            seen = self._seen
        publics, privates = encode_parts(said, terms)
        before = self.frontier
        after, _ = before.extend(leaf_hashes(publics, privates, self._salts.span(before.size, len(said))))
        signed = self.commitment(after, seen, **changes)
        if keep:
            self.frontier, self._seen, self.first = after, seen, self.first or signed
        return encode_batch(publics, privates, signed), after.size
