"""What the auditor asks of the world, where it once asked too much."""

from dataclasses import dataclass

import pytest

from l1.ground.hashing import digest
from l1.ground.limits import VERSION
from l1.ground.merkle import EMPTY_ROOT
from l1.ground.signing import Context, PrivateKey, Purpose
from l1.rules.commitment import Commitment, Signed, sign_shape
from tests.simulation.seasons import is_lacking

KEY, CHAIN, CHANNEL = PrivateKey(digest(b"a peer")), digest(b"a chain"), digest(b"a channel")


def said(height: int, size: int) -> Signed:
    words = Commitment(
        version=VERSION, chain=CHAIN, channel=CHANNEL, side=0, size=size, root=digest(b"%d" % size), spent=0,
        seen_size=0, seen_root=EMPTY_ROOT, height=height,
    )  # fmt: skip
    return sign_shape(KEY, 1, Purpose.COMMITMENT, Context(chain=CHAIN, channel=CHANNEL), words)


@dataclass(frozen=True)
class Case:
    known: Signed | None
    held: Signed | None
    is_lacking: bool


CASES = {
    "it holds the same": Case(said(785, 34), said(785, 34), is_lacking=False),
    "it holds nothing": Case(said(785, 34), None, is_lacking=True),
    "there is nothing to hold": Case(None, None, is_lacking=False),
    "the log has grown": Case(said(786, 35), said(785, 34), is_lacking=True),
    "it has grown within a block": Case(said(785, 35), said(785, 34), is_lacking=True),
    "the disk went back": Case(said(785, 34), said(786, 35), is_lacking=False),
    "what a resume made void was longer": Case(said(786, 25), said(785, 34), is_lacking=True),
    "a peer signed two logs, and gave the older of them after a loss": Case(
        said(785, 34), said(786, 25), is_lacking=False
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_tower_lacks_what_is_newer_and_not_what_is_longer(name: str) -> None:
    """[HAND-4]"""
    case = CASES[name]
    assert is_lacking(case.known, case.held) == case.is_lacking
