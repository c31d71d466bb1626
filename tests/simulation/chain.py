"""The chain of a simulated world: the real rules, one authority, a state in memory; credits are counted every block."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from l1.ground.codec import encode
from l1.ground.faults import Refused
from l1.ground.hashing import digest
from l1.ground.limits import VERSION
from l1.ground.signing import Context, PrivateKey, Purpose, sign
from l1.rules.blocks import Header, SignedHeader, begin, check_follows, execute, select, sign_header
from l1.rules.commitment import Opening, channel_id
from l1.rules.genesis import Allocation, Genesis, Parameters, chain_id
from l1.rules.invariants import check_conserved, count_credits
from l1.rules.outcomes import open_item
from l1.rules.state import Channel, Draft, Hospital, decode_channel
from l1.rules.transactions import Action, Admit, Open, Transfer, account_of, admission_words, sign_transaction
from tests.simulation.genuine import SimKey

__all__ = ["HEARTBEAT_MS", "KEY_WINDOW_MS", "START_MS", "Answer", "SimChain"]

START_MS = 1_800_000_000_000
HEARTBEAT_MS = 5_000
BLOCK_MS = 100
KEY_WINDOW_MS = 240_000  # like a challenge window: nobody is away for so long
ALL_COUNTED_BLOCKS = 200  # after so many the whole state is counted, and not only what a block wrote
TOTAL = 2**45
GIVEN = 2**32  # credits of every hospital
HOT = 2**20  # credits of its channel key, for deposits

Answer = Callable[[Refused | None], None]


@dataclass(slots=True)
class _Asked:
    action: Action
    answer: Answer


class SimChain:
    """`pending` holds what waits, by signing key: one transaction of a key goes into a block."""

    def __init__(self) -> None:
        self.registrar = SimKey(digest(b"simulated registrar"))
        self._authority = SimKey(digest(b"simulated authority"))
        self.genesis = Genesis(
            version=VERSION,
            name="simulation",
            time_ms=START_MS,
            salt=bytes(32),
            authority=self._authority.public_key,
            registrars=(self.registrar.public_key,),
            allocations=(Allocation(account=account_of(self.registrar.public_key), credits=TOTAL),),
            parameters=Parameters(heartbeat_ms=HEARTBEAT_MS, block_ms=BLOCK_MS, key_window_ms=KEY_WINDOW_MS),
        )
        self.id = chain_id(self.genesis)
        first = begin(self.genesis)
        self.tip: Header = first.header
        self.clocks_ms = [self.tip.clock_ms]  # the chain clock of every block, by height
        self.rows, self.nodes = dict(first.writes), dict(first.nodes)
        self.pending: dict[bytes, deque[_Asked]] = {}
        self.signers: dict[bytes, PrivateKey] = {}
        self.channels: dict[bytes, Channel] = {}
        self.transactions = 0
        self._blocks: dict[int, tuple[Header, list[bytes]]] = {}  # those in which something stands
        self.registry: dict[bytes, Hospital] = {}  # as it was read last, until a block changes it
        self.keys_changed = False  # by the newest block
        self._credits = count_credits(self.rows)

    def get(self, key: bytes) -> bytes | None:
        return self.rows.get(key)

    @property
    def draft(self) -> Draft:
        return Draft(self)

    def hospital(self, hospital: bytes) -> Hospital:
        if hospital not in self.registry:
            found = self.draft.get_hospital(hospital)
            assert found is not None
            self.registry[hospital] = found
        return self.registry[hospital]

    def ask(self, signer: PrivateKey, action: Action, answer: Answer = lambda _: None) -> None:
        """Queue an action; the answer comes with the block that takes or refuses it."""
        self.signers[signer.public_key] = signer
        self.pending.setdefault(signer.public_key, deque()).append(_Asked(action, answer))

    @property
    def has_work(self) -> bool:
        return any(self.pending.values())

    def make_block(self, now_ms: int) -> list[bytes]:
        """The next block; the ids of channels whose rows it changed."""
        asked: dict[bytes, _Asked] = {}
        for key, waiting in self.pending.items():
            if waiting:
                nonce = self.draft.get_account(account_of(key)).nonce
                taken = waiting.popleft()
                asked[sign_transaction(self.signers[key], self.id, nonce, taken.action)] = taken
        time_ms = max(now_ms, self.tip.time_ms)
        accepted, refused = select(self, self.tip, list(asked), time_ms)
        done = execute(self, self.nodes.__getitem__, self.tip, accepted, time_ms=time_ms)
        check_follows(self.tip, done.header, self.genesis.parameters)
        self._count(done.writes)
        self.rows.update(done.writes)
        self.nodes.update(done.nodes)
        self.tip = done.header
        self.clocks_ms.append(self.tip.clock_ms)
        self.transactions += len(accepted)
        if accepted:
            self._blocks[self.tip.height] = (self.tip, accepted)
        if self.tip.height % ALL_COUNTED_BLOCKS == 0:
            check_conserved(self.rows, TOTAL)
        self.keys_changed = any(key.startswith(b"hospital/") for key in done.writes)
        if self.keys_changed:
            self.registry.clear()
        changed = [key[len(b"channel/") :] for key in done.writes if key.startswith(b"channel/")]
        for channel in changed:
            self.channels[channel] = decode_channel(self.rows[b"channel/" + channel])
        for transaction in accepted:
            asked[transaction].answer(None)
        for transaction, why in refused:
            asked[transaction].answer(why)
        return changed

    # -- what others read of it ----------------------------------------------------------------------------------------

    def items(self, height: int) -> list[bytes]:
        """What stands in a block."""
        return self._blocks[height][1] if height in self._blocks else []

    def signed_header(self, height: int) -> SignedHeader:
        """Of a block in which something stands."""
        return sign_header(self._authority, self._blocks[height][0])

    def find_row(self, channel: bytes) -> Channel | None:
        row = self.rows.get(b"channel/" + channel)
        return None if row is None else decode_channel(row)

    def row(self, channel: bytes) -> Channel:
        found = self.find_row(channel)
        assert found is not None
        return found

    def check(self, signer: PrivateKey, action: Action) -> Refused | None:
        """What a node says at once of an action that the state of now refuses."""
        nonce = self.draft.get_account(account_of(signer.public_key)).nonce
        signed = sign_transaction(signer, self.id, nonce, action)
        accepted, refused = select(self, self.tip, [signed], self.tip.time_ms)
        if refused:
            return refused[0][1]
        fault = open_item(accepted[0])[1]
        return None if fault is None else Refused(fault, "it would fail in a block")

    def _count(self, writes: dict[bytes, bytes]) -> None:
        """Credits are conserved by every block: what its rows held before, they hold after."""
        before = {key: self.rows[key] for key in writes if key in self.rows}
        self._credits += count_credits(writes) - count_credits(before)
        assert self._credits == TOTAL, f"{self._credits} credits where the genesis allocated {TOTAL}"

    def forget(self, channel: bytes) -> None:
        """Nobody in this world looks at a settled channel any more; the state holds its row for ever."""
        del self.channels[channel]

    # -- what happens before the world begins -----------------------------------------------------------------------

    def admit(self, name: str, root: PrivateKey, channel: PrivateKey) -> None:
        tls, sealing = digest(name.encode() + b" tls"), digest(name.encode() + b" sealing")
        words = admission_words(
            name=name,
            endpoint="127.0.0.1:7000",
            root=root.public_key,
            channel=channel.public_key,
            tls=tls,
            sealing=sealing,
        )
        admission = Admit(
            name=name,
            endpoint="127.0.0.1:7000",
            root=root.public_key,
            channel=channel.public_key,
            tls=tls,
            sealing=sealing,
            possession=sign(root, Purpose.KEY, Context(chain=self.id), words),
        )
        given = Transfer(to=account_of(root.public_key), amount=GIVEN)
        hot = Transfer(to=account_of(channel.public_key), amount=HOT)
        for action in (admission, given, hot):
            self.ask(self.registrar, action)
            self.make_block(self.tip.time_ms)

    def open(
        self,
        hospitals: tuple[bytes, bytes],
        roots: tuple[PrivateKey, PrivateKey],
        nonce: int,
        *,
        deposit: int,
        bond: int,
        window_ms: int,
    ) -> bytes:
        """Ask to open a channel between two hospitals; its id."""
        opening = Opening(
            version=VERSION,
            chain=self.id,
            hospitals=hospitals,
            nonce=digest(nonce.to_bytes(8, "big")),
            deposits=(deposit, deposit),
            bond=bond,
            window_ms=window_ms,
            answer_ms=10_000,
            expires=self.tip.height + 1_000,
        )
        context, body = Context(chain=self.id), encode(opening)
        signatures = (
            sign(roots[0], Purpose.OPENING, context, body),
            sign(roots[1], Purpose.OPENING, context, body),
        )
        self.ask(roots[0], Open(opening=opening, signatures=signatures))
        return channel_id(opening)
