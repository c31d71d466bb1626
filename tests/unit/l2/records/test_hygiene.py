"""What a library has to say about a header never reaches the log: it may quote what stands there."""

import subprocess
import sys

NAME = b"a name that is far too long" * 4


def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    """A short element in explicit little endian (PS3.5, section 7.1.2)."""
    value += b" " * (len(value) % 2)
    return group.to_bytes(2, "little") + number.to_bytes(2, "little") + kind + len(value).to_bytes(2, "little") + value


def odd_header() -> bytes:
    """A DICOM file whose reader has something to say about a value."""
    meta = element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1\x00")
    begin = bytes(128) + b"DICM" + element(2, 0, b"UL", len(meta).to_bytes(4, "little")) + meta
    return begin + element(0x10, 0x20, b"LO", NAME)


LOOK = """
import sys
{hush}
from l2.records import identify
identify(sys.stdin.buffer.read())
"""


def say(hush: str) -> bytes:
    done = subprocess.run(
        [sys.executable, "-c", LOOK.format(hush=hush)], input=odd_header(), capture_output=True, check=True
    )
    return done.stdout + done.stderr


def test_a_node_logs_nothing_of_an_odd_header() -> None:
    assert b"UserWarning" in say("")  # or else there is nothing to hush
    assert say("from l1.serving.process import log_to_stderr; log_to_stderr()") == b""
