"""Signatures open for what was said, and for nothing else."""

import pickle

import pytest

from l1.ground.faults import Fault, Refused
from l1.ground.signing import NOWHERE, Context, PrivateKey, Purpose, check_public_key, open_signed, sign

HERE = Context(chain=b"c" * 32, channel=b"l" * 32)
KEY = PrivateKey(b"k" * 32)
BODY = b"two heads are better than one"
ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


def test_opening_gives_the_body() -> None:
    signature = sign(KEY, Purpose.COMMITMENT, HERE, BODY)
    assert open_signed(KEY.public_key, Purpose.COMMITMENT, HERE, BODY, signature) == BODY
    assert sign(KEY, Purpose.COMMITMENT, HERE, BODY) == signature


@pytest.mark.parametrize(
    ("purpose", "context", "body"),
    [
        (Purpose.RESUME, HERE, BODY),
        (Purpose.COMMITMENT, Context(chain=b"d" * 32, channel=HERE.channel), BODY),
        (Purpose.COMMITMENT, Context(chain=HERE.chain, channel=b"m" * 32), BODY),
        (Purpose.COMMITMENT, Context(chain=HERE.chain), BODY),
        (Purpose.COMMITMENT, Context(chain=HERE.chain, channel=HERE.channel + BODY), b""),
        (Purpose.COMMITMENT, NOWHERE, BODY),
        (Purpose.COMMITMENT, HERE, BODY + b"\x00"),
        (Purpose.COMMITMENT, HERE, b""),
    ],
)
def test_words_said_elsewhere_are_noise(purpose: Purpose, context: Context, body: bytes) -> None:
    signature = sign(KEY, Purpose.COMMITMENT, HERE, BODY)
    with pytest.raises(Refused) as refused:
        open_signed(KEY.public_key, purpose, context, body, signature)
    assert refused.value.fault is Fault.BAD_SIGNATURE


def test_purposes_all_differ() -> None:
    signatures = {sign(KEY, purpose, HERE, BODY) for purpose in Purpose}
    assert len(signatures) == len(Purpose)


def test_every_changed_bit_of_a_signature_is_refused() -> None:
    signature = sign(KEY, Purpose.BLOCK, HERE, BODY)
    for place in range(512):
        bad = bytearray(signature)
        bad[place // 8] ^= 1 << place % 8
        with pytest.raises(Refused):
            open_signed(KEY.public_key, Purpose.BLOCK, HERE, BODY, bytes(bad))


def test_signatures_have_one_spelling() -> None:
    """The same r with order - s is as valid in plain ECDSA; here it is refused."""
    signature = sign(KEY, Purpose.BLOCK, HERE, BODY)
    s = int.from_bytes(signature[32:], "big")
    assert s <= ORDER // 2
    with pytest.raises(Refused) as refused:
        open_signed(KEY.public_key, Purpose.BLOCK, HERE, BODY, signature[:32] + (ORDER - s).to_bytes(32, "big"))
    assert refused.value.fault is Fault.BAD_SIGNATURE


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32, ORDER.to_bytes(32, "big"), b"k" * 31, b"k" * 33, b""])
def test_what_is_no_private_key(secret: bytes) -> None:
    with pytest.raises(Refused) as refused:
        PrivateKey(secret)
    assert refused.value.fault is Fault.BAD_KEY


@pytest.mark.parametrize(
    "key",
    [b"", b"\x02" + b"\xff" * 32, b"\x05" + KEY.public_key[1:], KEY.public_key + b"\x00", b"\x04" + bytes(64)],
)
def test_what_is_no_public_key(key: bytes) -> None:
    with pytest.raises(Refused) as refused:
        check_public_key(key)
    assert refused.value.fault is Fault.BAD_KEY
    assert check_public_key(KEY.public_key) == KEY.public_key


def test_a_private_key_never_shows_itself() -> None:
    secret = b"k" * 32
    for shown in (repr(KEY), str(KEY), str(vars(type(KEY)))):
        assert secret.hex() not in shown
        assert str(secret) not in shown
    with pytest.raises(TypeError):
        pickle.dumps(KEY)
