"""The hint in a ClientHello: what OpenSSL writes, and what an enemy may."""

import random
import ssl

import pytest

from l2.link import HELLO_PEEK_BYTES, SLOTS, Peeked, name_of_slot, peek_slot, slot_of


def hello(name: str | None) -> bytes:
    """The first flight of a real TLS client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


HELLO = hello(name_of_slot(0x7F))


@pytest.mark.parametrize("slot", [0, 1, 0x7F, SLOTS - 1])
def test_a_real_client_hello_names_its_slot(slot: int) -> None:
    assert peek_slot(hello(name_of_slot(slot))) == Peeked(slot)


def test_the_slot_is_the_first_byte_of_the_channels_id() -> None:
    assert slot_of(bytes([0x7F, *range(31)])) == 0x7F


@pytest.mark.parametrize(
    "name",
    [
        None,
        "harbor.example",
        "7g.slot.interward.invalid",
        "7.slot.interward.invalid",
        "07f.slot.interward.invalid",
        "7f.slot.interward.invalid.example",
        "7F.slot.interward.invalid",
        "7f.slot.interward.valid",
        "7f",
        "a",
    ],
)
def test_other_names_are_no_hint(name: str | None) -> None:
    assert peek_slot(hello(name)) == Peeked(None)


def test_byte_by_byte_it_says_how_much_is_lacking_and_then_the_same() -> None:
    for size in range(len(HELLO)):
        slot, more = peek_slot(HELLO[:size])
        assert slot is None
        assert size < more <= len(HELLO)
    assert peek_slot(HELLO) == peek_slot(HELLO + b"what comes after it") == Peeked(0x7F)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x00",
        b"\x80\x2e\x01\x00\x02",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01" + (HELLO_PEEK_BYTES - 4).to_bytes(2, "big"),
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x01\x02",
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
    ],
)
def test_what_is_no_hello_is_not_waited_for(data: bytes) -> None:
    assert peek_slot(data) == Peeked(None)


def test_nothing_asks_for_more_than_the_bound() -> None:
    most = b"\x16\x03\x01" + (HELLO_PEEK_BYTES - 5).to_bytes(2, "big")
    assert peek_slot(most) == Peeked(None, HELLO_PEEK_BYTES)


def test_any_bytes_give_an_answer() -> None:
    chance = random.Random(1)
    for _ in range(20_000):
        data = bytearray(HELLO[: chance.randrange(len(HELLO) + 1)])
        for _ in range(chance.randrange(4)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        slot, more = peek_slot(bytes(data))
        assert slot is None or 0 <= slot < SLOTS
        assert more == 0 or len(data) < more <= HELLO_PEEK_BYTES


def test_every_length_may_lie() -> None:
    """Each byte in turn takes values that lengths may have: nothing is read past the end, nothing raises."""
    for at in range(5, len(HELLO)):
        for value in (0, 1, 0x7F, 0xFF):
            slot, more = peek_slot(HELLO[:at] + bytes([value]) + HELLO[at + 1 :])
            assert more == 0
            assert slot is None or 0 <= slot < SLOTS
