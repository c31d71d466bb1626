"""Which worker answers what a desk asks: one row for each thing that may be asked. Pure; `relay` carries it out."""

from enum import Enum

__all__ = ["ROUTES", "Where"]


class Where(Enum):
    """Where a question goes."""

    PATH = "to the home of the channel in the path"
    BODY = "to the home of the channel that the JSON body names"
    SHARE = "the same, where the body's `share` names it"
    QUERY = "to the home of the channel in the query, or to all: their lists are joined"
    ALL = "to all: their lists are joined"
    FIRST = "to the first worker, which does what is done once for the hospital"
    HERE = "the front puts the answer together itself"


ROUTES: dict[str, Where] = {
    **dict.fromkeys(
        ("channel", "story", "deposit", "checkpoint", "close", "challenge", "settle", "append", "entries"), Where.PATH
    ),
    "append_stream": Where.PATH,
    **dict.fromkeys(("quarrels", "prove_access", "demand", "dispute", "file_dispute"), Where.PATH),
    **dict.fromkeys(("withdraw_consent", "fetch", "fetch_many", "revoke"), Where.PATH),
    **dict.fromkeys(("grant_consent", "request", "share", "prove", "verify_logs"), Where.BODY),
    "share_many": Where.SHARE,
    "grants": Where.QUERY,
    **dict.fromkeys(("channels", "consents", "requests", "transfers", "disputes"), Where.ALL),
    **dict.fromkeys(
        ("keys.list", "keys.rotate", "keys.revoke", "keys.make_root", "keys.register_recovery"), Where.FIRST
    ),
    **dict.fromkeys(("add_record", "add_crowd", "records", "record", "pieces", "erase"), Where.FIRST),
    **dict.fromkeys(("hold", "unhold", "after_close", "add_tower", "remove_tower", "backup"), Where.FIRST),
    **dict.fromkeys(("status", "metrics", "events", "open_channel", "learn", "content"), Where.HERE),
    **dict.fromkeys(("audit_log", "retention", "towers", "keys.affected"), Where.HERE),
}
"""By the handler's name in `l2.node.api.endpoints`."""
