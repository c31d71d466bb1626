"""An auditor's check of one proof file, with nothing but a verifying reader of the chain. Knows no hospital."""

from typing import Any

from l1.ground.faults import Fault, Refused
from l1.reader import Reader
from l1.rules.state import Hospital
from l2.desk.entry_words import entry_words
from l2.protocol.proof_file import proof_from_json
from l2.protocol.proofs import verify_entry_proof

__all__ = ["check_proof"]


async def check_proof(content: bytes, reader: Reader) -> dict[str, Any]:
    """What the proof shows, by the chain's verified rows. Raises `Refused` for one that does not hold."""
    proof = proof_from_json(content)
    channel = await reader.channel(proof.channel)
    if channel is None:
        raise Refused(Fault.UNKNOWN_CHANNEL, "the chain knows no such channel")
    hospitals = (
        await _hospital(reader, channel.opening.hospitals[0]),
        await _hospital(reader, channel.opening.hospitals[1]),
    )
    shown = verify_entry_proof(proof, chain=reader.chain, l1_channel=channel, hospitals=hospitals)
    return {
        "ok": True,
        "channel": proof.channel.hex(),
        "index": shown.index,
        "kind": shown.kind,
        "hospital": shown.writer.hex(),
        "hospital_name": hospitals[shown.side].name,
        "peer_name": hospitals[1 - shown.side].name,
        "size": shown.head.size,
        "settled_size": None if shown.settled is None else shown.settled.size,
        "height": reader.tip.height,
        "says": entry_words(shown.entry, shown.terms),
    }


async def _hospital(reader: Reader, hospital: bytes) -> Hospital:
    found = await reader.hospital(hospital)
    if found is None:
        raise Refused(Fault.UNKNOWN_HOSPITAL, "the chain does not know a hospital of the channel")
    return found
