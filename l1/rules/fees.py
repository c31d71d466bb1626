"""What asking the chain costs, who pays, and who may change it. Rules FEE-1 to FEE-8, PARAMETERS-1 to PARAMETERS-4.

A fee is owed for whatever stands in a block, also for what was refused there: whoever floods the chain with evidence
that proves nothing pays for it, never the accused. Source: docs/spec/fees.md.
"""

from msgspec.structs import replace

from l1.ground.codec import encode
from l1.ground.faults import Fault, require
from l1.ground.limits import FEES_LENT
from l1.ground.signing import Context, Purpose, Signer, open_signed, sign
from l1.rules.accounts import Asking, give, hospital_of, pay_from, take
from l1.rules.genesis import Parameters, check_parameters
from l1.rules.keys import can_end_things
from l1.rules.state import PARAMETERS_KEY, Draft
from l1.rules.transactions import (
    CHANNEL,
    RECOVERY,
    Action,
    Challenge,
    Checkpoint,
    Close,
    CloseTogether,
    Demand,
    Open,
    Report,
    ResumeChannel,
    Reveal,
    SetParameters,
)

__all__ = ["allowance_of", "approve", "charge", "fee_of", "is_charged_on_failure", "set_parameters"]

_EVIDENCE = (Open, Checkpoint, CloseTogether, Close, Challenge, Report, ResumeChannel, Demand, Reveal)
KIB = 1024
_LENT_TO = (CHANNEL, RECOVERY)
_FIXED = ("heartbeat_ms", "block_ms", "key_window_ms")


def fee_of(parameters: Parameters, size_bytes: int) -> int:
    """[FEE-1] Credits for a transaction of so many bytes: a flat part, and a part for every KiB that it begins."""
    return parameters.fee + parameters.fee_per_kib * -(-size_bytes // KIB)


def allowance_of(parameters: Parameters) -> int:
    """[FEE-8] What a hospital lends each of its keys for fees in one key window."""
    return FEES_LENT * (parameters.fee + parameters.fee_per_kib)


def charge(draft: Draft, asking: Asking, size_bytes: int) -> int:
    """[FEE-2] Take the fee from the account that pays for the asking key; it goes to the treasury. The fee."""
    parameters = draft.get_parameters()
    fee = fee_of(parameters, size_bytes)
    if fee:
        take(draft, _payer(draft, asking, fee, parameters), fee)
        give(draft, parameters.treasury, fee)
    return fee


def _payer(draft: Draft, asking: Asking, fee: int, parameters: Parameters) -> bytes:
    """[FEE-6] The asking key's own account; [FEE-7] where that cannot, the hospital whose channel or recovery key it
    is, as long as the key can end things, and up to the allowance of one key window."""
    payer = pay_from(draft, asking)
    found = hospital_of(draft, asking.account)
    if found is None or draft.get_account(payer).credits >= fee:
        return payer
    hospital, key = found
    if key.kind not in _LENT_TO or not can_end_things(hospital, key, asking.clock_ms):
        return payer
    owner = draft.get_owner(asking.account)
    assert owner is not None, "whose hospital is known has an owner row"
    window = asking.clock_ms // parameters.key_window_ms
    lent = fee + (owner.lent if owner.window == window else 0)
    left = allowance_of(parameters) - lent
    require(left >= 0, Fault.TOO_FEW_CREDITS, f"its allowance has {left + fee} of {fee} credits left")
    draft.put_owner(asking.account, replace(owner, window=window, lent=lent))
    return hospital.id


def is_charged_on_failure(action: Action) -> bool:
    """[FEE-4] What brings signatures or proofs to be checked. The rest is refused before it reaches a block."""
    return isinstance(action, _EVIDENCE)


def approve(registrar: Signer, chain: bytes, wanted: Parameters) -> tuple[bytes, bytes]:
    """[PARAMETERS-1] A registrar's key and its signature: it agrees to exactly these."""
    return registrar.public_key, sign(registrar, Purpose.PARAMETERS, Context(chain=chain), encode(wanted))


def set_parameters(draft: Draft, asking: Asking, action: SetParameters) -> None:
    """[PARAMETERS-1] More than half of the registrars agree to exactly these; [PARAMETERS-2] once, in order."""
    before, wanted = draft.get_parameters(), action.parameters
    registrars = draft.get_registrars()
    body, context = encode(wanted), Context(chain=asking.chain)
    signers = [key for key, _ in action.approvals]
    require(len(set(signers)) == len(signers), Fault.MALFORMED, "a registrar approves once")
    for key, signature in action.approvals:
        require(key in registrars, Fault.NOT_AUTHORISED, "only registrars change what the founders chose")
        open_signed(key, Purpose.PARAMETERS, context, body, signature)
    require(2 * len(signers) > len(registrars), Fault.NOT_AUTHORISED, "more than half of the registrars must agree")
    require(wanted.serial == before.serial + 1, Fault.GOES_BACK, f"the next change has serial {before.serial + 1}")
    # [PARAMETERS-3] Readers know time from the genesis alone, and key windows that run must end as they began.
    fixed = all(getattr(wanted, name) == getattr(before, name) for name in _FIXED)
    require(fixed, Fault.OUT_OF_BOUNDS, f"{', '.join(_FIXED)} stay as they are in the genesis")
    check_parameters(wanted)
    draft.put(PARAMETERS_KEY, wanted)
