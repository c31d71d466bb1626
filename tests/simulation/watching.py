"""What the auditor asks of towers: they answer in time, they harm nobody they serve, and they learn words only."""

from typing import TYPE_CHECKING

from l1.ground.codec import encode
from l1.ground.faults import Refused
from l1.ground.signing import Context
from l1.rules.commitment import Commitment, Signed, decode_commitment, open_commitment
from l1.rules.shown import is_below_resume
from l1.rules.state import Channel as L1Channel
from l1.rules.state import Phase
from l1.rules.transactions import Action, Challenge, Settle
from l2.protocol.answer_proof import AnswerProof, check_answer
from l2.protocol.handover import Handover, peek_handover
from l2.tower.rows import Held, side_key
from tests.simulation.chain import KEY_WINDOW_MS
from tests.simulation.words import Violation

if TYPE_CHECKING:
    from tests.simulation.node import Node
    from tests.simulation.tower import Tower
    from tests.simulation.world import World

__all__ = ["Watching", "counts_still"]

_Guard = tuple["Tower", int, Held]
"""A tower, how often it had lost its disk by then, and what it held."""


def counts_still(row: L1Channel, side: int, signed: Signed) -> bool:
    """Whether words of a side count in a channel until its window is over: not void, and by no key that gives way."""
    state, said = row.sides[side], decode_commitment(signed.body)
    gave_way = signed.key < state.newest_key and row.closes_at_ms > state.newest_key_at_ms + KEY_WINDOW_MS
    return not gave_way and not is_below_resume(state, said.size, said.height)


class Watching:
    """Part of the auditor. `closed` is what towers held when a close was posted, by channel."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._handed: dict[tuple[bytes, bytes], set[bytes]] = {}  # by tower and channel: words that it was given
        self._closed: dict[bytes, tuple[int, list[_Guard]]] = {}

    # -- what it learns ---------------------------------------------------------------------------------------------

    def handed(self, node: "Node", tower: "Tower", data: bytes) -> None:
        """All that ever goes to a tower: to the last byte signed words of peers, none of which is not on the disk."""
        signed, handover = peek_handover(data)
        whole = encode(signed) == data and encode(handover) == signed.body and type(handover) is Handover
        if not whole:
            raise Violation("a tower learns words only", "a handover that says more")
        for each in handover.handed:
            said = decode_commitment(each.commitment.body)
            self._handed.setdefault((tower.account, each.channel), set()).add(encode(each.commitment))
            own = self._world.side_of(node, each.channel)
            words = type(said) is Commitment and said.channel == each.channel and own == 1 - said.side
            if not words and not node.is_mallory:
                raise Violation("a tower learns words only", f"hospital {node.number} handed over {said}")

    def kept(self, tower: "Tower", key: bytes) -> None:
        """What it holds now are that side's own words."""
        held, row = tower.book.held(key), self._world.chain.row(key[:32])
        if held is not None:
            side, context = key[32], Context(chain=self._world.chain.id, channel=key[:32])
            public = self._world.keys_ever(row)[side][held.signed.key]
            try:
                said = open_commitment(held.signed, context, public)
            except Refused as refused:
                raise Violation("a tower holds genuine words", f"tower {tower.number}: {refused}") from None
            if (said.side, said.size) != (side, held.size):
                raise Violation("a tower holds genuine words", f"tower {tower.number} for side {side}: {said}")

    # -- what it does -----------------------------------------------------------------------------------------------

    def asked(self, tower: "Tower", action: Action) -> None:
        """It shows what it was given, of a peer's log, and newer than what it knows to stand; or it settles."""
        match action:
            case Challenge(channel=channel, side=side, commitment=signed):
                given = encode(signed) in self._handed.get((tower.account, channel), ())
                said, row = decode_commitment(signed.body), tower.rows[channel]
                served = tower.book.held(side_key(channel, side))
                harmless = served is not None and served.hospital == row.opening.hospitals[1 - side]
                if not (given and harmless and said.side == side):
                    raise Violation("a tower harms nobody it serves", f"tower {tower.number} shows {said}")
                if said.size <= row.sides[side].posted.size:
                    raise Violation("a tower shows nothing older", f"tower {tower.number} shows {said.size} entries")
            case Settle():
                pass
            case _:
                raise Violation("a tower harms nobody it serves", f"tower {tower.number} asks for {action}")

    def taken(self, action: Action) -> None:
        """The chain took it: what stands now is what was shown, or more."""
        if isinstance(action, Challenge):
            said, row = decode_commitment(action.commitment.body), self._world.chain.row(action.channel)
            if row.sides[action.side].posted.size < said.size:
                raise Violation("a tower shows nothing older", f"{said.size} entries, which raised nothing")

    def answered(self, tower: "Tower", key: bytes, proof: AnswerProof) -> None:
        said = check_answer(proof, self._world.chain.genesis)
        if (said.tower, said.channel, said.side) != (tower.account, key[:32], key[32]):
            raise Violation("a tower proves its answer", f"tower {tower.number}: {said}")

    # -- what the chain decides -------------------------------------------------------------------------------------

    def on_chain(self, row: L1Channel) -> None:
        if row.phase == Phase.CLOSING and row.id not in self._closed:
            guards = [
                (tower, tower.losses, held)
                for tower in self._world.towers
                if (held := tower.book.held(side_key(row.id, row.closer or 0))) is not None
            ]
            self._closed[row.id] = (self._world.chain.tip.clock_ms, guards)
        if row.phase == Phase.SETTLED:
            self._check_guarded(row)

    def guarded(self, row: L1Channel, side: int) -> tuple[int, int]:
        """Size and total of the closer's words that were held for the other side when the close was posted."""
        hospital = row.opening.hospitals[side]
        words = [(held.size, _spent(held)) for _, _, held in self._in_time(row) if held.hospital == hospital]
        return max(words, default=(0, 0))

    def closed_ms(self, row: L1Channel) -> int:
        """When the close was posted, on the chain clock."""
        return self._closed[row.id][0] if row.id in self._closed else row.closes_at_ms

    def _in_time(self, row: L1Channel) -> list[_Guard]:
        """Who held words that counted, kept its disk, and was awake for long enough to show them."""
        since_ms, guards = self._closed.get(row.id, (0, []))
        enough_ms = self._world.weather.verdict_ms * 2 // 3
        return [
            (tower, losses, held)
            for tower, losses, held in guards
            if tower.losses == losses
            and not tower.is_liar
            and tower.longest_awake_ms(since_ms, row.closes_at_ms) >= enough_ms
            and counts_still(row, row.closer or 0, held.signed)
            and tower.book.known.get(held.hospital) is not None
            and tower.book.known[held.hospital].reward is not None
        ]

    def _check_guarded(self, row: L1Channel) -> None:
        if row.together or row.lost or row.closer is None:
            return
        for tower, _, held in self._in_time(row):
            if held.size <= row.closed_size:
                continue
            self._world.counts["stale close that a tower could show"] += 1
            self._world.counts["stale close that only a tower could show"] += self._world.node_of(held.hospital).is_away
            if not row.stale:
                detail = f"tower {tower.number} held {held.size} entries, closed with {row.closed_size}"
                raise Violation("a tower answers a stale close", detail)

    def forget(self, channel: bytes) -> None:
        self._closed.pop(channel, None)
        for tower in self._world.towers:
            self._handed.pop((tower.account, channel), None)


def _spent(held: Held) -> int:
    return decode_commitment(held.signed.body).spent
