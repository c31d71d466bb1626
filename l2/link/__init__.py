"""Floor 4: the secure line between two hospitals, over mutual TLS 1.3 pinned in the registry. Front door."""

from l2.link.door import Handler, Identity, Known, Registry, Report, Station, answer, connect, greet, serve
from l2.link.frames import Outbound
from l2.link.hello import Role
from l2.link.hints import HELLO_PEEK_BYTES, SLOTS, Peeked, name_of_slot, peek_slot, slot_of
from l2.link.line import Limits, Line, LineClosed, Meter
from l2.link.tls import Certificate, Credentials, certificate_from_pem, fingerprint, make_certificate

__all__ = [
    "Certificate",
    "Credentials",
    "HELLO_PEEK_BYTES",
    "Handler",
    "Identity",
    "Known",
    "Limits",
    "Line",
    "LineClosed",
    "Meter",
    "Outbound",
    "Peeked",
    "Registry",
    "Report",
    "Role",
    "SLOTS",
    "Station",
    "answer",
    "certificate_from_pem",
    "connect",
    "fingerprint",
    "greet",
    "make_certificate",
    "name_of_slot",
    "peek_slot",
    "serve",
    "slot_of",
]
