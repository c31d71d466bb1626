"""Records at rest: what was added comes back, is found, erased for good, and damage is noticed."""

from pathlib import Path

import lmdb
import pytest

from l1.ground.codes import RecordClass
from l1.ground.faults import Fault, LocalError, Refused
from l2.node.bodies import Bodies
from l2.records import RecordInfo

KEK = bytes(range(32))
PATIENT = b'{"resourceType": "Patient", "id": "patient-with-a-long-and-secret-name", "name": [{"family": "Example"}]}'


def refused(fault: Fault) -> "pytest.RaisesExc[Refused]":
    return pytest.raises(Refused, check=lambda error: error.fault is fault)


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_record_is_kept_over_a_restart_and_added_once(tmp_path: Path) -> None:
    with Bodies(tmp_path, KEK) as bodies:
        record, known = bodies.records.add(PATIENT, name="a.json", now_ms=5)
        assert not known
        assert bodies.records.add(PATIENT, name="b.json", now_ms=6) == (record, True)
    with Bodies(tmp_path, KEK) as bodies:
        assert bodies.records.find(record.id) == record
        assert bodies.records.open(record.id) == PATIENT
        assert bodies.records.count() == 1
        assert (record.name, record.size, record.info.record_class) == ("a.json", len(PATIENT), RecordClass.PATIENT)


def test_nothing_on_disk_tells_the_content(tmp_path: Path) -> None:
    with Bodies(tmp_path, KEK) as bodies:
        bodies.records.add(PATIENT, now_ms=5)
    disk = all_bytes(tmp_path)
    assert not any(PATIENT[i : i + 16] in disk for i in range(len(PATIENT) - 16))


def test_erased_is_gone_from_the_disk_and_can_be_added_again(tmp_path: Path) -> None:
    with Bodies(tmp_path, KEK) as bodies:
        record, _ = bodies.records.add(PATIENT, now_ms=5)
        path = bodies.cells.path(record.cell.file)
        boxed = path.read_bytes()[:76]
        bodies.records.erase([record])
        bodies.records.erase([record])
        assert not path.exists()
        assert bodies.records.search() == bodies.records.search(subject=record.info.subject) == []
        with pytest.raises(LocalError, match="no record"):
            bodies.records.open(record.id)
        assert boxed not in all_bytes(tmp_path)
        assert bodies.records.add(PATIENT, now_ms=7)[1] is False


def test_an_erasure_cut_by_a_crash_is_finished_by_the_next(tmp_path: Path) -> None:
    with Bodies(tmp_path, KEK) as bodies:
        record, _ = bodies.records.add(PATIENT, now_ms=5)
        bodies.cells.path(record.cell.file).unlink()
        with pytest.raises(LocalError):
            bodies.records.open(record.id)
        bodies.records.erase([record])
        assert bodies.records.count() == 0


def test_search_by_patient_and_class(tmp_path: Path) -> None:
    with Bodies(tmp_path, KEK) as bodies:
        infos = [RecordInfo(media_type=0, record_class=n, classes=1 << n, subjects=(f"p{n % 2}",)) for n in range(4)]
        added = [bodies.records.add(b"%d" % n, now_ms=n, info=info)[0] for n, info in enumerate(infos)]
        assert bodies.records.search() == added
        assert bodies.records.search(subject="p1") == [added[1], added[3]]
        assert bodies.records.search(subject="p1", record_class=3) == [added[3]]
        assert bodies.records.search(subject="nobody") == []


@pytest.mark.parametrize("offset", [0, 4, 40, 80, -1])
def test_damage_is_noticed(tmp_path: Path, offset: int) -> None:
    with Bodies(tmp_path, KEK) as bodies:
        record, _ = bodies.records.add(PATIENT, now_ms=5)
        path = bodies.cells.path(record.cell.file)
        data = bytearray(path.read_bytes())
        data[offset] ^= 1
        path.write_bytes(data)
        with refused(Fault.BAD_CIPHERTEXT):
            bodies.records.open(record.id)


