"""Every single-chunk tamper, where bodies are sent and where they rest: refused, with its fault."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from l1.ground.faults import Fault, Refused
from l2.node.bodies import Bodies, Download, Offered
from l2.node.bodies.cells import HEAD_BYTES
from l2.records import release_secret
from l2.records.limits import CHUNK_BYTES, SEALED_CHUNK_BYTES
from tests.vectors.bodies import TAMPERS, named

CHAIN, CHANNEL, SEED = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32
CONTENT = named("content", 20 * CHUNK_BYTES)  # more than is read, opened and sent at once
LAST = 20


def refused(fault: Fault) -> "pytest.RaisesExc[Refused]":
    return pytest.raises(Refused, check=lambda error: error.fault is fault)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bodies]:
    with Bodies(tmp_path / "here", bytes(32)) as bodies:
        yield bodies


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Bodies]:
    with Bodies(tmp_path / "there", bytes(32)) as bodies:
        yield bodies


def begin(here: Bodies, there: Bodies) -> tuple[Offered, Download]:
    """A grant, and its download with all hashes known."""
    record, _ = here.records.add(CONTENT, now_ms=1)
    body = here.outgoing.prepare(record, chain=CHAIN, channel=CHANNEL, seed=SEED)
    offered = here.outgoing.find(CHAIN, CHANNEL, body.lock, release_secret(SEED, CHAIN, CHANNEL, body.key))
    assert offered is not None
    download = there.incoming.begin(CHAIN, CHANNEL, 7, body)
    download.accept_hashes(offered.hashes)
    return offered, download


Send = Callable[[Offered, Download], None]


def _changed(offered: Offered, download: Download, change: Callable[[bytes], bytes]) -> None:
    download.accept_chunks(3, change(bytes(offered.read(3, 6))))


def _flip(data: bytes) -> bytes:
    return data[:70_000] + bytes([data[70_000] ^ 1]) + data[70_001:]


def _swap(data: bytes) -> bytes:
    one, two = SEALED_CHUNK_BYTES, 2 * SEALED_CHUNK_BYTES
    return data[one:two] + data[:one] + data[two:]


def _repeat(offered: Offered, download: Download) -> None:
    for _ in range(2):
        download.accept_chunks(3, offered.read(3, 4))


def _drop(offered: Offered, download: Download) -> None:
    download.accept_chunks(0, offered.read(0, LAST))
    download.complete()


SENT: dict[str, tuple[Fault, Send]] = {
    "flip": (Fault.BAD_DIGEST, lambda o, d: _changed(o, d, _flip)),
    "swap": (Fault.BAD_DIGEST, lambda o, d: _changed(o, d, _swap)),
    "truncate": (Fault.BAD_DIGEST, lambda o, d: _changed(o, d, lambda data: data[:-1])),
    "append a byte": (Fault.BAD_DIGEST, lambda o, d: _changed(o, d, lambda data: data + b"\x00")),
    "drop": (Fault.NO_SUCH_CHUNK, _drop),
    "repeat in one message": (Fault.BAD_DIGEST, lambda o, d: _changed(o, d, lambda data: data[:65_552] + data)),
    "repeat": (Fault.UNEXPECTED, _repeat),
    "another's place": (Fault.BAD_DIGEST, lambda o, d: d.accept_chunks(4, o.read(3, 4))),
    # The last chunk is short: what follows it shows in its own hash.
    "append a chunk": (Fault.BAD_DIGEST, lambda o, d: d.accept_chunks(LAST, bytes(o.read(LAST, LAST + 1)) * 2_000)),
    "past the end": (Fault.UNEXPECTED, lambda o, d: d.accept_chunks(LAST + 1, o.read(3, 4))),
}


@pytest.mark.parametrize("tamper", SENT)
def test_a_sent_chunk_that_was_tampered_with_is_refused(here: Bodies, there: Bodies, tamper: str) -> None:
    offered, download = begin(here, there)
    fault, send = SENT[tamper]
    with refused(fault):
        send(offered, download)
    assert not download.is_complete


def chunks_of(path: Path) -> tuple[bytes, list[bytes]]:
    data = path.read_bytes()
    body = data[HEAD_BYTES:]
    return data[:HEAD_BYTES], [body[at : at + SEALED_CHUNK_BYTES] for at in range(0, len(body), SEALED_CHUNK_BYTES)]


@pytest.mark.parametrize("tamper", [name for name in TAMPERS if not name.startswith("append")])
def test_a_stored_chunk_that_was_tampered_with_is_refused(here: Bodies, tmp_path: Path, tamper: str) -> None:
    record, _ = here.records.add(CONTENT, now_ms=1)
    (path,) = (tmp_path / "here/records").iterdir()
    head, chunks = chunks_of(path)
    path.write_bytes(head + b"".join(TAMPERS[tamper](chunks)))
    with refused(Fault.BAD_CIPHERTEXT):
        here.records.open(record.id)
    with refused(Fault.BAD_CIPHERTEXT):
        here.outgoing.prepare(record, chain=CHAIN, channel=CHANNEL, seed=SEED)


@pytest.mark.parametrize("tamper", [name for name in TAMPERS if name.startswith("append")])
def test_what_was_appended_to_a_stored_body_is_never_read(here: Bodies, tmp_path: Path, tamper: str) -> None:
    record, _ = here.records.add(CONTENT, now_ms=1)
    (path,) = (tmp_path / "here/records").iterdir()
    head, chunks = chunks_of(path)
    path.write_bytes(head + b"".join(TAMPERS[tamper](chunks)))
    assert here.records.open(record.id) == CONTENT
