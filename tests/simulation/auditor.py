"""The auditor stands outside, hears every word of every honest hospital, sees every disk, and knows every rule.

A rule that breaks raises `Violation`, which names it. What hospitals said is kept per signer: one log of one channel.
"""

from typing import TYPE_CHECKING

from l1.rules.commitment import Commitment, Resume, Signed, decode_commitment, decode_resume
from l1.rules.state import Channel as L1Channel
from l1.rules.state import Phase as L1Phase
from l1.rules.transactions import Checkpoint, Close
from l2.protocol.batch import open_stored
from l2.protocol.channel import commitment_at, decode_channel_row, decode_log_row, stored_commitment
from l2.protocol.events import Froze, Send, Submit
from l2.protocol.limits import HELD_BATCHES_MAX, QUEUED_ENTRIES_MAX, WINDOW_BATCHES
from l2.protocol.messages import Message, decode_resume_given, decode_shutdown
from l2.protocol.phases import Phase
from l2.protocol.rows import batch_key, head_key, state_key
from tests.simulation.contradictions import Contradictions
from tests.simulation.decoding import resume_in
from tests.simulation.permits import Permits
from tests.simulation.reference import check_log
from tests.simulation.verdicts import Verdicts
from tests.simulation.watching import Watching, counts_still
from tests.simulation.words import Signer, Violation, channel_row, floor_on, is_renewed, resumed_at

if TYPE_CHECKING:
    from tests.simulation.keeper import Keeper
    from tests.simulation.node import Node
    from tests.simulation.world import World

__all__ = ["Auditor", "Violation"]

UNSEEN_MAX = 4 * WINDOW_BATCHES + 8  # heads of ours that wait for the peer's `seen`; answers alone are not windowed
INBOX_MAX = 512