def test_a_file_cut_short_is_noticed(tmp_path: Path) -> None:
    with Bodies(tmp_path, KEK) as bodies:
        record, _ = bodies.records.add(PATIENT * 5000, now_ms=5)
        path = bodies.cells.path(record.cell.file)
        for size in (path.stat().st_size - 1, 76, 10, 0):
            path.write_bytes(path.read_bytes()[:size])
            with pytest.raises(Refused):
                bodies.records.open(record.id)


def test_half_written_files_are_swept(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "x.part").write_bytes(b"half")
    with Bodies(tmp_path, KEK):
        assert list((tmp_path / "records").iterdir()) == []


def test_another_key_and_a_newer_schema_are_refused_clearly(tmp_path: Path) -> None:
    with Bodies(tmp_path, KEK):
        pass
    with pytest.raises(LocalError, match="another hospital's key"):
        Bodies(tmp_path, bytes(32))
    with lmdb.open(str(tmp_path / "records.mdb"), subdir=False, max_dbs=20) as env:
        meta = env.open_db(b"meta")
        with env.begin(meta, write=True) as txn:
            txn.put(b"schema", b"\x00\x04")
    with pytest.raises(LocalError, match="schema 4"):
        Bodies(tmp_path, KEK)


def test_a_file_that_is_no_index_is_refused_clearly(tmp_path: Path) -> None:
    (tmp_path / "records.mdb").write_bytes(b"junk" * 4096)
    with pytest.raises(LocalError, match="is damaged"):
        Bodies(tmp_path, KEK)


def test_a_backup_made_while_in_use_opens(tmp_path: Path) -> None:
    with Bodies(tmp_path / "live", KEK) as bodies:
        record, _ = bodies.records.add(PATIENT, now_ms=5)
        bodies.backup(tmp_path / "copy")
    with Bodies(tmp_path / "copy", KEK) as copy:
        assert copy.records.open(record.id) == PATIENT


def test_an_extract_is_in_no_list_goes_with_its_record_and_with_its_grant(tmp_path: Path) -> None:
    chain, channel, seed = bytes(32), bytes([1]) * 32, bytes([2]) * 32
    with Bodies(tmp_path, KEK) as bodies:
        whole, _ = bodies.records.add(PATIENT, now_ms=5)
        made = [bodies.records.keep_part(PATIENT, whole.info, of=whole.id, now_ms=6) for _ in range(3)]
        assert len({part.id for part in made}) == 3
        assert bodies.records.search() == bodies.records.search(subject=whole.info.subject) == [whole]
        assert (bodies.records.count(), len(bodies.records.parts(whole.id))) == (1, 3)
        granted = bodies.outgoing.prepare_all([whole, *made[:2]], chain=chain, channel=channel, seed=seed)
        bodies.drop_granted(channel, [granted[0].lock, granted[1].lock])
        assert {part.id for part in bodies.records.parts()} == {made[1].id, made[2].id}
        assert bodies.records.open(whole.id) == PATIENT
    with Bodies(tmp_path, KEK) as bodies:
        assert [part.id for part in bodies.records.parts()] == [made[1].id], "the one that no grant names is swept"
        paths = [bodies.cells.path(record.cell.file) for record in (whole, made[1])]
        bodies.records.erase([whole])
        assert bodies.records.parts() == []
        assert not any(path.exists() for path in paths)


def test_search_by_the_period_of_the_data(tmp_path: Path) -> None:
    spans = [(10, 20), (15, 30), (None, None)]
    with Bodies(tmp_path, KEK) as bodies:
        for number, (begin, end) in enumerate(spans):
            info = RecordInfo(media_type=0, from_ms=begin, until_ms=end)
            bodies.records.add(bytes([number]), name=str(number), now_ms=number, info=info)

        def names(**period: int) -> str:
            return "".join(record.name for record in bodies.records.search(**period))  # type: ignore[arg-type]

        assert (names(), names(from_ms=20), names(from_ms=21), names(until_ms=12)) == ("012", "01", "1", "0")
        assert names(from_ms=31) == names(until_ms=9) == ""
