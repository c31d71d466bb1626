"""From spool to store without a line: a grant's promise is kept to the byte, and nothing opens that should not."""

from collections.abc import Iterator
from hashlib import shake_128
from pathlib import Path

import pytest

from l1.ground.codes import Label
from l1.ground.faults import Fault, LocalError, Refused
from l2.node.bodies import Bodies, Download, GrantBody, Record, Spooled
from l2.records import RecordInfo, exchange_public, identify, key_digest, place_of, release_secret, wrap

CHAIN, CHANNEL, SEED, KEK = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32, bytes([4]) * 32
CUSTODIAN = bytes([5]) * 32
CONTENT = b'{"resourceType": "Observation"}' + bytes(range(256)) * 1000


def refused(fault: Fault) -> "pytest.RaisesExc[Refused]":
    return pytest.raises(Refused, check=lambda error: error.fault is fault)


def prepare(bodies: Bodies, content: bytes = CONTENT) -> GrantBody:
    return bodies.outgoing.prepare(content, identify(content), chain=CHAIN, channel=CHANNEL, seed=SEED)


def secret_of(body: GrantBody) -> bytes:
    return release_secret(SEED, CHAIN, CHANNEL, body.content)


def spooled_of(bodies: Bodies, body: GrantBody) -> Spooled:
    spooled = bodies.outgoing.find(CHANNEL, body.lock, secret_of(body))
    assert spooled is not None
    return spooled


def carry(spooled: Spooled, download: Download) -> None:
    """What a line does, without one."""
    download.accept_hashes(spooled.hashes)
    indices = sorted(download.missing)
    download.accept_chunks(list(zip(indices, spooled.read(indices), strict=True)))
    download.accept_key(*spooled.wrap_for(download.one_time_public))
    download.complete()


def keep(bodies: Bodies, body: GrantBody) -> Record:
    return bodies.keep_received(CHANNEL, 7, chain=CHAIN, secret=secret_of(body), custodian=CUSTODIAN, now_ms=1)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bodies]:
    with Bodies(tmp_path / "here", KEK) as bodies:
        yield bodies


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Bodies]:
    with Bodies(tmp_path / "there", bytes(32)) as bodies:
        yield bodies


def test_a_record_arrives_identical_and_both_sides_forget_the_rest(here: Bodies, there: Bodies, tmp_path: Path) -> None:
    body = prepare(here)
    download = there.incoming.begin(CHANNEL, 7, body)
    carry(spooled_of(here, body), download)
    assert there.incoming.waiting() == [(CHANNEL, 7, True)]
    record = keep(there, body)
    assert there.records.open(record.id) == CONTENT
    assert keep(there, body) == record
    here.outgoing.drop(CHANNEL, body.lock)
    assert here.outgoing.locks() == []
    assert there.incoming.waiting() == []
    assert [*(tmp_path / "here/outgoing").iterdir(), *(tmp_path / "there/incoming").iterdir()] == []


def test_a_crash_between_store_and_drop_does_no_harm(here: Bodies, there: Bodies) -> None:
    body = prepare(here)
    carry(spooled_of(here, body), there.incoming.begin(CHANNEL, 7, body))
    record = keep(there, body)
    carry(spooled_of(here, body), there.incoming.begin(CHANNEL, 7, body))
    assert keep(there, body) == record
    assert there.records.count() == 1
    assert there.incoming.waiting() == []


def test_the_grants_label_is_kept(here: Bodies, there: Bodies) -> None:
    info = RecordInfo(media_type=0, label=Label.V)
    body = here.outgoing.prepare(b"note", info, chain=CHAIN, channel=CHANNEL, seed=SEED)
    carry(spooled_of(here, body), there.incoming.begin(CHANNEL, 7, body))
    record = keep(there, body)
    assert record.info.label == Label.V


def test_two_grants_of_one_record_share_nothing(here: Bodies) -> None:
    one, two = prepare(here), prepare(here)
    assert len({one.content, one.cipher_root, one.key, one.lock, two.content, two.cipher_root, two.key, two.lock}) == 8


def test_before_the_release_nothing_opens(here: Bodies, there: Bodies) -> None:
    body = prepare(here)
    download = there.incoming.begin(CHANNEL, 7, body)
    with pytest.raises(LocalError, match="not here yet"):
        download.open(CHAIN, secret_of(body))
    with pytest.raises(LocalError, match="not here"):
        there.keep_received(CHANNEL, 9, chain=CHAIN, secret=bytes(32), custodian=CUSTODIAN, now_ms=1)
    carry(spooled_of(here, body), download)
    with refused(Fault.BAD_DIGEST):
        download.open(CHAIN, bytes(32))


