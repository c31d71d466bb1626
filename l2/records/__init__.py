"""Floor 3, pure: what a record is from outside, how its body is sealed, and which keys open it."""

from l2.records.body import (
    check_hashes,
    chunk_count,
    chunk_hash,
    chunk_size,
    content_digest,
    open_body,
    pack,
    place_of,
    seal_chunks,
)
from l2.records.cipher import BodyCipher
from l2.records.envelope import identify
from l2.records.extract import Extract, make_extract, read_extract
from l2.records.fhir import Piece, Slice, is_divisible, pieces_of, slices_of
from l2.records.imaging import read_header
from l2.records.info import RecordInfo
from l2.records.joining import collection, transaction
from l2.records.keys import (
    agree,
    box,
    channel_secret,
    exchange_public,
    grant_keys,
    handle,
    key_digest,
    lock_of,
    release_secret,
    release_secrets,
    unbox,
    unwrap,
    wrap,
)
from l2.records.pieces import PieceTree, Selection, plant
from l2.records.unpack import is_gzip, unpack_gzip

__all__ = [
    # what is it
    "RecordInfo",
    "identify",
    "is_gzip",
    "unpack_gzip",
    "read_header",
    # what of it
    "Slice",
    "Piece",
    "is_divisible",
    "slices_of",
    "pieces_of",
    "Selection",
    "PieceTree",
    "plant",
    "collection",
    "transaction",
    "Extract",
    "make_extract",
    "read_extract",
    # bodies
    "BodyCipher",
    "pack",
    "place_of",
    "content_digest",
    "seal_chunks",
    "open_body",
    "chunk_hash",
    "chunk_count",
    "chunk_size",
    "check_hashes",
    # keys
    "agree",
    "grant_keys",
    "channel_secret",
    "exchange_public",
    "handle",
    "key_digest",
    "lock_of",
    "release_secret",
    "release_secrets",
    "wrap",
    "unwrap",
    "box",
    "unbox",
]
