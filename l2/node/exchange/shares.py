"""What a desk wants to share: one record, several on the same terms, or what can be shared of each.

Finds the records and asks what is offered of them; `sharing` seals and grants. Knows the desk's words.
"""

from collections.abc import Sequence

import trio

from l1.ground.codes import DenyReason, PurposeOfUse
from l1.ground.faults import Fault, LocalError, Refused
from l2.desk import words
from l2.node.bodies import Record
from l2.node.exchange.book import Book
from l2.node.exchange.cutting import Offer, Verdict
from l2.node.exchange.dealing import Dealing
from l2.node.exchange.deciding import Wish, decide_whole, find_request
from l2.node.exchange.learning import Learning
from l2.node.exchange.logs import grants_in_force
from l2.node.exchange.reading import Reading
from l2.node.exchange.sharing import Sharing
from l2.node.exchange.terms import mask_of, selection_of
from l2.node.exchange.views import granted_view
from l2.protocol.policy import Permitted

__all__ = ["AlreadyGranted", "Shares"]


class AlreadyGranted(LocalError):  # noqa: N818 - not an error of anybody's
    """A grant in force carries something of the record already."""

    def __init__(self) -> None:
        super().__init__("a grant in force carries it already", "`interward record revoke` ends one.")


class Shares:
    """See the module. What policy denies raises `Refused` (NOT_GRANTED) with its reason; a record that is not here, or
    not ours, `LocalError`."""

    def __init__(self, book: Book, reading: Reading, sharing: Sharing, learning: Learning) -> None:
        self._book, self._reading, self._sharing, self._learning = book, reading, sharing, learning

    async def one(self, dealing: Dealing, record_id: bytes, wanted: words.Share) -> words.Granted:
        record = self._reading.find(record_id)
        offers = await _Share(self._sharing, self._book, dealing, wanted).offers(record)
        (grants,) = await self._grant(dealing, [offers], wanted)
        return granted_view(record, offers, grants)

    async def all(self, dealing: Dealing, record_ids: Sequence[bytes], wanted: words.Share) -> list[int]:
        """All of them or none: a denial for one is raised before any grant is written."""
        share = _Share(self._sharing, self._book, dealing, wanted)
        found = [await share.offers(record) for record in self._reading.find_all(record_ids)]
        return [grant for grants in await self._grant(dealing, found, wanted) for grant in grants]

    async def each(
        self, dealing: Dealing, record_ids: Sequence[bytes], wanted: words.Share
    ) -> list[words.Granted | Exception]:
        """What became of each, in their order. One of which a grant in force carries something in this channel is left
        out: so doing it again grants nothing twice."""
        share, carried = _Share(self._sharing, self._book, dealing, wanted), await self._carried(dealing)
        records = self._reading.find_all(record_ids)
        found = [await _try(share, record, carried) for record in records]
        offered = [offers for offers in found if not isinstance(offers, Exception)]
        grants = iter(await self._grant(dealing, offered, wanted))
        return [
            offers if isinstance(offers, Exception) else granted_view(record, offers, next(grants))
            for record, offers in zip(records, found, strict=True)
        ]

    async def _grant(self, dealing: Dealing, found: Sequence[Sequence[Offer]], wanted: words.Share) -> list[list[int]]:
        """The grants of each record's offers."""
        await self._learning.fresh(dealing)
        flat = [offer for offers in found for offer in offers]
        grants = iter(await self._sharing.grant(dealing, flat, wanted.fee))
        return [[next(grants) for _ in offers] for offers in found]

    async def _carried(self, dealing: Dealing) -> set[bytes]:
        """The records of which a grant in force carries something in this channel."""
        shared = await trio.to_thread.run_sync(lambda: [one for _, one in self._book.all_shared(dealing.id)])
        record_of = {one.grant: one.record for one in shared if one.grant is not None}
        return {record_of[grant] for grant in grants_in_force(dealing.channel, dealing.own, record_of)}


async def _try(share: "_Share", record: Record, carried: set[bytes]) -> list[Offer] | Exception:
    if record.id in carried:
        return AlreadyGranted()
    try:
        return await share.offers(record)
    except (LocalError, Refused) as why:
        return why


class _Share:
    """All of each record or nothing; or, where less is wanted or asked for, what fits of it. What policy says of a
    whole record is the same for all that are alike from outside, and asked once."""

    def __init__(self, sharing: Sharing, book: Book, dealing: Dealing, wanted: words.Share) -> None:
        asked = None if wanted.request_index is None else find_request(dealing, wanted.request_index)
        self._sharing, self._dealing, self._wanted = sharing, dealing, wanted
        self._wish = Wish(mask_of(PurposeOfUse, wanted.purposes), wanted.until_ms, wanted.consent_index, asked)
        self._patient = None if asked is None else book.who(dealing.id, asked.terms.subject)
        self._decided: dict[tuple[object, ...], Verdict] = {}

    async def offers(self, record: Record) -> list[Offer]:
        if record.origin is not None:
            cause = "a received record is not this hospital's to grant"
            raise LocalError(cause, "Its recipient asks the hospital that holds the original.")
        offers = await self._offers(record)
        if isinstance(offers, DenyReason):
            raise Refused(Fault.NOT_GRANTED, f"policy denies: {offers.name.lower().replace('_', ' ')}")
        return offers

    async def _offers(self, record: Record) -> list[Offer] | DenyReason:
        selection = selection_of(record, self._wanted, self._wish.asked, self._patient or "")
        if selection is not None:
            return await self._sharing.offers(self._dealing, record, selection, self._wish)
        info = record.info
        alike = (info.subjects, info.classes, info.record_class, info.label, info.from_ms, info.until_ms)
        if (whole := self._decided.get(alike)) is None:
            whole = self._decided[alike] = decide_whole(self._dealing, record, self._wish)
        return [Offer(record, whole)] if isinstance(whole, Permitted) else whole
