"""The genesis as people hand it around: JSON with bytes in hex, made to be read before it is trusted.

Pure, on bytes. The file has one meaning and many spellings; what is hashed is the canonical genesis it stands for.
"""

import json
from typing import Any

import msgspec
from msgspec.structs import asdict

from l1.ground.codec import encode
from l1.ground.faults import Fault, LocalError, Refused, require
from l1.ground.limits import ACCOUNT_BYTES, BLOCK_BYTES_MAX, VERSION
from l1.ground.signing import check_public_key
from l1.rules.genesis import Allocation, Genesis, Parameters, chain_id, decode_genesis
from l1.rules.state import decode_parameters

__all__ = ["ParametersForm", "dump_genesis", "load_genesis", "open_genesis", "parameters_form", "parameters_of"]


class ParametersForm(msgspec.Struct, forbid_unknown_fields=True):
    """The parameters by name, bytes in hex."""

    heartbeat_ms: int
    block_ms: int
    window_ms_min: int
    window_ms_max: int
    bond_min: int
    key_window_ms: int
    fee: int = 0
    fee_per_kib: int = 0
    treasury: str = "00" * ACCOUNT_BYTES
    serial: int = 0


class _Allocation(msgspec.Struct, forbid_unknown_fields=True):
    account: str
    credits: int


class _Genesis(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    name: str
    time_ms: int
    salt: str
    authority: str
    registrars: list[str]
    allocations: list[_Allocation]
    parameters: ParametersForm
    chain: str = ""


def dump_genesis(genesis: Genesis) -> bytes:
    """The genesis as indented JSON. `chain` repeats its hash, for the eye and as a checksum."""
    form: dict[str, Any] = {
        "chain": chain_id(genesis).hex(),
        "version": genesis.version,
        "name": genesis.name,
        "time_ms": genesis.time_ms,
        "salt": genesis.salt.hex(),
        "authority": genesis.authority.hex(),
        "registrars": [key.hex() for key in genesis.registrars],
        "allocations": [{"account": a.account.hex(), "credits": a.credits} for a in genesis.allocations],
        "parameters": parameters_form(genesis.parameters),
    }
    return json.dumps(form, indent=2, ensure_ascii=False).encode() + b"\n"


def parameters_form(parameters: Parameters) -> dict[str, Any]:
    return asdict(parameters) | {"treasury": parameters.treasury.hex()}


def parameters_of(form: ParametersForm) -> Parameters:
    """Raises `ValueError`, `Refused` (MALFORMED) for what no chain could hold."""
    parameters = Parameters(**asdict(form) | {"treasury": bytes.fromhex(form.treasury)})
    return decode_parameters(encode(parameters))


def load_genesis(data: bytes) -> Genesis:
    """The genesis of a file's bytes. Raises `Refused` (MALFORMED, TOO_LARGE, BAD_KEY, WRONG_VERSION, WRONG_CHAIN)."""
    require(len(data) <= BLOCK_BYTES_MAX, Fault.TOO_LARGE, f"a genesis file of {len(data)} bytes")
    try:
        form = msgspec.json.decode(data, type=_Genesis)
        genesis: Genesis = decode_genesis(encode(_values(form)))
    except (ValueError, RecursionError) as error:
        raise Refused(Fault.MALFORMED, f"the genesis file cannot be read ({error})") from None
    require(genesis.version == VERSION, Fault.WRONG_VERSION, f"genesis version {genesis.version}")
    for key in (genesis.authority, *genesis.registrars):
        check_public_key(key)
    named = form.chain in ("", chain_id(genesis).hex())
    require(named, Fault.WRONG_CHAIN, "the genesis file names another chain than its contents give: it was changed")
    return genesis


def open_genesis(data: bytes, file: object) -> Genesis:
    """The genesis of a file of that name, for whoever starts from it. Raises `LocalError`."""
    try:
        return load_genesis(data)
    except Refused as refused:
        remedy = "Get the genesis file again from the chain's founder, or GET /v1/genesis."
        raise LocalError(f"{file}: {refused}", remedy) from None


def _values(form: _Genesis) -> Genesis:
    return Genesis(
        version=form.version,
        name=form.name,
        time_ms=form.time_ms,
        salt=bytes.fromhex(form.salt),
        authority=bytes.fromhex(form.authority),
        registrars=tuple(bytes.fromhex(key) for key in form.registrars),
        allocations=tuple(Allocation(account=bytes.fromhex(a.account), credits=a.credits) for a in form.allocations),
        parameters=parameters_of(form.parameters),
    )
