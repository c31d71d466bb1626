"""What this machine does without us: the bare cipher on one core, and copies of a file over the loopback.

Knows the cipher that bodies are sealed with, and the tools that people would use otherwise, where they are installed.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from client.processes import free_port
from l2.records.cipher import BodyCipher
from l2.records.limits import CHUNK_BYTES

__all__ = ["measure_cipher", "measure_copies"]

CHUNKS = 4_096  # 256 MiB
READY_S = 10.0


def _rate(work: Callable[[], object], size: int) -> float:
    began = time.perf_counter()
    work()
    return size / (time.perf_counter() - began) / 1e6


def measure_cipher() -> dict[str, float]:
    """MB/s on one core: XChaCha20-Poly1305 over chunks as libsodium has it (`pipeline`: sealed and then opened), and as
    OpenSSL has it under the derived subkey, which is what long bodies use."""
    found: dict[str, float] = {}
    plain, size = os.urandom(CHUNK_BYTES), CHUNKS * CHUNK_BYTES
    for name, index in (("libsodium", 0), ("openssl", 1)):
        cipher = BodyCipher(os.urandom(32), bytes(32))
        sealed = cipher.seal(plain, index, False)
        found[f"{name}_seal_mb_s"] = round(_rate(lambda c=cipher, i=index: _times(c.seal, plain, i), size), 1)  # type: ignore[misc]
        found[f"{name}_open_mb_s"] = round(_rate(lambda c=cipher, i=index, s=sealed: _times(c.open, s, i), size), 1)  # type: ignore[misc]
        both = 1 / found[f"{name}_seal_mb_s"] + 1 / found[f"{name}_open_mb_s"]
        found[f"{name}_pipeline_mb_s"] = round(1 / both, 1)
    found["pipeline_mb_s"] = found["libsodium_pipeline_mb_s"]
    return found


def _times(work: Callable[[bytes, int, bool], bytes], data: bytes, index: int) -> None:
    for _ in range(CHUNKS):
        work(data, index, False)


def measure_copies(folder: Path, size: int) -> dict[str, Any]:
    """MB/s of copying a file of that size: to the same disk with a sync, and over the loopback by scp and rsync."""
    folder.mkdir(parents=True)
    source = folder / "source"
    noise = os.urandom(1024 * 1024)
    with source.open("wb") as file:
        for _ in range(size // len(noise)):
            file.write(noise)
        file.flush()
        os.fsync(file.fileno())
    found: dict[str, Any] = {"disk": round(_rate(lambda: _copy(source, folder / "copy"), size), 1)}
    with _ssh_server(folder) as server:
        for tool in ("scp", "rsync"):
            found[tool] = None
            if server is not None and shutil.which(tool):
                began = time.perf_counter()
                command = server(tool, source, folder / tool)
                done = subprocess.run(command, capture_output=True, check=False)
                if done.returncode == 0:
                    found[tool] = round(size / (time.perf_counter() - began) / 1e6, 1)
    shutil.rmtree(folder)
    return found


def _copy(source: Path, to: Path) -> None:
    with source.open("rb") as reading, to.open("wb") as writing:
        shutil.copyfileobj(reading, writing, 1024 * 1024)
        writing.flush()
        os.fsync(writing.fileno())


@contextmanager
def _ssh_server(folder: Path) -> Iterator[Callable[[str, Path, Path], list[str]] | None]:
    """An sshd of our own on a free port, with keys of its own; None where none is installed."""
    sshd, keygen = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin"), shutil.which("ssh-keygen")
    if sshd is None or keygen is None:
        yield None
        return
    key, host = folder / "key", folder / "host"
    for path in (key, host):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    (folder / "authorized").write_bytes(key.with_suffix(".pub").read_bytes())
    port = free_port()
    settings = (
        *("-o", f"AuthorizedKeysFile={folder}/authorized", "-o", "StrictModes=no", "-o", f"HostKey={host}"),
        *("-o", "Subsystem=sftp internal-sftp"),  # which scp speaks since OpenSSH 9
        *("-o", f"Port={port}", "-o", "ListenAddress=127.0.0.1", "-o", "PidFile=none", "-o", "UsePAM=no"),
    )
    server = subprocess.Popen([sshd, "-D", "-f", "/dev/null", *settings], stderr=subprocess.DEVNULL)
    options = ["-i", str(key), "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder}/known"]
    try:
        _wait_for(port)

        def command(tool: str, source: Path, to: Path) -> list[str]:
            if tool == "scp":
                return ["scp", "-q", "-B", "-P", str(port), *options, str(source), f"127.0.0.1:{to}"]
            shell = " ".join(["ssh", "-p", str(port), *options])
            return ["rsync", "-W", "-e", shell, str(source), f"127.0.0.1:{to}"]

        yield command
    finally:
        server.terminate()
        server.wait()


def _wait_for(port: int) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
