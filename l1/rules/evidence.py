"""What is shown to the chain to prove misconduct: small, self-contained, and without clinical content.

Every piece is bound by a hash or a signature, so that no bit of evidence that was accepted can be changed. An entry is
shown by its public part; its private part stays a salted digest unless it is the charge itself. Whether evidence
proves anything is asked of `l1.rules.judge`. Source: design §6; docs/spec/disputes.md.
"""

from enum import IntEnum
from typing import Annotated

from msgspec import Meta

from l1.ground.codec import Shape, decoder
from l1.ground.fields import Digest, Size
from l1.ground.limits import EVIDENCE_BYTES_MAX, PROOF_HASHES_MAX
from l1.rules.commitment import Signed
from l1.rules.log.leaves import Hidden, Opened, Part

__all__ = [
    "AccessShown",
    "Charge",
    "Evidence",
    "Forked",
    "Overspent",
    "Shown",
    "TwoWords",
    "commitments_in",
    "decode_evidence",
]

Path = Annotated[tuple[Digest, ...], Meta(max_length=PROOF_HASHES_MAX)]


class Charge(IntEnum):
    """What a side of a channel can be guilty of. A number is never given to another meaning."""

    STALE_CLOSE = 1  # it closed alone with an older commitment than it had signed
    EQUIVOCATION = 2  # it signed two things that cannot both be true
    ACCESS_AFTER_END = 3  # it opened a record after a revocation or withdrawal that it had acknowledged
    ACCESS_WITHOUT_GRANT = 4  # it opened what nobody had granted
    ACCESS_OUTSIDE_PURPOSE = 5
    ACCESS_OUTSIDE_PERIOD = 6
    OVERSPEND = 7  # it spent more than its deposit and what it knew it was paid
    KEPT_BACK_RELEASE = 8  # it took the receipt and did not show the secret when asked on the chain
    LYING_RESUME = 9  # it showed words that its own `resume` denies


class Shown(Shape, frozen=True):
    """An entry of a log and its audit path in a tree that somebody signed for.

    `private` is None for a kind without private part.
    """

    index: Size
    public: Part
    private: Opened | Hidden | None
    path: Path


class TwoWords(Shape, frozen=True, tag=1):
    """Two commitments of one side: at one size with another root, `spent` or `seen`; or one with a greater size and a
    smaller `spent` or `seen_size`."""

    first: Signed
    second: Signed


class Forked(Shape, frozen=True, tag=2):
    """Two leaves (their hashes alone) proved at one index, in the trees of two commitments of one side."""

    first: Signed
    second: Signed
    index: Size
    leaves: tuple[Digest, Digest]
    paths: tuple[Path, Path]


class AccessShown(Shape, frozen=True, tag=3):
    """An `access` that the fold calls void, and what makes it so.

    `access` and `seen` stand in the tree of `commitment`; `named` (what the access names) and `ending` (a `revoke` or
    `withdraw`) in the tree that `seen` acknowledges. Without `seen` and `named`, the access names what its writer had
    not seen.
    """

    commitment: Signed
    access: Shown
    seen: Shown | None
    named: Shown | None
    ending: Shown | None


class Overspent(Shape, frozen=True, tag=4):
    """A commitment, and the peer's commitment of exactly the head it has seen; None for the empty head."""

    commitment: Signed
    peer: Signed | None


Evidence = TwoWords | Forked | AccessShown | Overspent

decode_evidence = decoder(Evidence, bytes_max=EVIDENCE_BYTES_MAX, what="evidence")  # type: ignore[arg-type, var-annotated]


def commitments_in(evidence: Evidence) -> tuple[Signed, ...]:
    """The signed commitments that it shows."""
    found = (getattr(evidence, name) for name in evidence.__struct_fields__)
    return tuple(each for each in found if isinstance(each, Signed))
