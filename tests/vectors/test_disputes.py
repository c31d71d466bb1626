"""Our own vectors of verdicts: judged as the file says, and the program makes the same file."""

import json

import pytest

from l1.rules.evidence import decode_evidence
from l1.rules.judge import Guilty, judge
from l1.rules.shown import Court
from l1.rules.state import decode_channel, decode_hospital
from tests.vectors.disputes import FILE, make

VECTORS = json.loads(FILE.read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["case"])
def test_the_verdict_is_what_the_vector_says(vector: dict) -> None:  # type: ignore[type-arg]
    first, second = (decode_hospital(bytes.fromhex(row)) for row in vector["hospitals"])
    channel = decode_channel(bytes.fromhex(vector["channel"]))
    here = Court(bytes.fromhex(vector["chain"]), channel, (first, second), vector["key_window_ms"])
    said = judge(decode_evidence(bytes.fromhex(vector["evidence"])), here, vector["clock_ms"])
    if isinstance(said, Guilty):
        assert vector["verdict"] == {"guilty": said.side, "charge": said.charge, "waits": said.waits}
    else:
        assert vector["verdict"] == {"fault": said.fault}


def test_the_file_is_what_the_program_makes() -> None:
    """A wire change touches vectors: `python -m tests.vectors.disputes`."""
    assert make() == VECTORS
