"""What is fuzzed, each a function of bytes that returns or raises `AssertionError`: nothing else may come out of it."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from l1.ground.faults import Fault, Refused
from l1.rules.log.entries import Withdraw
from l1.rules.log.leaves import decode_parts
from l2.link.frames import FrameReader, FrameWriter, Message
from l2.protocol.batch import decode_batch
from l2.protocol.events import AskClose, MessageReceived, Send
from l2.protocol.messages import KNOWN
from tests.fuzz.decoders import spelled
from tests.unit.l2.protocol.stories import CONSENTED, access, access_terms, granted, write
from tests.unit.l2.protocol.world import NOW_MS, Pair

__all__ = ["Story", "check_decoder", "check_frames", "check_parts"]


def check_decoder(decode: Callable[[bytes], Any], data: bytes) -> bool:
    """A value, spelled as it came, or a fault. Whether it was a value."""
    fault, value = None, None
    try:
        value = decode(data)
    except Refused as refused:
        fault = refused.fault
    if fault is not None:
        assert fault in (Fault.MALFORMED, Fault.NOT_CANONICAL, Fault.TOO_LARGE)
        return False
    assert spelled(value) == data, "one meaning, one spelling"
    return True


def check_parts(data: bytes) -> None:
    """A batch and the entries in it."""
    try:
        batch = decode_batch(data)
        entries, _ = decode_parts(batch.publics, batch.privates)
    except Refused:
        return
    assert len(entries) == batch.size


def check_frames(data: bytes) -> None:
    """The same messages and the same fault, whole and byte by byte."""
    assert _read([data]) == _read([data[at : at + 1] for at in range(len(data))])


def _read(pieces: Sequence[bytes]) -> tuple[list[Message], Fault | None]:
    reader, taken = FrameReader(KNOWN, 4_096), list[Message]()
    try:
        for piece in pieces:
            taken += [(kind, bytes(payload)) for kind, payload in reader.feed(piece)]
        taken += reader.feed(b"")
    except Refused as refused:
        return taken, refused.fault
    return taken, None


class Story:
    """Two hospitals in the middle of their work. What one of them says next is harmed; the other takes it."""

    def __init__(self) -> None:
        self.said = self._rehearse()

    def _rehearse(self) -> list[Send]:
        """Everything that side 1 says to side 0 in a whole life of the channel."""
        pair, heard = Pair(), list[Send]()
        deliver = pair.do

        def listen(side: int, *events: Any) -> Any:
            heard.extend(Send(e.type, e.payload) for e in events if side == 0 and isinstance(e, MessageReceived))
            return deliver(side, *events)

        pair.do = listen  # type: ignore[method-assign]
        index = granted(pair)
        pair.append(1, [access(index)] * 3, [access_terms()] * 3)
        write(pair, 0, Withdraw(time=NOW_MS + 2, consent=0))
        pair.restart(1)
        pair.restart(0)
        write(pair, 1, *CONSENTED)
        pair.do(1, AskClose(alone=False, lost=False))
        pair.settle()
        return heard

    def wire(self) -> bytes:
        """All of it, as it goes over a line."""
        return FrameWriter().join([(int(each.type), each.payload) for each in self.said])

    @staticmethod
    def hear(messages: Sequence[Send], chance: Random) -> Pair:
        """A channel in some state takes these messages: whatever they are, it goes on, or freezes and says why."""
        pair = Pair()
        index = granted(pair)
        if chance.random() < 0.5:
            pair.append(1, [access(index)], [access_terms()])
        if chance.random() < 0.3:
            pair.crash(0)
            pair.connect()
        for message in messages:
            pair.do(0, MessageReceived(int(message.type), message.payload))
        pair.words.check()
        pair._check_reload(pair.channels[0], pair._load(0, fresh=False))
        return pair
