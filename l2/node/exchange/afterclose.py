"""Accesses after a channel has closed: no entry can be written in it any more, so each is a signed line of our own.

The lines are numbered and each holds the digest of the one before it, so that none can be changed, dropped or put
between others without the next one showing it. Source: docs/spec/records.md, rules AFTER-*.
"""

from typing import Annotated

from msgspec import Meta

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, Refused, require
from l1.ground.fields import ChannelId, Digest, Handle, SignatureBytes, Size, TimeMs
from l1.ground.hashing import digest
from l1.ground.signing import Context, Purpose, Signer, open_signed, sign
from l1.rules.log.fold import GRANT
from l2.node.bodies import Record
from l2.node.bodies.index import Index, number_key
from l2.node.exchange.dealing import Dealing
from l2.node.exchange.logs import grant_has_ended, grant_of, stands

__all__ = ["ClosedAccess", "ClosedLog", "check_still_granted"]

_FIRST = bytes(32)  # what the first line says of the one before it
_Text = Annotated[str, Meta(max_length=256)]


class ClosedAccess(Shape, frozen=True):
    """[AFTER-2] A record was opened whose channel had closed. `previous` is the digest of the line before."""

    number: Size
    previous: Digest
    record: Handle
    channel: ChannelId
    grant: Size
    practitioner: _Text
    role: int
    purpose: int
    time: TimeMs


class _Line(Shape, frozen=True):
    access: bytes
    public_key: bytes
    signature: SignatureBytes


_decode = decoder(ClosedAccess, bytes_max=4_096, what="access after a close")
_decode_line = decoder(_Line, bytes_max=8_192, what="signed line")


class ClosedLog:
    """Synchronous; what returned is durable. Threads and processes take turns."""

    def __init__(self, index: Index) -> None:
        self._rows = index.table("openings")

    def note(
        self, record: Record, dealing: Dealing, *, practitioner: str, role: int, purpose: int, now_ms: int
    ) -> ClosedAccess:
        """Write down an access, signed. Only afterwards may the record be shown."""
        origin = record.origin
        assert origin is not None
        made: list[ClosedAccess] = []

        def make(number: int, before: bytes | None) -> bytes:
            access = ClosedAccess(
                number=number,
                previous=_FIRST if before is None else digest(before),
                record=record.id,
                channel=origin.channel,
                grant=origin.grant,
                practitioner=practitioner,
                role=role,
                purpose=purpose,
                time=now_ms,
            )
            made.append(access)
            return encode(_signed(access, dealing.chain, dealing.channel.me.signer))

        self._rows.grow(make)
        return made[0]

    def read(self, chain: bytes) -> list[ClosedAccess]:
        """Every line, oldest first. Raises `Refused` (BAD_SIGNATURE, LOG_GAP) where one was changed or is missing."""
        previous = _FIRST
        found: list[ClosedAccess] = []
        for number, (key, row) in enumerate(self._rows.scan()):
            line = _decode_line(row)
            access = _decode(line.access)
            open_signed(
                line.public_key, Purpose.AFTER_CLOSE, Context(chain, access.channel), line.access, line.signature
            )
            follows = key == number_key(number) and access.number == number and access.previous == previous
            require(follows, Fault.LOG_GAP, f"line {number} does not follow the one before it")
            previous = digest(row)
            found.append(access)
        return found


def _signed(access: ClosedAccess, chain: bytes, signer: Signer) -> _Line:
    body = encode(access)
    signature = sign(signer, Purpose.AFTER_CLOSE, Context(chain, access.channel), body)
    return _Line(body, signer.public_key, signature)


def check_still_granted(dealing: Dealing, grant: int, purpose: int, now_ms: int) -> None:
    """[AFTER-1] Raise `Refused` (NOT_GRANTED) unless the grant stood when the channel closed, for this purpose, and its
    period still runs: what the fold would have asked of an `access`."""
    if not stands(dealing.channel, dealing.theirs, grant, GRANT):
        raise Refused(Fault.NOT_GRANTED, f"grant {grant} does not stand")
    if grant_has_ended(dealing.channel, dealing.theirs, grant):
        raise Refused(Fault.NOT_GRANTED, f"grant {grant} had ended before the channel closed")
    _, terms = grant_of(dealing.channel, dealing.theirs, grant)
    require(bool(terms.purposes >> purpose & 1), Fault.NOT_GRANTED, f"grant {grant} is not for this purpose")
    require(terms.from_ms <= now_ms <= terms.until_ms, Fault.NOT_GRANTED, f"the period of grant {grant} is over")
