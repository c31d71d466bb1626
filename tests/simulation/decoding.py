"""Reading what was signed without asking whose key it was: the auditor knows."""

from l1.ground.codec import decoder
from l1.rules.commitment import Resume, Signed

__all__ = ["resume_in"]

_decode_resume = decoder(Resume, bytes_max=512, what="resume")


def resume_in(signed: Signed) -> Resume:
    found: Resume = _decode_resume(signed.body)
    return found
