"""Opening a channel: both hospitals sign the terms, the proposer brings them to the chain.

[OPEN-1] A hospital signs an opening only with its root key, only within the bounds of its own config, and only for a
peer that proved itself on the line. [OPEN-2] Nothing is kept of a proposal: the chain's row makes the channel.
"""

import secrets
from contextlib import suppress

import structlog

from l1.ground.codec import encode
from l1.ground.faults import Fault, LocalError, Refused, require
from l1.ground.limits import ACCOUNT_BYTES, VERSION
from l1.ground.signing import Context, Purpose, open_signed, sign
from l1.reader.client import Reader
from l1.rules.commitment import Opening, channel_id
from l1.rules.keys import counting_keys
from l1.rules.state import Hospital as Registered
from l1.rules.transactions import ROOT, SEALING, Open
from l1.serving.requests import unhex
from l2.desk import words
from l2.link import Line, LineClosed, Role, slot_of
from l2.node.hospital import Hospital
from l2.node.lines import Lines
from l2.protocol.messages import Accept, Message, Propose, decode_accept, decode_propose

__all__ = ["answer_proposal", "find_peer", "propose_channel"]

ANSWER_MS = 10_000  # how long an acknowledgement may take before it is a reason to close
EXPIRES_BLOCKS = 1_000  # an opening that was not brought to the chain by then means nothing

log = structlog.get_logger()


async def find_peer(reader: Reader, wanted: str) -> Registered:
    """A hospital by its id in hex or by its name on L1. Raises `LocalError`."""
    if (named := _id_in(wanted)) is not None and (one := await reader.hospital(named)) is not None:
        return one  # there may be a thousand others, each with a proof
    found = [one for one in await reader.hospitals() if one.name == wanted]
    if len(found) != 1:
        cause = f"the chain knows {'several hospitals' if found else 'no hospital'} called {wanted!r}"
        raise LocalError(cause, "Name it by its id; `interward chain hospital list` shows them.")
    return found[0]


def _id_in(wanted: str) -> bytes | None:
    try:
        return unhex(wanted, "a hospital's id", ACCOUNT_BYTES)
    except Refused:
        return None


async def propose_channel(hospital: Hospital, lines: Lines, wanted: words.OpenChannel) -> bytes:
    """Agree on terms with the peer and open the channel on L1; its id."""
    hospital.me()
    peer = await find_peer(hospital.reader, wanted.peer)
    if peer.id == hospital.id:
        raise LocalError("a hospital opens no channel with itself", "Name another hospital.")
    tip = hospital.reader.tip  # which the peer's row has just been read at
    opening = _new_opening(hospital, peer.id, wanted, tip.height)
    context, body, root = Context(chain=hospital.reader.chain), encode(opening), hospital.root()
    ours = sign(root, Purpose.OPENING, context, body)
    theirs = await _ask(lines, peer, Propose(opening=opening, signature=ours))
    _open_opening(peer, tip.clock_ms, context, body, theirs)
    hospital.agreed.add(channel_id(opening))
    await hospital.reader.send(root, Open(opening=opening, signatures=(ours, theirs)))
    return channel_id(opening)


def _new_opening(hospital: Hospital, peer: bytes, wanted: words.OpenChannel, height: int) -> Opening:
    """Terms of a channel that is at home in this process: its id follows from the nonce, so that is drawn until."""
    while True:
        opening = Opening(
            version=VERSION,
            chain=hospital.reader.chain,
            hospitals=(hospital.id, peer),
            nonce=secrets.token_bytes(32),
            deposits=(wanted.deposit, wanted.peer_deposit),
            bond=wanted.bond,
            window_ms=wanted.window_ms,
            answer_ms=ANSWER_MS,
            expires=height + EXPIRES_BLOCKS,
        )
        if hospital.part.keeps(channel_id(opening)):
            return opening


