"""Pulling from and pushing to a FHIR server, over real HTTP."""

import json
from typing import Any

import pytest

from client.records.fhir_pull import bulk_sources, search_sources
from client.records.fhir_push import push
from client.records.fhir_server import FhirServer
from client.records.importing import Import
from l1.ground.codes import MediaType
from l1.ground.faults import LocalError
from l2.records import identify, pieces_of
from tests.fhir import FhirStore, serving


class Clock:
    """Remembers for how long somebody wanted to sleep."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


def resource(kind: str, name: str, patient: str = "", **fields: Any) -> dict[str, Any]:
    about = {"subject": {"reference": f"Patient/{patient}"}} if patient else {}
    return {"resourceType": kind, "id": name, **about, **fields}


def filled(**fields: Any) -> FhirStore:
    store = FhirStore(**fields)
    for patient in ("p1", "p2"):
        store.put(resource("Patient", patient))
        for number in range(3):
            store.put(resource("Observation", f"{patient}-{number}", patient, effectiveDateTime="2020-01-01"))
    store.put(resource("Practitioner", "dr"))
    return store


async def contents(sources: Any) -> list[bytes]:
    return [await source.open() async for source in sources]


def ids(content: bytes) -> list[str]:
    return [piece.outside.id for piece in pieces_of(content, MediaType.FHIR_JSON)]


async def test_a_search_gives_a_record_for_each_patient_page_by_page() -> None:
    store, clock = filled(busy=1), Clock()
    async with serving(store) as url, FhirServer(url, store.token, sleep=clock) as server:
        first = await contents(search_sources(server, "Observation?_count=2"))
        again = await contents(search_sources(server, "Observation?_count=2"))
    assert [ids(content) for content in first] == [["p1-0", "p1-1", "p1-2"], ["p2-0", "p2-1", "p2-2"]]
    assert first == again, "the same resources are the same record"
    assert clock.slept == [7.0], "a busy server is asked again when it says"
    assert [identify(content).subject for content in first] == ["p1", "p2"]
    assert all(raw in first[0] + first[1] for (kind, _), raw in store.resources.items() if kind == "Observation")


async def test_everything_of_a_patient_is_one_record() -> None:
    store = filled()
    async with serving(store) as url, FhirServer(url, store.token) as server:
        (content,) = await contents(search_sources(server, "Patient/p1/$everything"))
    assert sorted(ids(content)) == ["dr", "p1", "p1-0", "p1-1", "p1-2"]


async def test_a_bulk_export_is_awaited_fetched_and_deleted() -> None:
    store, clock, report = filled(), Clock(), Import()
    async with serving(store) as url, FhirServer(url, store.token, sleep=clock) as server:
        files = await contents(
            bulk_sources(server, "$export", report, since="2020-01-01T00:00:00Z", types=("Patient",))
        )
    assert clock.slept == [11.0, 11.0]
    assert [identify(content).title for content in files] == ["NDJSON Observation", "NDJSON Patient", "Practitioner"]
    assert store.exports == {}
    assert "_since=2020-01-01T00%3A00%3A00Z&_type=Patient" in store.asked[0]
    assert [row["reason"] for row in report.refused] == ["the server could not export some of it"]


async def test_an_export_that_does_not_end_is_given_up_and_deleted() -> None:
    store, clock = filled(polls=100), Clock()
    async with serving(store) as url, FhirServer(url, store.token, sleep=clock) as server:
        with pytest.raises(LocalError, match=r"not complete after 22 s \(half\)"):
            await contents(bulk_sources(server, "$export", Import(), wait_s=30))
    assert store.exports == {}


async def test_a_long_file_comes_in_parts_cut_at_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.records.fhir_pull.PART_LINES_MAX", 4)
    store = filled(polls=0)
    async with serving(store) as url, FhirServer(url, store.token) as server:
        files = await contents(bulk_sources(server, "Group/g/$export", Import()))
    lines = [content.count(b"\n") for content in files]
    assert lines == [4, 2, 2, 1]


async def test_what_is_wrong_is_said_in_a_line() -> None:
    store = filled()
    async with serving(store) as url:
        async with FhirServer(url, "another-token") as server:
            with pytest.raises(LocalError, match="answers 401: no token"):
                await contents(search_sources(server, "Observation"))
        store.next_at = "http://127.0.0.1:9/fhir/Observation"
        async with FhirServer(url, store.token) as server:
            with pytest.raises(LocalError, match="points to another address"):
                await contents(search_sources(server, "Observation"))
        store.next_at = f"{url}/Observation"
        async with FhirServer(url, store.token) as server:
            with pytest.raises(LocalError, match="do not end"):
                await contents(search_sources(server, "Observation"))
    async with FhirServer("http://127.0.0.1:9/fhir") as server:
        with pytest.raises(LocalError, match="no FHIR server answers"):
            await contents(search_sources(server, "Observation"))


def test_a_token_goes_only_where_nobody_listens() -> None:
    with pytest.raises(LocalError, match="in clear"):
        FhirServer("http://ehr.example/fhir", "secret")
    with pytest.raises(LocalError, match="no address"):
        FhirServer("ftp://ehr.example/fhir")
    FhirServer("https://ehr.example/fhir", "secret")


def bundle(*resources: dict[str, Any]) -> bytes:
    entries = [{"fullUrl": f"urn:uuid:{n}", "resource": one} for n, one in enumerate(resources)]
    return json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": entries}).encode()


async def test_a_record_is_put_as_a_transaction_and_again_without_harm() -> None:
    store = FhirStore()
    content = bundle(resource("Patient", "p1"), resource("Observation", "o1", "p1"))
    async with serving(store) as url, FhirServer(url, store.token) as server:
        assert await push(server, content) == (2, "")
        assert await push(server, content) == (2, "")
        assert len(store.resources) == 2
        assert await push(server, json.dumps(resource("Observation", "o2", "p1")).encode(), each=True) == (1, "")
        assert await push(server, b"MSH|^~\\&|") == (0, "no FHIR")
        taken, why = await push(server, bundle(resource("AuditEvent", "a1"), resource("Patient", "p9")))
    assert (taken, "audit events are not taken here" in why) == (0, True)
    assert set(store.resources) == {("Patient", "p1"), ("Observation", "o1"), ("Observation", "o2")}
