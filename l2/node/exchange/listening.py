"""What an arrived batch asks to be done. It only looks and notes: a full batch takes it well under a millisecond.

Notes go to the channel's own chores, to the fetchers, or to those who open what has its release.
"""

from collections.abc import Callable
from typing import Any

from l1.rules.log.entries import Grant, Receipt, Release, Request, Revoke, Withdraw
from l1.rules.log.fold import GRANT
from l2.node.exchange.dealing import Dealing
from l2.node.exchange.logs import grant_of, stands
from l2.node.exchange.opening import Opening
from l2.node.hospital import Hospital
from l2.protocol.events import Arrived
from l2.records import lock_of

__all__ = ["Listener"]

_ENDINGS = {Revoke, Withdraw}

Fetch = Callable[[Dealing, int], None]


class Listener:
    """See the module."""

    def __init__(self, hospital: Hospital, fetch: Fetch, opening: Opening) -> None:
        self._hospital, self._fetch, self._opening = hospital, fetch, opening

    def heard(self, dealing: Dealing, arrived: Arrived) -> None:
        kinds = set(map(type, arrived.entries))
        if arrived.side == dealing.own:
            if dealing.unreleased and kinds & _ENDINGS:
                dealing.chores.add(("tidy", 0))
            return
        if Receipt in kinds and dealing.unreleased:
            self._receipts(dealing, arrived)
        if Release in kinds and dealing.awaited:
            self._releases(dealing, arrived)
        if Grant in kinds and (self._hospital.config.auto_fetch or self._hospital.listeners):
            self._grants(dealing, arrived)
        if Request in kinds:
            self._requests(dealing, arrived)
        if kinds & _ENDINGS:
            self._hospital.announce("ended", dealing.id, "the peer withdrew consents or revoked grants")

    def shown(self, dealing: Dealing, grant: int, secret: bytes) -> None:
        """[DEMAND-4] The chain shows a secret for a grant of the peer's: as good as its release, if it is the one."""
        if grant not in dealing.awaited or not stands(dealing.channel, dealing.theirs, grant, GRANT):
            return
        if lock_of(secret) == grant_of(dealing.channel, dealing.theirs, grant)[0].lock:
            self._hospital.announce("revealed", dealing.id, f"grant {grant}: its secret stands on the chain")
            self._opening.released(dealing, grant, secret)

    @staticmethod
    def _standing(arrived: Arrived, kind: type) -> list[tuple[int, Any]]:
        """Index and entry of all that are of a kind and not void."""
        void = {index for index, _ in arrived.voids}
        numbered = enumerate(arrived.entries, arrived.first)
        return [(index, entry) for index, entry in numbered if type(entry) is kind and index not in void]

    def _receipts(self, dealing: Dealing, arrived: Arrived) -> None:
        confirmed = {entry.grant for _, entry in self._standing(arrived, Receipt)} & dealing.unreleased.keys()
        if confirmed:
            dealing.receipted |= confirmed
            dealing.chores.add(("release", 0))

    def _releases(self, dealing: Dealing, arrived: Arrived) -> None:
        for _, entry in self._standing(arrived, Release):
            if entry.grant in dealing.awaited:
                self._opening.released(dealing, entry.grant, entry.secret)

    def _grants(self, dealing: Dealing, arrived: Arrived) -> None:
        for index, entry in self._standing(arrived, Grant):
            _, terms = grant_of(dealing.channel, dealing.theirs, index)
            if terms.cipher_size:
                self._hospital.announce("grant arrived", dealing.id, f"grant {index}")
                # What costs something is fetched only when a person asks: else a custodian could sell us anything.
                if self._hospital.config.auto_fetch and not entry.fee:
                    self._fetch(dealing, index)

    def _requests(self, dealing: Dealing, arrived: Arrived) -> None:
        answers = self._hospital.config.auto_grant
        for index, entry in self._standing(arrived, Request):
            if entry.emergency:  # an alarm, and an answer, whatever the config says
                self._hospital.announce("break glass", dealing.id, f"request {index} is an emergency")
            if answers or entry.emergency:
                dealing.chores.add(("answer", index))
