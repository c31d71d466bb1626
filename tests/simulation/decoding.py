"""Reading what was signed without asking whose key it was: the auditor knows."""

from l1.ground.codec import decoder
from l1.ground.faults import Refused
from l1.rules.commitment import Resume, Signed
from l2.protocol.events import MessageReceived
from l2.protocol.messages import decode_reestablish

__all__ = ["resume_in", "size_told"]

_decode_resume = decoder(Resume, bytes_max=512, what="resume")


def resume_in(signed: Signed) -> Resume:
    found: Resume = _decode_resume(signed.body)
    return found


def size_told(message: MessageReceived) -> int:
    """How long its log is, says whoever sent this `reestablish`; -1 if it says nothing."""
    try:
        return decode_reestablish(message.payload).own_size
    except Refused:
        return -1
