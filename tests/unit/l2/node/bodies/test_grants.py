"""From grant to store without a line: a grant's promise is kept to the byte, and nothing opens that should not."""

from collections.abc import Iterator
from hashlib import shake_128
from pathlib import Path

import pytest

from l1.ground.codes import Label
from l1.ground.faults import Fault, LocalError, Refused
from l2.node.bodies import Bodies, Download, GrantBody, Offered, Record, Released, Wrapper, outgoing
from l2.node.bodies.incoming import Pulled
from l2.records import RecordInfo, agree, exchange_public, key_digest, place_of, release_secret, wrap
from l2.records.body import chunk_hash

CHAIN, CHANNEL, SEED, KEK = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32, bytes([4]) * 32
CUSTODIAN = bytes([5]) * 32
ONE_TIME = bytes(range(32))
CONTENT = b'{"resourceType": "Observation"}' + bytes(range(256)) * 1000


def refused(fault: Fault) -> "pytest.RaisesExc[Refused]":
    return pytest.raises(Refused, check=lambda error: error.fault is fault)


def prepare(bodies: Bodies, content: bytes = CONTENT) -> GrantBody:
    record, _ = bodies.records.add(content, now_ms=1)
    return bodies.outgoing.prepare(record, chain=CHAIN, channel=CHANNEL, seed=SEED)


def secret_of(body: GrantBody) -> bytes:
    return release_secret(SEED, CHAIN, CHANNEL, body.key)


def offered_of(bodies: Bodies, body: GrantBody) -> Offered:
    offered = bodies.outgoing.find(CHAIN, CHANNEL, body.lock, secret_of(body))
    assert offered is not None
    return offered


def carry(offered: Offered, download: Download) -> None:
    """What a line does, without one."""
    download.accept_hashes(offered.hashes)
    first, end = min(download.missing), max(download.missing) + 1
    download.accept_chunks(first, offered.read(first, end))
    wrapper = Wrapper(bytes([8]) * 32, download.one_time_public)
    download.accept_key(wrapper.public, offered.wrap_for(wrapper))
    download.complete()


def keep(bodies: Bodies, body: GrantBody) -> Record:
    return bodies.keep_received(CHANNEL, 7, secret=secret_of(body), custodian=CUSTODIAN, now_ms=1)


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
    download = there.incoming.begin(CHAIN, CHANNEL, 7, body)
    carry(offered_of(here, body), download)
    assert there.incoming.waiting() == [(CHANNEL, 7, True)]
    record = keep(there, body)
    assert there.records.open(record.id) == CONTENT
    assert keep(there, body) == record
    here.outgoing.drop(CHANNEL, [body.lock])
    assert here.outgoing.locks() == []
    assert there.incoming.waiting() == []
    assert len([*(tmp_path / "here/records").iterdir(), *(tmp_path / "there/records").iterdir()]) == 2


def power_fails(_: object) -> None:
    raise OSError("power")


