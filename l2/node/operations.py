"""What an operator does with a channel: open, deposit, checkpoint, close, challenge, settle, verify, back up.

Each operation returns when it is done on the chain, or says why it is not. The core decides; this waits and reports.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lmdb
import trio

from l1.ground.faults import LocalError, Refused
from l1.ground.merkle import Frontier
from l1.rules.commitment import decode_commitment
from l1.rules.log.entries import Seen, Terms
from l1.rules.log.fold import Fold
from l1.rules.log.leaves import leaf_hashes
from l1.rules.state import Phase as L1Phase
from l1.rules.transactions import Deposit, Settle
from l2.desk import words
from l2.node.hospital import Hospital
from l2.node.keeper import Keeper
from l2.node.lines import Lines
from l2.node.opening import propose_channel
from l2.node.parts import store_of
from l2.node.rotation import Rotation
from l2.node.towers import Towers
from l2.protocol.batch import Salts
from l2.protocol.channel import Channel, decode_log_row
from l2.protocol.events import AskCheckpoint, AskClose, Submit
from l2.protocol.log import LogReader
from l2.protocol.phases import Phase
from l2.protocol.proof_file import proof_fields
from l2.protocol.proofs import prove_entry
from l2.protocol.rows import Rows, head_key
from l2.protocol.stored import check_stored
from l2.protocol.watch import challenge as stale_challenge

__all__ = ["Operations"]

CHAIN_DEADLINE_S = 60.0
WRITTEN_DEADLINE_S = 60.0
READY_DEADLINE_S = 60.0
VERIFY_ENTRIES = 50_000  # verified between two looks at other work


class Operations:
    """An operator's hands, on one hospital."""

    def __init__(self, hospital: Hospital, lines: Lines) -> None:
        self.hospital, self._lines = hospital, lines
        hospital.siblings.serve("copy the store", self._copy_store)
        self.towers = Towers(hospital)
        self.rotation = Rotation(hospital, lines)

    async def open_channel(self, wanted: words.OpenChannel) -> bytes:
        """Open a channel on L1; its id, once both hospitals are ready to write."""
        channel = await propose_channel(self.hospital, self._lines, wanted)
        await self.ready(channel)
        return channel

    async def prove(self, channel: bytes, side: int, index: int) -> dict[str, Any]:
        """A self-contained proof that an entry stands in a log of ours or the peer's, verified before it is shown."""
        held, registry = self.hospital.keeper(channel).channel, self.hospital.registry
        first, second = held.row.opening.hospitals
        return proof_fields(prove_entry(held, (registry[first], registry[second]), side, index))

    async def ready(self, channel: bytes) -> Keeper:
        """The keeper of a channel, once it is open and both hospitals are on the line."""
        with trio.move_on_after(READY_DEADLINE_S):
            async with self.hospital.keeper_added:
                while channel not in self.hospital.keepers:
                    await self.hospital.keeper_added.wait()
        keeper = self.hospital.keeper(channel)
        await keeper.wait_until(lambda c: c.established and c.may_sign(), READY_DEADLINE_S, "the channel's start")
        return keeper

    async def deposit(self, channel: bytes, amount: int) -> None:
        keeper = self.hospital.keeper(channel)
        side = keeper.channel.side
        before = keeper.channel.deposits[side]
        await self.hospital.reader.send(self.hospital.root(), Deposit(channel=channel, amount=amount))
        await keeper.wait_until(lambda c: c.deposits[side] >= before + amount, CHAIN_DEADLINE_S, "the deposit")

    async def checkpoint(self, channel: bytes) -> words.Checkpointed:
        keeper = self.hospital.keeper(channel)
        side = keeper.channel.side

        def settled(c: Channel) -> tuple[int, int]:
            return (0, 0) if c.l1 is None else (c.l1.sides[side].settled.size, c.l1.sides[1 - side].settled.size)

        before = settled(keeper.channel)
        await keeper.ask(AskCheckpoint())
        await keeper.wait_until(lambda c: settled(c) != before, CHAIN_DEADLINE_S, "the checkpoint")
        own, peer = settled(keeper.channel)
        return words.Checkpointed(height=keeper.channel.height, own_size=own, peer_size=peer)

    async def close_channel(self, channel: bytes, *, alone: bool, lost: bool) -> words.Closed:
        keeper = self.hospital.keeper(channel)
        await keeper.ask(AskClose(alone=alone or lost, lost=lost))
        if alone or lost:
            await keeper.wait_until(
                lambda c: c.phase in (Phase.ON_CHAIN, Phase.SETTLED), CHAIN_DEADLINE_S, "the close on the chain"
            )
            return words.Closed(how="alone", height=keeper.channel.height)
        await keeper.wait_until(lambda c: c.phase is Phase.SETTLED, CHAIN_DEADLINE_S, "closing together")
        return words.Closed(how="together", height=keeper.channel.height)

    async def challenge(self, channel: bytes) -> None:
        """Show the chain the newest commitment of the peer that we hold, now."""
        keeper = self.hospital.keeper(channel)
        row = await self.hospital.reader.channel(channel)
        if row is None or row.phase != L1Phase.CLOSING:
            raise LocalError("nobody is closing this channel alone", "There is nothing to challenge.")
        keeper.channel.l1, keeper.channel.challenged_size = row, 0
        for effect in stale_challenge(keeper.channel):
            assert isinstance(effect, Submit)
            await self.hospital.ask_chain(effect.action)
            return
        raise LocalError("the chain knows the peer's newest commitment already", "There is nothing to challenge.")

    async def settle(self, channel: bytes) -> words.Settled:
        """End a channel whose window is over; what it paid us. Whoever else ended it meanwhile spared us the asking."""
        keeper = self.hospital.keeper(channel)
        refusal: Refused | None = None
        row = await self.hospital.reader.channel(channel)
        if row is not None and row.phase != L1Phase.SETTLED:
            try:
                await self.hospital.ask_chain(Settle(channel=channel))
            except Refused as refused:
                refusal = refused
            row = await self.hospital.reader.channel(channel)
        assert row is not None
        if refusal is not None and row.phase != L1Phase.SETTLED:
            raise refusal
        return words.Settled(payout=row.sides[keeper.channel.side].paid_out)

    async def verify_logs(self, channel: bytes) -> words.LogVerified:
        """Read both logs again from entry 0: hash and fold every entry, open every signature, compare with what is
        held. Raises `Damaged` for a signature that does not open."""
        keeper = self.hospital.keeper(channel)
        held = keeper.channel
        sizes = [head.size for head in held.heads]
        rows = self.hospital.store.rows(channel)
        # What the channel has taken in is perhaps still on its way to the disk.
        await keeper.wait_until(lambda _: _are_written(rows, sizes), WRITTEN_DEADLINE_S, "writing what has arrived")
        again = _Again(held, rows)
        while not again.is_done(sizes):
            await trio.to_thread.run_sync(again.go_on, sizes)
        roots = tuple(frontier.root() for frontier in again.frontiers)
        ok = again.agrees(sizes)
        own, peer = held.side, 1 - held.side
        return words.LogVerified(sizes=(sizes[own], sizes[peer]), roots=(roots[own].hex(), roots[peer].hex()), ok=ok)

    async def backup(self, to: Path) -> int:
        """A consistent copy of the folder while running; its size in bytes. Each store is one at a moment of its own:
        no channel is in two."""
        hospital = self.hospital
        try:
            await trio.to_thread.run_sync(hospital.folder.copy_to, to, hospital.bodies, hospital.store)
            await self._copy_other_stores(to)
            return await trio.to_thread.run_sync(_size_of, to)
        except (OSError, lmdb.Error) as error:
            raise LocalError(
                f"the copy could not be written ({error})", "Name a folder with room and rights."
            ) from None

    async def _copy_other_stores(self, to: Path) -> None:
        """Those of the other workers. A copy that lacks one is no copy."""
        try:
            await self.hospital.siblings.ask_all("copy the store", bytes(to))
        except LocalError as error:
            await trio.to_thread.run_sync(shutil.rmtree, to)
            raise LocalError(error.cause, f"{error.remedy} The unfinished copy was removed.") from None

    async def _copy_store(self, to: bytes) -> bytes:
        """What this worker keeps, beside what the first has copied."""
        hospital = self.hospital
        path = Path(to.decode()) / store_of(hospital.part.number)
        try:
            await trio.to_thread.run_sync(hospital.store.copy, path)
        except (OSError, lmdb.Error) as error:
            raise LocalError(f"{path} could not be written ({error})", "Name a folder with room and rights.") from None
        return b""


