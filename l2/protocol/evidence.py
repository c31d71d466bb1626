"""Building evidence out of stored logs: what of them the chain must see, and nothing else.

Pure, given a reader of each log. Whatever is built here the chain's own judge accepts, or the builder raises
`LocalError`: a hospital does not file what it has not judged itself. Rules EVIDENCE-1 to EVIDENCE-5 of
docs/spec/disputes.md.
"""

from typing import Protocol

from l1.ground.faults import LocalError
from l1.ground.hashing import digest
from l1.ground.merkle import inclusion_proof
from l1.rules.commitment import Signed, decode_commitment, other
from l1.rules.evidence import AccessShown, Forked, Shown
from l1.rules.log.entries import Access, Entry, Grant, Pay, Receipt, Seen, Terms
from l1.rules.log.leaves import Hidden, Opened, leaf_of
from l1.rules.log.marks import Void
from l1.rules.transactions import Demand, Ended
from l2.protocol.batch import Salts

__all__ = ["LogView", "build_access", "build_demand", "build_ended", "build_fork", "show"]


class LogView(Protocol):
    """What is read of one side's stored log: `l2.protocol.log.LogReader` is one."""

    @property
    def salts(self) -> Salts: ...

    def entry(self, index: int) -> tuple[Entry, Terms | None]: ...

    def parts(self, index: int) -> tuple[bytes, bytes]: ...

    def first_of(self, index: int) -> int: ...

    def node(self, level: int, index: int) -> bytes: ...


Logs = tuple[LogView, LogView]
"""Of side 0 and side 1."""


def show(log: LogView, index: int, size: int, *, opened: bool = False) -> Shown:
    """Entry `index` with its audit path in the tree of the log's first `size` entries.

    [EVIDENCE-1] The private part stays a digest unless `opened`.
    """
    public, private = log.parts(index)
    shown: Opened | Hidden | None = None
    if private:
        salt = log.salts.one(index)
        shown = Opened(salt=salt, private=private) if opened else Hidden(digest=digest(salt + private))
    return Shown(index=index, public=public, private=shown, path=tuple(inclusion_proof(log.node, index, size)))


def build_access(logs: Logs, commitment: Signed, index: int, reason: Void, ending: int | None = None) -> AccessShown:
    """The evidence that access `index` of the commitment's side is void for `reason`.

    `ending` is the index of the `revoke` or `withdraw` in the other log. Raises `LocalError` where that is no charge.
    """
    words = decode_commitment(commitment.body)
    log, peer = logs[words.side], logs[other(words.side)]
    access, _ = log.entry(index)
    if not isinstance(access, Access):
        raise LocalError(f"entry {index} is no access", "Only accesses are charged one by one.")
    opened = reason is Void.PURPOSE
    shown = show(log, index, words.size, opened=opened)
    if reason is Void.NOT_SEEN:
        return AccessShown(commitment=commitment, access=shown, seen=None, named=None, ending=None)
    at, seen = _last_seen(log, index, max(access.grant, ending or 0))
    return AccessShown(
        commitment=commitment,
        access=shown,
        seen=show(log, at, words.size),
        named=show(peer, access.grant, seen.size, opened=reason in (Void.PURPOSE, Void.PERIOD)),
        ending=None if ending is None else show(peer, ending, seen.size),
    )


def _last_seen(log: LogView, before: int, beyond: int) -> tuple[int, Seen]:
    """The last `seen` before an entry that acknowledges the other log beyond an index, and where it stands.

    Our batches open with it where there is one, so the first entries are asked first; whoever writes it elsewhere is
    found too.
    """
    at = log.first_of(before)
    while True:
        entry, _ = log.entry(at)
        if at < before and isinstance(entry, Seen) and entry.size > beyond:
            return at, entry
        if at == 0:
            break
        at = log.first_of(at - 1)
    for at in range(before - 1, -1, -1):
        entry, _ = log.entry(at)
        if isinstance(entry, Seen) and entry.size > beyond:
            return at, entry
    raise LocalError("its writer had not seen that much of the other log", "There is nothing to charge.")


def build_fork(commitments: tuple[Signed, Signed], index: int, ours: LogView, theirs: Shown) -> Forked:
    """Two leaves at one index: the one that we hold under `commitments[0]`, and one that was shown to somebody else
    under `commitments[1]`."""
    size = decode_commitment(commitments[0].body).size
    held = show(ours, index, size)
    return Forked(
        first=commitments[0],
        second=commitments[1],
        index=index,
        leaves=(leaf_of(held.public, held.private), leaf_of(theirs.public, theirs.private)),
        paths=(held.path, theirs.path),
    )


def build_demand(channel: bytes, logs: Logs, own: Signed, custodian: Signed, receipt: int) -> Demand:
    """Ask the chain for the secret of the grant that our `receipt` is for. `own` holds the receipt, `custodian` the
    grant: commitments of either side."""
    words, theirs = decode_commitment(own.body), decode_commitment(custodian.body)
    log, peer = logs[words.side], logs[theirs.side]
    entry, _ = log.entry(receipt)
    if not isinstance(entry, Receipt):
        raise LocalError(f"entry {receipt} is no receipt", "A demand shows the receipt of a grant.")
    grant, _ = peer.entry(entry.grant)
    assert isinstance(grant, Grant), "our own fold wrote no receipt for anything else"
    paid = show(log, receipt - 1, words.size) if grant.fee else None
    assert not grant.fee or isinstance(log.entry(receipt - 1)[0], Pay), "our own fold wrote no receipt without it"
    return Demand(
        channel=channel,
        commitment=own,
        receipt=show(log, receipt, words.size),
        pay=paid,
        custodian=custodian,
        grant=show(peer, entry.grant, theirs.size),
    )


def build_ended(log: LogView, commitment: Signed, ending: int) -> Ended:
    """Answer a demand: the `revoke` or `withdraw` at `ending` in our own log."""
    return Ended(commitment=commitment, ending=show(log, ending, decode_commitment(commitment.body).size))
