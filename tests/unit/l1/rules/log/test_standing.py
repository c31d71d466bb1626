"""What a fold keeps at hand, reads again, and forgets when a judgement is undone."""

import pytest

from l1.rules.log import standing
from l1.rules.log.entries import Receipt, Release
from l1.rules.log.fold import Void
from tests.unit.l2.protocol.logs import Logs
from tests.unit.l2.protocol.stories import SECRET, access, access_terms, consent, consent_terms, grant, grant_terms
from tests.unit.l2.protocol.world import NOW_MS


def test_a_full_cache_forgets_no_entry_of_the_batch_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A consent and a grant on it in one batch: the consent can be read from nowhere else yet."""
    monkeypatch.setattr(standing, "CACHED_ROWS_MAX", 8)
    logs = Logs()
    for _ in range(8):
        logs.consented()
    voids = logs.fold.judge(0, [consent(), grant(consent=8)], [consent_terms(), grant_terms()])
    assert not voids


def test_what_was_undone_is_no_grant_to_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """An older grant that is read again meanwhile does not hide the newer one from `undo`."""
    monkeypatch.setattr(standing, "CACHED_GRANTS_MAX", 2)
    logs = Logs()
    old = logs.granted()
    logs.put(1, Receipt(time=NOW_MS, grant=old))
    logs.see(0)
    for _ in range(2):
        logs.put(0, grant(), grant_terms())
    new = len(logs.entries[0])
    assert not logs.fold.judge(0, [grant(), Release(time=NOW_MS, grant=old, secret=SECRET)], [grant_terms()])
    logs.fold.undo()
    assert logs.consented() == new
    logs.see(1)
    assert logs.write(1, access(new), access_terms()) is Void.NO_SUCH_ENTRY


def test_grants_that_are_not_at_hand_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "CACHED_GRANTS_MAX", 8)
    logs = Logs()
    granted = [logs.granted() for _ in range(20)]
    opened = [access(index) for index in (*granted[:3], granted[1])]
    logs.asked_for.clear()
    assert not logs.fold.judge(1, [*opened, Receipt(time=NOW_MS, grant=granted[2])], [access_terms()] * 4)
    assert logs.asked_for == [(0, granted[:3])]
    logs.fold.undo()
    none = [access(index) for index in (0, len(logs.entries[0]), granted[3])]  # a consent, nothing, and a grant
    voids = logs.fold.judge(1, none, [access_terms()] * 3)
    assert [reason for _, reason in voids] == [Void.NO_SUCH_ENTRY, Void.NOT_SEEN]
    assert logs.asked_for[1:] == [(0, [granted[3]])]
