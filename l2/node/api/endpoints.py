"""What a desk may ask of its hospital: one table; routes, OpenAPI document and reference page come from it."""

from typing import Any, NamedTuple

from l2.desk import key_words, watch_words, words
from l2.desk.crowds import CROWD_BYTES_MAX, CROWD_MAX
from l2.desk.drafts import DRAFTS_BYTES_MAX, DRAFTS_MAX, UNDER_WAY_MAX
from l2.node.api.handlers import ENTRIES_PER_ANSWER
from l2.records.limits import CONTENT_BYTES_MAX

__all__ = ["ENDPOINTS", "Endpoint", "Query"]


class Query(NamedTuple):
    """A query parameter."""

    name: str
    about: str
    kind: str = "string"


class Endpoint(NamedTuple):
    """One thing that may be asked. `ask` and `answer` are words; bytes go by their media types.

    Where it `is_stream`, body and answer are those of each message on a WebSocket.
    """

    method: str
    path: str
    handler: str
    about: str
    answer: Any = None
    ask: type[words.Word] | None = None
    query: tuple[Query, ...] = ()
    body: str = ""
    body_type: str = "application/json"
    answer_type: str = "application/json"
    is_stream: bool = False


_PAGE = (Query("from", "first index", "integer"), Query("count", f"at most {ENTRIES_PER_ANSWER:,}", "integer"))
_WAIT = (Query("wait", "`receipt` (default): until the peer acknowledged; `durable`: until on our disk"),)
_DRAFTS = f"a canonical msgpack array of at most {DRAFTS_MAX:,} drafts and {DRAFTS_BYTES_MAX:,} bytes"
_CHANNEL = "/v1/channels/{channel}"
_BYTES = "application/octet-stream"

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("GET", "/v1/status", "status", "How this hospital stands", words.Status),
    Endpoint("GET", "/v1/keys", "keys.list", "Our keys as L1 has registered them", list[key_words.KeyView]),
    Endpoint(
        "POST", "/v1/keys/rotate", "keys.rotate",
        "Change a key while everything runs, or go on with a change that has begun; answers once the new key is in use",
        key_words.Rotated, key_words.Rotate,
    ),
    Endpoint(
        "POST", "/v1/keys/{number:int}/revoke", "keys.revoke", "End a key on L1", key_words.Revoked, key_words.Revoke
    ),
    Endpoint(
        "GET", "/v1/keys/{number:int}/affected", "keys.affected", "What a lost key touches", key_words.Affected,
        query=(Query("since_ms", "since when it may have been in other hands", "integer"),),
    ),
    Endpoint(
        "POST", "/v1/keys/root", "keys.make_root", "A root key in the keyring, for the recovery key to register",
        key_words.RootMade,
    ),
    Endpoint(
        "POST", "/v1/keys/recovery", "keys.register_recovery", "Register a recovery key, which is kept elsewhere",
        key_words.Registered, key_words.RegisterRecovery,
    ),
    Endpoint(
        "POST", "/v1/backup", "backup", "A consistent copy in a new folder of the node's machine", words.BackupDone,
        words.Backup,
    ),
    Endpoint("GET", "/v1/disputes", "disputes", "Proofs of misconduct that we keep", list[watch_words.CaseView]),
    Endpoint(
        "GET", "/v1/disputes/{channel}/{index:int}", "dispute", "One of them, with its evidence", watch_words.CaseProof
    ),
    Endpoint(
        "POST", "/v1/disputes/{channel}/{index:int}/file", "file_dispute",
        "Report it to L1 now; the hospital does so by itself", watch_words.CaseFiled,
    ),
    Endpoint(
        "POST", "/v1/disputes/learn", "learn", "Compare an entry proof that somebody was shown with what we hold",
        list[watch_words.CaseView], watch_words.ProofShown,
    ),
    Endpoint(
        "GET", f"{_CHANNEL}/quarrels", "quarrels", "How L1 stands to both sides: claims, verdicts, bonds",
        list[watch_words.Quarrel],
    ),
    Endpoint(
        "POST", f"{_CHANNEL}/prove", "prove_access", "Evidence from our logs that an access of the peer is punishable",
        watch_words.CaseProof, watch_words.AccessToProve,
    ),
    Endpoint(
        "POST", f"{_CHANNEL}/demand", "demand", "Have L1 demand the secret that the peer keeps back",
        watch_words.CaseFiled, watch_words.Receipt,
    ),
    Endpoint("GET", "/v1/towers", "towers", "Our watchtowers as L1 knows them", list[watch_words.TowerView]),
    Endpoint(
        "POST", "/v1/towers", "add_tower", "Name a watchtower on L1 and hand over to it, from now on",
        watch_words.TowerView, watch_words.TowerWanted,
    ),
    Endpoint("POST", "/v1/towers/{tower}/remove", "remove_tower", "End a watchtower's watch, from now on", {}),
    Endpoint(
        "GET", "/v1/events", "events",
        "Server-sent events: `news` as `{what, channel, detail}`; `lost` ends the stream of a slow listener",
        answer_type="text/event-stream",
    ),
    Endpoint("GET", "/metrics", "metrics", "Figures for Prometheus", answer_type="text/plain"),
    Endpoint(
        "POST", "/v1/channels", "open_channel", "Open a channel; answers once it is open and both are ready",
        words.Opened, words.OpenChannel,
    ),
    Endpoint("GET", "/v1/channels", "channels", "Every channel", list[words.ChannelView]),
    Endpoint("GET", _CHANNEL, "channel", "One channel", words.ChannelView),
    Endpoint("GET", f"{_CHANNEL}/story", "story", "What happened to a channel, and why", words.Story),
    Endpoint("POST", f"{_CHANNEL}/deposit", "deposit", "Add to our deposit on L1", {}, words.Amount),
    Endpoint(
        "POST", f"{_CHANNEL}/checkpoint", "checkpoint", "Settle the newest heads that both signed", words.Checkpointed
    ),
    Endpoint(
        "POST", f"{_CHANNEL}/close", "close",
        "Close together with the peer; or alone; or lost, without a commitment of ours",
        words.Closed, words.CloseChannel,
    ),
    Endpoint("POST", f"{_CHANNEL}/challenge", "challenge", "Show L1 the peer's newest commitment that we hold", {}),
    Endpoint("POST", f"{_CHANNEL}/settle", "settle", "Pay a channel out whose window is over", words.Settled),
    Endpoint(
        "POST", f"{_CHANNEL}/entries", "append", "Write entries", words.Written,
        query=_WAIT, body=_DRAFTS, body_type="application/msgpack",
    ),
    Endpoint(
        "GET", f"{_CHANNEL}/entries", "entries", "Entries of a log, by name", list[words.Entry],
        query=(Query("side", "`own` (default) or `peer`"), *_PAGE),
    ),
    Endpoint(
        "GET", f"{_CHANNEL}/entries/stream", "append_stream",
        f"Write entries, message after message over a WebSocket: each binary message is answered by one text, in "
        f"their order, with what `POST {_CHANNEL}/entries` would have answered. At most {UNDER_WAY_MAX} are under way",
        words.Written, query=_WAIT, body=_DRAFTS, body_type="application/msgpack", is_stream=True,
    ),
    Endpoint(
        "POST", "/v1/consents", "grant_consent", "Put a patient's consent in force", words.Index, words.ConsentWanted
    ),
    Endpoint("GET", "/v1/consents", "consents", "Consents of all channels", list[words.ConsentView]),
    Endpoint(
        "POST", "/v1/consents/{channel}/{index:int}/withdraw", "withdraw_consent", "A consent ends, from now on", {}
    ),
    Endpoint("POST", "/v1/requests", "request", "Ask a custodian for records", words.Index, words.RecordWanted),
    Endpoint("GET", "/v1/requests", "requests", "Requests of both sides", list[words.RequestView]),
    Endpoint(
        "POST", "/v1/records", "add_record",
        "Take a record in. `X-Interward-Name` names it, `X-Interward-Label` is its label, whatever codes are inside; "
        "the same content twice is one record",
        words.RecordAdded,
        body=f"the content as it is, at most {CONTENT_BYTES_MAX:,} bytes", body_type=_BYTES,
    ),
    Endpoint(
        "GET", "/v1/records", "records", "Records in the store", list[words.RecordView],
        query=(
            Query("patient", "the hospital's own patient id"), Query("class", "a record class, as `IMAGING`"),
            Query("label", "a confidentiality, as `R`"), Query("origin", "`own`, `received`, or a hospital's id"),
            Query("from_ms", "of data that is not older", "integer"),
            Query("until_ms", "of data that is not younger", "integer"),
        ),
    ),
    Endpoint(
        "POST", "/v1/records/crowd", "add_crowd",
        "Take many short records in, as `POST /v1/records` does; each one's record, or why there is none",
        list[words.AddedOne],
        body=f"a canonical msgpack array of at most {CROWD_MAX} `[name, content]` and {CROWD_BYTES_MAX:,} bytes",
        body_type="application/msgpack",
    ),
    Endpoint("GET", "/v1/records/{record}", "record", "What is known of a record", words.RecordView),
    Endpoint(
        "GET", "/v1/records/{record}/pieces", "pieces",
        "The resources of a record of our own, from outside, and the root that extracts of it lead to", words.Pieces,
    ),
    Endpoint(
        "GET", "/v1/records/{record}/content", "content",
        "The record itself. For a received one an `access` entry is durable before it is shown",
        query=(
            Query("practitioner", "who opens it"), Query("role", "as `PHYSICIAN`"), Query("purpose", "as `TREAT`"),
        ),
        answer_type=_BYTES,
    ),
    Endpoint("POST", "/v1/records/{record}/share", "share", "Grant a record to the peer", words.Granted, words.Share),
    Endpoint(
        "POST", "/v1/shares", "share_many", "Grant several records on the same terms: all of them or none, or each",
        words.GrantedMany, words.ShareMany,
    ),
    Endpoint(
        "POST", "/v1/grants/{channel}/fetch", "fetch_many",
        "Fetch several granted records; each one's record, or why there is none", list[words.FetchedOne],
        words.FetchMany,
    ),
    Endpoint(
        "POST", "/v1/records/{record}/erase", "erase",
        "Erase a record, and ask the peers that hold copies for their signed word; again, how far that has come",
        words.ErasureView,
    ),
    Endpoint("GET", "/v1/retention", "retention", "Terms, and legal holds", words.RetentionView),
    Endpoint(
        "POST", "/v1/retention/hold", "hold", "Keep a record, or a patient's records, from being erased",
        words.HoldView, words.HoldWanted,
    ),
    Endpoint("POST", "/v1/retention/unhold", "unhold", "End a legal hold", words.HoldEnded, words.HoldWanted),
    Endpoint(
        "GET", "/v1/audit/after-close", "after_close",
        "Accesses to received records after their channels had closed: signed lines of our own, verified",
        list[words.ClosedAccessView],
    ),
    Endpoint("GET", "/v1/transfers", "transfers", "Bodies on their way in", list[words.TransferView]),
    Endpoint(
        "GET", "/v1/grants", "grants", "Grants of both sides", list[words.GrantView],
        query=(
            Query("channel", "only of this channel"),
            Query("state", "`open`: only what could be fetched and is not, oldest first"),
        ),
    ),
    Endpoint(
        "POST", "/v1/grants/{channel}/{index:int}/fetch", "fetch",
        "Pull a granted record, acknowledge it, await its release, verify and store it", words.Fetched,
    ),
    Endpoint("POST", "/v1/grants/{channel}/{index:int}/revoke", "revoke", "End a grant of ours", {}),
    Endpoint(
        "POST", "/v1/audit/prove", "prove", "A proof of one entry that stands alone: a proof file", {}, words.Prove
    ),
    Endpoint(
        "GET", "/v1/audit/log", "audit_log", "Entries about a patient or a practitioner, in the order of their times",
        list[words.Entry],
        query=(
            Query("channel", "only this channel"), Query("patient", "the hospital's own patient id"),
            Query("practitioner", "who acted"), Query("side", "`own`, `peer` or `both` (default)"), *_PAGE,
        ),
    ),
    Endpoint(
        "POST", "/v1/audit/verify", "verify_logs", "Read both logs again from entry 0: hashes, signatures, fold",
        words.LogVerified, words.Verify,
    ),
)  # fmt: skip
