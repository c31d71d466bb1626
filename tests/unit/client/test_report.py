"""A report is ok only when every check was made and held, and says so in one object."""

import json

from client.demo.report import Report


def test_nothing_checked_is_not_ok() -> None:
    assert not Report().ok


def test_one_failed_check_is_not_ok() -> None:
    report = Report()
    assert report.check("a", True, "x")
    assert report.ok
    assert not report.check("b", False, "y")
    assert not report.ok


def test_the_object_has_what_programs_look_for() -> None:
    wanted = {"updates", "updates_per_s", "records_shared", "records_verified", "bytes_shared", "withdrawal_enforced"}
    wanted |= {"crash_lost", "stale_close", "settled", "credits_conserved", "proof_verified", "ok"}
    assert wanted <= set(json.loads(json.dumps(Report().as_json())))
