"""Record bodies on disk and on the way: the store at rest, grants, resumable downloads, transfer. Front door."""

from l2.node.bodies.incoming import Download, Incoming, is_short
from l2.node.bodies.intake import Intake, Taken
from l2.node.bodies.opening import Released
from l2.node.bodies.outgoing import GrantBody, Offered, Outgoing, Wrapper
from l2.node.bodies.serving import Library, RecordsLine, serve_pulls
from l2.node.bodies.shelf import Bodies
from l2.node.bodies.store import New, Origin, Record, RecordStore, look
from l2.node.bodies.transfer import Gathering, Turn, begin_pull, gather, pull, pull_turn
from l2.node.bodies.wire import GATHER_MAX, MESSAGES

__all__ = [
    "Bodies",
    # at rest
    "Record",
    "RecordStore",
    "Origin",
    "Intake",
    "Taken",
    "New",
    "look",
    # granted, and coming in
    "Outgoing",
    "GrantBody",
    "Offered",
    "Wrapper",
    "Incoming",
    "Download",
    "Released",
    "is_short",
    # on a line
    "MESSAGES",
    "GATHER_MAX",
    "RecordsLine",
    "Library",
    "serve_pulls",
    "pull",
    "begin_pull",
    "pull_turn",
    "Turn",
    "gather",
    "Gathering",
]