async def _ask(lines: Lines, peer: Registered, proposal: Propose) -> bytes:
    """The peer's signature. Raises `LocalError` if it cannot be reached or declines."""
    try:
        line = await lines.dial(peer.id, Role.CHANNEL, slot_of(channel_id(proposal.opening)))
        try:
            await line.send(Message.PROPOSE, encode(proposal))
            type_, payload = await line.receive()
        finally:
            await line.aclose()
    except LineClosed as closed:
        cause = f"{peer.name} at {peer.endpoint} cannot be asked ({closed.reason})"
        raise LocalError(cause, "Is it running? Is its endpoint on L1 right?") from None
    if type_ == Message.DECLINE:
        said = payload.decode("utf-8", "replace")[:200]
        raise LocalError(f"{peer.name} declines: {said}", "Propose other terms, or ask its operator.")
    require(type_ == Message.ACCEPT, Fault.UNEXPECTED, f"message type {type_} where ACCEPT was due")
    return decode_accept(payload).signature


def _open_opening(registered: Registered, clock_ms: int, context: Context, body: bytes, signature: bytes) -> None:
    """Raise `Refused` unless a root key of the hospital that counts now signed the opening (OPEN-4)."""
    for root in counting_keys(registered, ROOT, clock_ms):
        with suppress(Refused):
            open_signed(root.key, Purpose.OPENING, context, body, signature)
            return
    raise Refused(Fault.BAD_SIGNATURE, "no root key that counts signed the opening")


def _check_sealing(registered: Registered, clock_ms: int) -> None:
    """Both halves of a channel's secret come from sealing keys in force."""
    in_force = bool(counting_keys(registered, SEALING, clock_ms))
    require(in_force, Fault.EXPIRED, f"no sealing key of {registered.name} counts: it has to be rotated first")


async def answer_proposal(hospital: Hospital, line: Line, payload: bytes) -> None:
    """Accept or decline what the peer at the other end of the line proposes."""
    proposal: Propose = decode_propose(payload)
    opening = proposal.opening
    try:
        await _check(hospital, line, proposal)
    except Refused as refused:
        log.info("proposal declined", peer=line.peer[:4].hex(), why=refused.detail)
        await line.send(Message.DECLINE, refused.detail.encode())
        return
    signature = sign(hospital.root(), Purpose.OPENING, Context(chain=hospital.reader.chain), encode(opening))
    hospital.agreed.add(channel_id(opening))
    await line.send(Message.ACCEPT, encode(Accept(signature=signature)))


async def _check(hospital: Hospital, line: Line, proposal: Propose) -> None:
    opening, config = proposal.opening, hospital.config
    ours = opening.hospitals == (line.peer, hospital.id) and opening.version == VERSION
    require(ours, Fault.UNEXPECTED, "the opening is not between the two of us")
    require(opening.chain == hospital.reader.chain, Fault.WRONG_CHAIN, "the opening is for another chain")
    here = hospital.part.keeps(channel_id(opening))
    require(here, Fault.UNEXPECTED, "the line was made for another slot than the channel's [LINE-15]")
    require(opening.deposits[1] <= config.accept_deposit_max, Fault.OUT_OF_BOUNDS, "our deposit would be too high")
    require(opening.bond <= config.accept_bond_max, Fault.OUT_OF_BOUNDS, "the bond is too high")
    require(opening.window_ms >= config.accept_window_ms_min, Fault.OUT_OF_BOUNDS, "the window is too short")
    peer = await hospital.reader.hospital(line.peer)
    assert peer is not None
    clock_ms = hospital.reader.tip.clock_ms
    _open_opening(peer, clock_ms, Context(chain=opening.chain), encode(opening), proposal.signature)
    for each in (peer, hospital.me()):
        _check_sealing(each, clock_ms)
    mine = await hospital.reader.account(hospital.id)
    enough = mine is not None and mine.credits >= opening.deposits[1] + opening.bond
    require(enough, Fault.TOO_FEW_CREDITS, "we have too few credits for our deposit and bond")
