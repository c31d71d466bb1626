"""Our own vectors of bodies: the file is what the program makes, each opens, and each tamper has its fault."""

import json

import pytest

from l1.ground.faults import Fault, Refused
from l1.ground.merkle import root_of
from l2.records import body
from tests.vectors.bodies import FILE, TAMPERS, make, named, open_all, seal

VECTORS = json.loads(FILE.read_text())


def test_the_file_is_what_the_program_makes() -> None:
    """A change of the format touches vectors: `python -m tests.vectors.bodies`."""
    assert make() == VECTORS


@pytest.mark.parametrize("vector", VECTORS["bodies"], ids=lambda vector: vector["case"])
def test_a_body_opens_to_its_content(vector: dict) -> None:  # type: ignore[type-arg]
    key, salt, place, digest = (bytes.fromhex(vector[name]) for name in ("key", "salt", "place", "content"))
    content = named(vector["case"], vector["content_bytes"])
    sealed = b"".join(seal(content, key, salt, place))
    assert open_all(sealed, vector["cipher_size"], key, place, digest) == content
    hashes = [bytes.fromhex(one) for one in vector["hashes"]]
    assert root_of(hashes).hex() == vector["cipher_root"]
    body.check_hashes(b"".join(hashes), vector["cipher_size"], root_of(hashes))


@pytest.mark.parametrize("vector", VECTORS["tampers"], ids=lambda vector: vector["case"])
def test_every_tamper_has_its_fault(vector: dict) -> None:  # type: ignore[type-arg]
    whole = next(one for one in VECTORS["bodies"] if one["case"] == vector["of"])
    key, salt, place, digest = (bytes.fromhex(whole[name]) for name in ("key", "salt", "place", "content"))
    chunks = TAMPERS[vector["case"]](seal(named(whole["case"], whole["content_bytes"]), key, salt, place))
    with pytest.raises(Refused) as opened:
        open_all(b"".join(chunks), whole["cipher_size"], key, place, digest)
    with pytest.raises(Refused) as hashed:
        body.check_hashes(
            b"".join(map(body.chunk_hash, chunks)), whole["cipher_size"], bytes.fromhex(whole["cipher_root"])
        )
    assert (opened.value.fault, hashed.value.fault) == (Fault(vector["opened"]), Fault(vector["hashes"]))
