"""Accounts: who asks, whether its nonce is next, and how credits move. Rules ACCOUNT-1 to ACCOUNT-5 of the chain."""

from typing import NamedTuple

from msgspec.structs import replace

from l1.ground.faults import Fault, Refused, require
from l1.rules.keys import key_counts
from l1.rules.state import Draft, Hospital, Key
from l1.rules.transactions import ROOT, Transfer, account_of

__all__ = ["Asking", "asking_hospital", "check_nonce", "give", "hospital_of", "pay_from", "take", "transfer"]


class Asking(NamedTuple):
    """Who asks, and the block in which it is asked."""

    key: bytes
    chain: bytes
    height: int
    clock_ms: int

    @property
    def account(self) -> bytes:
        return account_of(self.key)


def check_nonce(draft: Draft, asking: Asking, nonce: int) -> None:
    """[ACCOUNT-1, 2] Only what the chain knows may ask, and each nonce counts once, in order."""
    row = draft.find_account(asking.account)
    known = row is not None or draft.get_owner(asking.account) is not None or asking.key in draft.get_registrars()
    require(known, Fault.UNKNOWN_ACCOUNT, "the key has no credits here and belongs to no hospital")
    account = draft.get_account(asking.account)
    require(nonce == account.nonce, Fault.BAD_NONCE, f"nonce {nonce}, the next one is {account.nonce}")
    draft.put_account(asking.account, replace(account, nonce=nonce + 1))


def hospital_of(draft: Draft, account: bytes) -> tuple[Hospital, Key] | None:
    """The hospital whose signing key the account was made of, and that key, whether or not it still counts."""
    owner = draft.get_owner(account)
    if owner is None:
        return None
    hospital = draft.get_hospital(owner.hospital)
    assert hospital is not None, "an owner row names an admitted hospital"
    return hospital, hospital.keys[owner.number]


def asking_hospital(draft: Draft, asking: Asking) -> tuple[Hospital, Key]:
    """The hospital that asks, and the key by which it does. Raises `Refused` (NOT_AUTHORISED)."""
    found = hospital_of(draft, asking.account)
    if found is None:
        raise Refused(Fault.NOT_AUTHORISED, "the asking key belongs to no hospital")
    return found


def pay_from(draft: Draft, asking: Asking) -> bytes:
    """[ACCOUNT-3] The account that pays for what the key asks: a root key spends its hospital's, while it counts."""
    found = hospital_of(draft, asking.account)
    if found is None or found[1].kind != ROOT:
        return asking.account
    hospital, key = found
    counts = key_counts(hospital, key.number, ROOT, asking.clock_ms)
    require(counts, Fault.NOT_AUTHORISED, f"root key {key.number} does not count now")
    return hospital.id


def take(draft: Draft, account: bytes, amount: int) -> None:
    row = draft.get_account(account)
    require(row.credits >= amount, Fault.TOO_FEW_CREDITS, f"the account has {row.credits} credits of {amount}")
    draft.put_account(account, replace(row, credits=row.credits - amount))


def give(draft: Draft, account: bytes, amount: int) -> None:
    row = draft.get_account(account)
    draft.put_account(account, replace(row, credits=row.credits + amount))


def transfer(draft: Draft, asking: Asking, action: Transfer) -> None:
    """[ACCOUNT-4, 5] What is sent to a later root key's account arrives in its hospital's, where it can be spent."""
    require(action.amount > 0, Fault.OUT_OF_BOUNDS, "a transfer of nothing")
    found = hospital_of(draft, action.to)
    to = found[0].id if found is not None and found[1].kind == ROOT else action.to
    take(draft, pay_from(draft, asking), action.amount)
    give(draft, to, action.amount)
