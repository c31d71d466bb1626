"""What every `Signer` owes, wherever its private half lies. Run on a key in memory and on one in an HSM."""

import secrets

import pytest

from l1.ground.faults import Fault, Refused
from l1.ground.limits import PUBLIC_KEY_BYTES, SIGNATURE_BYTES
from l1.ground.signing import Context, Purpose, Signer, check_public_key, open_signed, sign

__all__ = ["check_signer"]

HALF = 0x7FFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_5D576E73_57A4501D_DFE92F46_681B20A0
CONTEXT = Context(chain=b"c" * 32, channel=b"n" * 32)


def check_signer(signer: Signer, other: Signer) -> None:
    """`other` is another signer of the same make."""
    assert len(signer.public_key) == PUBLIC_KEY_BYTES
    assert check_public_key(signer.public_key) == signer.public_key
    assert signer.public_key == signer.public_key != other.public_key
    for _ in range(24):  # about half of what hardware makes has a high s
        digest = secrets.token_bytes(32)
        signature = signer.sign_digest(digest)
        assert len(signature) == SIGNATURE_BYTES
        assert 0 < int.from_bytes(signature[32:], "big") <= HALF
    body = b"what it says"
    signature = sign(signer, Purpose.OPENING, CONTEXT, body)
    assert open_signed(signer.public_key, Purpose.OPENING, CONTEXT, body, signature) == body
    for key, purpose, context, said in (
        (other.public_key, Purpose.OPENING, CONTEXT, body),
        (signer.public_key, Purpose.KEY, CONTEXT, body),
        (signer.public_key, Purpose.OPENING, Context(chain=b"d" * 32), body),
        (signer.public_key, Purpose.OPENING, CONTEXT, b"what it does not say"),
    ):
        with pytest.raises(Refused) as caught:
            open_signed(key, purpose, context, said, signature)
        assert caught.value.fault is Fault.BAD_SIGNATURE
    with pytest.raises(AssertionError):
        signer.sign_digest(b"no digest")
    assert signer.public_key.hex() not in repr(signer)
