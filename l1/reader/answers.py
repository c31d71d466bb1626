"""The forms in which a chain's node answers: JSON with bytes in lower hex. Nothing in them is believed yet.

Pure. Source: docs/reference/chain-api.md.
"""

from typing import TypeVar

import msgspec

from l1.ground.faults import Fault, Refused
from l1.ground.sparse import SparseProof
from l1.rules.blocks import SignedHeader

__all__ = [
    "AccountAnswer",
    "BlocksAnswer",
    "ErrorAnswer",
    "HeaderForm",
    "HeadersAnswer",
    "ProofForm",
    "RowAnswer",
    "RowForm",
    "RowsAnswer",
    "StatusAnswer",
    "SubmitAnswer",
    "SubmitManyAnswer",
    "TransactionAnswer",
    "parse",
    "proof_of",
    "refused",
    "signed_header",
    "unhex",
]

T = TypeVar("T")


class HeaderForm(msgspec.Struct):
    body: str
    signature: str


class ProofForm(msgspec.Struct):
    siblings: list[str]
    leaf: str


class StatusAnswer(msgspec.Struct):
    chain: str
    name: str
    height: int
    time_ms: int
    clock_ms: int
    mempool: int


class HeadersAnswer(msgspec.Struct):
    headers: list[HeaderForm]


class BlocksAnswer(msgspec.Struct):
    blocks: list[str]


class RowForm(msgspec.Struct):
    key: str
    value: str | None
    proof: ProofForm


class RowAnswer(msgspec.Struct):
    height: int
    header: HeaderForm | None
    key: str
    value: str | None
    proof: ProofForm


class AccountAnswer(RowAnswer):
    next_nonce: int


class RowsAnswer(msgspec.Struct):
    height: int
    header: HeaderForm | None
    rows: list[RowForm]


class SubmitAnswer(msgspec.Struct):
    id: str


class FaultForm(msgspec.Struct):
    fault: str
    number: int
    detail: str
    remedy: str = ""


class ErrorAnswer(msgspec.Struct):
    error: FaultForm


class ResultForm(msgspec.Struct):
    id: str = ""
    error: FaultForm | None = None


class SubmitManyAnswer(msgspec.Struct):
    results: list[ResultForm]


class TransactionAnswer(msgspec.Struct):
    status: str
    height: int | None = None
    index: int | None = None
    count: int | None = None
    header: HeaderForm | None = None
    proof: list[str] = []
    item: str | None = None
    error: FaultForm | None = None


def parse(data: bytes, form: type[T]) -> T:
    """The answer in its form. Raises `Refused` (MALFORMED)."""
    try:
        return msgspec.json.decode(data, type=form)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(Fault.MALFORMED, f"the node's answer cannot be read ({error})") from None


def unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Refused(Fault.MALFORMED, "the node's answer holds something that is not hex") from None


def signed_header(form: HeaderForm) -> SignedHeader:
    return SignedHeader(body=unhex(form.body), signature=unhex(form.signature))


def proof_of(form: ProofForm) -> SparseProof:
    return SparseProof(siblings=tuple(unhex(s) for s in form.siblings), leaf=unhex(form.leaf))


def refused(form: FaultForm) -> Refused:
    """The node's refusal, as the same `Refused` that it raised."""
    try:
        return Refused(Fault(form.number), form.detail)
    except ValueError:
        return Refused(Fault.UNEXPECTED, f"{form.fault}: {form.detail}")