def test_a_crash_between_head_and_row_does_no_harm(
    here: Bodies, there: Bodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = prepare(here)
    carry(offered_of(here, body), there.incoming.begin(CHAIN, CHANNEL, 7, body))
    with monkeypatch.context() as patched:  # the head holds the record's key already, the row is the download's
        patched.setattr(there.index, "write", power_fails)
        with pytest.raises(OSError, match="power"):
            keep(there, body)
    assert there.incoming.begin(CHAIN, CHANNEL, 7, body).is_complete
    record = keep(there, body)
    assert keep(there, body) == record
    assert there.records.open(record.id) == CONTENT
    assert there.records.count() == 1
    assert there.incoming.waiting() == []


def test_the_grants_label_is_kept(here: Bodies, there: Bodies) -> None:
    own, _ = here.records.add(b"note", now_ms=1, info=RecordInfo(media_type=0, label=Label.V))
    body = here.outgoing.prepare(own, chain=CHAIN, channel=CHANNEL, seed=SEED)
    carry(offered_of(here, body), there.incoming.begin(CHAIN, CHANNEL, 7, body))
    record = keep(there, body)
    assert record.info.label == Label.V


def test_two_grants_of_one_record_share_nothing(here: Bodies) -> None:
    one, two = prepare(here), prepare(here)
    assert len({one.content, one.cipher_root, one.key, one.lock, two.content, two.cipher_root, two.key, two.lock}) == 8


def test_a_short_body_is_the_same_from_memory_and_from_disk(here: Bodies) -> None:
    body = prepare(here, b"a note")
    kept = offered_of(here, body).read(0, 1)
    here.outgoing.forget_kept()
    assert offered_of(here, body).read(0, 1) == kept


def test_short_bodies_in_memory_are_bounded_and_what_gives_way_is_sealed_again(
    here: Bodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "_KEPT_BYTES", 400)
    bodies = [prepare(here, f"note {number}".encode()) for number in range(9)]
    assert len(here.outgoing._kept) == 400 // bodies[0].cipher_size
    assert [chunk_hash(offered_of(here, body).read(0, 1)) for body in bodies] == [body.cipher_root for body in bodies]
    here.outgoing.drop(CHANNEL, [body.lock for body in bodies])
    assert (len(here.outgoing._kept), here.outgoing._kept_bytes) == (0, 0)


def test_what_was_erased_is_not_sent_from_memory(here: Bodies) -> None:
    record, _ = here.records.add(b"a note", now_ms=1)
    body = here.outgoing.prepare(record, chain=CHAIN, channel=CHANNEL, seed=SEED)
    here.records.erase([record])
    assert here.outgoing.find(CHAIN, CHANNEL, body.lock, secret_of(body)) is None


def test_before_the_release_nothing_opens(here: Bodies, there: Bodies) -> None:
    body = prepare(here)
    download = there.incoming.begin(CHAIN, CHANNEL, 7, body)
    with pytest.raises(LocalError, match="not here yet"):
        keep(there, body)
    with pytest.raises(LocalError, match="not here"):
        there.keep_received(CHANNEL, 9, secret=bytes(32), custodian=CUSTODIAN, now_ms=1)
    carry(offered_of(here, body), download)
    with refused(Fault.BAD_DIGEST):
        there.keep_received(CHANNEL, 7, secret=bytes(32), custodian=CUSTODIAN, now_ms=1)


def test_a_wrapped_key_that_is_not_the_named_one_is_refused(here: Bodies, there: Bodies) -> None:
    body = prepare(here)
    offered, download = offered_of(here, body), there.incoming.begin(CHAIN, CHANNEL, 7, body)
    other, one_time = bytes([9]) * 32, bytes([8]) * 32
    wrapped = wrap(
        other,
        shared=agree(one_time, download.one_time_public),
        secret=secret_of(body),
        place=place_of(CHAIN, CHANNEL, body.lock),
        root=body.cipher_root,
    )
    download.accept_key(exchange_public(one_time), wrapped)
    carry(offered, download)
    assert key_digest(other) != body.key
    with refused(Fault.BAD_DIGEST):
        keep(there, body)


def test_garbage_as_wrapped_key_is_refused_and_the_ciphertext_can_be_dropped(here: Bodies, there: Bodies) -> None:
    body = prepare(here)
    download = there.incoming.begin(CHAIN, CHANNEL, 7, body)
    download.accept_key(exchange_public(bytes([8]) * 32), bytes(48))
    carry(offered_of(here, body), download)
    with refused(Fault.BAD_CIPHERTEXT):
        keep(there, body)
    there.incoming.drop(CHANNEL, [7])
    assert there.incoming.waiting() == []
    carry(offered_of(here, body), there.incoming.begin(CHAIN, CHANNEL, 7, body))
    keep(there, body)


def test_chunks_and_hashes_that_do_not_belong_are_refused(here: Bodies, there: Bodies) -> None:
    body = prepare(here, shake_128(b"noise").digest(200_000))
    offered, download = offered_of(here, body), there.incoming.begin(CHAIN, CHANNEL, 7, body)
    for bad in (b"", offered.hashes[:-1], offered.hashes[32:] + offered.hashes[:32], offered.hashes + bytes(32)):
        with refused(Fault.BAD_PROOF):
            download.accept_hashes(bad)
    download.accept_hashes(offered.hashes)
    first = bytes(offered.read(0, 1))
    with refused(Fault.BAD_DIGEST):
        download.accept_chunks(0, first[:-1] + bytes([first[-1] ^ 1]))
    with refused(Fault.UNEXPECTED):
        download.accept_chunks(99, first)
    with refused(Fault.UNEXPECTED):
        download.accept_chunks(0, b"")
    download.accept_chunks(0, first)
    with refused(Fault.UNEXPECTED):
        download.accept_chunks(0, first)


def test_incomplete_downloads_are_not_completed(here: Bodies, there: Bodies) -> None:
    body = prepare(here)
    offered, download = offered_of(here, body), there.incoming.begin(CHAIN, CHANNEL, 7, body)
    with refused(Fault.NO_SUCH_CHUNK):
        download.complete()
    download.accept_hashes(offered.hashes)
    first, end = min(download.missing), max(download.missing) + 1
    download.accept_chunks(first, offered.read(first, end))
    with refused(Fault.NO_SUCH_CHUNK):
        download.complete()


def test_a_chunk_damaged_on_disk_is_fetched_again(here: Bodies, there: Bodies, tmp_path: Path) -> None:
    body = prepare(here)
    offered, download = offered_of(here, body), there.incoming.begin(CHAIN, CHANNEL, 7, body)
    download.accept_hashes(offered.hashes)
    download.accept_chunks(0, offered.read(0, 1))
    assert 0 not in download.missing
    (path,) = (tmp_path / "there/records").iterdir()
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    again = there.incoming.begin(CHAIN, CHANNEL, 7, body)
    assert 0 in again.missing
    assert again.one_time_public == download.one_time_public


def test_a_size_that_no_body_has_is_refused_at_once(there: Bodies, here: Bodies) -> None:
    body = prepare(here)
    fields = {name: getattr(body, name) for name in body.__struct_fields__}
    with refused(Fault.OUT_OF_BOUNDS):
        there.incoming.begin(CHAIN, CHANNEL, 7, GrantBody(**(fields | {"cipher_size": 2**47})))


def test_what_is_not_in_the_spool_is_not_found(here: Bodies) -> None:
    body = prepare(here)
    here.outgoing.drop(CHANNEL, [body.lock])
    assert here.outgoing.find(CHAIN, CHANNEL, body.lock, secret_of(body)) is None


def take(there: Bodies, here: Bodies, bodies: dict[int, GrantBody]) -> dict[int, Refused]:
    """What a gathering does, without a line."""
    wrapper = here.outgoing.wrapper(exchange_public(ONE_TIME))
    offered = {grant: offered_of(here, body) for grant, body in bodies.items()}
    came = [Pulled(grant, one.read(0, 1), one.wrap_for(wrapper)) for grant, one in offered.items()]
    take_short = there.incoming.take_short
    return take_short(CHAIN, CHANNEL, bodies, came, one_time=ONE_TIME, peer_one_time=wrapper.public)


def test_a_one_time_key_is_remembered_until_its_download_ends(there: Bodies, here: Bodies) -> None:
    bodies = {grant: prepare(here, f"note {grant}".encode()) for grant in range(2)}
    take(there, here, bodies)
    assert [there.incoming.fresh_one_time(CHANNEL, grant) for grant in (0, 1, 2)] == [ONE_TIME, ONE_TIME, None]
    kept = there.keep_all_received(CHANNEL, [Released(0, secret_of(bodies[0]))], custodian=CUSTODIAN, now_ms=2)
    there.incoming.drop(CHANNEL, [1])
    assert isinstance(kept[0], Record)
    assert [there.incoming.fresh_one_time(CHANNEL, grant) for grant in bodies] == [None, None]


def test_a_crowd_arrives_together_and_is_opened_in_parts_over_a_start(here: Bodies, tmp_path: Path) -> None:
    bodies = {grant: prepare(here, f"note {grant}".encode()) for grant in range(4)}
    released = [Released(grant, secret_of(body)) for grant, body in bodies.items()]
    with Bodies(tmp_path / "crowd", KEK) as there:
        assert take(there, here, bodies) == {}
        first = there.keep_all_received(CHANNEL, released[:2], custodian=CUSTODIAN, now_ms=2)
    with Bodies(tmp_path / "crowd", KEK) as there:
        assert sorted(there.incoming.waiting()) == [(CHANNEL, 2, True), (CHANNEL, 3, True)]
        there.incoming.drop(CHANNEL, [3])
        kept = there.keep_all_received(CHANNEL, released, custodian=CUSTODIAN, now_ms=2)
        assert isinstance(kept.pop(3), LocalError)
        assert {grant: kept[grant] for grant in first} == first
        found = [record.id for record in kept.values() if isinstance(record, Record)]
        assert [there.records.open(record) for record in found] == [b"note 0", b"note 1", b"note 2"]
        assert there.incoming.waiting() == []
