"""What two hospitals say to each other about a channel: numbered messages on the secure line.

Even types must be understood; unknown odd ones are ignored. Source: docs/spec/channel.md.
"""

from enum import IntEnum

from l1.ground.codec import Shape, decoder
from l1.ground.fields import ChannelId, Digest, Height, SignatureBytes, Size
from l1.rules.commitment import Opening, Signed

__all__ = [
    "KNOWN",
    "Accept",
    "Attach",
    "ClosingAgreed",
    "Message",
    "Propose",
    "Reestablish",
    "ResumeAsk",
    "ResumeGiven",
    "Shutdown",
    "decode_accept",
    "decode_attach",
    "decode_closing",
    "decode_propose",
    "decode_reestablish",
    "decode_resume_ask",
    "decode_resume_given",
    "decode_shutdown",
]


class Message(IntEnum):
    """The type byte of a message on a channel's line."""

    PROPOSE = 2  # terms of a new channel, with the proposer's signature
    ACCEPT = 4  # the other signature
    DECLINE = 6  # why not, as text
    ATTACH = 8  # this line now serves that channel
    REESTABLISH = 10  # which heads I hold
    BATCH = 12  # entries and their commitment
    RESUME_ASK = 14  # my process has started: what do you hold of mine?
    RESUME_GIVEN = 16  # signed: this is what I hold of yours
    GIVEN_BACK = 18  # one of your own batches, that you lost
    SHUTDOWN = 20  # I sign no commitment any more; this is my last one
    CLOSING = 22  # I agree to close on these two


class Propose(Shape, frozen=True):
    opening: Opening
    signature: SignatureBytes


class Accept(Shape, frozen=True):
    signature: SignatureBytes


class Attach(Shape, frozen=True):
    channel: ChannelId


class Reestablish(Shape, frozen=True):
    """The heads of both logs as I hold them: mine, yours; and below which height I promised to refuse your words."""

    own_size: Size
    own_root: Digest
    peer_size: Size
    peer_root: Digest
    floor: Height


class ResumeAsk(Shape, frozen=True):
    height: Height


class ResumeGiven(Shape, frozen=True):
    resume: Signed


class Shutdown(Shape, frozen=True):
    final: Signed


class ClosingAgreed(Shape, frozen=True):
    closing: Signed


decode_propose = decoder(Propose, bytes_max=4096, what="propose")
decode_accept = decoder(Accept, bytes_max=4096, what="accept")
decode_attach = decoder(Attach, bytes_max=4096, what="attach")
decode_reestablish = decoder(Reestablish, bytes_max=4096, what="reestablish")
decode_resume_ask = decoder(ResumeAsk, bytes_max=4096, what="resume ask")
decode_resume_given = decoder(ResumeGiven, bytes_max=4096, what="resume")
decode_shutdown = decoder(Shutdown, bytes_max=4096, what="shutdown")
decode_closing = decoder(ClosingAgreed, bytes_max=4096, what="closing")

KNOWN = frozenset(int(message) for message in Message)
