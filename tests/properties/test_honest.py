"""Nothing that can be put together convicts whoever was honest; and the chain punishes what the fold calls void."""

from collections.abc import Callable, Iterator
from itertools import combinations
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from l1.ground.faults import LocalError
from l1.rules.accesses import CHARGES
from l1.rules.commitment import Signed, decode_commitment
from l1.rules.evidence import AccessShown, Evidence, Forked, Overspent, TwoWords
from l1.rules.judge import Guilty, Unproven
from l1.rules.log.entries import EMERGENCY_BASIS, Access, Consent, Grant, Revoke, Seen, Withdraw
from l1.rules.log.fold import Fold
from l1.rules.log.marks import Void
from l2.protocol.evidence import build_access, show
from tests.stories.misdeeds import verdict
from tests.stories.world import NOW_MS, Story

KINDS = (
    *("consent", "consent", "grant", "grant", "grant", "see", "see", "see", "access", "access", "access", "access"),
    *("revoke", "withdraw", "pay", "receipt", "commit", "request"),
)
SEEDS = st.integers(0, 2**32)


def steps_of(seed: int) -> list[tuple[str, int, int]]:
    """A long life at random: what is done, to which entry, and how late."""
    dice = Random(seed)
    return [(dice.choice(KINDS), dice.randrange(13), dice.randint(-3, 3)) for _ in range(60)]


class Writers:
    """Two hospitals write at random; an honest one writes only what its own fold calls standing."""

    def __init__(self, honest: tuple[bool, bool]) -> None:
        self.story, self.honest = Story(), honest
        self.fold = Fold(lambda side, indices: [self.story.logs[side].entry(index) for index in indices])
        self.signed: tuple[list[Signed], list[Signed]] = ([], [])
        self.voids: list[tuple[int, int, Void]] = []

    def play(self, steps: list[tuple[str, int, int]]) -> None:
        for kind, target, late in steps:
            self._step(kind, target, late)
        for side in (0, 1):
            self.signed[side].append(self.story.commit(side))

    def _step(self, kind: str, target: int, late: int) -> None:
        story = self.story
        story.now_ms += 10
        time = story.now_ms + 20 * late
        consent, grant = self._one_of(Consent, target), self._one_of(Grant, target)
        match kind:
            case "commit":
                self.signed[target % 2].append(story.commit(target % 2))
            case "see":
                self._keep(target % 2, lambda: story.see(target % 2))
            case "consent":
                self._keep(0, lambda: story.consent(purposes=0b101))
            case "request":
                self._keep(1, lambda: story.request(emergency=late > 0))
            case "grant":
                terms: dict[str, Any] = {"purposes": 0b101 if late else 0b010, "until_ms": NOW_MS + 500}
                basis = {"request": target, "emergency": True} if late > 1 else {"consent": consent}
                self._keep(0, lambda: story.grant(fee=target % 3, **basis, **terms))
            case "revoke":
                self._keep(0, lambda: story.revoke(grant, time=time))
            case "withdraw":
                self._keep(0, lambda: story.withdraw(consent))
            case "access":
                self._keep(1, lambda: story.access(grant, purpose=abs(late), time=time))
            case "pay":
                self._keep(1, lambda: story.pay(grant, target % 3))
            case "receipt":
                self._keep(1, lambda: story.receipt(grant))

    def _one_of(self, kind: type, target: int) -> int:
        """An entry of that kind, most of the time; or whatever stands there."""
        found = [at for at, (entry, _) in enumerate(self.story.logs[0].entries) if isinstance(entry, kind)]
        return found[target % len(found)] if found and target < 11 else target

    def _keep(self, side: int, write: Callable[[], int]) -> None:
        """Write it, judge it, and take it back where an honest writer would not have."""
        log = self.story.logs[side]
        index = write()
        entry, terms = log.entry(index)
        voids = self.fold.judge(side, [entry], [] if terms is None else [terms])
        if voids and self.honest[side]:
            self.fold.undo()
            for part in (log.publics, log.privates, log.leaves, log.entries):
                part.pop()
            return
        self.fold.settle()
        self.voids += [(side, at, reason) for at, reason in voids]


