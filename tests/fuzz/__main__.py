"""`python -m tests.fuzz --minutes M --seed S`: go on with the fuzzing for so long. `make fuzz`.

With atheris installed (`pip install atheris`; it is in no lock file) coverage guides the bytes of decoders and frames;
without it, and for the session always, the seed does. A failing input is printed in hex and ends the run.
"""

import argparse
import importlib
import importlib.util
import sys
import time
from contextlib import nullcontext
from random import Random
from typing import Any

atheris: Any = importlib.import_module("atheris") if importlib.util.find_spec("atheris") else None

with atheris.instrument_imports() if atheris else nullcontext():
    from l2.protocol.events import Send
    from tests.fuzz.decoders import decoders, honest
    from tests.fuzz.mutation import mutate
    from tests.fuzz.targets import Story, check_decoder, check_frames, check_parts


def _mutated(minutes: float, seed: int) -> None:
    chance, found, story = Random(f"fuzz {seed}"), decoders(), Story()
    end, tried, sessions = time.monotonic() + 60 * minutes, 0, 0
    while time.monotonic() < end:
        for name, decode, shape in found:
            data = mutate(honest(shape, chance), chance)
            try:
                check_decoder(decode, data)
            except Exception:
                sys.stdout.write(f"{name}: {data.hex()}\n")
                raise
            tried += 1
        messages = list(story.said)
        at = chance.randrange(len(messages))
        messages[at] = Send(messages[at].type, mutate(messages[at].payload, chance))
        Story.hear(messages, chance)
        check_frames(mutate(story.wire()[:2_000], chance))
        sessions += 1
    sys.stdout.write(f"seed {seed}: {tried:,} inputs to {len(found)} decoders, {sessions:,} sessions: all named\n")


def _guided(minutes: float, seed: int) -> None:
    """Bytes that atheris chooses; the first says which decoder takes the rest."""
    found = decoders()

    def one(data: bytes) -> None:
        if not data:
            return
        which = data[0] % (len(found) + 2)
        if which < len(found):
            check_decoder(found[which][1], data[1:])
        else:
            (check_frames if which == len(found) else check_parts)(data[1:])

    atheris.Setup([sys.argv[0], f"-max_total_time={int(60 * minutes)}", f"-seed={seed}"], one)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    _mutated(arguments.minutes / 2 if atheris else arguments.minutes, arguments.seed)
    if atheris:
        _guided(arguments.minutes / 2, arguments.seed)


if __name__ == "__main__":
    main()
