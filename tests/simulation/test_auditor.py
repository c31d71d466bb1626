"""What the auditor asks of the world, where it once asked too much."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from l1.ground.hashing import digest
from l1.ground.limits import VERSION
from l1.ground.merkle import EMPTY_ROOT
from l1.ground.signing import Context, PrivateKey, Purpose
from l1.rules.commitment import Commitment, Signed, sign_shape
from tests.simulation.auditor import Auditor, Violation
from tests.simulation.seasons import is_lacking
from tests.unit.l2.protocol.stories import consent, consent_terms, granted, request, request_terms
from tests.unit.l2.protocol.world import Pair

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


def compare(pair: Pair, *, is_behind: bool) -> bool:
    """Whether both hold the same everywhere, says the auditor, who knows whether side 0's disk went back."""
    world: Any = SimpleNamespace(is_behind=lambda node, _: is_behind and node.number == 0, is_over=lambda _: False)
    keepers: list[Any] = [
        SimpleNamespace(node=SimpleNamespace(number=number, is_mallory=False), channel=channel, id=channel.id)
        for number, channel in enumerate(pair.channels)
    ]
    return Auditor(world).check_pair(*keepers)


def test_a_copy_from_before_a_loss_may_hold_what_nobody_heard() -> None:
    """[START-7] Until it has resumed; the two need not have spoken with each other yet."""
    pair = Pair()
    granted(pair)
    short = pair.stores[0].copy()
    pair.append(0, [consent(2)], [consent_terms()])
    pair.inboxes[1].clear()
    copy = pair.stores[0].copy()
    pair.restart(0, short)
    pair.append(0, [request(5)], [request_terms()])
    pair.settle()
    assert compare(pair, is_behind=False)
    pair.crash(0, copy)
    assert pair.channels[0].own.size == pair.channels[1].peer.size
    assert not compare(pair, is_behind=True)
    with pytest.raises(Violation, match="other roots of log 0"):
        compare(pair, is_behind=False)
    pair.channels[0].resumed = True
    with pytest.raises(Violation, match="other roots of log 0"):
        compare(pair, is_behind=True)
