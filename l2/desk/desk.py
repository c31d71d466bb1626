"""The hospital's desk as an object: one method for each thing that can be asked of the node's HTTP API.

Knows paths, the bearer token and the shapes of `l2.desk.words`. Decides nothing, retries nothing: a refusal comes back
as `Refused`, a mistake of ours or an absent node as `LocalError`.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import httpx
import msgspec

from l1.ground.faults import Fault, LocalError, Refused
from l2.desk import key_words, words
from l2.desk.appending import AppendStream, open_append_stream
from l2.desk.crowds import NewRecord, encode_crowd
from l2.desk.drafts import Draft, Wait, encode_drafts
from l2.desk.problem import error_from
from l2.desk.watch_words import (
    AccessToProve,
    CaseFiled,
    CaseProof,
    CaseView,
    ProofShown,
    Quarrel,
    Receipt,
    TowerView,
    TowerWanted,
)

__all__ = ["TOKEN_FILE", "URL_FILE", "Desk"]

TOKEN_FILE = "desk.token"  # the bearer token, written once by `init`, mode 600
URL_FILE = "desk.url"  # where the running node listens, written at every start

ANSWER_S = 120.0  # openings, closes and fetches wait for blocks and for the peer
CONNECT_S = 5.0
CONNECTIONS_MAX = 32

T = TypeVar("T")
OwnOrPeer = Literal["own", "peer"]


class Desk:
    """An open desk; use it as an async context manager."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S, pool=None),
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
            trust_env=False,  # a hospital's desk is never behind a proxy; patients' data must not pass one
        )

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """The desk of the hospital that keeps its data in `folder` and is running."""
        try:
            token = (folder / TOKEN_FILE).read_text().strip()
        except OSError:
            raise LocalError(
                f"{folder} is not a hospital's folder", "Make one with `interward hospital init`."
            ) from None
        try:
            url = (folder / URL_FILE).read_text().strip()
        except OSError:
            raise LocalError(
                f"the hospital in {folder} is not running", "Start it: `interward hospital run`."
            ) from None
        return cls(url, token)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    # The hospital

    async def status(self) -> words.Status:
        return await self._get("/v1/status", words.Status)

    async def rotate(self, wanted: key_words.Rotate) -> key_words.Rotated:
        return await self._post("/v1/keys/rotate", wanted, key_words.Rotated)

    async def revoke_key(self, number: int, wanted: key_words.Revoke) -> key_words.Revoked:
        return await self._post(f"/v1/keys/{number}/revoke", wanted, key_words.Revoked)

    async def affected(self, number: int, since_ms: int | None = None) -> key_words.Affected:
        query = {} if since_ms is None else {"since_ms": str(since_ms)}
        return await self._get(f"/v1/keys/{number}/affected", key_words.Affected, query)

    async def make_root(self) -> key_words.RootMade:
        return await self._post("/v1/keys/root", None, key_words.RootMade)

    async def register_recovery(self, wanted: key_words.RegisterRecovery) -> key_words.Registered:
        return await self._post("/v1/keys/recovery", wanted, key_words.Registered)

    async def keys(self) -> list[key_words.KeyView]:
        return await self._get("/v1/keys", list[key_words.KeyView])

    async def backup(self, to: Path) -> words.BackupDone:
        return await self._post("/v1/backup", words.Backup(to=str(to)), words.BackupDone)

    async def disputes(self) -> list[CaseView]:
        return await self._get("/v1/disputes", list[CaseView])

    async def dispute(self, channel: str, number: int) -> CaseProof:
        return await self._get(f"/v1/disputes/{channel}/{number}", CaseProof)

    async def file_dispute(self, channel: str, number: int) -> CaseFiled:
        return await self._post(f"/v1/disputes/{channel}/{number}/file", None, CaseFiled)

    async def learn(self, proof: str) -> list[CaseView]:
        """The cases that an entry proof which somebody was shown makes, together with what the hospital holds."""
        return await self._post("/v1/disputes/learn", ProofShown(proof=proof), list[CaseView])

    async def quarrels(self, channel: str) -> list[Quarrel]:
        return await self._get(f"/v1/channels/{channel}/quarrels", list[Quarrel])

    async def prove_access(self, channel: str, access: int) -> CaseProof:
        return await self._post(f"/v1/channels/{channel}/prove", AccessToProve(access=access), CaseProof)

    async def demand(self, channel: str, receipt: int) -> CaseFiled:
        return await self._post(f"/v1/channels/{channel}/demand", Receipt(receipt=receipt), CaseFiled)

    async def towers(self) -> list[TowerView]:
        return await self._get("/v1/towers", list[TowerView])

    async def add_tower(self, wanted: TowerWanted) -> TowerView:
        return await self._post("/v1/towers", wanted, TowerView)

    async def remove_tower(self, tower: str) -> None:
        await self._ask("POST", f"/v1/towers/{tower}/remove")

    async def metrics(self) -> str:
        return (await self._ask("GET", "/metrics")).text

    async def events(self) -> AsyncIterator[str]:
        """What happens at the hospital from now on: one JSON text per event, for as long as the node runs."""
        async with self._http.stream("GET", "/v1/events", timeout=None) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    yield line[5:].strip()

    # Channels

    async def open_channel(self, wanted: words.OpenChannel) -> str:
        return (await self._post("/v1/channels", wanted, words.Opened)).channel

    async def channels(self) -> list[words.ChannelView]:
        return await self._get("/v1/channels", list[words.ChannelView])

    async def channel(self, channel: str) -> words.ChannelView:
        return await self._get(f"/v1/channels/{channel}", words.ChannelView)

    async def story(self, channel: str) -> words.Story:
        return await self._get(f"/v1/channels/{channel}/story", words.Story)

    async def deposit(self, channel: str, amount: int) -> None:
        await self._ask("POST", f"/v1/channels/{channel}/deposit", msgspec.json.encode(words.Amount(amount=amount)))

    async def checkpoint(self, channel: str) -> words.Checkpointed:
        return await self._post(f"/v1/channels/{channel}/checkpoint", None, words.Checkpointed)

    async def close(self, channel: str, *, alone: bool = False, lost: bool = False) -> words.Closed:
        return await self._post(
            f"/v1/channels/{channel}/close", words.CloseChannel(alone=alone, lost=lost), words.Closed
        )

    async def challenge(self, channel: str) -> None:
        await self._ask("POST", f"/v1/channels/{channel}/challenge")

    async def settle(self, channel: str) -> words.Settled:
        return await self._post(f"/v1/channels/{channel}/settle", None, words.Settled)

    # Entries

    async def append(self, channel: str, drafts: Sequence[Draft], *, wait: Wait = "receipt") -> words.Written:
        """Write entries; returns once the peer has acknowledged them, or (`durable`) once they are on our disk."""
        return await self.append_encoded(channel, encode_drafts(list(drafts)), wait=wait)

    async def append_encoded(self, channel: str, drafts: bytes, *, wait: Wait = "receipt") -> words.Written:
        path = f"/v1/channels/{channel}/entries"
        answer = await self._ask("POST", path, drafts, content_type="application/msgpack", query={"wait": wait})
        return _decode(answer.content, words.Written)

    def appending(self, channel: str, *, wait: Wait = "receipt") -> AbstractAsyncContextManager[AppendStream]:
        """A stream of appends, for a program that writes all day: far cheaper than a request for each."""
        return open_append_stream(self.url, self._http.headers["authorization"], channel, wait)

    async def entries(self, channel: str, *, side: OwnOrPeer, start: int, count: int) -> list[words.Entry]:
        query = {"side": side, "from": str(start), "count": str(count)}
        return await self._get(f"/v1/channels/{channel}/entries", list[words.Entry], query)

    # Consents and requests

    async def grant_consent(self, wanted: words.ConsentWanted) -> int:
        return (await self._post("/v1/consents", wanted, words.Index)).index

    async def consents(self) -> list[words.ConsentView]:
        return await self._get("/v1/consents", list[words.ConsentView])

    async def withdraw_consent(self, channel: str, index: int) -> None:
        await self._ask("POST", f"/v1/consents/{channel}/{index}/withdraw")

    async def request(self, wanted: words.RecordWanted) -> int:
        return (await self._post("/v1/requests", wanted, words.Index)).index

    async def requests(self) -> list[words.RequestView]:
        return await self._get("/v1/requests", list[words.RequestView])

    # Records

    async def add_record(
        self, content: bytes | AsyncIterable[bytes], *, name: str = "", label: str = ""
    ) -> words.RecordAdded:
        """Take a record in, from memory or in pieces. `label`: what a person says, whatever codes are inside."""
        path, kind = "/v1/records", "application/octet-stream"
        answer = await self._ask("POST", path, content, content_type=kind, name=name, label=label)
        return _decode(answer.content, words.RecordAdded)

    async def add_crowd(self, crowd: Sequence[NewRecord], *, label: str = "") -> list[words.AddedOne]:
        """Take many short records in, in one request; what became of each, in their order."""
        path, kind = "/v1/records/crowd", "application/msgpack"
        answer = await self._ask("POST", path, encode_crowd(tuple(crowd)), content_type=kind, label=label)
        return _decode(answer.content, list[words.AddedOne])

    async def records(self, **filters: str) -> list[words.RecordView]:
        """`filters`: patient, class, label, origin, from_ms, until_ms."""
        return await self._get("/v1/records", list[words.RecordView], filters)

    async def record(self, record: str) -> words.RecordView:
        return await self._get(f"/v1/records/{record}", words.RecordView)

    async def pieces(self, record: str) -> words.Pieces:
        return await self._get(f"/v1/records/{record}/pieces", words.Pieces)

    async def content(self, record: str, *, practitioner: str, role: str, purpose: str) -> bytes:
        """The record's plain bytes. For a received record an `access` entry is durable before they are shown."""
        pieces = self.content_pieces(record, practitioner=practitioner, role=role, purpose=purpose)
        return b"".join([piece async for piece in pieces])

    async def content_pieces(
        self, record: str, *, practitioner: str, role: str, purpose: str
    ) -> AsyncGenerator[bytes, None]:
        """The same in pieces, for a record that may be larger than memory. It counts once it has ended unraised."""
        query = {"practitioner": practitioner, "role": role, "purpose": purpose}
        path = f"/v1/records/{record}/content"
        try:
            async with self._http.stream("GET", path, params=query) as answer:
                if answer.is_error:
                    raise error_from(answer.status_code, await answer.aread())
                async for piece in answer.aiter_bytes():
                    yield piece
        except httpx.TransportError as error:
            raise self._silent(error) from None

    async def share(self, record: str, wanted: words.Share) -> words.Granted:
        return await self._post(f"/v1/records/{record}/share", wanted, words.Granted)

    async def grants(self, channel: str, *, is_open: bool = False) -> list[words.GrantView]:
        """The newest of both sides; `is_open`: of the peer's the oldest that could be fetched and are not."""
        state = "open" if is_open else "all"
        return await self._get("/v1/grants", list[words.GrantView], {"channel": channel, "state": state})

    async def fetch(self, channel: str, grant: int) -> words.Fetched:
        return await self._post(f"/v1/grants/{channel}/{grant}/fetch", None, words.Fetched)

    async def share_many(self, records: Sequence[str], wanted: words.Share) -> tuple[int, ...]:
        """Grants of several records on the same terms, in their order: all of them, or none."""
        many = words.ShareMany(records=tuple(records), share=wanted)
        return (await self._post("/v1/shares", many, words.GrantedMany)).grants

    async def share_each(self, records: Sequence[str], wanted: words.Share) -> tuple[words.SharedOne, ...]:
        """What became of each record, in their order."""
        many = words.ShareMany(records=tuple(records), share=wanted, each=True)
        return (await self._post("/v1/shares", many, words.GrantedMany)).shared

    async def fetch_many(self, channel: str, grants: Sequence[int]) -> list[words.FetchedOne]:
        """What became of each grant, in their order."""
        many = words.FetchMany(grants=tuple(grants))
        return await self._post(f"/v1/grants/{channel}/fetch", many, list[words.FetchedOne])

    async def erase(self, record: str) -> words.ErasureView:
        """Erase a record, and ask the peers that hold copies; asked again, it says how far that has come."""
        return await self._post(f"/v1/records/{record}/erase", None, words.ErasureView)

    async def retention(self) -> words.RetentionView:
        return await self._get("/v1/retention", words.RetentionView)

    async def hold(self, wanted: words.HoldWanted) -> words.HoldView:
        return await self._post("/v1/retention/hold", wanted, words.HoldView)

    async def unhold(self, wanted: words.HoldWanted) -> words.HoldEnded:
        return await self._post("/v1/retention/unhold", wanted, words.HoldEnded)

    async def after_close(self) -> list[words.ClosedAccessView]:
        """Accesses to received records after their channels had closed; each line has been verified."""
        return await self._get("/v1/audit/after-close", list[words.ClosedAccessView])

    async def transfers(self) -> list[words.TransferView]:
        return await self._get("/v1/transfers", list[words.TransferView])

    async def revoke(self, channel: str, grant: int) -> None:
        await self._ask("POST", f"/v1/grants/{channel}/{grant}/revoke")

    # Audit

    async def prove(self, wanted: words.Prove) -> bytes:
        """The proof file of one entry, as `l2.protocol.proof_file` reads it; it has not been verified."""
        fields = await self._post("/v1/audit/prove", wanted, dict[str, Any])
        return (json.dumps(fields, indent=2) + "\n").encode()

    async def audit_log(self, **filters: str) -> list[words.Entry]:
        """`filters`: channel, patient, practitioner, side, from, count."""
        return await self._get("/v1/audit/log", list[words.Entry], filters)

    async def verify_log(self, channel: str) -> words.LogVerified:
        return await self._post("/v1/audit/verify", words.Verify(channel=channel), words.LogVerified)

    # HTTP

    async def _get(self, path: str, shape: type[T], query: dict[str, str] | None = None) -> T:
        return _decode((await self._ask("GET", path, query=query)).content, shape)

    async def _post(self, path: str, asked: words.Word | None, shape: type[T]) -> T:
        body = b"{}" if asked is None else msgspec.json.encode(asked)
        return _decode((await self._ask("POST", path, body)).content, shape)

    async def _ask(
        self,
        method: str,
        path: str,
        body: bytes | AsyncIterable[bytes] = b"",
        *,
        content_type: str = "application/json",
        query: dict[str, str] | None = None,
        name: str = "",
        label: str = "",
    ) -> httpx.Response:
        headers = {"content-type": content_type} if method == "POST" else {}
        if label:
            headers["x-interward-label"] = label
        if name:
            headers["x-interward-name"] = "".join(c if " " <= c <= "~" else "?" for c in name)
        try:
            answer = await self._http.request(method, path, content=body, headers=headers, params=query)
        except httpx.TransportError as error:
            raise self._silent(error) from None
        if answer.is_error:
            raise error_from(answer.status_code, answer.content)
        return answer

    def _silent(self, error: httpx.TransportError) -> LocalError:
        if isinstance(error, httpx.TimeoutException):
            return LocalError(f"the hospital at {self.url} does not answer", "Look at its log; ask again.")
        cause = f"no hospital answers at {self.url} ({error or type(error).__name__})"
        return LocalError(cause, "Start it: `interward hospital run`.")


def _decode(body: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(Fault.MALFORMED, f"the hospital's answer does not decode ({error})") from None
