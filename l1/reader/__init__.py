"""Floor 2: what anyone may ask the chain. Every answer is verified before it is believed."""

from l1.reader.backoff import Backoff
from l1.reader.client import Reader
from l1.reader.genesis_file import (
    ParametersForm,
    dump_genesis,
    load_genesis,
    open_genesis,
    parameters_form,
    parameters_of,
)
from l1.reader.headers import HeaderFile, HeaderStore, MemoryHeaders
from l1.reader.light import Included
from l1.reader.transport import URL_FILE, ChainUnreachable

__all__ = [
    "Backoff",
    "Reader",
    "URL_FILE",
    "Included",
    "ChainUnreachable",
    "HeaderStore",
    "HeaderFile",
    "MemoryHeaders",
    "dump_genesis",
    "load_genesis",
    "open_genesis",
    "ParametersForm",
    "parameters_form",
    "parameters_of",
]
