"""Floor 1½: what both kinds of node have in common: HTTP on trio, bounded reading of requests, the habits of a process.

It knows neither chain nor hospital.
"""

from l1.serving.addresses import check_url, split_address
from l1.serving.answers import json_answer
from l1.serving.figures import FIGURES_TYPE, Figure, exposition
from l1.serving.folders import FileReader, make_directory, read_file, write_config
from l1.serving.journal import (
    RUN_BYTES,
    JournalDamaged,
    JournalForeign,
    Record,
    Row,
    encode_record,
    encode_rows,
    unwritten,
)
from l1.serving.journal_file import JournalFile
from l1.serving.limits import AREA_BYTES, WRITE_BACK_BYTES, WRITE_BACK_S
from l1.serving.listening import bind, serve
from l1.serving.openapi import Api, Endpoint, Parameter, document, reference_page
from l1.serving.pages import check_metas, check_pages
from l1.serving.process import PASSWORD, ask_password, first_of, hold_lock, log_to_stderr, write_new
from l1.serving.requests import body_of, hex_in_path, number, unhex
from l1.serving.schema import Migration, bring_up_to_date, check_version
from l1.serving.whole import check_whole, is_of_disk

__all__ = [
    "AREA_BYTES",
    "Api",
    "Endpoint",
    "FIGURES_TYPE",
    "Figure",
    "FileReader",
    "JournalDamaged",
    "JournalFile",
    "JournalForeign",
    "Migration",
    "PASSWORD",
    "Parameter",
    "RUN_BYTES",
    "Record",
    "Row",
    "WRITE_BACK_BYTES",
    "WRITE_BACK_S",
    "ask_password",
    "bind",
    "body_of",
    "bring_up_to_date",
    "check_metas",
    "check_pages",
    "check_url",
    "check_version",
    "check_whole",
    "document",
    "encode_record",
    "encode_rows",
    "exposition",
    "first_of",
    "hex_in_path",
    "hold_lock",
    "is_of_disk",
    "json_answer",
    "log_to_stderr",
    "make_directory",
    "number",
    "read_file",
    "reference_page",
    "serve",
    "split_address",
    "unhex",
    "unwritten",
    "write_config",
    "write_new",
]
