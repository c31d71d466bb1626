"""What can be wrong with bytes that come from outside, each with its number.

Three kinds of wrong have three shapes. A caller's mistake is a `LocalError`: nothing has changed. A fault of a peer,
a file or a transaction is a `Refused` that carries a numbered `Fault`; it is raised inside and turned into a value at
the one inbound door. A bug of ours is an `assert`. The numbers stand on the wire and in `docs/reference/faults.md`.
"""

from enum import IntEnum

__all__ = ["Fault", "LocalError", "Refused", "first_of", "require"]


class Fault(IntEnum):
    """Why something was refused. A number is never given to another meaning."""

    # 1-19: bytes
    MALFORMED = 1  # not a value of the schema
    NOT_CANONICAL = 2  # a value, but not in its one spelling
    TOO_LARGE = 3  # over the limit for its kind
    BAD_SIGNATURE = 4  # not the key's own words for this purpose here
    BAD_KEY = 5  # not a point of the curve, or not a key of that kind
    BAD_PROOF = 6  # a Merkle proof that does not lead to the root
    WRONG_VERSION = 7  # a version that this program does not speak
    WRONG_CHAIN = 8  # words meant for another chain
    WRONG_CHANNEL = 9  # words meant for another channel
    BAD_DIGEST = 10  # content that does not hash to what was promised
    BAD_CIPHERTEXT = 11  # does not open under its key

    # 100-149: the chain
    UNKNOWN_ACCOUNT = 100
    UNKNOWN_HOSPITAL = 101
    UNKNOWN_CHANNEL = 102
    UNKNOWN_KEY = 103
    NOT_AUTHORISED = 104
    BAD_NONCE = 105
    TOO_FEW_CREDITS = 106
    ALREADY_DONE = 107
    EXPIRED = 108
    WRONG_PHASE = 109
    GOES_BACK = 110  # sizes, totals or heights that fall
    NOT_SETTLED_HEAD = 111  # a head that both sides did not sign
    WINDOW_OPEN = 112
    WINDOW_OVER = 113
    EVIDENCE_PROVES_NOTHING = 114
    OUT_OF_BOUNDS = 115  # a number outside the chain's parameters
    BAD_BLOCK = 116
    WRONG_STATE_ROOT = 117
    FORK = 118  # two headers at one height
    MEMPOOL_FULL = 119
    CLOCK = 120  # a time that cannot be
    SHOWS_TOO_MUCH = 121  # evidence with a part that is not the charge
    EMERGENCY = 122  # access under a broken glass is never charged for coming too late
    NOT_DEMANDED = 123  # an answer to a demand that nobody made, or that was answered

    # 200-249: a channel
    LOG_GAP = 200  # a batch that does not continue the log
    WRONG_ROOT = 201  # entries that do not hash to the signed root
    EQUIVOCATION = 202  # two commitments of one side at one size
    UNKNOWN_HEAD = 203  # `seen` names a head that we never signed
    WRONG_SPENT = 204  # `spent` is not the fold's total
    NOT_COVERED = 205  # spends more than deposit and income
    BATCH_SIZE = 206
    HEIGHT_FALLS = 207
    BELOW_RESUME = 208  # signed below the height of a `resume`
    AFTER_CLOSING = 209
    WINDOW_EXCEEDED = 210  # more unacknowledged batches than agreed
    BAD_RESUME = 211
    UNEXPECTED = 212  # a message that has no place here now
    HELD = 213  # ahead of our clock: kept back, not refused
    MISCONDUCT = 214  # what the peer's own signatures prove: the evidence is kept, and filed

    # 250-279: the line and records
    UNKNOWN_MESSAGE = 250
    FRAME_GAP = 251
    UNKNOWN_PEER = 252
    NOT_GRANTED = 253
    NO_SUCH_CHUNK = 254
    UNDER_HOLD = 260  # a legal hold keeps what the custodian wants erased


class Refused(Exception):  # noqa: N818 - it is a verdict, not an error of ours
    """Input from outside was refused, and nothing changed. `fault` says why in one word, `detail` in a sentence."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(f"{fault.name.lower().replace('_', ' ')}: {detail}")
        self.fault = fault
        self.detail = detail


class LocalError(Exception):
    """Our own caller asked for something that cannot be done. Nothing changed. `remedy` says what to do instead."""

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(f"{cause}. {remedy}" if remedy else cause)
        self.cause = cause
        self.remedy = remedy


def require(condition: object, fault: Fault, detail: str) -> None:
    """Raise `Refused` unless the condition holds."""
    if not condition:
        raise Refused(fault, detail)


def first_of(error: BaseException) -> BaseException:
    """The first exception inside a group of them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
