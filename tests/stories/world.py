"""The setting of every story: a chain in a dictionary, two hospitals with a channel, and two real logs.

Side 0 is the custodian, side 1 the recipient. Both write what they like: honest ones go through the fold, others do
not ask. Evidence is built by the same functions as in a hospital, and judged by the chain itself, in a block.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from msgspec.structs import replace

from l1.ground.faults import Refused
from l1.ground.hashing import digest
from l1.ground.limits import VERSION
from l1.ground.merkle import EMPTY_ROOT, node_hash, root_of
from l1.ground.signing import Context, PrivateKey, Purpose
from l1.rules.commitment import Commitment, Head, Resume, Signed, sign_shape
from l1.rules.evidence import AccessShown, Evidence
from l1.rules.log.entries import (
    Access,
    AccessTerms,
    Consent,
    ConsentTerms,
    Entry,
    Grant,
    GrantTerms,
    Pay,
    Receipt,
    Release,
    Request,
    RequestTerms,
    Revoke,
    Seen,
    Terms,
    Withdraw,
)
from l1.rules.log.fold import Fold
from l1.rules.log.leaves import cut_parts, encode_parts, leaf_hashes
from l1.rules.log.marks import Void
from l1.rules.state import Claim
from l1.rules.transactions import Action, Challenge, ChannelHeads, Checkpoint, Close, Report, ResumeChannel, Settle
from l2.protocol.batch import Salts
from l2.protocol.evidence import build_access
from tests.unit.l1.rules.world import WINDOW_MS, World, refuses

__all__ = ["CHANNEL_SECRET", "NOW_MS", "WINDOW_MS", "Log", "Story", "refuses", "secret_of"]

NOW_MS = 1_750_000_000_000
CHANNEL_SECRET = b"shared by both hospitals of it  "
FOREVER_MS = 2**47


def secret_of(grant: int) -> bytes:
    """The secret that a release of that grant shows."""
    return digest(b"secret %d" % grant)


@dataclass
class Log:
    """A side's log in memory: a `LogView`."""

    side: int
    publics: list[bytes] = field(default_factory=list)
    privates: list[bytes] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    entries: list[tuple[Entry, Terms | None]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    @cached_property
    def salts(self) -> Salts:
        return Salts(CHANNEL_SECRET, self.side)

    @property
    def size(self) -> int:
        return len(self.entries)

    def head(self, size: int | None = None) -> Head:
        size = self.size if size is None else size
        return Head(size=size, root=root_of(self.leaves[:size]) if size else EMPTY_ROOT)

    def append(self, entry: Entry, terms: Terms | None) -> int:
        publics, privates = encode_parts([entry], [] if terms is None else [terms])
        self.leaves += leaf_hashes(publics, privates, self.salts.span(self.size, 1))
        (public,), (private,) = cut_parts(publics, privates)
        self.publics.append(public)
        self.privates.append(private)
        self.entries.append((entry, terms))
        return self.size - 1

    def entry(self, index: int) -> tuple[Entry, Terms | None]:
        return self.entries[index]

    def parts(self, index: int) -> tuple[bytes, bytes]:
        return self.publics[index], self.privates[index]

    def first_of(self, index: int) -> int:
        """Batches end where something was signed."""
        return max((start for start in self.starts if start <= index), default=0)

    def node(self, level: int, index: int) -> bytes:
        if level == 0:
            return self.leaves[index]
        return node_hash(self.node(level - 1, 2 * index), self.node(level - 1, 2 * index + 1))

    def copy(self) -> "Log":
        """As it is now: for whoever goes on in two ways."""
        return Log(self.side, list(self.publics), list(self.privates), list(self.leaves), list(self.entries))


class Story(World):
    """Alice and bob have a channel with deposits of 1,000 and 500 and bonds of 100. Mallory is whoever misbehaves."""

    def __init__(self, *, deposits: tuple[int, int] = (1_000, 500), bond: int = 100, custodian: int = 0) -> None:
        """`custodian` is the side that grants; the other is the recipient."""
        super().__init__()
        self.custodian, self.recipient = custodian, 1 - custodian
        self.now_ms = NOW_MS
        self.id = self.with_channel() if (deposits, bond) == ((1_000, 500), 100) else self._opened(deposits, bond)
        self.logs = (Log(0), Log(1))
        self.start = self.wealth()

    def _opened(self, deposits: tuple[int, int], bond: int) -> bytes:
        self.admit(self.a)
        self.admit(self.b)
        opening = self.opening(deposits=deposits, bond=bond)
        action = self.signed_opening(opening)
        self.do(self.a.root, action)
        return next(key[8:] for key in self.rows if key.startswith(b"channel/"))

    # -- what the hospitals write

    def write(self, side: int, entry: Entry, terms: Terms | None = None) -> int:
        """The entry's index. Nobody asks whether it stands."""
        return self.logs[side].append(entry, terms)

    def see(self, side: int, size: int | None = None) -> int:
        """The side acknowledges the other's log."""
        head = self.logs[1 - side].head(size)
        return self.write(side, Seen(time=self.now_ms, size=head.size, root=head.root))

    def consent(self, **changes: Any) -> int:
        fields: dict[str, Any] = {
            "subject": b"s" * 16, "permit": True, "purposes": 0b111, "classes": 2**17 - 1, "label": 3,
            "from_ms": 0, "until_ms": FOREVER_MS, "document": digest(b"document"),
        }  # fmt: skip
        return self.write(self.custodian, Consent(time=self.now_ms), ConsentTerms(**fields | changes))

    def grant(self, *, consent: int | None = None, request: int | None = None, fee: int = 0, **changes: Any) -> int:
        """A grant on a consent or a request; `emergency` needs a request."""
        basis = 2 if changes.pop("emergency", False) else 0 if consent is not None else 1
        fields: dict[str, Any] = {
            "content": digest(b"content"), "cipher_root": digest(b"root"), "cipher_size": 5, "key": digest(b"key"),
            "media_type": 1, "record_class": 2, "label": 3, "obligations": 0, "purposes": 1, "from_ms": 0,
            "until_ms": FOREVER_MS,
        }  # fmt: skip
        lock = digest(secret_of(self.logs[self.custodian].size))
        entry = Grant(time=self.now_ms, basis=basis, consent=consent, request=request, fee=fee, lock=lock)
        return self.write(self.custodian, entry, GrantTerms(**fields | changes))

    def request(self, *, emergency: bool = False) -> int:
        terms = RequestTerms(
            subject=b"s" * 16, purpose=0, practitioner=b"p" * 16, role=0, classes=2**17 - 1, data_from_ms=0,
            data_until_ms=5, justification=b"",
        )  # fmt: skip
        return self.write(self.recipient, Request(time=self.now_ms, emergency=emergency), terms)

    def access(self, grant: int, *, purpose: int = 0, time: int | None = None) -> int:
        terms = AccessTerms(practitioner=b"p" * 16, role=0, purpose=purpose)
        return self.write(self.recipient, Access(time=self.now_ms if time is None else time, grant=grant), terms)

    def revoke(self, grant: int, *, time: int | None = None) -> int:
        return self.write(self.custodian, Revoke(time=self.now_ms if time is None else time, grant=grant))

    def withdraw(self, consent: int) -> int:
        return self.write(self.custodian, Withdraw(time=self.now_ms, consent=consent))

    def pay(self, grant: int, amount: int) -> int:
        return self.write(self.recipient, Pay(time=self.now_ms, amount=amount, grant=grant))

    def receipt(self, grant: int) -> int:
        return self.write(self.recipient, Receipt(time=self.now_ms, grant=grant))

    def release(self, grant: int) -> int:
        return self.write(self.custodian, Release(time=self.now_ms, grant=grant, secret=secret_of(grant)))

    def granted(self, **changes: Any) -> int:
        """A grant on a consent, seen by the recipient."""
        grant = self.grant(consent=self.consent(), **changes)
        self.see(self.recipient)
        return grant

    # -- what they sign

    def words(self, side: int, log: Log | None = None, **changes: Any) -> Commitment:
        """What an honest side would say of its log now."""
        log = log or self.logs[side]
        seen = max((e for e, _ in log.entries if isinstance(e, Seen)), key=lambda e: e.size, default=None)
        head = Head(size=0, root=EMPTY_ROOT) if seen is None else Head(size=seen.size, root=seen.root)
        spent = sum(entry.amount for entry, _ in log.entries if isinstance(entry, Pay))
        said = Commitment(
            version=VERSION, chain=self.chain, channel=self.id, side=side, size=log.size, root=log.head().root,
            spent=spent, seen_size=head.size, seen_root=head.root, height=self.tip.height,
        )  # fmt: skip
        return replace(said, **changes)

    def commit(self, side: int, log: Log | None = None, *, key: int = 1, **changes: Any) -> Signed:
        """The side signs its log as it is now, or says something else of it."""
        log = log or self.logs[side]
        log.starts.append(log.size)
        return self.sign_words(self.words(side, log, **changes), key)

    def sign_words(self, words: Commitment, key: int = 1) -> Signed:
        signer = self.side(words.side).keys[key]
        return sign_shape(signer, key, Purpose.COMMITMENT, self.context, words)

    def resumes(self, side: int, size: int, height: int | None = None) -> Signed:
        """The other side signs that `size` entries are all it holds of the side's log."""
        root = self.logs[side].head(size).root
        words = Resume(
            version=VERSION, chain=self.chain, channel=self.id, side=side, size=size, root=root,
            height=self.tip.height if height is None else height,
        )  # fmt: skip
        return sign_shape(self.side(1 - side).channel, 1, Purpose.RESUME, self.context, words)

    @property
    def context(self) -> Context:
        return Context(chain=self.chain, channel=self.id)

    # -- what proves something

    def charged(self, access: int, reason: Void, ending: int | None = None) -> AccessShown:
        """The evidence that the recipient's access is void, under its commitment of now."""
        return build_access(self.logs, self.commit(self.recipient), access, reason, ending)

    def two_roots(self, side: int) -> tuple[Signed, Signed]:
        """The side signs two logs of one size."""
        fork = self.logs[side].copy()
        self.write(side, Revoke(time=1, grant=0))
        fork.append(Revoke(time=2, grant=0), None)
        return self.commit(side), self.commit(side, fork)

    # -- what happens on the chain

    def report(self, evidence: Evidence, *, by: PrivateKey | None = None) -> None:
        self.do(by or self.registrar, Report(channel=self.id, evidence=evidence))

    def close(self, side: int, own: Signed | None, peer: Signed | None, *, lost: bool = False) -> None:
        self.do(self.side(side).root, Close(channel=self.id, own=own, peer=peer, lost=lost))

    def challenge(self, commitment: Signed, side: int, *, by: PrivateKey | None = None) -> None:
        self.do(by or self.registrar, Challenge(channel=self.id, side=side, commitment=commitment))

    def shows_resume(self, side: int, resume: Signed) -> None:
        self.do(self.side(side).root, ResumeChannel(channel=self.id, resume=resume))

    def checkpoint(self, *commitments: Signed) -> None:
        self.do(self.registrar, Checkpoint(heads=(ChannelHeads(channel=self.id, commitments=commitments),)))

    def settle(self) -> None:
        self.do(self.registrar, Settle(channel=self.id))

    def window_passes(self) -> None:
        self.wait(self.channel(self.id).opening.window_ms)

    def refused(self, action: Action, *, by: PrivateKey | None = None) -> Refused:
        """The chain refuses it, and nothing changed."""
        before = dict(self.rows)
        try:
            self.do(by or self.registrar, action)
        except Refused as refusal:
            assert self.rows == before
            return refusal
        raise AssertionError(f"the chain took {action}")

    # -- who has what

    def wealth(self) -> tuple[int, int]:
        """What either hospital owns: credits, and what is locked in the channel as it stands."""
        row = self.channel(self.id)
        locked = [0, 0] if row.phase == 3 else [side.deposit + side.bond for side in row.sides]
        return self.credits(self.a) + locked[0], self.credits(self.b) + locked[1]

    def gained(self) -> tuple[int, int]:
        """Since the channel was opened."""
        now = self.wealth()
        return now[0] - self.start[0], now[1] - self.start[1]

    def claimed(self) -> list[tuple[int, int]]:
        """Which charges wait against which side; demands are not among them."""
        return [(claim.side, claim.charge) for claim in self.channel(self.id).claims if isinstance(claim, Claim)]

    def guilty(self) -> tuple[int, int]:
        first, second = self.channel(self.id).sides
        return first.guilty, second.guilty


def fold_of(logs: Sequence[Log]) -> Iterator[tuple[int, int, Void]]:
    """Every void entry of two logs: side, index, reason. Each entry is judged once what it has seen is there."""
    fold = Fold(lambda side, indices: [logs[side].entry(index) for index in indices])
    at = [0, 0]
    while at != [logs[0].size, logs[1].size]:
        moved = False
        for side in (0, 1):
            while at[side] < logs[side].size:
                entry, terms = logs[side].entry(at[side])
                if isinstance(entry, Seen) and entry.size > at[1 - side]:
                    break
                voids = fold.judge(side, [entry], [terms] if terms is not None else [])
                fold.settle()
                yield from ((side, index, reason) for index, reason in voids)
                at[side] += 1
                moved = True
        assert moved, "the two logs wait for each other"
