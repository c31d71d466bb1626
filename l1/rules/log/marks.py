"""What the fold keeps of a log: one byte an entry (its kind and a few flags), the endings, and why entries are void."""

from enum import IntEnum

__all__ = [
    "ANSWERED",
    "CONSENT",
    "DONE",
    "GRANT",
    "HAS_ENDED",
    "KIND",
    "PAY",
    "REQUEST",
    "VOID",
    "LogFold",
    "Void",
]


class Void(IntEnum):
    """Why an entry does not count. It stays in the log, as evidence."""

    TIME_FALLS = 1
    NOT_SEEN = 2  # refers to an entry of the peer that its writer had not seen
    NO_SUCH_ENTRY = 3  # refers to an entry of another kind, or to a void one
    ENDED = 4  # the grant had ended
    CONSENT_WITHDRAWN = 5
    PURPOSE = 6
    PERIOD = 7
    RECORD_CLASS = 8
    LABEL = 9
    CONSENT_DENIES = 10
    TOO_MANY_REQUESTS = 11
    REQUEST_EXPIRED = 12
    ALREADY_DONE = 13
    NOT_PAID = 14
    WRONG_AMOUNT = 15
    NO_RECEIPT = 16
    WRONG_SECRET = 17
    NOT_AN_EMERGENCY = 18
    NO_BASIS = 19
    SUBJECT = 20  # consent and request are about different people


# A mark is kind | flags; the flags mean one thing per kind.
KIND, VOID, HAS_ENDED, ANSWERED, DONE = 0x0F, 0x10, 0x20, 0x40, 0x80
CONSENT, REQUEST, GRANT, PAY = 1, 3, 4, 10
#            HAS_ENDED                          ANSWERED                DONE
# consent    withdrawn                          -                       -
# request    no longer open to its writer       granted or denied       denied
# grant      revoked                            receipted               released


class LogFold:
    """What the fold keeps of one log. The marks are the log's only cost in memory: a byte an entry."""

    __slots__ = ("endings", "late", "marks", "open_requests", "pay", "seen", "spent", "time")

    def __init__(self) -> None:
        self.marks = bytearray()
        self.seen = 0  # entries of the peer's log that this log's writer had verified
        self.time = 0
        self.spent = 0
        self.pay: tuple[int, int, int] | None = None  # the standing `pay` that was the last entry: index, grant, amount
        self.endings: dict[int, int] = {}  # consent or grant of this log → index here that ended it
        # Answers that the peer's log gave to entries of this one, at peer indices that this writer has not seen yet.
        self.late: dict[int, int] = {}
        self.open_requests: dict[int, int] = {}  # unanswered as far as this writer knows → time of expiry
