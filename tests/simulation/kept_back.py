"""A `resume` that Mallory keeps back: her peer gave it, and its disk goes back to before that.

She asks for one whenever she likes. Once her peer tells by its heads that it has forgotten one, all that she says to it
is dated below that `resume`; when her peer holds such words, she has them shown, by an old close of her own or by proof
against herself, and brings the `resume`: her peer had denied to hold what it showed [RESUME-5].
"""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from l1.ground.codec import encode
from l1.rules.commitment import Resume, Signed, decode_commitment
from l1.rules.state import Channel as L1Channel
from l1.rules.state import Claim
from l1.rules.state import Phase as L1Phase
from l1.rules.transactions import ResumeChannel
from l2.protocol.batch import decode_batch, encode_batch
from l2.protocol.channel import commitment_at
from l2.protocol.events import MessageReceived
from l2.protocol.messages import Message, ResumeAsk, decode_reestablish
from l2.protocol.phases import Phase
from tests.simulation.decoding import resume_in
from tests.simulation.keeper import Keeper
from tests.simulation.malformed import size_of

if TYPE_CHECKING:
    from tests.simulation.mallory import Mallory

__all__ = ["KeptBack"]

AHEAD = 0.3  # of what she asks for lies in the future: at what height she will need it she cannot know
AHEAD_BLOCKS = 60
EARLY = 0.02  # then her peer may forget while the window is open
BLIND = 0.03  # of heads: then she dates back though her peer has not forgotten


class KeptBack:
    """Part of Mallory. `_baits` are those in use, by channel."""

    def __init__(self, mallory: "Mallory") -> None:
        self._mallory = mallory
        self._baits: dict[bytes, Signed] = {}

    def forget(self, channel: bytes) -> None:
        self._baits.pop(channel, None)

    # -- getting one, and finding that it was forgotten ---------------------------------------------------------------

    def _ask(self, keeper: Keeper) -> None:
        """Her core knows nothing of it."""
        world = self._mallory.world
        height = world.chain.tip.height
        height += world.rng.randint(1, AHEAD_BLOCKS) if world.rng.random() < AHEAD else 0
        keeper.post(MessageReceived(int(Message.RESUME_ASK), encode(ResumeAsk(height=height))))

    def heard(self, keeper: Keeper, message: MessageReceived) -> None:
        """Heads tell what her peer holds, and below which height it refuses her words."""
        if message.type != Message.REESTABLISH:
            return
        said, world = decode_reestablish(message.payload), self._mallory.world
        self._baits.pop(keeper.id, None)
        blind = world.rng.random() < BLIND
        fitting = [
            signed
            for signed in self._mallory.resumes.get(keeper.id, ())
            if self._fits(keeper, resume_in(signed), said.peer_size, -1 if blind else said.floor)
        ]
        if fitting:
            self._baits[keeper.id] = max(fitting, key=lambda signed: resume_in(signed).height)
            is_closing = world.chain.channels[keeper.id].phase != L1Phase.OPEN
            where = " while the channel closes" if is_closing else ""
            world.counts["mallory dates back" if blind else f"a resume that was forgotten{where}"] += 1

    def _fits(self, keeper: Keeper, resume: Resume, held: int, floor: int) -> bool:
        """What her peer holds already is not void by it: all that it shall show comes from now on."""
        row = self._mallory.world.chain.channels[keeper.id]
        shown = row.sides[keeper.side].resume_height
        last = commitment_at(keeper.channel, keeper.side, held)
        since = 0 if last is None else decode_commitment(last.body).height
        is_of_hers = resume.side == keeper.side and resume.size >= held
        is_new = resume.height > max(shown, floor, since + 1)
        return is_of_hers and is_new and not self._is_sprung(row, keeper.side, resume)

    # -- using it -----------------------------------------------------------------------------------------------------

    def dated(self, keeper: Keeper, message: MessageReceived) -> MessageReceived:
        """The same words, from below the `resume`."""
        bait = self._baits.get(keeper.id)
        if bait is None or message.type != Message.BATCH:
            return message
        batch = decode_batch(message.payload)
        said = replace(decode_commitment(batch.commitment.body), height=resume_in(bait).height - 1)
        signed = keeper.channel.sign_commitment(said)
        return MessageReceived(message.type, encode_batch(batch.publics, batch.privates, signed))

    def act(self, keeper: Keeper) -> str:
        """What she does in a channel, by name."""
        bait, rng = self._baits.get(keeper.id), self._mallory.world.rng
        if bait is not None and keeper.channel.connected:
            return self._use(keeper, bait)
        if rng.random() < EARLY and self._close_old(keeper, keeper.channel.own.size):
            return "closes early"
        self._ask(keeper)
        return "asks for a resume"

    def _use(self, keeper: Keeper, bait: Signed) -> str:
        resume, row, world = resume_in(bait), self._mallory.world.chain.channels[keeper.id], self._mallory.world
        if self._is_sprung(row, keeper.side, resume):
            self._mallory.ask_chain(ResumeChannel(channel=keeper.id, resume=bait))
            return "brings a resume that was forgotten"
        if row.phase != L1Phase.OPEN or keeper.channel.phase is not Phase.OPEN:
            return "waits"
        if keeper.channel.acknowledged <= resume.size:
            world.troubles.write(keeper)
            return "writes below a resume"
        return "closes before a resume" if self._close_old(keeper, resume.size) else "waits"

    def _close_old(self, keeper: Keeper, size: int) -> bool:
        own = [word for word in self._mallory.words_of(keeper)[keeper.side] if size_of(word) <= size]
        return self._mallory.close_with(keeper, self._mallory.world.rng.choice(own) if own else None, lost=False)

    @staticmethod
    def _is_sprung(row: L1Channel, side: int, resume: Resume) -> bool:
        """Whether her peer has shown what the `resume` makes void."""
        own = row.sides[side]
        words = [(own.posted.size, own.posted_height)] if own.posted_by_peer else []
        for claim in row.claims:
            if isinstance(claim, Claim) and claim.by_peer and claim.side == side:
                words += claim.words
        return any(size > resume.size and height < resume.height for size, height in words)
