"""`interward bench floor`: the bare pipeline, which no hospital here can outrun: the limit to measure others against.

Two processes over TLS on loopback. The writer encodes entries, hashes leaves and tree, signs one commitment a batch,
commits it and sends it; the reader decodes (with the canonical check), hashes, opens the signature, commits, and
answers with a signature of its own. A commit is a hospital's: a record in the same journal with one flush, and what has
gathered is written back to LMDB, synced, in a thread meanwhile; but of a batch there is only the batch itself, one row.
The same entries, codec, trees, signatures and TLS as a hospital's, and a window as wide; no fold, no event loop, no
desk, no recovery, no refusals.
"""

import argparse
import json
import secrets
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lmdb
import trio

from client.bench.floor_entries import entries_of
from client.progress import Bars
from l1.ground.hashing import digest
from l1.ground.limits import FRAME_BYTES_MAX, VERSION
from l1.ground.merkle import EMPTY_ROOT, Frontier
from l1.ground.signing import Context, PrivateKey, Purpose
from l1.rules.commitment import Commitment, open_commitment, sign_shape
from l1.rules.log.leaves import decode_parts, encode_parts, leaf_hashes
from l1.serving.journal import RUN_BYTES, Row, encode_record, encode_rows
from l1.serving.journal_file import JournalFile
from l1.serving.limits import AREA_BYTES, WRITE_BACK_BYTES
from l2.link.tls import Credentials, make_certificate
from l2.protocol.batch import Salts, decode_batch, encode_batch
from l2.protocol.limits import WINDOW_BATCHES

__all__ = ["bench_floor"]

CONTEXT = Context(chain=digest(b"chain"), channel=digest(b"channel"))
KEYS = (PrivateKey(digest(b"writer")), PrivateKey(digest(b"reader")))
SECRET = digest(b"secret")
WARM_UP_BATCHES = 20
SWITCH_S = 0.00005  # as a hospital's: whoever writes back gets the interpreter when it asks for it


async def bench_floor(folder: Path, updates: int, *, batch: int, seed: int, bars: Bars) -> dict[str, Any]:
    """Run it in an empty folder: two child processes of this module."""
    command = [sys.executable, "-m", "client.bench.floor", str(folder), str(updates), str(batch), str(seed)]
    with bars.stage("The bare pipeline"):
        done = await trio.run_process([*command], capture_stdout=True)
    rate: dict[str, Any] = json.loads(done.stdout)
    return rate


class _Store:
    """Batches on disk: written ahead to a journal, and written back to LMDB by a thread."""

    def __init__(self, path: Path) -> None:
        self._run, self._number = secrets.token_bytes(RUN_BYTES), 0
        self._journal = JournalFile(path.with_suffix(".journal"), AREA_BYTES, self._run, bytes(RUN_BYTES))
        self._environment = lmdb.open(str(path), subdir=False, map_size=1 << 40)
        self._gathered, self._size = list[Row](), 0
        self._thread = ThreadPoolExecutor(1)
        self._older = self._thread.submit(self._write_back, [])

    def commit(self, row: Row) -> None:
        """Return once it is on the disk."""
        self._number += 1
        record = encode_record(self._run, self._number, encode_rows([row]))
        if not self._journal.fits(len(record)) or (self._size >= WRITE_BACK_BYTES and self._older.done()):
            self._older.result()
            self._older = self._thread.submit(self._write_back, self._gathered)
            self._gathered, self._size = [], 0
            self._journal.switch()
        self._journal.append(record)
        self._gathered.append(row)
        self._size += len(row[1])

    def _write_back(self, rows: Sequence[Row]) -> None:
        with self._environment.begin(write=True) as writing, writing.cursor() as cursor:
            cursor.putmulti(rows)


