"""The recipient's side up to the receipt: pull granted bodies, make them durable, confirm them (and pay).

Every step can be repeated after a crash: what is on disk and in the two logs says where to go on. A grant is fetched
by one task at a time. Short bodies go in crowds: one message, one sync and one append for hundreds. Whatever has its
release is handed to `opening`. Decides nothing but whether a grant can still be fetched.
"""

from collections.abc import Callable, Iterable, Sequence

import trio

from l1.ground.faults import Fault, LocalError, Refused
from l1.rules.log.entries import Entry, Grant, GrantTerms, Pay, Receipt
from l1.rules.log.fold import ANSWERED, GRANT, Void
from l2.link import LineClosed
from l2.node.bodies import GATHER_MAX, Download, GrantBody, is_short
from l2.node.clock import now_ms
from l2.node.exchange.dealing import Awaited, Dealing, why_void
from l2.node.exchange.logs import find_marks, find_releases, grants_in_force, stands
from l2.node.exchange.opening import Opening
from l2.node.exchange.pulling import Pulls
from l2.node.exchange.transfers import Transfers
from l2.node.hospital import Hospital
from l2.records import exchange_public
from l2.records.keys import KEY_BYTES

__all__ = ["Failures", "Fetching"]

Failures = dict[int, Exception]
"""Grants that were not fetched, and why."""

Wanted = dict[int, tuple[Grant, GrantBody]]