def test_a_wrapped_key_that_is_not_the_named_one_is_refused(here: Bodies, there: Bodies) -> None:
    body = prepare(here)
    spooled, download = spooled_of(here, body), there.incoming.begin(CHANNEL, 7, body)
    other, one_time = bytes([9]) * 32, bytes([8]) * 32
    wrapped = wrap(
        other,
        one_time=one_time,
        peer=download.one_time_public,
        secret=secret_of(body),
        place=place_of(CHAIN, CHANNEL, body.lock),
        root=body.cipher_root,
    )
    download.accept_key(exchange_public(one_time), wrapped)
    carry(spooled, download)
    assert key_digest(other) != body.key
    with refused(Fault.BAD_DIGEST):
        download.open(CHAIN, secret_of(body))


def test_garbage_as_wrapped_key_is_refused_and_the_ciphertext_can_be_dropped(here: Bodies, there: Bodies) -> None:
    body = prepare(here)
    download = there.incoming.begin(CHANNEL, 7, body)
    download.accept_key(exchange_public(bytes([8]) * 32), bytes(48))
    carry(spooled_of(here, body), download)
    with refused(Fault.BAD_CIPHERTEXT):
        keep(there, body)
    there.incoming.drop(CHANNEL, 7)
    carry(spooled_of(here, body), there.incoming.begin(CHANNEL, 7, body))
    keep(there, body)


def test_chunks_and_hashes_that_do_not_belong_are_refused(here: Bodies, there: Bodies) -> None:
    body = prepare(here, shake_128(b"noise").digest(200_000))
    spooled, download = spooled_of(here, body), there.incoming.begin(CHANNEL, 7, body)
    for bad in (b"", spooled.hashes[:-1], spooled.hashes[32:] + spooled.hashes[:32], spooled.hashes + bytes(32)):
        with refused(Fault.BAD_PROOF):
            download.accept_hashes(bad)
    download.accept_hashes(spooled.hashes)
    (first,) = spooled.read([0])
    with refused(Fault.BAD_DIGEST):
        download.accept_chunks([(0, first[:-1] + bytes([first[-1] ^ 1]))])
    with refused(Fault.UNEXPECTED):
        download.accept_chunks([(99, first)])
    download.accept_chunks([(0, first)])
    with refused(Fault.UNEXPECTED):
        download.accept_chunks([(0, first)])


def test_incomplete_downloads_are_not_completed(here: Bodies, there: Bodies) -> None:
    body = prepare(here)
    spooled, download = spooled_of(here, body), there.incoming.begin(CHANNEL, 7, body)
    with refused(Fault.NO_SUCH_CHUNK):
        download.complete()
    download.accept_hashes(spooled.hashes)
    indices = sorted(download.missing)
    download.accept_chunks(list(zip(indices, spooled.read(indices), strict=True)))
    with refused(Fault.NO_SUCH_CHUNK):
        download.complete()


def test_a_chunk_damaged_on_disk_is_fetched_again(here: Bodies, there: Bodies, tmp_path: Path) -> None:
    body = prepare(here)
    spooled, download = spooled_of(here, body), there.incoming.begin(CHANNEL, 7, body)
    download.accept_hashes(spooled.hashes)
    download.accept_chunks([(0, spooled.read([0])[0])])
    assert 0 not in download.missing
    (path,) = (tmp_path / "there/incoming").iterdir()
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    again = there.incoming.begin(CHANNEL, 7, body)
    assert 0 in again.missing
    assert again.one_time_public == download.one_time_public


def test_a_size_that_no_body_has_is_refused_at_once(there: Bodies, here: Bodies) -> None:
    body = prepare(here)
    fields = {name: getattr(body, name) for name in body.__struct_fields__}
    with refused(Fault.OUT_OF_BOUNDS):
        there.incoming.begin(CHANNEL, 7, GrantBody(**(fields | {"cipher_size": 2**47})))


def test_what_is_not_in_the_spool_is_not_found(here: Bodies) -> None:
    body = prepare(here)
    here.outgoing.drop(CHANNEL, body.lock)
    assert here.outgoing.find(CHANNEL, body.lock, secret_of(body)) is None
