"""Drafts have one spelling, and what is none is refused by name."""

import pytest

from l1.ground.codec import encode
from l1.ground.faults import Fault, Refused
from l2.desk.drafts import (
    DRAFTS_BYTES_MAX,
    AccessDraft,
    ConsentDraft,
    Draft,
    GrantDraft,
    ReceiptDraft,
    RequestDraft,
    RevokeDraft,
    WithdrawDraft,
    decode_drafts,
    encode_drafts,
)

ONE_OF_EACH: tuple[Draft, ...] = (
    ConsentDraft("pat-1", True, 0b11, 0b110, 3, 0, 10, bytes(32)),
    WithdrawDraft(7),
    RequestDraft("pat-1", 0, "doc-1", 0, 0b10, 0, 10, False, ""),
    GrantDraft(None, 4, 0, 0b1, 0, 10, 17, 3, 1),
    RevokeDraft(9),
    ReceiptDraft(9),
    AccessDraft(9, "doc-1", 0, 0),
)


def test_every_kind_survives_the_way() -> None:
    assert decode_drafts(encode_drafts(ONE_OF_EACH)) == ONE_OF_EACH


def test_a_draft_begins_with_its_kind() -> None:
    assert encode_drafts([AccessDraft(5, "doc", 1, 2)]) == encode([[9, 5, "doc", 1, 2]])


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", Fault.MALFORMED),
        (encode([[99, 1]]), Fault.MALFORMED),
        (encode([[6, -1]]), Fault.MALFORMED),
        (encode([[9, 5, "", 1, 2]]), Fault.MALFORMED),
        (b"\x91\x92\x06\xcc\x09", Fault.NOT_CANONICAL),
        (encode([[6, 1, 2]]), Fault.NOT_CANONICAL),
        (bytes(DRAFTS_BYTES_MAX + 1), Fault.TOO_LARGE),
    ],
    ids=["empty", "unknown kind", "negative", "nobody", "long integer", "surplus field", "too large"],
)
def test_what_is_no_list_of_drafts_is_refused(data: bytes, fault: Fault) -> None:
    with pytest.raises(Refused) as caught:
        decode_drafts(data)
    assert caught.value.fault is fault