class Auditor:
    """See the module."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.signers: dict[tuple[bytes, int], Signer] = {}
        self.verdicts = Verdicts(world)
        self.towers = Watching(world)
        self.contradictions = Contradictions(world)
        self.permits = Permits(world)
        self.retired_keepers: dict[bytes, Keeper] = {}  # whose peer still keeps the channel

    def violated(self, checker: str, detail: str) -> None:
        raise Violation(checker, detail)

    def require(self, condition: object, checker: str, detail: str) -> None:
        if not condition:
            raise Violation(checker, detail)

    def signer(self, channel: bytes, side: int) -> Signer:
        return self.signers.setdefault((channel, side), Signer())

    # -- what is said -----------------------------------------------------------------------------------------------

    def said(self, keeper: "Keeper", send: Send) -> None:
        """A message leaves an honest process: what it says stands on its disk, and contradicts nothing said before."""
        self._world.note_message(keeper, send)
        if not keeper.node.disk.is_hurt(keeper.id):  # what cannot be read cannot be compared either
            self._check_durable(keeper, send)
        match send.type:
            case Message.BATCH:
                self._note(keeper, open_stored(send.payload).commitment)
            case Message.SHUTDOWN:
                final = decode_shutdown(send.payload).final
                self._note(keeper, final)
                self.signer(keeper.id, keeper.side).last_word = decode_commitment(final.body).size
            case Message.RESUME_GIVEN:
                self._note_resume(resume_in(decode_resume_given(send.payload).resume))
            case _:
                pass

    def _check_durable(self, keeper: "Keeper", send: Send) -> None:
        rows, checker = keeper.node.disk.rows(keeper.id), "durable before visible"
        state = decode_channel_row(rows.get(state_key()) or b"")
        match send.type:
            case Message.BATCH:
                batch = open_stored(send.payload)
                said = decode_commitment(batch.commitment.body)
                stored = rows.get(batch_key(keeper.side, said.size - batch.size))
                same = stored == send.payload or (stored is not None and is_renewed(open_stored(stored), batch, said))
                self.require(same, checker, f"a batch of {said.size} entries")
            case Message.SHUTDOWN:
                self.require(state.finals[keeper.side] is not None, checker, "a last word that is not written")
            case Message.RESUME_GIVEN:
                resume = resume_in(decode_resume_given(send.payload).resume)
                self.require(state.peer_floor >= resume.height, checker, "a resume whose promise is not written")
            case _:
                pass

    def submitted(self, keeper: "Keeper", submit: Submit) -> None:
        """Something goes to the chain: no close without its `closing` on the disk."""
        signer = self.signer(keeper.id, keeper.side)
        self.permits.submitted(keeper, submit)
        shown: tuple[Signed, ...] = ()
        match submit.action:
            case Close(own=own):
                state = channel_row(keeper.node, keeper.id)
                written = state is None or state.phase != Phase.OPEN
                self.require(written, "durable before visible", "a close without its `closing`")
                signer.last_word = keeper.channel.own.size
                shown = () if own is None else (own,)
            case Checkpoint(heads=heads):
                shown = tuple(signed for each in heads for signed in each.commitments)
            case _:
                pass
        for commitment in map(decode_commitment, [signed.body for signed in shown]):
            if commitment.side == keeper.side:
                signer.spent = max(signer.spent, commitment.spent)
                signer.seen.add((commitment.seen_size, commitment.seen_root))

    def _note(self, keeper: "Keeper", signed: Signed) -> None:
        said = decode_commitment(signed.body)
        signer = self.signer(keeper.id, said.side)
        known = signer.said.get(said.size)
        if known is not None:
            same = (known.root, known.spent, known.seen) == (said.root, said.spent, said.seen)
            self.require(same, "two heads of one size", f"hospital {keeper.node.number} at {said.size} entries")
        posted = self._world.chain.channels[said.channel].sides[said.side].resume_height
        for resume in signer.resumes:  # [RESUME-2] One that is older than what the chain has seen is never shown there.
            void = said.height < resume.height and said.size > resume.size and resume.height >= posted
            self.require(
                not void, "below its resume", f"{said.size} entries at {said.height}, resumed at {resume.height}"
            )
        if signer.last_word is not None:
            ended = said.size <= signer.last_word
            self.require(ended, "signs after closing", f"{said.size} entries after a last word at {signer.last_word}")
        if signer.top is None or said.size > signer.top.size:
            self._check_top(signer, said)
            self.permits.signed(keeper, signer, said)
            grown = f"{said.size} entries by key {signed.key}, after key {signer.key}"
            self.require(signed.key >= signer.key, "key numbers never fall", grown)
            signer.top = said
        signer.key = max(signer.key, signed.key)
        signer.said[said.size] = said
        signer.largest = max(signer.largest, said.size)
        signer.seen.add((said.seen_size, said.seen_root))
        signer.spent = max(signer.spent, said.spent)

    def _check_top(self, signer: Signer, said: Commitment) -> None:
        before = signer.top
        if before is not None:
            rises = said.spent >= before.spent and said.seen_size >= before.seen_size and said.height >= before.height
            if not rises:
                self.violated("totals never fall", f"from {before} to {said}")
        peer = self.signers.get((said.channel, 1 - said.side))
        known = None if peer is None else peer.said.get(said.seen_size)
        if known is not None and self._world.is_honest_channel(said.channel):
            self.require(known.root == said.seen_root, "seen is what was signed", f"seen {said.seen_size}")

    def resumed(self, keeper: "Keeper") -> None:
        """A hospital may sign again, by what its peer signed; Mallory may have signed less than she holds."""
        self._world.counts["resumed"] += 1
        keeper.node.copies.discard(keeper.id)
        signed = keeper.channel.row.resume
        if signed is None or keeper.node.is_mallory:
            return
        if self._world.peer_of(keeper).is_mallory:
            self._note_resume(decode_resume(signed.body))

    def _note_resume(self, resume: Resume) -> None:
        """Words of the resuming side that its peer never held are void from here on."""
        signer = self.signer(resume.channel, resume.side)
        signer.resumes.append(resume)
        for size in [size for size in signer.said if size > resume.size]:
            if signer.said[size].height < resume.height:
                del signer.said[size]
                signer.key = 0  # the key of what is left is not kept; a newer one may have signed only what is void
        signer.largest = max(signer.said, default=0)
        kept = [size for size in signer.said if signer.top is not None and size <= signer.top.size]
        signer.top = signer.said[max(kept)] if kept else None

    # -- what must not be lost --------------------------------------------------------------------------------------

    def acknowledged(self, keeper: "Keeper", size: int) -> None:
        """A writer hears that its peer holds its log: then the peer's disk does, at this very moment."""
        signer = self.signer(keeper.id, keeper.side)
        if keeper.node.is_mallory or size <= signer.acknowledged:
            return
        peer = self._world.peer_of(keeper)
        signer.acknowledged = size
        said = signer.said.get(size)
        signer.acknowledged_root = said.root if said is not None else b""
        if not peer.is_mallory and not self._world.is_behind(peer, keeper.id):
            held = decode_log_row(peer.disk.rows(keeper.id).get(head_key(keeper.side)) or b"").frontier.size
            self.require(held >= size, "acknowledged is durable", f"{size} entries acknowledged, {held} on the disk")

    def crashed(self, node: "Node") -> None:
        """What is on a disk after a crash covers all that its hospital ever said."""
        if node.is_mallory:
            return
        for (channel, side), signer in self.signers.items():
            if self._world.side_of(node, channel) != side or self._world.is_over(channel):
                continue
            if self._world.is_behind(node, channel):
                continue
            stored = node.disk.rows(channel).get(head_key(side))
            size = 0 if stored is None else decode_log_row(stored).frontier.size
            known = signer.largest
            self.require(size >= known, "durable before visible", f"{known} entries were said, {size} survive a crash")

    def restored(self, node: "Node") -> None:
        """An operator went back in time: its last words may be forgotten, for its peer keeps them; and so may a
        `resume` that neither side knows of any more, nor the chain: nobody can show it."""
        for (channel, side), signer in self.signers.items():
            own_side = self._world.side_of(node, channel)
            if own_side is None:
                continue
            if own_side == side:
                signer.last_word = None
                signer.income = None
            else:
                signer.charged_ms = None  # the proof is forgotten with the disk
            row = self._world.chain.channels[channel]
            hospitals = [self._world.node_of(each) for each in row.opening.hospitals]
            shown, floor = row.sides[side].resume_height, floor_on(hospitals[1 - side], channel)
            known = resumed_at(hospitals[side], channel)
            signer.resumes = [r for r in signer.resumes if r.height <= floor or r.height in (shown, known)]

    def check_total(self, keeper: "Keeper") -> None:
        """An honest hospital holds no signed total of its peer that its own fold does not come to."""
        head, fold = keeper.channel.peer.commitment, keeper.channel.fold.logs[1 - keeper.side]
        if keeper.node.is_mallory:
            return
        if head is not None and head.spent != fold.spent:
            self.violated("what is signed as spent was spent", f"{head}, the fold says {fold.spent}")
        most = keeper.channel.deposits[1 - keeper.side] + keeper.channel.fold.logs[keeper.side].spent
        if keeper.channel.l1 is not None and fold.spent > most:
            self.violated("what is spent is covered", f"{fold.spent} of {most} credits")

    def is_level(self, keeper: "Keeper") -> bool:
        """Whether a hospital whose disk went back holds again all that it said, all that it acknowledged, and all that
        was settled: its peer may not have heard of that."""
        channel = keeper.channel
        own, peer = self.signer(keeper.id, keeper.side), self.signer(keeper.id, 1 - keeper.side)
        settled = [side.settled.size for side in self._world.chain.channels[keeper.id].sides]
        said = max(own.largest, settled[keeper.side])
        heard = max(peer.acknowledged, settled[1 - keeper.side])
        return channel.resumed and channel.own.size >= said and channel.peer.size >= heard

    def froze(self, keeper: "Keeper", froze: Froze) -> None:
        self._world.counts["froze"] += 1
        self._world.counts[f"fault named {froze.fault.name}"] += 1
        peer = self._world.peer_of(keeper)
        honest = not keeper.node.is_mallory and not peer.is_mallory
        detail = f"hospital {keeper.node.number} blames {peer.number}: {froze.fault.name} {froze.detail}"
        self.require(not honest, "an honest peer is never blamed", detail)

    def check_limits(self, keeper: "Keeper") -> None:
        channel = keeper.channel
        within = (
            len(channel.held) <= HELD_BATCHES_MAX
            and len(channel.under_way) <= WINDOW_BATCHES
            and channel.unanswered <= WINDOW_BATCHES + 1
            and channel.queued <= QUEUED_ENTRIES_MAX
            and len(keeper.inbox) <= INBOX_MAX
        )
        if not within and not keeper.node.is_mallory and channel.may_sign():
            sizes = (len(channel.held), len(channel.under_way), channel.unanswered, channel.queued, len(keeper.inbox))
            self.violated("queues are bounded", f"held, under way, unanswered, queued, inbox: {sizes}")

    # -- what the chain decides -------------------------------------------------------------------------------------

    def on_chain(self, row: L1Channel) -> None:
        """The row of a channel has changed."""
        self.towers.on_chain(row)
        for side in (0, 1):
            head, node = row.sides[side].settled, self._world.node_of(row.opening.hospitals[1 - side])
            both = not head.size or node.is_mallory or (head.size, head.root) in self.signer(row.id, 1 - side).seen
            self.require(both, "only settled heads raise a floor", f"log {side} at {head.size} entries")
        if row.phase == L1Phase.CLOSING:
            for side in (0, 1):
                signer = self.signer(row.id, side)
                if signer.income is None:
                    signer.held, signer.income = self._known(row, side)
        if row.phase == L1Phase.SETTLED:
            waited = row.together or self._world.chain.tip.clock_ms >= row.closes_at_ms
            self.require(waited, "the window is kept", f"settled before {row.closes_at_ms}")
            for side in (0, 1):
                node = self._world.node_of(row.opening.hospitals[side])
                if node.is_mallory:
                    self.verdicts.check(row, side, self.signer(row.id, side))
                else:
                    self._check_paid(row, side, node)

    def _known(self, row: L1Channel, side: int) -> tuple[int, int]:
        """Size and total of the peer's log on a hospital's disk; nothing where rows of it are hurt."""
        node = self._world.node_of(row.opening.hospitals[side])
        if node.suspect == row.id or node.disk.is_hurt(row.id):
            return (0, 0)
        stored = node.disk.rows(row.id).get(head_key(1 - side))
        signed = None if stored is None else decode_log_row(stored).commitment
        known = None if signed is None else decode_commitment(signed.body)
        return (0, 0) if known is None else (known.size, known.spent)

    def _was_away(self, row: L1Channel, side: int, node: "Node") -> bool:
        """Whether a hospital slept through most of the window, or until its peer's newest words counted no longer: then
        it has what its towers showed for it."""
        awake_ms = node.awake_ms(self.towers.closed_ms(row), row.closes_at_ms)
        known = None if node.disk.is_hurt(row.id) else stored_commitment(node.disk.rows(row.id), 1 - side)
        expired = known is not None and node.away_ms[1] > 0 and not counts_still(row, 1 - side, known)
        return awake_ms < self._world.weather.verdict_ms or expired

    def _check_paid(self, row: L1Channel, side: int, node: "Node") -> None:
        own, peer = row.sides[side], row.sides[1 - side]
        forfeits = own.guilty or (row.stale and row.closer == side)
        self.require(not forfeits, "an honest hospital never forfeits", f"hospital {node.number} lost its bond")
        signer = self.signer(row.id, side)
        held, income = (signer.held, signer.income) if signer.income is not None else self._known(row, side)
        if not row.together and self._was_away(row, side, node):
            held, income = self.towers.guarded(row, side)
        if self._world.is_behind(node, row.id):
            income = 0
        elif row.closer == 1 - side and not (row.together or row.lost or row.stale):
            shown = row.closed_size >= held
            self.require(shown, "a stale close is punished", f"hospital {node.number} held {held} entries")
        both = own.deposit + peer.deposit
        least = min(max(own.deposit - signer.spent + income, 0), both) + own.bond
        detail = f"hospital {node.number} got {own.paid_out} of at least {least}"
        self.require(own.paid_out >= least, "an honest hospital never loses credits", detail)

    # -- the end ----------------------------------------------------------------------------------------------------

    def retired(self, keeper: "Keeper") -> None:
        """The second of two need not be read again: it must say what the first says."""
        other = self.retired_keepers.pop(keeper.id, None)
        if other is None or not self.check_pair(keeper, other):
            self.check_folds(keeper)
        if other is None:
            self.retired_keepers[keeper.id] = keeper

    def forget(self, channel: bytes) -> None:
        """A channel that is over and that nobody keeps."""
        self.retired_keepers.pop(channel, None)
        self.towers.forget(channel)
        for side in (0, 1):
            self.signers.pop((channel, side), None)

    def check_folds(self, keeper: "Keeper") -> None:
        """What the fold says is what a plain reading of both logs says."""
        if keeper.node.is_mallory:
            return
        if keeper.node.disk.is_hurt(keeper.id):
            return
        wrong = check_log(keeper.channel)
        if wrong is not None:
            self.violated(*wrong)

    def check_pair(self, first: "Keeper", second: "Keeper") -> bool:
        """Both sides hold one truth wherever they hold the same heads. Whether they hold the same everywhere."""
        if first.node.is_mallory or second.node.is_mallory:
            return False
        one, two = first.channel, second.channel
        level = [log.size for log in one.heads] == [log.size for log in two.heads]
        for side in (0, 1):
            if one.heads[side].size == two.heads[side].size:
                same_root = one.heads[side].frontier == two.heads[side].frontier
                if not same_root and (self._may_differ(first) or self._may_differ(second)):
                    return False
                self.require(same_root, "folds agree", f"other roots of log {side}")
                ours, theirs = one.fold.logs[side], two.fold.logs[side]
                same = (ours.marks, ours.endings, ours.spent) == (theirs.marks, theirs.endings, theirs.spent)
                if level:
                    self.require(same, "folds agree", f"marks, endings or totals of log {side} differ")
        return level

    def _may_differ(self, keeper: "Keeper") -> bool:
        """[START-7] A copy from before a loss may hold what nobody heard and was written otherwise since; where the
        channel was closing when its process started, it need not even have found out."""
        is_old = self._world.is_behind(keeper.node, keeper.id) or self._world.is_over(keeper.id)
        return is_old and not keeper.channel.resumed

    def check_kept(self, keepers: list["Keeper"]) -> None:
        """What was acknowledged stands in the log of every holder that is not behind."""
        for keeper in keepers:
            for side in (0, 1):
                signer = self.signer(keeper.id, side)
                size, root = signer.acknowledged, signer.acknowledged_root
                if not size or not root or not self._world.is_honest_channel(keeper.id):
                    continue
                held = keeper.channel.heads[side].size
                self.require(held >= size, "acknowledged is never lost", f"{held} of {size} entries of log {side}")
                signed = commitment_at(keeper.channel, side, size)
                self.require(signed is not None, "acknowledged is never lost", f"no head at {size}")
                assert isinstance(signed, Signed)
                same = decode_commitment(signed.body).root == root
                self.require(same, "acknowledged is never lost", f"another root at {size}")
