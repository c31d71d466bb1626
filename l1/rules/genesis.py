"""How a chain begins: who orders, who admits, who owns what. Its hash names the chain in everything signed."""

from typing import Annotated

from msgspec import Meta

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, require
from l1.ground.fields import AccountId, Credits, Digest, KeyBytes, Name, TimeMs
from l1.ground.hashing import tagged_digest
from l1.ground.limits import ACCOUNT_BYTES, BLOCK_BYTES_MAX, CREDITS_MAX, PERIOD_MS_MAX, VERSION
from l1.ground.signing import check_public_key

__all__ = ["Allocation", "Genesis", "Parameters", "chain_id", "check_genesis", "check_parameters", "decode_genesis"]


class Parameters(Shape, frozen=True):
    """What the chain's rules leave to its founders.

    `heartbeat_ms`: an empty block is made after so long. `block_ms`: blocks with transactions are at least so far
    apart. `window_ms_min/max`: bounds of a channel's challenge window. `bond_min`: the least bond.
    `key_window_ms`: how long a new root key waits, and how long an older channel key still counts. `fee` and
    `fee_per_kib`: credits for every transaction, and for every KiB that it begins; they go to `treasury`, by default
    an account that nobody has. `serial`: how often all this was changed.
    """

    heartbeat_ms: TimeMs = 5_000
    block_ms: TimeMs = 100
    window_ms_min: TimeMs = 2_000
    window_ms_max: TimeMs = 30 * 86_400_000
    bond_min: Credits = 1
    key_window_ms: TimeMs = 86_400_000
    fee: Credits = 0
    fee_per_kib: Credits = 0
    treasury: AccountId = bytes(ACCOUNT_BYTES)
    serial: Annotated[int, Meta(ge=0, le=2**32)] = 0


class Allocation(Shape, frozen=True):
    account: AccountId
    credits: Credits


class Genesis(Shape, frozen=True):
    version: int
    name: Name
    time_ms: TimeMs
    salt: Digest
    authority: KeyBytes
    registrars: tuple[KeyBytes, ...]
    allocations: tuple[Allocation, ...]
    parameters: Parameters


decode_genesis = decoder(Genesis, bytes_max=BLOCK_BYTES_MAX, what="genesis")


def chain_id(genesis: Genesis) -> bytes:
    """The chain's name: the digest of its genesis, 32 bytes."""
    return tagged_digest(b"genesis", encode(genesis))


def check_genesis(genesis: Genesis) -> None:
    """Raise `Refused` unless a chain can begin like this."""
    require(genesis.version == VERSION, Fault.WRONG_VERSION, f"a genesis of version {genesis.version}")
    for key in (genesis.authority, *genesis.registrars):
        check_public_key(key)
    accounts = [allocation.account for allocation in genesis.allocations]
    require(len(set(accounts)) == len(accounts), Fault.MALFORMED, "an account is allocated to twice")
    total = sum(allocation.credits for allocation in genesis.allocations)
    require(total <= CREDITS_MAX, Fault.OUT_OF_BOUNDS, "more credits than can be counted")
    check_parameters(genesis.parameters)


def check_parameters(parameters: Parameters) -> None:
    """Raise `Refused` unless a chain can live by these."""
    require(parameters.heartbeat_ms > 0, Fault.OUT_OF_BOUNDS, "a chain needs a heartbeat")
    windows_ok = 0 < parameters.window_ms_min <= parameters.window_ms_max
    require(windows_ok, Fault.OUT_OF_BOUNDS, "the least window is longer than the longest")
    longest_ms = max(parameters.window_ms_max, parameters.key_window_ms, parameters.heartbeat_ms)
    require(longest_ms <= PERIOD_MS_MAX, Fault.OUT_OF_BOUNDS, "a window or heartbeat of more than a century")
    require(parameters.key_window_ms > 0, Fault.OUT_OF_BOUNDS, "a chain needs a key window")