class Fetching:
    """See the module."""

    def __init__(
        self,
        hospital: Hospital,
        pulls: Pulls,
        opening: Opening,
        transfers: Transfers,
        threads: trio.CapacityLimiter,
        crowds: trio.CapacityLimiter,
    ) -> None:
        self._hospital, self._pulls, self._threads, self._crowds = hospital, pulls, threads, crowds
        self._opening, self._transfers = opening, transfers
        self._bodies = hospital.bodies
        self._under_way: dict[tuple[bytes, int], trio.Event] = {}

    def is_under_way(self, dealing: Dealing, index: int) -> bool:
        return (dealing.id, index) in self._under_way

    async def obtain(self, dealing: Dealing, indices: Iterable[int]) -> Failures:
        """Ciphertexts on our disk and receipts in the log, for all that can be had; why not, for the others.

        Afterwards `dealing.awaited` holds each grant whose record is not in the store yet.
        """
        failures: Failures = {}
        mine = await self._claim(dealing, indices)
        try:
            wanted = self._check(dealing, mine, failures)
            short = [index for index, (_, body) in wanted.items() if is_short(body)]
            for start in range(0, len(short), GATHER_MAX):
                crowd = {index: wanted[index] for index in short[start : start + GATHER_MAX]}
                await self._attempt(self._obtain_short, dealing, crowd, failures)
            async with trio.open_nursery() as nursery:
                for index in wanted.keys() - set(short):
                    nursery.start_soon(self._attempt, self._obtain_long, dealing, {index: wanted[index]}, failures)
            got = [index for index in wanted if index not in failures]
            for index, secret in find_releases(dealing.channel, dealing.theirs, got).items():
                self._opening.released(dealing, index, secret)
        finally:
            self._let_go(dealing, mine)
            for index, why in failures.items():
                self._opening.give_up(dealing, index, why)
        return failures

    async def _claim(self, dealing: Dealing, indices: Iterable[int]) -> list[int]:
        """Those that nobody is at; the others are waited for, since whoever is at them does all that can be done."""
        channel, under_way = dealing.id, self._under_way
        mine = [index for index in dict.fromkeys(indices) if (channel, index) not in under_way]
        others = {event for index in indices if (event := under_way.get((channel, index))) is not None}
        under_way |= dict.fromkeys([(channel, index) for index in mine], trio.Event())  # they are let go together
        try:
            for event in others:
                await event.wait()
        except BaseException:
            self._let_go(dealing, mine)
            raise
        return mine

    def _let_go(self, dealing: Dealing, mine: Iterable[int]) -> None:
        """Whoever waits for these goes on."""
        for index in mine:
            self._under_way.pop((dealing.id, index)).set()

    def _check(self, dealing: Dealing, indices: Sequence[int], failures: Failures) -> Wanted:
        """What is still to be fetched. From here on the listener notes the releases, whenever they come."""
        wanted: Wanted = {}
        ordered = sorted(indices)
        here = self._bodies.records.have_received(dealing.id, ordered)
        found = grants_in_force(dealing.channel, dealing.theirs, ordered)
        for index, is_here in zip(ordered, here, strict=True):
            if is_here:
                continue
            try:
                wanted[index] = _granted(dealing, index, found.get(index))
            except (Refused, LocalError) as error:
                failures[index] = error
            else:
                dealing.awaited.setdefault(index, Awaited(is_short(wanted[index][1])))
        return wanted

    @staticmethod
    async def _attempt(
        obtain: Callable[[Dealing, Wanted, Failures], "object"], dealing: Dealing, wanted: Wanted, failures: Failures
    ) -> None:
        """One body's failure, or one crowd's, is no other's."""
        try:
            await obtain(dealing, wanted, failures)  # type: ignore[misc]
        except LineClosed as closed:
            cause = f"the line to the custodian ended ({closed.reason})"
            failures |= dict.fromkeys(wanted, LocalError(cause, "What has arrived is kept; fetch again."))
        except (Refused, LocalError, OSError) as error:
            failures |= dict.fromkeys(wanted.keys() - failures.keys(), error)

    # -- short bodies, in crowds

    async def _obtain_short(self, dealing: Dealing, crowd: Wanted, failures: Failures) -> None:
        complete = self._bodies.incoming.complete(dealing.id, crowd)
        missing = {index: body for index, (_, body) in crowd.items() if index not in complete}
        if missing:
            one_time = self._bodies.cells.entropy(KEY_BYTES)
            found = await self._pulls.gather(dealing.peer, dealing.id, sorted(missing), exchange_public(one_time))

            def take() -> dict[int, Refused]:
                return self._bodies.incoming.take_short(
                    dealing.chain,
                    dealing.id,
                    missing,
                    found.bodies,
                    one_time=one_time,
                    peer_one_time=found.peer_one_time,
                )

            refused = found.unsent | await trio.to_thread.run_sync(take, limiter=self._crowds)
            came = {one.grant for one in found.bodies} - refused.keys()
            for index in missing.keys() - came:
                failures[index] = refused.get(index) or Refused(Fault.NOT_GRANTED, f"grant {index} did not come")
        await self._confirm(dealing, {index: crowd[index][0] for index in crowd.keys() - failures.keys()}, failures)

    # -- long bodies, each on its own

    async def _obtain_long(self, dealing: Dealing, wanted: Wanted, failures: Failures) -> None:
        ((index, (grant, body)),) = wanted.items()
        download = await self._begin(dealing, index, body)
        if not download.is_complete:
            with self._transfers.following(dealing, index, download) as progress:
                await self._pulls.pull(dealing.peer, download, progress)
        await self._confirm(dealing, {index: grant}, failures)

    async def _begin(self, dealing: Dealing, index: int, body: GrantBody) -> Download:
        begin = self._bodies.incoming.begin
        return await trio.to_thread.run_sync(begin, dealing.chain, dealing.id, index, body, limiter=self._threads)

    # -- receipts

    @staticmethod
    async def _confirm(dealing: Dealing, grants: dict[int, Grant], failures: Failures) -> None:
        """Receipts, and right before each the fee where one is due; in one append, so that neither stands alone."""
        marks = dealing.channel.fold.logs[dealing.theirs].marks
        time_ms = now_ms()
        entries: list[Entry] = []
        whose: list[int] = []
        for index, grant in sorted(grants.items()):
            if marks[index] & ANSWERED:
                continue
            fee = [Pay(time_ms, grant.fee, index)] if grant.fee else []
            entries += [*fee, Receipt(time_ms, index)]
            whose += [index] * (1 + len(fee))
        if not entries:
            return
        outcome = await dealing.write(entries)
        for position, reason in outcome.refused:
            index = whose[position]
            if reason is Void.NOT_PAID:
                cause = f"the fee of {grants[index].fee} credits is not covered"
                failures[index] = LocalError(cause, "Deposit more: `interward channel deposit`.")
            elif reason is not Void.ALREADY_DONE:
                failures[index] = LocalError(f"the receipt would be void: {why_void(reason)}", "Nothing was written.")

    # -- after a start --------------------------------------------------------------------------------------------

    def unfinished(self, dealing: Dealing) -> list[int]:
        """Grants whose download had begun when the process ended."""
        return [index for channel, index, _ in self._bodies.incoming.waiting() if channel == dealing.id]

    @staticmethod
    async def unreceived(dealing: Dealing) -> list[int]:
        """The peer's grants with a body that cost nothing and were never confirmed."""
        found: list[int] = []
        for count, index in enumerate(find_marks(dealing.channel, dealing.theirs, "unreceipted grants")):
            if count % 256 == 0:
                await trio.lowlevel.checkpoint()
            grant, terms = dealing.channel.readers[dealing.theirs].entry(index)
            assert isinstance(grant, Grant)
            assert isinstance(terms, GrantTerms)
            if terms.cipher_size and not grant.fee:
                found.append(index)
        return found


def _granted(dealing: Dealing, index: int, found: tuple[Grant, GrantTerms] | None) -> tuple[Grant, GrantBody]:
    """A grant that can be fetched, if it is in force. Raises `LocalError`, `Refused` (NOT_GRANTED)."""
    if found is None:
        if stands(dealing.channel, dealing.theirs, index, GRANT):
            raise Refused(Fault.NOT_GRANTED, f"grant {index} has ended")
        raise LocalError(
            f"the peer's log has no grant {index}",
            "`interward record fetch` gets what was granted.",
        )
    grant, terms = found
    if not terms.cipher_size:
        raise Refused(Fault.NOT_GRANTED, f"grant {index} has no body")
    return grant, GrantBody(
        content=terms.content,
        cipher_root=terms.cipher_root,
        cipher_size=terms.cipher_size,
        key=terms.key,
        lock=grant.lock,
        media_type=terms.media_type,
        record_class=terms.record_class,
        label=terms.label,
    )
