"""The reader: what anyone may ask the chain. It holds the genesis and believes only what it has verified.

It knows one node's URL and trusts it for nothing but service: a node can stay silent or lag, never lie. The pure
checks are in `light`. One reader may be used by many tasks at once.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Self, TypeVar

import httpx
import trio

from l1.ground.codec import encode
from l1.ground.faults import Fault, LocalError, Refused, require
from l1.ground.signing import Signer
from l1.reader import light
from l1.reader.answers import (
    AccountAnswer,
    BlocksAnswer,
    HeaderForm,
    HeadersAnswer,
    RowAnswer,
    RowForm,
    RowsAnswer,
    StatusAnswer,
    SubmitAnswer,
    SubmitManyAnswer,
    TransactionAnswer,
    proof_of,
    refused,
    signed_header,
    unhex,
)
from l1.reader.backoff import Backoff
from l1.reader.headers import HeaderStore, MemoryHeaders
from l1.reader.light import Included
from l1.reader.transport import LONG_POLL_S, ChainUnreachable, Transport
from l1.reader.turns import NONCE_TRIES, Turns
from l1.rules import blocks, state
from l1.rules.blocks import Header, SignedHeader
from l1.rules.genesis import Genesis, Parameters, chain_id
from l1.rules.outcomes import open_item
from l1.rules.state import Account, Channel, Delegation, Hospital
from l1.rules.transactions import Action, account_of, sign_transaction, transaction_id

__all__ = ["Reader"]

T = TypeVar("T")

HEADERS_PER_PAGE = 1_000
BLOCKS_PER_PAGE = 50
ROWS_PER_PAGE = 100
RETRY_S, RETRY_S_MAX = 0.5, 5.0  # between questions to a node that does not answer
POLL_S = 0.01  # between questions that a node answers at once, though asked to wait
CATCH_UP_S = 5.0  # for our node to reach a header that somebody else shows


class Reader:
    """Verified answers about one chain.

    `now_ms` is the caller's clock. Methods raise `Refused` when the node's answer does not verify (BAD_PROOF,
    BAD_SIGNATURE, FORK, CLOCK, GOES_BACK, …) and `ChainUnreachable` when there is none.
    """

    def __init__(
        self,
        genesis: Genesis,
        url: str,
        *,
        now_ms: Callable[[], int],
        header_store: HeaderStore | None = None,
        client: httpx.AsyncClient | None = None,
        turns: Turns | None = None,
    ) -> None:
        self.genesis = genesis
        self.chain = chain_id(genesis)
        self.fork: tuple[SignedHeader, SignedHeader] | None = None
        self._now_ms = now_ms
        self._transport = Transport(url, client)
        self._turns = turns or Turns()
        self._store = header_store or MemoryHeaders()
        self._first = light.first_header(genesis)
        self._tip = self._open(self._store.height())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._transport.aclose()

    # -- headers

    @property
    def url(self) -> str:
        """The node that it asks."""
        return self._transport.url

    @property
    def tip(self) -> Header:
        """The newest verified header; that of the genesis at first."""
        return self._tip

    def newest_signed(self) -> SignedHeader | None:
        """The newest verified header as the authority signed it; None while only the genesis is known."""
        return self._signed(self._tip.height)

    def signed_at(self, height: int) -> SignedHeader:
        """A verified header as the authority signed it. The height is one that the reader has reached."""
        signed = self._signed(height)
        assert signed is not None, "heights above 0 that were verified are kept"
        return signed

    async def sync(self) -> Header:
        """Verify every header the node has beyond ours. The newest verified header."""
        while await self._pull(wait_ms=0) == HEADERS_PER_PAGE:
            pass
        return self._tip

    async def header_at(self, height: int) -> Header:
        """The verified header of a height. Raises `LocalError` when the chain is not yet there."""
        if height > self._tip.height:
            await self.sync()
        if not 0 <= height <= self._tip.height:
            raise LocalError(f"the chain has no block {height} yet", f"Its newest block is {self._tip.height}")
        return self._open(height)

    async def next_header(self, after: int) -> Header:
        """Wait for a verified header above height `after`; the newest one then. Outlives a node that is down."""
        pauses = Backoff(RETRY_S, RETRY_S_MAX)
        while self._tip.height <= after:
            try:
                await self._pull(wait_ms=int(LONG_POLL_S * 1000))
                pauses.reset()
            except ChainUnreachable:
                await pauses.wait()
        return self._tip

    async def check_header(self, signed: SignedHeader) -> Header:
        """A header that somebody else shows, known to be on this chain. Raises `Refused` (FORK, UNKNOWN_HEAD, …).

        Our node may lag behind theirs: it gets a few seconds to catch up.
        """
        header = blocks.open_header(signed, self.chain, self.genesis.authority)
        with trio.move_on_after(CATCH_UP_S):
            await self.next_header(header.height - 1)
        require(header.height <= self._tip.height, Fault.UNKNOWN_HEAD, f"our node has no block {header.height} yet")
        self._compare(signed, header)
        return header

    async def blocks(self, first: int, count: int = BLOCKS_PER_PAGE) -> list[tuple[Header, tuple[bytes, ...]]]:
        """Verified blocks from height `first` on, each as its header and transactions: at least one, at most `count`.

        Raises `LocalError` when the chain is not yet there. An empty block is known by its header, and not asked for.
        """
        header = await self.header_at(first)
        if light.is_empty(header):
            return [(header, ())]
        count = min(count, self._tip.height - first + 1)
        answer = await self._transport.get("/v1/blocks", BlocksAnswer, **{"from": first, "count": count})
        require(0 < len(answer.blocks) <= count, Fault.MALFORMED, f"the node does not show block {first}")
        headers = [header, *(self._open(first + at) for at in range(1, len(answer.blocks)))]
        return [(each, light.check_block(each, unhex(text))) for each, text in zip(headers, answer.blocks, strict=True)]

    # -- state

    async def status(self) -> StatusAnswer:
        """What the node says of itself, unverified."""
        return await self._transport.get("/v1/status", StatusAnswer)

    async def account(self, account: bytes) -> Account | None:
        """Verified credits and nonce; None for an account that is verified not to exist."""
        return await self._row(state.account_key(account), state.decode_account)

    async def hospital(self, hospital: bytes) -> Hospital | None:
        """The verified registry entry, or verified absence."""
        return await self._row(state.hospital_key(hospital), state.decode_hospital)

    async def channel(self, channel: bytes) -> Channel | None:
        """The verified channel, or verified absence."""
        return await self._row(state.channel_key(channel), state.decode_channel)

    async def towers(self, hospital: bytes) -> tuple[Delegation, ...]:
        """The verified watchtowers that a hospital has named."""
        return await self._row(state.towers_key(hospital), state.decode_towers) or ()

    async def parameters(self) -> Parameters:
        found = await self._row(state.PARAMETERS_KEY, state.decode_parameters)
        require(found, Fault.BAD_PROOF, "a chain has parameters")
        assert found is not None
        return found

    async def registrars(self) -> tuple[bytes, ...]:
        """The verified public keys of those who admit hospitals and change the parameters."""
        return await self._row(state.REGISTRARS_KEY, state.decode_registrars) or ()

    async def channels(self, channels: Iterable[bytes]) -> dict[bytes, Channel]:
        """The verified rows of these channels, by id; those that are verified not to exist are left out."""
        return await self._many({state.channel_key(channel): channel for channel in channels}, state.decode_channel)

    async def hospitals(self) -> list[Hospital]:
        """Every hospital the node names, each row verified. That none is left out is the node's word."""
        return await self._rows("/v1/hospitals", state.decode_hospital)

    async def channels_of(self, hospital: bytes) -> list[Channel]:
        """Every channel of a hospital that the node names, each row verified."""
        return await self._rows(f"/v1/hospitals/{hospital.hex()}/channels", state.decode_channel)

    # -- transactions

    async def nonce(self, account: bytes) -> int:
        """The nonce for this account's next transaction: the verified one, or a later one if some still wait."""
        found = await self.account(account)
        answer = await self._transport.get(f"/v1/accounts/{account.hex()}", AccountAnswer)
        return max(found.nonce if found else 0, answer.next_nonce)

    async def submit(self, transaction: bytes) -> bytes:
        """Hand in a signed transaction; its id. Raises `Refused` with the chain's fault."""
        await self._transport.post("/v1/transactions", transaction, SubmitAnswer)
        return transaction_id(transaction)

    async def submit_many(self, transactions: Sequence[bytes]) -> list[bytes | Refused]:
        """Hand in many at once, at most 4 MiB: for each its id, or why the chain refused it."""
        body = encode(tuple(transactions))
        answer = await self._transport.post("/v1/transactions/batch", body, SubmitManyAnswer)
        require(len(answer.results) == len(transactions), Fault.MALFORMED, "an answer for another batch")
        pairs = zip(transactions, answer.results, strict=True)
        return [transaction_id(data) if result.error is None else refused(result.error) for data, result in pairs]

    async def wait_included(self, transaction: bytes, deadline_s: float) -> Included:
        """Wait until the transaction of this id stands in a block, verified.

        Raises the chain's `Refused` if it was refused, `LocalError` past the deadline.
        """
        with trio.move_on_after(deadline_s):
            while True:
                try:
                    found = await self.find_transaction(transaction, wait_s=min(deadline_s, LONG_POLL_S))
                except ChainUnreachable:
                    await trio.sleep(RETRY_S)
                    continue
                if found is not None:
                    return found
                await trio.sleep(POLL_S)
        cause = f"the transaction {transaction[:4].hex()}… is in no block after {deadline_s:g} s"
        raise LocalError(cause, "Ask for it again later; submitting the same bytes twice does no harm")

    async def find_transaction(self, transaction: bytes, *, wait_s: float = 0) -> Included | None:
        """Where the transaction of this id stands, verified; None while it waits or is unknown.

        Raises the chain's `Refused` if it was refused, or failed in its block, which is verified too.
        """
        path = f"/v1/transactions/{transaction.hex()}"
        answer = await self._transport.get(path, TransactionAnswer, wait_ms=int(wait_s * 1000))
        if answer.error is not None:
            raise refused(answer.error)
        if answer.status != "included":
            return None
        whole = answer.item is not None and answer.height is not None and answer.index is not None
        require(whole, Fault.MALFORMED, "an inclusion without its transaction, height or index")
        assert answer.item is not None
        assert answer.height is not None
        assert answer.index is not None
        item = unhex(answer.item)
        data, failed = open_item(item)
        require(transaction_id(data) == transaction, Fault.BAD_DIGEST, "the node answered with another transaction")
        header = await self._header_of(answer.height, answer.header)
        light.check_included(header, item, answer.index, answer.count or 0, [unhex(h) for h in answer.proof])
        if failed is not None:
            raise Refused(
                failed, f"the transaction failed in block {answer.height}; it cost its fee, nothing else changed"
            )
        return Included(height=answer.height, index=answer.index, header=header)

    async def send(self, signer: Signer, action: Action, deadline_s: float = 30) -> Included:
        """Sign with the next nonce, submit, wait until included. Tasks with one key take turns for the nonce."""
        account = account_of(signer.public_key)
        for tries_left in reversed(range(NONCE_TRIES)):
            try:
                async with self._turns.of(account):
                    transaction = sign_transaction(signer, self.chain, await self.nonce(account), action)
                    name = await self.submit(transaction)
                return await self.wait_included(name, deadline_s)
            except Refused as refusal:
                if refusal.fault is not Fault.BAD_NONCE or not tries_left:
                    raise
        raise AssertionError("the last try returns or raises")

    # -- inside

    def _signed(self, height: int) -> SignedHeader | None:
        data = self._store.get(height)
        return None if data is None else blocks.decode_signed_header(data)

    def _open(self, height: int) -> Header:
        signed = self._signed(height)
        if signed is None:
            assert height == 0
            return self._first
        return blocks.open_header(signed, self.chain, self.genesis.authority)

    async def _pull(self, *, wait_ms: int) -> int:
        """One page of headers from our tip on; how many the node gave."""
        first = self._tip.height + 1
        query = {"from": first, "count": HEADERS_PER_PAGE, "wait_ms": wait_ms}
        answer = await self._transport.get("/v1/headers", HeadersAnswer, **query)
        headers = [signed_header(form) for form in answer.headers]
        if headers and self._tip.height + 1 == first:
            await self._check_parent(headers[0])
        for signed in headers:
            self._absorb(signed)
        return len(headers)

    async def _check_parent(self, signed: SignedHeader) -> None:
        """A next header with another parent than our tip hides a fork: ask for the node's header at our height."""
        header = blocks.open_header(signed, self.chain, self.genesis.authority)
        if header.parent == blocks.header_hash(self._tip) or not self._tip.height:
            return
        answer = await self._transport.get("/v1/headers", HeadersAnswer, **{"from": header.height - 1, "count": 1})
        for form in answer.headers:
            self._absorb(signed_header(form))

    def _absorb(self, signed: SignedHeader) -> None:
        """No await in here: tasks that pulled the same page at once take turns."""
        height = blocks.decode_header(signed.body).height
        if height <= self._tip.height:
            self._compare(signed, blocks.open_header(signed, self.chain, self.genesis.authority))
            return
        self._tip = light.check_next(self.genesis, self._tip, signed, now_ms=self._now_ms())
        self._store.append(encode(signed))

    def _compare(self, signed: SignedHeader, header: Header) -> None:
        """[READ-3] Two headers of the authority at one height are a fork: keep both, believe neither."""
        ours = self._signed(header.height)
        if ours is None or ours.body == signed.body:
            return
        self.fork = (ours, signed)
        raise Refused(Fault.FORK, f"the authority signed two headers at height {header.height}")

    async def _header_of(self, height: int, form: HeaderForm | None) -> Header:
        """The verified header that an answer stands on; it must be ours, and ours must reach so far."""
        if height > self._tip.height:
            await self.sync()
        require(
            0 <= height <= self._tip.height, Fault.UNKNOWN_HEAD, f"the node names a block {height} it does not show"
        )
        if form is not None:
            signed = signed_header(form)
            self._compare(signed, blocks.open_header(signed, self.chain, self.genesis.authority))
        return self._open(height)

    async def _row(self, key: bytes, decode: Callable[[bytes], T]) -> T | None:
        await self.sync()
        floor = self._tip.height
        answer = await self._transport.get(f"/v1/rows/{key.hex()}", RowAnswer)
        # [READ-5] Old answers carry good proofs: only their height tells.
        require(answer.height >= floor, Fault.GOES_BACK, "the node answers from a block older than those it showed")
        header = await self._header_of(answer.height, answer.header)
        value = self._value(header, RowForm(key=answer.key, value=answer.value, proof=answer.proof), key)
        return None if value is None else decode(value)

    async def _many(self, wanted: dict[bytes, bytes], decode: Callable[[bytes], T]) -> dict[bytes, T]:
        """Rows by their keys, a page at a time; found ones under the names that `wanted` gives them."""
        found: dict[bytes, T] = {}
        keys = list(wanted)
        if keys:
            await self.sync()
        for start in range(0, len(keys), ROWS_PER_PAGE):
            page, floor = keys[start : start + ROWS_PER_PAGE], self._tip.height
            answer = await self._transport.post("/v1/rows", encode(page), RowsAnswer)
            require(answer.height >= floor, Fault.GOES_BACK, "the node answers from an older block than it showed")
            require(len(answer.rows) == len(page), Fault.MALFORMED, "the node answers for other rows")
            header = await self._header_of(answer.height, answer.header)
            for key, row in zip(page, answer.rows, strict=True):
                value = self._value(header, row, key)
                if value is not None:
                    found[wanted[key]] = decode(value)
        return found

    async def _rows(self, path: str, decode: Callable[[bytes], T]) -> list[T]:
        await self.sync()
        found: list[T] = []
        after = ""
        while True:
            answer = await self._transport.get(path, RowsAnswer, after=after, count=ROWS_PER_PAGE)
            header = await self._header_of(answer.height, answer.header)
            values = [self._value(header, row, unhex(row.key)) for row in answer.rows]
            found += [decode(value) for value in values if value is not None]
            if len(answer.rows) < ROWS_PER_PAGE:
                return found
            require(answer.rows[-1].key > after, Fault.MALFORMED, "the node's pages do not go on")
            after = answer.rows[-1].key

    def _value(self, header: Header, row: RowForm, key: bytes) -> bytes | None:
        require(unhex(row.key) == key, Fault.MALFORMED, "the node answered for another row")
        value = None if row.value is None else unhex(row.value)
        light.check_row(header, key, value, proof_of(row.proof))
        return value
