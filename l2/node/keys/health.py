"""How the keys of a registry entry stand, and what their owner ought to be told. Pure."""

from collections.abc import Callable, Iterator

from l1.rules.keys import counting_keys, gave_way, own_channel_keys
from l1.rules.state import Hospital, Key
from l1.rules.transactions import CHANNEL, KEY_KINDS, RECOVERY, ROOT

__all__ = ["EXPIRES_SOON_MS", "key_state", "key_warnings"]

NEVER_MS = -1  # before every opening: keys that were revoked before a channel opened never counted in that one alone
EXPIRES_SOON_MS = 14 * 86_400_000  # two weeks: somebody is back from holiday

_NAMES = {number: name for name, number in KEY_KINDS.items()}
_USED = [number for name, number in KEY_KINDS.items() if name != "recovery"]


def key_state(hospital: Hospital, key: Key, clock_ms: int) -> str:
    """`counts`, `waits`, `ended`, `revoked`, `vetoed` or `gave way`."""
    if key.revoked_at_ms is not None:
        return "vetoed" if key.revoked_at_ms < key.valid_from_ms else "revoked"
    if key.valid_from_ms > clock_ms:
        return "waits"
    if gave_way(hospital, key, clock_ms):
        return "gave way"
    return "counts" if clock_ms < key.valid_until_ms else "ended"


def key_warnings(hospital: Hospital, holds: Callable[[Key], bool], clock_ms: int) -> list[str]:
    """What is wrong with the keys, or soon will be; `holds` says whether the private half is here."""
    waits = _of_waiting(hospital, holds, clock_ms)
    return [*_of_kinds(hospital, holds, clock_ms), *_of_logs(hospital, holds, clock_ms), *waits]


def _of_kinds(hospital: Hospital, holds: Callable[[Key], bool], clock_ms: int) -> Iterator[str]:
    for kind in _USED:
        counting = counting_keys(hospital, kind, clock_ms)
        held = [key for key in counting if holds(key)]
        rotate = f"run `interward hospital keys rotate {_NAMES[kind]}`"
        if not held:
            lost = f"; key {counting[-1].number} counts, and is not here" if counting else ""
            yield f"no {_NAMES[kind]} key of this folder counts on L1{lost}: {rotate}"
            continue
        until_ms = max(key.valid_until_ms for key in held)
        if until_ms <= clock_ms + EXPIRES_SOON_MS:
            hours = (until_ms - clock_ms) // 3_600_000
            yield f"the {_NAMES[kind]} key {held[-1].number} ends in {hours // 24} d {hours % 24} h: {rotate}"
        elif held[-1] is not counting[-1] and kind != CHANNEL:
            yield f"{_NAMES[kind]} key {counting[-1].number} counts on L1, and is not here: {rotate}, or revoke it"


def _of_logs(hospital: Hospital, holds: Callable[[Key], bool], clock_ms: int) -> Iterator[str]:
    """[ROT-2] A newest channel key that cannot sign stops every log, though older ones may count."""
    begun = own_channel_keys(hospital, NEVER_MS, clock_ms)
    if not begun or not any(holds(key) for key in counting_keys(hospital, CHANNEL, clock_ms)):
        return  # told already
    newest = begun[-1]
    if newest.revoked_at_ms is not None or not holds(newest):
        why = "is not here" if newest.revoked_at_ms is None else "was revoked"
        rotate = "run `interward hospital keys rotate channel`"
        yield f"channel key {newest.number} {why}, and no older one signs after it: {rotate}"


def _of_waiting(hospital: Hospital, holds: Callable[[Key], bool], clock_ms: int) -> Iterator[str]:
    """A root or recovery key that waits is what a thief would do first: it is always told."""
    for key in hospital.keys:
        if key.kind not in (ROOT, RECOVERY) or key_state(hospital, key, clock_ms) != "waits":
            continue
        by, minutes = hospital.keys[key.by], (key.valid_from_ms - clock_ms) // 60_000
        what = f"{_NAMES[key.kind]} key {key.number}, {'made here' if holds(key) else 'not made here'}"
        veto = f"if it is not yours, run `interward hospital keys veto {key.number}` before then"
        yield f"{what}, registered by {_NAMES[by.kind]} key {by.number}, counts in {minutes} min; {veto}"