@given(seed=SEEDS)
@settings(max_examples=100, deadline=None)
def test_nothing_that_the_other_says_convicts_an_honest_recipient(seed: int) -> None:
    """The custodian writes whatever it likes: void grants, endings out of time, of nothing, twice."""
    writers = Writers((False, True))
    writers.play(steps_of(seed))
    for evidence in every_evidence(writers):
        said = verdict(writers.story, evidence)
        assert not (isinstance(said, Guilty) and said.side == 1), (said, evidence)


@given(seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_the_chain_calls_guilty_whatever_access_the_fold_calls_void(seed: int) -> None:
    """The custodian is honest, so that only what the recipient does is void."""
    writers = Writers((True, False))
    writers.play(steps_of(seed))
    story = writers.story
    for side, index, reason in writers.voids:
        entry, _ = story.logs[side].entry(index)
        if side != 1 or not isinstance(entry, Access) or reason not in CHARGES:
            continue
        named = story.logs[0].entries[entry.grant][0] if entry.grant < story.logs[0].size else None
        ending = writers.fold.logs[0].endings.get(entry.grant)
        if reason is Void.CONSENT_WITHDRAWN:
            assert isinstance(named, Grant)
            ending = writers.fold.logs[0].endings[named.consent or 0]
        commitment = next(words for words in writers.signed[1] if decode_commitment(words.body).size > index)
        evidence = build_access(story.logs, commitment, index, reason, ending if "E" in _ends(reason) else None)
        said = verdict(story, evidence)
        exempt = isinstance(named, Grant) and named.basis == EMERGENCY_BASIS and "E" in _ends(reason)
        later = reason is Void.NOT_SEEN and decode_commitment(commitment.body).seen_size > entry.grant
        assert isinstance(said, Unproven if exempt or later else Guilty), (said, reason)


def _ends(reason: Void) -> str:
    return "E" if reason in (Void.ENDED, Void.CONSENT_WITHDRAWN) else ""


def every_evidence(writers: Writers) -> Iterator[Evidence]:
    """All that can be put together out of what both signed."""
    story, (theirs, ours) = writers.story, writers.signed
    for first, second in combinations(ours, 2):
        yield TwoWords(first=first, second=second)
        small = min(decode_commitment(words.body).size for words in (first, second))
        for index in range(small):
            proofs = [show(story.logs[1], index, decode_commitment(w.body).size) for w in (first, second)]
            leaf = story.logs[1].leaves[index]
            yield Forked(
                first=first, second=second, index=index, leaves=(leaf, leaf), paths=(proofs[0].path, proofs[1].path)
            )
    for words in ours:
        yield from (Overspent(commitment=words, peer=peer) for peer in (None, *theirs))
    for index, (entry, _) in enumerate(story.logs[1].entries):
        if isinstance(entry, Access):
            yield from _every_access(story, ours[-1], index)


def _every_access(story: Story, words: Signed, index: int) -> Iterator[AccessShown]:
    endings = [at for at, (entry, _) in enumerate(story.logs[0].entries) if isinstance(entry, Revoke | Withdraw)]
    seens = [
        (at, entry) for at, (entry, _) in enumerate(story.logs[1].entries) if isinstance(entry, Seen) and entry.size
    ]
    for reason in CHARGES:
        for ending in (None, *endings):
            try:
                built = build_access(story.logs, words, index, reason, ending)
            except (LocalError, AssertionError):
                continue
            yield built
            for at, seen in seens:
                if built.named is None or seen.size <= max(built.named.index, ending or 0):
                    continue
                size = decode_commitment(words.body).size
                yield replace(
                    built,
                    seen=show(story.logs[1], at, size),
                    named=show(story.logs[0], built.named.index, seen.size),
                    ending=None if ending is None else show(story.logs[0], ending, seen.size),
                )
