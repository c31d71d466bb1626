"""Mallory: a hospital that has the real core, and its keys, and no conscience.

Most of the time it plays along, so that there is something to betray. What it says may be held back, changed, said
twice or said to be somebody else's; from time to time it forks its own log, signs what no core would sign, and closes
with any old commitment it ever saw.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from l1.ground.codec import encode
from l1.ground.faults import Refused
from l1.ground.hashing import digest
from l1.ground.signing import Purpose
from l1.rules.commitment import Commitment, Signed, decode_commitment, sign_shape
from l1.rules.log.marks import GRANT, HAS_ENDED, KIND, VOID
from l1.rules.state import Phase as L1Phase
from l1.rules.transactions import Action, Challenge, ChannelHeads, Checkpoint, Close, ResumeChannel, Settle
from l2.protocol import writer
from l2.protocol.batch import decode_batch, encode_batch
from l2.protocol.closing import checkpoint_heads
from l2.protocol.events import MessageReceived, Send, Submit
from l2.protocol.fold_rows import fold_rows
from l2.protocol.handover import Handed, sign_handover
from l2.protocol.messages import Message, ResumeGiven, decode_resume_given
from tests.simulation.decoding import resume_in, size_told
from tests.simulation.genuine import SimKey
from tests.simulation.keeper import Keeper
from tests.simulation.kept_back import KeptBack
from tests.simulation.malformed import any_of, bytes_changed, malform, other_heads, other_resume, size_of, words_changed
from tests.simulation.node import Node
from tests.simulation.other_self import other_self
from tests.simulation.workload import any_entries, is_ended, opening_of, pay_for

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["Mallory"]

CLOSING_QUIET = 0.8  # most of what she could ask then is refused, and costs a block
PATIENCE = 0.95
KEPT = 200  # signed words and messages of each channel that it remembers


class Mallory(Node):
    """See the module."""

    is_mallory = True

    def __init__(self, world: "World", number: int) -> None:
        super().__init__(world, number)
        self.words: dict[bytes, tuple[list[Signed], list[Signed]]] = {}
        self.messages: dict[bytes, list[MessageReceived]] = {}
        self.resumes: dict[bytes, list[Signed]] = {}
        self.kept_back = KeptBack(self)
        self.silent_until = 0
        self.is_subtle = (
            world.weather.kind == "absence" or world.rng.random() < 0.5
        )  # does nothing that freezes a channel at once

    def threw(self, keeper: Keeper, error: Exception) -> None:
        """It has confused its own core: a new process begins."""
        self.world.counts["mallory confused herself"] += 1
        self.crash()

    def forget(self, channel: bytes) -> None:
        super().forget(channel)
        for kept in (self.words, self.messages, self.resumes):
            kept.pop(channel, None)
        self.kept_back.forget(channel)

    # -- what it hears and says -------------------------------------------------------------------------------------

    def remember(self, keeper: Keeper, message: MessageReceived) -> None:
        """Every signed word of either side may be of use one day."""
        kept = self.messages.setdefault(keeper.id, [])
        kept.append(message)
        del kept[:-KEPT]
        try:
            if message.type in (Message.BATCH, Message.GIVEN_BACK):
                signed = decode_batch(message.payload).commitment
                words = self.words.setdefault(keeper.id, ([], []))[decode_commitment(signed.body).side]
                words.append(signed)
                if len(words) > KEPT:
                    del words[self.world.rng.randrange(len(words))]
            elif message.type == Message.RESUME_GIVEN:
                self.resumes.setdefault(keeper.id, []).append(decode_resume_given(message.payload).resume)
        except Refused:
            return

    def learn(self, channel: bytes, signed: Signed) -> None:
        """Signed words of a channel of hers that somebody else tells her."""
        words = self.words.setdefault(channel, ([], []))[decode_commitment(signed.body).side % 2]
        words.append(signed)
        if len(words) > KEPT:
            del words[self.world.rng.randrange(len(words))]

    def heard(self, keeper: Keeper, message: MessageReceived) -> None:
        self.remember(keeper, message)
        if self.keeps_back:
            self.kept_back.heard(keeper, message)

    def say(self, keeper: Keeper, send: Send) -> None:
        """Say it, or not, or otherwise."""
        rng, message = self.world.rng, MessageReceived(int(send.type), send.payload)
        message = self.kept_back.dated(keeper, message)
        self.remember(keeper, message)
        if self.world.now < self.silent_until and not self.world.is_calm:
            return None
        if self.keeps_back:
            return keeper.post(message)
        odds = 0 if self.world.is_calm or self.is_subtle else rng.random()
        if self.is_subtle and not self.world.is_calm and send.type == Message.RESUME_GIVEN and rng.random() < 0.5:
            self._did("says less in resume")
            message = MessageReceived(message.type, self._other_resume(keeper, send.payload, kind=0))
        if odds > 0.995:
            return self._did("withholds")
        if odds > 0.99:
            self._did("says it twice")
            keeper.post(message)
        elif odds > 0.985:
            self._did("mutates")
            message = MessageReceived(message.type, bytes_changed(rng, message.payload))
        elif send.type == Message.REESTABLISH and odds > 0.6:
            self._did("lies about heads")
            message = MessageReceived(message.type, other_heads(rng, send.payload))
        elif send.type == Message.RESUME_GIVEN and odds > 0.5:
            self._did("lies in resume")
            message = MessageReceived(message.type, self._other_resume(keeper, send.payload))
        keeper.post(message)
        return None

    def _did(self, what: str) -> None:
        self.world.counts[f"mallory {what}"] += 1

    def _other_resume(self, keeper: Keeper, payload: bytes, kind: int | None = None) -> bytes:
        """Smaller, larger, another root or another height, and signed all the same."""
        rng = self.world.rng
        resume = resume_in(decode_resume_given(payload).resume)
        heads = [decode_commitment(each.body) for each in self.words_of(keeper)[1 - keeper.side]]
        older = [each for each in heads if each.size <= resume.size]
        told = [each for each in self.messages.get(keeper.id, ()) if each.type == Message.REESTABLISH][-4:]
        exactly = {size_told(each) for each in told}  # what its disk holds, as it said itself
        older = [each for each in older if each.size in exactly] or older
        resume = other_resume(rng, resume, older, rng.randrange(4) if kind is None else kind)
        signed = sign_shape(*self._some_key(), Purpose.RESUME, keeper.channel.context, resume)
        self.resumes.setdefault(keeper.id, []).append(signed)
        return encode(ResumeGiven(resume=signed))

    def words_of(self, keeper: Keeper) -> tuple[list[Signed], list[Signed]]:
        return self.words.setdefault(keeper.id, ([], []))

    # -- what it does of its own accord -----------------------------------------------------------------------------

    def act(self) -> bool:
        """One misdeed, in one of its channels."""
        rng = self.world.rng
        if not self.keepers:
            return False
        keeper = rng.choice(list(self.keepers.values()))
        if self.keeps_back:
            self._did(self.kept_back.act(keeper))
            return True
        is_alone = self.world.peer_of(keeper).is_away  # nobody is at home
        if self.world.weather.kind == "absence" and not is_alone and rng.random() < PATIENCE:
            return False
        deeds: list[Callable[[Keeper], bool]] = [self._write_void] * 12 + [self._silence, self._private_head]
        deeds += [self._access_ended] * 3
        deeds += [self._challenge, self._post_resume, self._settle_early, self._settle_newest]
        deeds += [self._close_old] if rng.random() < 0.2 else []
        deeds += [self._show_around] if rng.random() < 0.3 else []
        deeds += [self._hand_rubbish] if self.named else []
        deeds += [self._overspend] if rng.random() < 0.5 else []
        if self.world.weather.kind == "garbage":
            deeds = [*[self._malform] * 3, self._write_void, self._replay]
        elif not self.is_subtle:
            deeds += [self._malform, self._malform]
            deeds += [self._replay] * 4 + [self._noise, self._fork, self._forge_seen] + [self._overspend] * 4
        if self.world.chain.channels[keeper.id].phase == L1Phase.CLOSING:
            if rng.random() < CLOSING_QUIET:
                return False
            deeds = [*[self._challenge] * 6, self._settle_early, self._post_resume]
        elif is_alone and rng.random() < 0.6:
            deeds = [self._close_old, self._close_old, self._post_resume]
        deed = rng.choice(deeds)
        try:
            done = deed(keeper)
        except AssertionError as error:  # what she did before does not fit what she does now
            self.threw(keeper, error)
            return False
        if not done:
            return False
        self._did(getattr(deed, "__name__", "").strip("_").replace("_", " "))
        return True

    @property
    def keeps_back(self) -> bool:
        """Whether she does nothing but wait for a peer that forgets what it promised."""
        return self.world.weather.kind == "promises"

    def _write_void(self, keeper: Keeper) -> bool:
        """Entries that its own fold calls void, signed all the same."""
        channel = keeper.channel
        if not channel.may_sign() or channel.queue or len(keeper.decided) + keeper.speaking >= 2:
            return False
        return self._sign_batch(keeper, *any_entries(self.world.rng, self.clock_ms(), self.target(keeper)))

    def _access_ended(self, keeper: Keeper) -> bool:
        """An access to a grant of which it has seen that it ended, or that its consent did."""
        channel, world = keeper.channel, self.world
        own, peer = channel.fold.logs[channel.side], channel.fold.logs[1 - channel.side]
        ended = {at for at, ending in peer.endings.items() if ending < own.seen}
        marks = peer.marks[: own.seen]
        grants = [at for at in range(max(0, len(marks) - 500), len(marks)) if marks[at] & KIND == GRANT]
        grants = [at for at in grants if not marks[at] & VOID and is_ended(channel, at, ended)]
        busy = channel.queue or len(keeper.decided) + keeper.speaking >= 2
        if not grants or busy or not channel.may_sign():
            return False
        return self._sign_batch(keeper, *opening_of(world.rng.choice(grants), self.clock_ms()))

    def target(self, keeper: Keeper) -> int:
        """Some entry, by preference a void one or one that has ended."""
        rng, channel = self.world.rng, keeper.channel
        marks = channel.fold.logs[rng.randrange(2)].marks
        bad = [at for at in range(max(0, len(marks) - 200), len(marks)) if marks[at] & (VOID | HAS_ENDED)]
        return rng.choice(bad) if bad and rng.random() < 0.6 else rng.randrange(len(marks) + 2)

    def _sign_batch(self, keeper: Keeper, entries: list[Any], terms: list[Any], more: int = 0) -> bool:
        """Sign what no core would; `more` than was spent is only said, never believed by its own core."""
        channel = keeper.channel
        log = channel.fold.logs[channel.side]
        channel.rows.begin()
        opened = writer._opening_seen(channel, self.clock_ms())
        channel.fold.judge(channel.side, opened + entries, terms)
        log.spent += more
        effects = writer._batch(channel, opened + entries, terms)
        log.spent -= more
        keeper.decided.append([*effects, *fold_rows(channel)])
        keeper.speak()
        return True

    def _replay(self, keeper: Keeper) -> bool:
        kept = self.messages.get(keeper.id)
        if not kept:
            return False
        keeper.post(self.world.rng.choice(kept))
        return True

    def _noise(self, keeper: Keeper) -> bool:
        rng = self.world.rng
        keeper.post(MessageReceived(rng.randrange(26), rng.randbytes(rng.randint(0, 200))))
        return True

    def _malform(self, keeper: Keeper) -> bool:
        message = malform(self.world.rng, keeper.channel, self.ring.signing(), self.messages.get(keeper.id, []))
        kind = Message(message.type).name.lower() if message.type in set(Message) else "unknown"
        self.world.counts[f"malformed {kind}"] += 1
        keeper.post(message)
        return True

    def _silence(self, _keeper: Keeper) -> bool:
        self.silent_until = self.world.now + self.world.rng.randint(1_000, 40_000)
        return True

    def _fork(self, keeper: Keeper) -> bool:
        """A second self on the same rows signs another batch at the same size: the peer hears both."""
        return other_self(self, keeper, in_secret=False)

    def _show_around(self, keeper: Keeper) -> bool:
        return other_self(self, keeper, in_secret=True)  # only others than the peer hear of it

    def _some_key(self) -> tuple[SimKey, int]:
        """Mostly the one that signs now, at times an older one."""
        number, key = self.ring.signing()
        if self.world.rng.random() < 0.1:
            number, public = self.world.rng.choice(sorted(self.ring.public().items()))
            key = self.ring.keys[public]
        return key, number

    def _signed(self, keeper: Keeper, **changes: Any) -> Signed | None:
        """Its newest commitment with something changed."""
        own = keeper.channel.own.commitment
        if own is None:
            return None
        said: Commitment = replace(own, **changes)
        signed = sign_shape(*self._some_key(), Purpose.COMMITMENT, keeper.channel.context, said)
        self.words_of(keeper)[keeper.side].append(signed)
        return signed

    def _send_batch_with(self, keeper: Keeper, **changes: Any) -> bool:
        """The newest batch again, under another commitment."""
        kept = [each for each in self.messages.get(keeper.id, ()) if each.type == Message.BATCH]
        signed = self._signed(keeper, **changes)
        if not kept or signed is None:
            return False
        batch = decode_batch(kept[-1].payload)
        keeper.post(MessageReceived(int(Message.BATCH), encode_batch(batch.publics, batch.privates, signed)))
        return True

    def _overspend(self, keeper: Keeper) -> bool:
        """A batch whose total is not what its log says; or fees paid again and again, beyond what it has."""
        channel = keeper.channel
        if not channel.may_sign() or channel.queue or len(keeper.decided) + keeper.speaking >= 2:
            return False
        paid = pay_for(self.world.rng, channel, self.clock_ms())
        if paid and self.world.rng.random() < 0.7:
            return self._sign_batch(keeper, paid, [])
        entries, terms = any_entries(self.world.rng, self.clock_ms(), self.target(keeper))
        return self._sign_batch(keeper, entries, terms, more=self.world.rng.choice((1, 100, 10**9)))

    def _forge_seen(self, keeper: Keeper) -> bool:
        size = keeper.channel.peer.size + self.world.rng.randint(1, 20)
        return self._send_batch_with(keeper, seen_size=size, seen_root=digest(b"nobody signed this"))

    def _hand_rubbish(self, keeper: Keeper) -> bool:
        """To a tower that serves it: any words in anybody's name, some of them changed."""
        ours, theirs = self.words_of(keeper)
        if not (ours or theirs) or not self.named:
            return False
        tower, channel = self.world.rng.choice(self.named), self.world.rng.choice(list(self.keepers))
        handed = Handed(channel=channel, commitment=words_changed(self.world.rng, ours + theirs, 1 - keeper.side))
        number, key = self.ring.signing()
        data = sign_handover(
            key, number, chain=self.world.chain.id, hospital=self.id, tower=tower.account,
            handed=[handed],
        )  # fmt: skip
        self.world.auditor.towers.handed(self, tower, data)
        tower.take(data, lambda *_: None)
        return True

    # -- the chain ----------------------------------------------------------------------------------------------------

    def ask_chain(self, action: Action) -> bool:
        def answer(refused: Refused | None) -> None:
            name = type(action).__name__
            self.world.counts[f"mallory's {name} {'refused' if refused else 'taken'}"] += 1
            self.world.note(f"mallory {name} {refused or 'taken'}")

        self.world.chain.ask(self.key, action, answer)
        self.world.want_block()
        return True

    def _close_old(self, keeper: Keeper) -> bool:
        """With any of its own commitments, and any of the peer's."""
        lost = self.world.rng.random() < 0.2
        return self.close_with(keeper, any_of(self.world.rng, self.words_of(keeper)[keeper.side]), lost=lost)

    def close_with(self, keeper: Keeper, own: Signed | None, *, lost: bool) -> bool:
        """And with any words of the peer that go with it."""
        words = self.words_of(keeper)[1 - keeper.side]
        head = None if own is None else decode_commitment(own.body)
        seen, size = (0, 0) if head is None or lost else (head.seen_size, head.size)
        known = [(word, decode_commitment(word.body)) for word in words]
        fitting = [word for word, peer in known if peer.size >= seen and (lost or peer.seen_size <= size)]
        peer = self.world.rng.choice(fitting) if fitting else None
        return self.ask_chain(Close(channel=keeper.id, own=None if lost else own, peer=peer, lost=lost))

    def _challenge(self, keeper: Keeper) -> bool:
        """Any word of the peer's, or one of its own that is older than what it posted: a newer one would betray it."""
        side = self.world.rng.randrange(2)
        posted = self.world.chain.channels[keeper.id].sides[keeper.side].posted.size
        words = [word for word in self.words_of(keeper)[side] if side != keeper.side or size_of(word) <= posted]
        if not words:
            return False
        shown = self.world.rng.choice(words)
        return self.ask_chain(Challenge(channel=keeper.id, side=side, commitment=shown))

    def _private_head(self, keeper: Keeper) -> bool:
        """A head of its own that nobody else has seen, as if it were settled."""
        size = keeper.channel.own.size + self.world.rng.randint(1, 100)
        private = self._signed(keeper, size=size, root=digest(b"private"), spent=0)
        peer = any_of(self.world.rng, self.words_of(keeper)[1 - keeper.side])
        if private is None or peer is None:
            return False
        heads = ChannelHeads(channel=keeper.id, commitments=(private, peer))
        return self.ask_chain(Checkpoint(heads=(heads,)))

    def _settle_newest(self, keeper: Keeper) -> bool:
        """What both signed, at once: before a peer that forgot it can make it void."""
        heads = checkpoint_heads(keeper.channel)
        return heads is not None and self.ask_chain(Checkpoint(heads=(heads,)))

    def _settle_early(self, keeper: Keeper) -> bool:
        row = self.world.chain.channels[keeper.id]
        return row.phase == L1Phase.CLOSING and self.ask_chain(Settle(channel=keeper.id))

    def _post_resume(self, keeper: Keeper) -> bool:
        kept = self.resumes.get(keeper.id)
        return bool(kept) and self.ask_chain(ResumeChannel(channel=keeper.id, resume=self.world.rng.choice(kept or [])))

    def submit(self, keeper: Keeper, submit: Submit) -> None:
        """What its core asks of the chain is brought there, mostly."""
        if self.world.is_calm or self.world.rng.random() < 0.7:
            self.bring(submit)
