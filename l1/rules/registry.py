"""The registry of hospitals: admission, new keys, revoked keys. Rules KEY-1 to KEY-14 of docs/spec/keys.md.

What a key may do is asked of `l1.rules.keys`. A key keeps its number for ever, and a signing key belongs to one
hospital for ever, so that a signature always has one owner.
"""

from msgspec.structs import replace

from l1.ground.faults import Fault, require
from l1.ground.fields import TimeMs
from l1.ground.limits import KEYS_PER_HOSPITAL_MAX, TIME_MS_MAX
from l1.ground.signing import Context, Purpose, check_public_key, open_signed
from l1.rules.accounts import Asking, asking_hospital
from l1.rules.keys import counting_keys, is_recovering, key_counts
from l1.rules.state import Draft, Hospital, Key, Owner
from l1.rules.transactions import (
    CHANNEL,
    RECOVERY,
    ROOT,
    SEALING,
    TLS,
    Admit,
    RegisterKey,
    RevokeKey,
    account_of,
    admission_words,
    key_words,
)

__all__ = ["admit", "governed", "register_key", "revoke_key"]

_SIGNING = (ROOT, CHANNEL, RECOVERY)


def admit(draft: Draft, asking: Asking, action: Admit) -> None:
    """[KEY-1] A registrar vouches for the hospital; the hospital's root key vouches for what is registered."""
    require(asking.key in draft.get_registrars(), Fault.NOT_AUTHORISED, "only a registrar admits hospitals")
    words = admission_words(
        name=action.name,
        endpoint=action.endpoint,
        root=action.root,
        channel=action.channel,
        tls=action.tls,
        sealing=action.sealing,
    )
    open_signed(action.root, Purpose.KEY, Context(chain=asking.chain), words, action.possession)
    hospital = account_of(action.root)
    given = ((ROOT, action.root), (CHANNEL, action.channel), (TLS, action.tls), (SEALING, action.sealing))
    for number, (kind, key) in enumerate(given):
        _claim(draft, hospital, number, kind, key)
    keys = tuple(_key(number, kind, key, asking.clock_ms, TIME_MS_MAX) for number, (kind, key) in enumerate(given))
    draft.put_hospital(Hospital(id=hospital, name=action.name, endpoint=action.endpoint, keys=keys))


def register_key(draft: Draft, asking: Asking, action: RegisterKey) -> None:
    """[KEY-2] The root key adds a key; [KEY-8] a new root or recovery key waits one key window."""
    hospital, by = _governing(draft, asking, action.hospital, action.kind)
    number = len(hospital.keys)
    require(number < KEYS_PER_HOSPITAL_MAX, Fault.OUT_OF_BOUNDS, f"a hospital has at most {number} keys")
    if action.kind in _SIGNING:
        words = key_words(hospital=hospital.id, kind=action.kind, key=action.key)
        open_signed(action.key, Purpose.KEY, Context(chain=asking.chain), words, action.possession or b"")
    else:
        require(action.possession is None, Fault.MALFORMED, "only signing keys show their possession")
        known = any(key.kind == action.kind and key.key == action.key for key in hospital.keys)
        require(not known, Fault.ALREADY_DONE, "the key is registered already")
    _claim(draft, hospital.id, number, action.kind, action.key)
    waits = action.kind in (ROOT, RECOVERY)
    earliest_ms = asking.clock_ms + (draft.get_parameters().key_window_ms if waits else 0)
    from_ms = max(action.valid_from_ms, earliest_ms)
    require(from_ms < action.valid_until_ms, Fault.OUT_OF_BOUNDS, "the key would end before it begins")
    key = _key(number, action.kind, action.key, from_ms, action.valid_until_ms, by=by.number)
    draft.put_hospital(replace(hospital, keys=(*hospital.keys, key)))


