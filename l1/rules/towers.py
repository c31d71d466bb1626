"""Watchtowers: who watches for a hospital, and what it earns. Rules TOWER-1 to TOWER-6 of docs/spec/chain.md.

A tower is an account. Being named gives it no power: whoever holds a commitment may challenge. It gives it a share.
"""

from msgspec.structs import replace

from l1.ground.faults import Fault, require
from l1.ground.limits import TOWERS_PER_HOSPITAL_MAX
from l1.rules.accounts import Asking
from l1.rules.commitment import other
from l1.rules.registry import governed
from l1.rules.state import Channel, Delegation, Draft
from l1.rules.transactions import Delegate

__all__ = ["delegate", "reward_of", "rewarded", "unrewarded"]


def delegate(draft: Draft, asking: Asking, action: Delegate) -> None:
    """[TOWER-1] A root key that counts names a tower, changes its share, or [TOWER-5] ends it, from now on."""
    hospital = governed(draft, asking, action.hospital)
    towers = draft.get_towers(hospital.id)
    others = tuple(each for each in towers if each.tower != action.tower)
    if action.reward is None:
        require(len(others) < len(towers), Fault.ALREADY_DONE, "this account is no watchtower of the hospital")
        draft.put_towers(hospital.id, others)
        return
    enough = len(others) < TOWERS_PER_HOSPITAL_MAX
    require(enough, Fault.OUT_OF_BOUNDS, f"a hospital has at most {TOWERS_PER_HOSPITAL_MAX} watchtowers")
    named = Delegation(tower=action.tower, reward=action.reward, since_ms=asking.clock_ms)
    draft.put_towers(hospital.id, (*others, named))
    # [TOWER-2] It can ask from now on: its account has a row, though it may hold nothing.
    draft.put_account(action.tower, draft.get_account(action.tower))


def reward_of(draft: Draft, channel: Channel, guilty: int, asker: bytes) -> tuple[bytes | None, int]:
    """[TOWER-3] The asker, if it is a watchtower of the other side, and its part of the guilty side's bond."""
    for each in draft.get_towers(channel.opening.hospitals[other(guilty)]):
        if each.tower == asker:
            return asker, channel.sides[guilty].bond * each.reward // 1_000
    return None, 0


def rewarded(draft: Draft, channel: Channel, asker: bytes) -> Channel:
    """[TOWER-3] The channel, whose close was just shown to be stale, with what the asker earns by that."""
    assert channel.closer is not None
    tower, reward = reward_of(draft, channel, channel.closer, asker)
    return replace(channel, tower=tower, reward=reward)


def unrewarded(channel: Channel) -> Channel:
    """[TOWER-6] The charge does not stand any more, and so there is nothing to share."""
    return replace(channel, tower=None, reward=0)
