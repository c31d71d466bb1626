"""A real FHIR server: what a hospital pushes to HAPI FHIR's own server comes back from it, page by page.

`make hapi` builds it (Java and Maven); where that was not done these tests are skipped. It keeps what it is given in
memory and knows reading, searching and putting; `$everything`, `$export` and transactions are tried on the small
server of the test tree.
"""

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.demo.patients import generate_patients
from tests.processes.hospitals import pair
from tests.processes.test_import import command

pytestmark = pytest.mark.slow

HAPI = Path(__file__).parents[1] / "hapi" / "target"
KINDS = ("Observation", "Condition", "Encounter")


@pytest.fixture
def hapi() -> Iterator[str]:
    """The address of a server that holds nothing."""
    if not (HAPI / "dependency").is_dir():
        pytest.skip("HAPI FHIR is not built: make hapi")
    line = ["java", "-cp", f"{HAPI / 'classes'}:{HAPI / 'dependency'}/*", "Main"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.kill()


async def test_what_is_pushed_to_a_real_server_comes_back_from_it(tmp_path: Path, hapi: str) -> None:
    chart = generate_patients(5, 1)[0].content
    (tmp_path / "chart.json").write_bytes(chart)
    (tmp_path / "world").mkdir()
    async with pair(tmp_path / "world") as (_, a, b):
        await command(a, "add", str(tmp_path / "chart.json"))
        (pushed,) = (await command(a, "export", "--fhir", hapi, "--each"))["exported"]
        assert pushed["state"] == "written", pushed["reason"]
        searches = [word for kind in KINDS for word in ("--search", kind)]
        report = await command(b, "add", "--fhir", hapi, *searches)
        again = await command(b, "add", "--fhir", hapi, *searches)
        assert (again["counts"]["added"], again["counts"]["known"]) == (0, len(report["added"]))
        came = [await command(b, "show", row["record"]) for row in report["added"]]
    sent = Counter(entry["resource"]["resourceType"] for entry in json.loads(chart)["entry"])
    assert sum(view["resources"] for view in came) == sum(sent[kind] for kind in KINDS)
    assert {view["subject"] for view in came} == {json.loads(chart)["entry"][0]["resource"]["id"]}


async def test_what_a_real_server_does_not_do_is_told(tmp_path: Path, hapi: str) -> None:
    async with pair(tmp_path) as (_, a, _b):
        said = await command(a, "add", "--fhir", hapi, "--bulk", status=2, as_json=False)
        assert "does not know how to handle GET operation[$export]" in said