def revoke_key(draft: Draft, asking: Asking, action: RevokeKey) -> None:
    """[KEY-9] Who may end which key is `_may_revoke`; the chain's own clock stamps it."""
    hospital = draft.get_hospital(action.hospital)
    key = None if hospital is None else hospital.key(action.number)
    require(hospital is not None, Fault.UNKNOWN_HOSPITAL, "no hospital of that id is admitted")
    require(key is not None, Fault.UNKNOWN_KEY, f"the hospital has no key {action.number}")
    assert hospital is not None
    assert key is not None
    own, by = asking_hospital(draft, asking)
    acts = own.id == hospital.id and key_counts(hospital, by.number, by.kind, asking.clock_ms)
    allowed = acts and _may_revoke(hospital, by, key, asking.clock_ms)
    require(allowed, Fault.NOT_AUTHORISED, f"the asking key may not revoke key {key.number}")
    require(key.revoked_at_ms is None, Fault.ALREADY_DONE, f"key {key.number} is revoked already")
    ended = replace(key, revoked_at_ms=asking.clock_ms, compromised_since_ms=action.compromised_since_ms)
    keys = (*hospital.keys[: key.number], ended, *hospital.keys[key.number + 1 :])
    draft.put_hospital(replace(hospital, keys=keys))


def _may_revoke(hospital: Hospital, by: Key, key: Key, clock_ms: int) -> bool:
    """[KEY-10] A root key ends what it governs; [KEY-11] the recovery key vetoes what waits; [KEY-12] a root stays."""
    waits = key.valid_from_ms > clock_ms
    if by.kind == RECOVERY:
        # The veto covers recovery keys too: a thief of the root key must not bring a recovery key of its own.
        return key.number == by.number or (waits and key.kind in (ROOT, RECOVERY))
    if by.kind != ROOT:
        return False
    if key.kind == RECOVERY:
        # Only where nobody could veto it: the first one that a thief of the root key brings.
        return waits and not counting_keys(hospital, RECOVERY, clock_ms)
    if key.kind != ROOT:
        return True
    if waits:
        return hospital.keys[key.by].kind != RECOVERY  # [KEY-13]
    others = [root for root in counting_keys(hospital, ROOT, clock_ms) if root.number != key.number]
    return bool(others) and key.number <= by.number


def governed(draft: Draft, asking: Asking, hospital_id: bytes) -> Hospital:
    """The hospital, known to be governed by the asking key: one of its root keys that counts now."""
    require(draft.get_hospital(hospital_id) is not None, Fault.UNKNOWN_HOSPITAL, "no hospital of that id is admitted")
    hospital, key = asking_hospital(draft, asking)
    governs = hospital.id == hospital_id and key_counts(hospital, key.number, ROOT, asking.clock_ms)
    require(governs, Fault.NOT_AUTHORISED, "only a root key of the hospital governs its keys and towers")
    return hospital


def _governing(draft: Draft, asking: Asking, hospital_id: bytes, kind: int) -> tuple[Hospital, Key]:
    """The hospital, and the asking key, known to be one of its own that may register a key of that kind now."""
    require(draft.get_hospital(hospital_id) is not None, Fault.UNKNOWN_HOSPITAL, "no hospital of that id is admitted")
    hospital, by = asking_hospital(draft, asking)
    governs = hospital.id == hospital_id and _may_register(hospital, by, kind, asking.clock_ms)
    require(governs, Fault.NOT_AUTHORISED, f"key {by.number} may not register a key of that kind now")
    return hospital, by


def _may_register(hospital: Hospital, by: Key, kind: int, clock_ms: int) -> bool:
    """[KEY-2] A root key any kind; [KEY-13] a recovery key a root, and then root keys bring no root nor recovery."""
    if not key_counts(hospital, by.number, by.kind, clock_ms):
        return False
    if by.kind == RECOVERY:
        return kind == ROOT
    return by.kind == ROOT and not (kind in (ROOT, RECOVERY) and is_recovering(hospital, clock_ms))


def _claim(draft: Draft, hospital: bytes, number: int, kind: int, key: bytes) -> None:
    """[KEY-3] A signing key is a point, and nobody's yet; the other kinds are 32 bytes."""
    if kind not in _SIGNING:
        require(len(key) == 32, Fault.BAD_KEY, f"a TLS fingerprint or sealing key has 32 bytes, not {len(key)}")
        return
    account = account_of(check_public_key(key))
    require(draft.get_owner(account) is None, Fault.ALREADY_DONE, "the key is registered already")
    draft.put_owner(account, Owner(hospital=hospital, number=number))


def _key(number: int, kind: int, key: bytes, from_ms: TimeMs, until_ms: TimeMs, by: int = 0) -> Key:
    return Key(
        number=number,
        kind=kind,
        key=key,
        valid_from_ms=from_ms,
        valid_until_ms=until_ms,
        revoked_at_ms=None,
        compromised_since_ms=None,
        by=by,
    )
