"""Seeded mutation of every decoder, of the frames and of the session, whole and byte by byte."""

from random import Random

import pytest

from l1.ground.faults import Refused
from l2.link.frames import FrameReader
from l2.protocol.events import Froze, Send
from l2.protocol.messages import KNOWN, Message
from l2.protocol.phases import Phase
from tests.fuzz.decoders import Decoder, decoders, honest
from tests.fuzz.mutation import mutate
from tests.fuzz.targets import Story, check_decoder, check_frames, check_parts

ROUNDS = 150  # of each decoder; `make fuzz` goes on for as long as it is told
SESSIONS = 120


@pytest.fixture(scope="module")
def story() -> Story:
    return Story()


def test_all_decoders_are_found() -> None:
    names = {name for name, _, _ in decoders()}
    assert {"l1.rules.blocks.decode_block", "l2.protocol.batch._decode", "l2.link.hello._decode"} <= names
    assert len(names) > 40


@pytest.mark.parametrize("found", decoders(), ids=lambda found: found[0])
def test_a_decoder_gives_a_value_or_a_named_fault(found: Decoder) -> None:
    name, decode, shape = found
    chance, values = Random(f"decoder {name}"), 0
    for _ in range(ROUNDS):
        data = honest(shape, chance)
        values += check_decoder(decode, data)
        check_decoder(decode, mutate(data, chance))
        check_decoder(decode, chance.randbytes(chance.randrange(40)))
    assert values > ROUNDS // 2, "most honest values must be taken, or nothing is tried"


def test_a_decoder_takes_no_prefix_for_the_whole() -> None:
    """Byte by byte: every beginning of an honest value is a fault."""
    chance = Random("prefixes")
    for _, decode, shape in decoders():
        data = honest(shape, chance)
        taken = [size for size in range(min(len(data), 200)) if check_decoder(decode, data[:size])]
        assert taken == []


def test_a_batch_with_harmed_entries_is_refused_by_name(story: Story) -> None:
    chance = Random("batches")
    batches = [each.payload for each in story.said if each.type == Message.BATCH]
    assert batches
    for _ in range(ROUNDS * 4):
        check_parts(mutate(chance.choice(batches), chance))


def test_frames_do_not_depend_on_how_they_were_cut(story: Story) -> None:
    chance, wire = Random("frames"), story.wire()
    check_frames(wire)
    for _ in range(ROUNDS // 3):
        check_frames(mutate(wire[: chance.randrange(1, 1_500)], chance))


def test_a_session_goes_on_or_freezes_and_says_why(story: Story) -> None:
    """One message of a whole life is harmed, or comes twice, late or early."""
    chance, frozen = Random("sessions"), 0
    for _ in range(SESSIONS):
        messages = list(story.said)
        at = chance.randrange(len(messages))
        harmed = Send(messages[at].type, mutate(messages[at].payload, chance))
        other = Send(chance.choice([int(kind) for kind in Message]), messages[at].payload)
        messages[at : at + 1] = chance.choice([[harmed], [messages[at]] * 2, [], [other], [harmed, messages[at]]])
        pair = Story.hear(messages[: chance.randrange(1, len(messages) + 1)], chance)
        if pair.channels[0].phase is Phase.FROZEN:
            frozen += 1
            assert any(isinstance(effect, Froze) for effect in pair.effects[0])
    assert 0 < frozen < SESSIONS


def test_a_session_over_a_harmed_wire(story: Story) -> None:
    """The bytes themselves are harmed: what still arrives as messages is heard."""
    chance, wire = Random("wires"), story.wire()
    for _ in range(SESSIONS // 3):
        reader, messages = FrameReader(KNOWN), list[Send]()
        harmed = mutate(wire, chance)
        try:
            for at in range(0, len(harmed), 97):
                messages += [Send(kind, bytes(payload)) for kind, payload in reader.feed(harmed[at : at + 97])]
        except Refused:  # the line ends there
            pass
        Story.hear(messages, chance)
