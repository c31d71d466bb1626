"""How the chain looks in JSON: bytes as lower hex, shapes as objects, rows with the proofs that tie them to a header.

It reads a snapshot and formats. Nobody need believe these decoded views: `value` and `proof` beside them are the truth.
"""

from typing import Any

import msgspec

from l1.ground import sparse
from l1.ground.codec import Shape
from l1.ground.faults import Fault, Refused
from l1.ground.merkle import Frontier, inclusion_proof, leaf_hash
from l1.ground.sparse import place_of
from l1.node.engine import NO_SIGNATURE
from l1.node.store import Place, Snapshot
from l1.rules import state
from l1.rules.blocks import SignedHeader, decode_block, decode_header
from l1.rules.outcomes import open_item
from l1.rules.state import Phase
from l1.rules.transactions import KEY_KINDS, account_of, decode_transaction, transaction_id

__all__ = ["JSON", "block_view", "error_view", "header_view", "included_view", "plain", "row_view", "rows_view"]

JSON = dict[str, Any]

REMEDIES = {
    Fault.BAD_NONCE: "Ask /v1/accounts/{id} for next_nonce and sign again",
    Fault.TOO_FEW_CREDITS: "Ask a registrar for credits",
    Fault.WRONG_CHAIN: "Compare your genesis.json with GET /v1/genesis",
    Fault.MEMPOOL_FULL: "Submit again in a second",
    Fault.NOT_AUTHORISED: "Sign with a key that may do this, and submit to the authority's node",
    Fault.UNKNOWN_HOSPITAL: "Ask a registrar to admit the hospital",
    Fault.MALFORMED: "See /openapi.json for the form expected",
}


def plain(value: object) -> Any:
    """A shape as JSON can carry it; an action also says its kind."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Shape):
        fields = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        tag = value.__struct_config__.tag
        return fields if tag is None else {"kind": _snake(type(value).__name__), **fields}
    return value


def _snake(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


def error_view(refusal: Refused) -> JSON:
    name = refusal.fault.name.lower().replace("_", " ")
    remedy = REMEDIES.get(refusal.fault, "")
    return {"fault": name, "number": int(refusal.fault), "detail": refusal.detail, "remedy": remedy}


def header_view(signed: SignedHeader | None) -> JSON | None:
    """A header as signed; None for that of height 0, which readers derive from the genesis."""
    if signed is None or signed.signature == NO_SIGNATURE:
        return None
    return {"body": signed.body.hex(), "signature": signed.signature.hex()}


def block_view(data: bytes) -> JSON:
    """A block: its canonical bytes, and what they say."""
    block = decode_block(data)
    header = decode_header(block.header.body)
    shown = []
    for item in block.transactions:
        transaction, failed = open_item(item)
        asked, _ = decode_transaction(transaction, header.chain)
        told = {
            "id": transaction_id(transaction).hex(),
            "account": account_of(asked.key).hex(),
            "failed": _fault(failed),
        }
        shown.append({**told, **plain(asked)})
    return {
        "height": header.height,
        "block": data.hex(),
        "header": header_view(block.header),
        "decoded": plain(header),
        "transactions": shown,
    }


def included_view(snapshot: Snapshot, place: Place) -> JSON:
    """A transaction in its block, with the inclusion proof."""
    items = snapshot.items(place.height)
    _, levels = Frontier().extend([leaf_hash(item) for item in items])
    proof = inclusion_proof(lambda level, index: levels[level][index], place.index, len(items))
    _, failed = open_item(items[place.index])
    return {
        "status": "included",
        "height": place.height,
        "index": place.index,
        "count": len(items),
        "failed": _fault(failed),
        "header": header_view(snapshot.signed_header(place.height)),
        "proof": plain(proof),
        "item": items[place.index].hex(),
    }


def _fault(failed: Fault | None) -> JSON | None:
    """Why it failed in its block; None if it was done."""
    return None if failed is None else {"fault": failed.name.lower().replace("_", " "), "number": int(failed)}


def _proved(snapshot: Snapshot, root: bytes, key: bytes) -> JSON:
    value = snapshot.get(key)
    proof = sparse.prove(snapshot.node, root, place_of(key))
    return {
        "key": key.hex(),
        "value": None if value is None else value.hex(),
        "proof": plain(proof),
        "decoded": None if value is None else _decoded(key, value),
    }


def row_view(snapshot: Snapshot, key: bytes) -> JSON:
    """A row, or its absence, with the state proof under the newest header."""
    header = snapshot.header()
    top = {"height": header.height, "header": header_view(snapshot.signed_header(header.height))}
    return top | _proved(snapshot, header.state, key)


def rows_view(snapshot: Snapshot, keys: list[bytes]) -> JSON:
    """Several rows under one header."""
    header = snapshot.header()
    rows = [_proved(snapshot, header.state, key) for key in keys]
    return {"height": header.height, "header": header_view(snapshot.signed_header(header.height)), "rows": rows}


def _decoded(key: bytes, value: bytes) -> Any:
    match key.partition(b"/")[0]:
        case b"account":
            return plain(state.decode_account(value))
        case b"hospital":
            return _hospital(state.decode_hospital(value))
        case b"channel":
            return _channel(state.decode_channel(value))
        case b"towers":
            return plain(state.decode_towers(value))
        case b"parameters":
            return plain(state.decode_parameters(value))
        case _:
            return plain(msgspec.msgpack.decode(value))


def _hospital(hospital: state.Hospital) -> JSON:
    shown: JSON = plain(hospital)
    kinds = {number: name for name, number in KEY_KINDS.items()}
    for key in shown["keys"]:
        key["kind"] = kinds[key["kind"]]
    return shown


def _channel(channel: state.Channel) -> JSON:
    shown: JSON = plain(channel)
    return shown | {"phase": Phase(channel.phase).name.lower()}
