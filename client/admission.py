"""Admitting a hospital: what its `init` wrote for the registrar, and what the registrar's key says to the chain.

Knows the admission file and the registrar's sealed key. The chain checks everything again.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from l1.ground.faults import LocalError
from l1.ground.sealed import open_sealed
from l1.ground.signing import PrivateKey
from l1.reader import Included, Reader
from l1.rules.transactions import Admit, Transfer, account_of
from l1.serving.files import read_file

__all__ = ["admit", "read_admission", "registrar_of"]

DEADLINE_S = 30.0


class _Admission(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    endpoint: str
    root: str
    channel: str
    tls: str
    sealing: str
    possession: str


def read_admission(content: bytes) -> Admit:
    """The admission that a hospital asks for. Raises `LocalError` for a file that is none."""
    try:
        form = msgspec.json.decode(content, type=_Admission)
        return Admit(
            name=form.name,
            endpoint=form.endpoint,
            root=bytes.fromhex(form.root),
            channel=bytes.fromhex(form.channel),
            tls=bytes.fromhex(form.tls),
            sealing=bytes.fromhex(form.sealing),
            possession=bytes.fromhex(form.possession),
        )
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        remedy = "Use the admission.json that `interward hospital init` wrote."
        raise LocalError(f"this is not an admission ({error})", remedy) from None


def registrar_of(folder: Path | None, password: Callable[[], str]) -> PrivateKey:
    """The registrar's key in a chain's folder. Raises `LocalError` without one, `Refused` for a wrong password."""
    if folder is None:
        raise LocalError("the registrar's key is not named", "Give --folder: the chain's folder with registrar.key.")
    sealed = read_file(folder / "registrar.key", "Use the folder that `interward chain init` made.")
    return PrivateKey(open_sealed(sealed, password()))


async def admit(reader: Reader, registrar: PrivateKey, admission: Admit, gift: int) -> tuple[bytes, Included]:
    """Admit the hospital and give it its first credits (`gift`). Its id, and the block that admitted it."""
    included = await reader.send(registrar, admission, DEADLINE_S)
    hospital = account_of(admission.root)
    if gift:
        await reader.send(registrar, Transfer(to=hospital, amount=gift), DEADLINE_S)
    return hospital, included