class _Half:
    """One side: its line, its store, and the log that travels."""

    def __init__(self, side: int, line: ssl.SSLSocket, folder: Path) -> None:
        self.side, self.line = side, line
        self._store = _Store(folder / f"{side}.mdb")
        self.salts = Salts(SECRET, 0)
        self.frontier = Frontier()

    def commit(self, message: bytes) -> None:
        self._store.commit((self.frontier.size.to_bytes(8, "big"), message))

    def sign(self, size: int, root: bytes) -> Any:
        commitment = Commitment(
            version=VERSION,
            chain=CONTEXT.chain,
            channel=CONTEXT.channel,
            side=self.side,
            size=size,
            root=root,
            spent=0,
            seen_size=0,
            seen_root=EMPTY_ROOT,
            height=1,
        )
        return sign_shape(KEYS[self.side], 1, Purpose.COMMITMENT, CONTEXT, commitment)

    def send(self, message: bytes) -> None:
        self.line.sendall(len(message).to_bytes(4, "big") + message)

    def receive(self) -> bytes:
        return self._exactly(int.from_bytes(self._exactly(4), "big"))

    def _exactly(self, count: int) -> bytes:
        assert count <= FRAME_BYTES_MAX
        data, filled = memoryview(bytearray(count)), 0
        while filled < count:
            got = self.line.recv_into(data[filled:])
            if not got:
                raise SystemExit(0)
            filled += got
        return bytes(data)


def _write(half: _Half, batches: Sequence[tuple[Sequence[Any], Sequence[Any]]]) -> float:
    """All batches, up to a window of them unanswered. Seconds for all but the first few."""
    unanswered, began = 0, 0.0
    for number, (entries, terms) in enumerate(batches):
        if number == WARM_UP_BATCHES:
            began = time.perf_counter()
        publics, privates = encode_parts(entries, terms)
        salts = half.salts.span(half.frontier.size, len(entries))
        half.frontier, _ = half.frontier.extend(leaf_hashes(publics, privates, salts))
        message = encode_batch(publics, privates, half.sign(half.frontier.size, half.frontier.root()))
        half.commit(message)
        half.send(message)
        unanswered += 1
        while unanswered == WINDOW_BATCHES or (unanswered and number == len(batches) - 1):
            answer = decode_batch(half.receive())
            open_commitment(answer.commitment, CONTEXT, KEYS[1].public_key)
            unanswered -= 1
    return time.perf_counter() - began


def _read(half: _Half) -> None:
    while True:
        message = half.receive()
        batch = decode_batch(message)
        commitment = open_commitment(batch.commitment, CONTEXT, KEYS[0].public_key)
        decode_parts(batch.publics, batch.privates)
        salts = half.salts.span(half.frontier.size, batch.size)
        half.frontier, _ = half.frontier.extend(leaf_hashes(batch.publics, batch.privates, salts))
        assert half.frontier.root() == commitment.root
        half.commit(message)
        half.send(encode_batch(b"\x91\x90", b"\x90", half.sign(commitment.size, commitment.root)))


def _serve(folder: Path) -> None:
    credentials = Credentials(make_certificate(digest(b"tls"), "floor", time.time_ns() // 1_000_000))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        raw, _ = listener.accept()
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    credentials.server.verify_mode = ssl.CERT_NONE
    with credentials.server.wrap_socket(raw, server_side=True) as line:
        _read(_Half(1, line, folder))


def _drive(folder: Path, updates: int, batch: int, seed: int) -> dict[str, Any]:
    batches = entries_of(updates + WARM_UP_BATCHES * batch, batch, seed)
    with subprocess.Popen(
        [sys.executable, "-m", __spec__.name, str(folder)], stdout=subprocess.PIPE, text=True
    ) as peer:
        assert peer.stdout is not None
        raw = socket.create_connection(("127.0.0.1", int(peer.stdout.readline())))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        credentials = Credentials(make_certificate(digest(b"tls"), "floor", time.time_ns() // 1_000_000))
        with credentials.client.wrap_socket(raw) as line:
            seconds = _write(_Half(0, line, folder), batches)
    measured = sum(len(entries) for entries, _ in batches[WARM_UP_BATCHES:])
    return {
        "updates": measured,
        "batch": batch,
        "seconds": round(seconds, 3),
        "updates_per_s": round(measured / seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    sys.setswitchinterval(SWITCH_S)
    parser.add_argument("folder", type=Path)
    parser.add_argument("numbers", type=int, nargs="*")
    asked = parser.parse_args()
    if asked.numbers:
        sys.stdout.write(json.dumps(_drive(asked.folder, *asked.numbers)) + "\n")
    else:
        _serve(asked.folder)


if __name__ == "__main__":
    main()
