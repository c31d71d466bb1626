"""What is told about keys: what ended, what ends soon, what is not here, and what waits."""

from l1.ground.limits import TIME_MS_MAX
from l1.rules.state import Hospital, Key
from l1.rules.transactions import CHANNEL, RECOVERY, ROOT, SEALING, TLS
from l2.node.keys import EXPIRES_SOON_MS, StoredKey, Terms, key_state, key_warnings, make_key
from l2.node.rotation import Stage, stage_of

NOW_MS = 1_000_000


def key(
    number: int, kind: int, *, since: int = 0, until: int = TIME_MS_MAX, revoked: int | None = None, by: int = 0
) -> Key:
    return Key(
        number=number, kind=kind, key=bytes([number]) * 32, valid_from_ms=since, valid_until_ms=until,
        revoked_at_ms=revoked, compromised_since_ms=None, by=by,
    )  # fmt: skip


FIRST = [key(number, kind) for number, kind in enumerate((ROOT, CHANNEL, TLS, SEALING))]


def hospital(*keys: Key) -> Hospital:
    changed = {one.number: one for one in keys}
    every = [changed.pop(one.number, one) for one in FIRST] + list(changed.values())
    return Hospital(id=bytes(20), name="General", endpoint="x:1", keys=tuple(every))


def warnings(*keys: Key, held: bool = True) -> list[str]:
    return key_warnings(hospital(*keys), lambda one: held or one.number < 4, NOW_MS)


def test_keys_in_order_need_no_word() -> None:
    assert warnings() == []
    assert warnings(key(4, CHANNEL)) == []


def test_an_end_that_comes_is_told_two_weeks_before() -> None:
    soon = NOW_MS + EXPIRES_SOON_MS
    assert warnings(key(1, CHANNEL, until=soon + 1)) == []
    assert "channel key 1 ends in 14 d 0 h" in warnings(key(1, CHANNEL, until=soon))[0]
    assert warnings(key(1, CHANNEL, until=soon), key(4, CHANNEL)) == []


def test_no_key_that_counts_is_told_with_what_to_do() -> None:
    for gone in (key(2, TLS, until=NOW_MS), key(2, TLS, revoked=5)):
        (said,) = warnings(gone)
        assert "no tls key of this folder counts" in said
        assert "keys rotate tls" in said


def test_a_key_that_counts_and_is_not_here_is_told() -> None:
    (said,) = warnings(key(4, CHANNEL), held=False)
    assert "channel key 4 is not here, and no older one signs after it" in said
    assert "keys rotate channel" in said
    (said,) = key_warnings(hospital(), lambda one: one.kind != ROOT, NOW_MS)
    assert "no root key of this folder counts on L1; key 0 counts, and is not here" in said


def test_a_newest_channel_key_that_was_revoked_stops_the_older_ones() -> None:
    (said,) = warnings(key(4, CHANNEL, revoked=5))
    assert "channel key 4 was revoked, and no older one signs after it" in said
    assert warnings(key(4, CHANNEL, revoked=5), key(5, CHANNEL)) == []
    assert warnings(key(4, CHANNEL, until=NOW_MS)) == []  # it has ended, and signs on


def test_a_root_or_recovery_key_that_waits_is_always_told() -> None:
    later = NOW_MS + 120_000
    (said,) = warnings(key(4, RECOVERY), key(5, ROOT, since=later, by=4), held=False)
    assert "root key 5, not made here, registered by recovery key 4, counts in 2 min" in said
    assert "keys veto 5" in said
    assert warnings(key(4, CHANNEL, since=later)) == []


def test_a_key_has_one_state() -> None:
    rows = {
        "counts": key(4, ROOT),
        "waits": key(4, ROOT, since=NOW_MS + 1),
        "vetoed": key(4, ROOT, since=NOW_MS, revoked=NOW_MS - 1),
        "revoked": key(4, ROOT, revoked=NOW_MS - 1),
        "ended": key(4, ROOT, until=NOW_MS),
    }
    assert {name: key_state(hospital(one), one, NOW_MS) for name, one in rows.items()} == {name: name for name in rows}
    recovered = hospital(key(4, RECOVERY), key(5, ROOT, by=4))
    assert key_state(recovered, recovered.keys[0], NOW_MS) == "gave way"


def stored(registered: Key, *, replaces: bool = True) -> StoredKey:
    made = make_key(registered.kind, "General", 0, Terms(replaces=replaces))
    fields = {name: getattr(made, name) for name in made.__struct_fields__}
    return StoredKey(**fields | {"public": registered.key})


def test_what_is_left_of_a_rotation_follows_from_keyring_registry_and_clock() -> None:
    def stage(one: Key, *rows: Key, replaces: bool = True) -> Stage:
        return stage_of(stored(one, replaces=replaces), hospital(*rows), NOW_MS)

    new = key(4, CHANNEL)
    assert stage(new) is Stage.MADE
    assert stage(new, new) is Stage.COUNTS
    assert stage(new, new, replaces=False) is Stage.DONE
    assert stage(new, new, key(1, CHANNEL, revoked=5)) is Stage.DONE
    assert stage(new, key(4, CHANNEL, revoked=5)) is Stage.GONE
    root = key(4, ROOT, since=NOW_MS + 1)
    assert stage(root, root) is Stage.WAITS
