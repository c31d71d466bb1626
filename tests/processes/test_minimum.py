"""Two classes of one year of a patient, with real processes: exactly the resources that fit arrive, each proven.

What fits is worked out here a second time, by plain JSON and string comparison, so that the program cannot agree with
itself.
"""

import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from client.demo.patients import generate_patients
from client.demo.world import Hospital, wait_until
from l2.desk import words
from l2.records import read_extract
from tests.processes.hospitals import consented, open_channel, pair

pytestmark = pytest.mark.slow

SYNTHEA = Path(__file__).resolve().parents[3] / "shared" / "data" / "fhir" / "synthea-r4-bundles"
CLASSES = ("ENCOUNTER", "OBSERVATION")


def generated() -> bytes:
    return max((file.content for file in generate_patients(7, 3)), key=len)


def synthea() -> bytes:
    """The patient of the shared data with most observations and encounters."""
    return max((gzip.decompress(path.read_bytes()) for path in sorted(SYNTHEA.glob("*.gz"))[::9]), key=len)


def resources(content: bytes) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in json.loads(content)["entry"]]


def slices(content: bytes) -> Iterator[str]:
    """The text of every resource of a Bundle, by the standard library's own scanner."""
    text = content.decode()
    for found in re.finditer(r'"resource"\s*:\s*', text):
        _, end = json.JSONDecoder().raw_decode(text, found.end())
        yield text[found.end() : end]


def years(resource: dict[str, Any]) -> set[str]:
    """The years that an Encounter or Observation touches; the dates of the data are of one offset each."""
    if resource["resourceType"] == "Observation":
        return {resource["effectiveDateTime"][:4]}
    return {str(year) for year in range(int(resource["period"]["start"][:4]), int(resource["period"]["end"][:4]) + 1)}


def expected(content: bytes, year: str) -> list[dict[str, Any]]:
    kinds = {"Encounter", "Observation"}
    return [one for one in resources(content) if one["resourceType"] in kinds and year in years(one)]


def busiest_year(content: bytes) -> str:
    """The year with most to share; nothing of it happens within a day of its ends, where time zones would matter."""
    kinds = [one for one in resources(content) if one["resourceType"] in {"Encounter", "Observation"}]
    near = {
        day[:4]
        for one in kinds
        for day in re.findall(r"\d{4}-(?:01-01|12-31)", json.dumps([one.get("period"), one.get("effectiveDateTime")]))
    }
    counted = Counter(year for one in kinds for year in years(one) if year not in near)
    return counted.most_common(1)[0][0]


async def asked(a: Hospital, b: Hospital, channel: str, patient: str, year: str) -> int:
    """B asks for two classes of a year; A has seen it."""
    from client.units import date_ms, end_ms

    wanted = words.RecordWanted(
        channel=channel,
        patient=patient,
        purpose="TREAT",
        practitioner="dr-b",
        role="PHYSICIAN",
        classes=CLASSES,
        from_ms=date_ms(f"{year}-01-01"),
        to_ms=end_ms(f"{year}-12-31"),
    )
    index = await b.desk.request(wanted)

    async def seen() -> bool:
        return any(view.index == index for view in await a.desk.requests())

    await wait_until("A has seen the request", seen, 60)
    return index


@pytest.mark.parametrize(
    "source",
    [
        generated,
        pytest.param(
            synthea,
            marks=pytest.mark.skipif(not SYNTHEA.is_dir(), reason="the shared data set is not beside this checkout"),
        ),
    ],
)
async def test_two_classes_of_one_year_arrive_and_nothing_else(tmp_path: Path, source: Any) -> None:
    content = source()
    year = busiest_year(content)
    wanted = expected(content, year)
    assert 5 < len(wanted) < len(resources(content)) / 2
    async with pair(tmp_path) as (_, a, b):
        channel = await open_channel(a, b)
        added = await a.desk.add_record(content, name="chart.json")
        said = await a.desk.pieces(added.record)
        await consented(a, channel, added.subject, ("ENCOUNTER", "OBSERVATION", "CONDITION"))
        request = await asked(a, b, channel, added.subject, year)
        granted = await a.desk.share(
            added.record, words.Share(channel=channel, purposes=("TREAT",), request_index=request)
        )
        assert (granted.resources, granted.of_resources) == (len(wanted), len(resources(content)))

        arrived = []
        for grant in granted.grants:

            async def here(grant: int = grant) -> bool:
                return any(view.index == grant and view.side == "peer" for view in await b.desk.grants(channel))

            await wait_until("B has seen the grant", here, 60)
            fetched = await b.desk.fetch(channel, grant)
            assert (fetched.digest_ok, fetched.root) == (True, said.root)
            arrived.append(await b.desk.content(fetched.record, practitioner="dr-b", role="PHYSICIAN", purpose="TREAT"))

    assert [one for part in arrived for one in resources(part)] == wanted
    originals = dict(zip(slices(content), (p.digest for p in said.pieces), strict=True))
    for part in arrived:
        told = read_extract(part)
        assert told is not None
        assert (told.root.hex(), told.fault) == (said.root, "")
        for text in slices(part):
            assert hashlib.sha256(text.encode()).hexdigest() == originals[text]
