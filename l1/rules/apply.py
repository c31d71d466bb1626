"""One transaction on the state: check everything, then change. Its rules live in the modules named by the table."""

from typing import assert_never

from l1.ground.faults import Fault, Refused
from l1.rules.accounts import Asking, check_nonce, transfer
from l1.rules.channels import checkpoint, deposit, open_channel, resume_channel
from l1.rules.closing import challenge, close_alone, close_together, settle
from l1.rules.disputes import demand, report, reveal
from l1.rules.fees import charge, is_charged_on_failure, set_parameters
from l1.rules.registry import admit, register_key, revoke_key
from l1.rules.state import Draft
from l1.rules.towers import delegate
from l1.rules.transactions import (
    Action,
    Admit,
    Challenge,
    Checkpoint,
    Close,
    CloseTogether,
    Delegate,
    Demand,
    Deposit,
    Open,
    RegisterKey,
    Report,
    ResumeChannel,
    Reveal,
    RevokeKey,
    SetParameters,
    Settle,
    Transfer,
    open_transaction,
)

__all__ = ["apply_transaction", "perform"]


def apply_transaction(draft: Draft, data: bytes, *, chain: bytes, height: int, clock_ms: int) -> Fault | None:
    """Lay the transaction's writes on the draft, or raise `Refused` and leave the draft as it was.

    [FEE-3] A fault is returned for one that failed but owes its fee: it stands in the block all the same. `height`
    and `clock_ms` are those of that block.
    """
    transaction = open_transaction(data, chain)
    asking = Asking(key=transaction.key, chain=chain, height=height, clock_ms=clock_ms)
    inner = Draft(draft)
    check_nonce(inner, asking, transaction.nonce)
    fee = charge(inner, asking, len(data))
    outcome = Draft(inner)
    try:
        perform(outcome, asking, transaction.action)
    except Refused as refusal:
        if not (fee and is_charged_on_failure(transaction.action)):
            raise
        draft.absorb(inner)
        return refusal.fault
    inner.absorb(outcome)
    draft.absorb(inner)
    return None


def perform(draft: Draft, asking: Asking, action: Action) -> None:  # noqa: PLR0912 - a table of kinds
    """The action alone: what it may cost, and whether the nonce is next, is asked before. Raises `Refused`."""
    match action:
        case Transfer():
            transfer(draft, asking, action)
        case Admit():
            admit(draft, asking, action)
        case RegisterKey():
            register_key(draft, asking, action)
        case RevokeKey():
            revoke_key(draft, asking, action)
        case Open():
            open_channel(draft, asking, action)
        case Deposit():
            deposit(draft, asking, action)
        case Checkpoint():
            checkpoint(draft, asking, action)
        case ResumeChannel():
            resume_channel(draft, asking, action)
        case CloseTogether():
            close_together(draft, asking, action)
        case Close():
            close_alone(draft, asking, action)
        case Challenge():
            challenge(draft, asking, action)
        case Report():
            report(draft, asking, action)
        case Demand():
            demand(draft, asking, action)
        case Reveal():
            reveal(draft, asking, action)
        case Settle():
            settle(draft, asking, action)
        case SetParameters():
            set_parameters(draft, asking, action)
        case Delegate():
            delegate(draft, asking, action)
        case _:
            assert_never(action)