def _size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _are_written(rows: Rows, sizes: Sequence[int]) -> bool:
    """Whether both logs are on the disk so far: a head is written together with its batch."""
    heads = (rows.get(head_key(side)) for side in (0, 1))
    return all(head and decode_log_row(head).frontier.size >= size for head, size in zip(heads, sizes, strict=True))


class _Again:
    """Both logs, hashed and folded anew in an order in which each entry's references are known."""

    def __init__(self, held: Channel, rows: Rows) -> None:
        self._held = held
        secret = held.me.secret
        self._readers = (LogReader(rows, 0, Salts(secret, 0)), LogReader(rows, 1, Salts(secret, 1)))
        self._fold = Fold(lambda side, indices: self._readers[side].entries(indices))
        self.frontiers = [Frontier(), Frontier()]
        self._agree = True  # every commitment says what its log says

    def is_done(self, sizes: list[int]) -> bool:
        return all(frontier.size >= size for frontier, size in zip(self.frontiers, sizes, strict=True))

    def go_on(self, sizes: list[int]) -> None:
        upto = sum(frontier.size for frontier in self.frontiers) + VERIFY_ENTRIES
        while sum(frontier.size for frontier in self.frontiers) < upto and not self.is_done(sizes):
            moved = [side for side in (0, 1) if self.frontiers[side].size < sizes[side] and self._batch(side)]
            if not moved:
                raise LocalError("the two logs wait for each other", "The store is damaged; restore it.")

    def _batch(self, side: int) -> bool:
        """Take one batch, if the entries that it has seen are there."""
        reader, first = self._readers[side], self.frontiers[side].size
        batch, entries, aligned = reader.batch(first)
        seen = next((entry.size for entry in entries if isinstance(entry, Seen)), 0)
        if seen > self.frontiers[1 - side].size:
            return False
        terms: list[Terms] = [own for own in aligned if own is not None]
        self._fold.judge(side, entries, terms)
        self._fold.settle()
        salts = reader.salts.span(first, len(entries))
        self.frontiers[side], _ = self.frontiers[side].extend(leaf_hashes(batch.publics, batch.privates, salts))
        check_stored(self._held, batch.commitment, side)
        said, log = decode_commitment(batch.commitment.body), self._fold.logs[side]
        now = (self.frontiers[side].size, self.frontiers[side].root(), log.spent, log.seen)
        self._agree = self._agree and now == (said.size, said.root, said.spent, said.seen_size)
        return True

    def agrees(self, sizes: list[int]) -> bool:
        """Roots, marks and totals are those that the running channel holds (or held, when it has gone on)."""
        held = self._held
        if not self._agree:
            return False
        for side in (0, 1):
            log, again = held.fold.logs[side], self._fold.logs[side]
            if len(log.marks) == sizes[side] and log.marks[: sizes[side]] != again.marks:
                return False
            head = held.heads[side]
            if head.size == sizes[side] and head.frontier != self.frontiers[side]:
                return False
        return True
