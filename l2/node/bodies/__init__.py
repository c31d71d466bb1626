"""Record bodies on disk and on the way: the store at rest, the spool, resumable downloads, transfer. Front door."""

from l2.node.bodies.incoming import Download, Incoming
from l2.node.bodies.outgoing import GrantBody, Outgoing, Spooled
from l2.node.bodies.shelf import Bodies
from l2.node.bodies.store import Origin, Record, RecordStore
from l2.node.bodies.transfer import MESSAGES, RecordsLine, pull, serve_pulls

__all__ = [
    "Bodies",
    "Record",
    "RecordStore",
    "Origin",
    "Outgoing",
    "GrantBody",
    "Spooled",
    "Incoming",
    "Download",
    "MESSAGES",
    "RecordsLine",
    "pull",
    "serve_pulls",
]
