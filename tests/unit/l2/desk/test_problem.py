"""An error means the same on both sides of HTTP."""

import pytest

from l1.ground.faults import Fault, LocalError, Refused
from l2.desk.problem import error_from, error_of


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_keeps_its_number(fault: Fault) -> None:
    back = error_from(400, error_of(Refused(fault, "why")))
    assert isinstance(back, Refused)
    assert (back.fault, back.detail) == (fault, "why")


def test_a_local_error_keeps_cause_and_remedy() -> None:
    back = error_from(400, error_of(LocalError("no such channel", "List them.")))
    assert isinstance(back, LocalError)
    assert (back.cause, back.remedy) == ("no such channel", "List them.")


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b'{"error": 3}', b"<html>"])
def test_any_other_body_is_a_local_error(body: bytes) -> None:
    assert isinstance(error_from(502, body), LocalError)
