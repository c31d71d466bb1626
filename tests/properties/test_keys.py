"""Whatever the thief of a root key does, in whatever order: who holds the recovery key gets the hospital back.

And whatever is asked of a registry: keys are only ever added, what ended stays ended, and somebody can always act.
"""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from l1.rules.keys import counting_keys, sealing_key_at
from l1.rules.state import Hospital
from l1.rules.transactions import CHANNEL, RECOVERY, ROOT, RevokeKey
from tests.unit.l1.rules.world import KEY_WINDOW_MS, World

RECOVERY_NUMBER = 4
KINDS = st.sampled_from([ROOT, CHANNEL, RECOVERY])


def _guarded() -> World:
    """Alice, and her recovery key, number 4, that counts."""
    world = World()
    world.admit(world.a, 0)
    world.do(world.a.root, world.new_key(world.a, RECOVERY, "alice recovery"))
    world.wait(KEY_WINDOW_MS)
    return world


def _register(world: World, by: int, kind: int, name: str) -> int | None:
    """The number of the new key, if the chain took it."""
    action = world.new_key(world.a, kind, name)
    number = max(world.a.keys)
    if world.try_do(world.a.keys[by], action):
        return number
    del world.a.keys[number]
    return None


def _revoke(world: World, by: int, number: int) -> bool:
    action = RevokeKey(hospital=world.a.id, number=number, compromised_since_ms=None)
    return world.try_do(world.a.keys[by], action)


Act = tuple[str, int, int]
ACTS = st.lists(
    st.tuples(st.sampled_from(["register", "revoke", "wait"]), KINDS, st.integers(0, 9)), min_size=1, max_size=8
)


@given(before=ACTS, during=ACTS)
@settings(max_examples=60, deadline=None)
def test_a_thief_of_the_root_key_loses_the_hospital_to_its_recovery_key(before: list[Act], during: list[Act]) -> None:
    world = _guarded()
    stolen = {0}

    def thief(acts: list[Act], when: str) -> None:
        for at, (act, kind, number) in enumerate(acts):
            signer = sorted(stolen)[number % len(stolen)]
            if act == "register":
                made = _register(world, signer, kind, f"thief {when} {at}")
                if made is not None and kind in (ROOT, RECOVERY):
                    stolen.add(made)
            elif act == "revoke":
                _revoke(world, signer, number)
            else:
                world.wait(1 + number * 1_000)
            for waiting in [key.number for key in world.hospital(world.a).keys if key.number in stolen]:
                _revoke(world, RECOVERY_NUMBER, waiting)  # the owner watches the chain, and vetoes what waits

    thief(before, "before")
    mine = _register(world, RECOVERY_NUMBER, ROOT, "alice root 2")
    assert mine is not None
    thief(during, "during")
    world.wait(KEY_WINDOW_MS)
    counting = counting_keys(world.hospital(world.a), ROOT, world.tip.clock_ms)
    assert [key.number for key in counting] == [mine]
    assert not any(_register(world, number, CHANNEL, f"late {number}") for number in stolen)
    recovery = counting_keys(world.hospital(world.a), RECOVERY, world.tip.clock_ms)
    assert [key.number for key in recovery] == [RECOVERY_NUMBER]


class Registry(RuleBasedStateMachine):
    """Any of a hospital's keys asks for anything."""

    def __init__(self) -> None:
        super().__init__()
        self.world = _guarded()
        self.before = self.world.hospital(self.world.a)
        self.clock_ms = self.world.tip.clock_ms
        self.ended: set[int] = set()

    @rule(by=st.integers(0, 9), kind=KINDS)
    def register(self, by: int, kind: int) -> None:
        if by in self.world.a.keys:
            _register(self.world, by, kind, f"key {len(self.before.keys)} at {self.clock_ms}")

    @rule(by=st.integers(0, 9), number=st.integers(0, 9))
    def revoke(self, by: int, number: int) -> None:
        if by in self.world.a.keys:
            _revoke(self.world, by, number)

    @rule(windows=st.floats(0.01, 1.1))
    def wait(self, windows: float) -> None:
        self.world.wait(int(windows * KEY_WINDOW_MS))

    def _counting(self, hospital: Hospital) -> set[int]:
        kinds = (ROOT, CHANNEL, RECOVERY)
        return {key.number for kind in kinds for key in counting_keys(hospital, kind, self.world.tip.clock_ms)}

    @invariant()
    def the_registry_only_grows_and_what_ended_stays_ended(self) -> None:
        now = self.world.hospital(self.world.a)
        for old, new in zip(self.before.keys, now.keys, strict=False):
            assert (old.number, old.kind, old.key, old.by) == (new.number, new.kind, new.key, new.by)
            assert old.valid_from_ms == new.valid_from_ms
            assert old.revoked_at_ms in (None, new.revoked_at_ms)
        counting = self._counting(now)
        assert not self.ended & counting
        begun = {key.number for key in now.keys if key.valid_from_ms <= self.world.tip.clock_ms}
        self.ended |= (begun - counting) & {key.number for key in now.keys if key.kind != 2 and key.kind != 3}
        self.before = now

    @invariant()
    def a_root_key_counts_at_every_moment(self) -> None:
        now = self.world.hospital(self.world.a)
        assert counting_keys(now, ROOT, self.world.tip.clock_ms)

    @invariant()
    def the_secret_of_an_open_channel_never_changes(self) -> None:
        at_ms = self.clock_ms + 1
        if self.world.tip.clock_ms > at_ms:
            assert sealing_key_at(self.world.hospital(self.world.a), at_ms).number == 3


Registry.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestRegistry = Registry.TestCase
