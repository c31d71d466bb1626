"""The genesis file: what is written is read; what was changed is refused."""

import json
from typing import Any

import pytest

from l1.ground.faults import Fault, Refused
from l1.reader import dump_genesis, load_genesis
from l1.rules.genesis import chain_id
from tests.unit.l1.world import genesis


def changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(dump_genesis(genesis())) | fields).encode()


def test_it_comes_back() -> None:
    text = dump_genesis(genesis())
    assert load_genesis(text) == genesis()
    assert json.loads(text)["chain"] == chain_id(genesis()).hex()


def test_the_checksum_is_for_the_eye_and_may_be_left_out() -> None:
    assert load_genesis(changed(chain="")) == genesis()


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", Fault.MALFORMED),
        (b"[]", Fault.MALFORMED),
        (b"{}", Fault.MALFORMED),
        (b"[" * 100_000, Fault.MALFORMED),
        (b"\xff\xfe", Fault.MALFORMED),
        (b" " * (4 * 1024 * 1024 + 1), Fault.TOO_LARGE),
        (changed(salt="00"), Fault.MALFORMED),
        (changed(salt="zz" * 32), Fault.MALFORMED),
        (changed(time_ms=-1), Fault.MALFORMED),
        (changed(surplus=1), Fault.MALFORMED),
        (changed(name="other"), Fault.WRONG_CHAIN),
        (changed(version=2), Fault.WRONG_VERSION),
        (changed(authority="05" * 33), Fault.BAD_KEY),
    ],
)
def test_what_is_wrong_has_a_name(data: bytes, fault: Fault) -> None:
    with pytest.raises(Refused) as caught:
        load_genesis(data)
    assert caught.value.fault is fault
