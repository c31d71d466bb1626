"""The desk's door, its refusals, its limits, its document."""

from pathlib import Path

import httpx
import msgspec
import pytest

from l1.ground.faults import Fault, LocalError, Refused
from l1.serving.listening import bind
from l2.desk import words
from l2.desk.drafts import DRAFTS_BYTES_MAX, DRAFTS_MAX, AccessDraft, Draft, RevokeDraft, encode_drafts
from l2.node.api.asking import WORD_BYTES_MAX
from l2.node.api.endpoints import ENDPOINTS
from l2.node.api.server import make_app
from tests.unit.l2.node.api.world import TOKEN, open_world

RECORD = "ab" * 16


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1]])
async def test_without_the_token_nothing_is_told(tmp_path: Path, token: str | None) -> None:
    with open_world(tmp_path) as world:
        for path in ("/v1/status", "/metrics", "/nothing"):
            answer = await world.asking(token).get(path)
            assert answer.status_code == 401
            assert answer.json()["error"]["number"] == Fault.NOT_AUTHORISED
            assert answer.headers["www-authenticate"] == "Bearer"
        assert (await world.asking(token).get("/openapi.json")).status_code == 200


async def test_two_tokens_are_none(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        headers = [("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer other")]
        assert (await world.asking(None).get("/v1/status", headers=headers)).status_code == 401


def test_a_token_that_could_be_guessed_is_refused(tmp_path: Path) -> None:
    with open_world(tmp_path) as world, pytest.raises(LocalError, match="too short"):
        make_app(world.hospital, world.exchange, world.operations, token="")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "fault"),
    [
        ("POST", "/v1/channels", b"", 400, Fault.MALFORMED),
        ("POST", "/v1/channels", b"[" * 100_000, 400, Fault.MALFORMED),
        ("POST", "/v1/channels", b'{"peer": "\xff"}', 400, Fault.MALFORMED),
        ("POST", "/v1/channels", b'{"peer": "B", "deposit": -1}', 400, Fault.MALFORMED),
        ("GET", "/v1/channels/xyz", b"", 400, Fault.MALFORMED),
        ("GET", f"/v1/channels/{'AB' * 32}", b"", 400, Fault.MALFORMED),
        ("GET", f"/v1/channels/{'00' * 32}", b"", 404, Fault.UNKNOWN_CHANNEL),
        ("POST", f"/v1/channels/{'00' * 32}/entries", b"\x90", 404, Fault.UNKNOWN_CHANNEL),
        ("POST", "{channel}/entries", b"\xc0", 400, Fault.MALFORMED),
        ("POST", "{channel}/entries", b"\x91\x92\x06\xcc\x01", 400, Fault.NOT_CANONICAL),
        ("POST", "{channel}/entries?wait=never", b"\x90", 400, Fault.MALFORMED),
        ("GET", "{channel}/entries?side=both", b"", 400, Fault.MALFORMED),
        ("GET", "{channel}/entries?from=-1", b"", 400, Fault.MALFORMED),
        ("POST", f"/v1/grants/{'00' * 32}/1/fetch", b"", 404, Fault.UNKNOWN_CHANNEL),
        ("POST", f"/v1/grants/{'00' * 32}/-1/fetch", b"", 404, Fault.UNEXPECTED),
        ("GET", "/v1/records/1", b"", 400, Fault.MALFORMED),
        ("GET", f"/v1/records?patient={'p' * 300}", b"", 400, Fault.TOO_LARGE),
        ("GET", "/v1/audit/log?count=all", b"", 400, Fault.MALFORMED),
        ("POST", "/v1/backup", b'{"to": "relative"}', 400, 0),
        ("GET", "/nothing", b"", 404, Fault.UNEXPECTED),
        ("DELETE", "/v1/status", b"", 405, Fault.UNEXPECTED),
    ],
)
async def test_bad_questions_get_a_named_fault(
    tmp_path: Path, method: str, path: str, body: bytes, status: int, fault: int
) -> None:
    with open_world(tmp_path) as world:
        path = path.replace("{channel}", f"/v1/channels/{world.channel}")
        answer = await world.asking().request(method, path, content=body)
        assert answer.status_code == status
        error = answer.json()["error"]
        assert error["number"] == fault
        assert error["detail"]
        assert world.exchange.asked == world.operations.asked == []


@pytest.mark.parametrize(
    ("error", "status", "number"),
    [
        (Refused(Fault.NOT_GRANTED, "purpose"), 403, Fault.NOT_GRANTED),
        (Refused(Fault.WRONG_PHASE, "settled"), 409, Fault.WRONG_PHASE),
        (Refused(Fault.WINDOW_OPEN, "until then"), 409, Fault.WINDOW_OPEN),
        (Refused(Fault.OUT_OF_BOUNDS, "too short"), 400, Fault.OUT_OF_BOUNDS),
        (Refused(Fault.MEMPOOL_FULL, "later"), 503, Fault.MEMPOOL_FULL),
        (LocalError("no such thing", "Do another"), 400, 0),
        (ExceptionGroup("nursery", [Refused(Fault.NOT_GRANTED, "purpose")]), 403, Fault.NOT_GRANTED),
    ],
)
async def test_each_kind_of_wrong_has_its_status(tmp_path: Path, error: Exception, status: int, number: int) -> None:
    with open_world(tmp_path) as world:
        world.operations.answer = error
        answer = await world.asking().post(f"/v1/channels/{world.channel}/settle")
        assert answer.status_code == status
        assert answer.json()["error"]["number"] == number


async def test_a_bug_of_ours_shows_no_inside(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        world.operations.answer = AssertionError("a secret")
        answer = await world.asking().post(f"/v1/channels/{world.channel}/settle")
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert answer.json()["error"]["remedy"]
        assert (await world.asking().get("/v1/status")).status_code == 200


async def test_drafts_go_through_in_one_piece(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        drafts = (AccessDraft(grant=1, practitioner="p", role=0, purpose=0), RevokeDraft(grant=1))
        refused = words.RefusedDraft(position=1, reason="no such entry")
        world.exchange.answer = words.Written(first=4, last=4, written=1, refused=(refused,), refused_count=1)
        async with world.desk() as desk:
            assert await desk.append(world.channel, drafts, wait="durable") == world.exchange.answer
            await desk.append(world.channel, drafts)
        channel = bytes.fromhex(world.channel)
        assert world.exchange.asked == [("append", channel, drafts, "durable"), ("append", channel, drafts, "receipt")]


@pytest.mark.parametrize(("path", "most"), [("/consents", WORD_BYTES_MAX), ("{channel}/entries", DRAFTS_BYTES_MAX)])
async def test_a_body_over_the_limit_is_refused(tmp_path: Path, path: str, most: int) -> None:
    with open_world(tmp_path) as world:
        path = "/v1" + path.replace("{channel}", f"/channels/{world.channel}")
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with world.desk() as desk, httpx.AsyncClient(base_url=desk.url, trust_env=False) as http:
            answer = await http.post(path, content=bytes(most + 1), headers=headers)
            assert answer.json()["error"]["number"] == Fault.TOO_LARGE
            assert (await desk.status()).channels == 1
        assert world.exchange.asked == []


async def test_too_many_drafts_are_refused(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        world.exchange.answer = words.Written(first=0, last=DRAFTS_MAX - 1, written=DRAFTS_MAX)
        path = f"/v1/channels/{world.channel}/entries"
        many: list[Draft] = [RevokeDraft(grant=1)] * (DRAFTS_MAX + 1)
        answer = await world.asking().post(path, content=encode_drafts(many))
        assert answer.json()["error"]["number"] == Fault.TOO_LARGE
        assert (await world.asking().post(path, content=encode_drafts(many[1:]))).status_code == 200


async def test_records_go_in_and_out_as_they_are(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        content = bytes(range(256)) * 1_000
        added = words.RecordAdded(
            record=RECORD, media_type="OCTET_STREAM", record_class="OTHER", subject="", label="N", bytes=256_000,
            known=False,
        )  # fmt: skip
        async with world.desk() as desk:
            world.exchange.answer = added
            assert await desk.add_record(content, name="scan.dcm") == added
            world.exchange.answer = content
            assert await desk.content(RECORD, practitioner="p", role="NURSE", purpose="TREAT") == content
            world.exchange.answer = []
            assert await desk.records(patient="7", label="R") == []
        assert world.exchange.asked == [
            ("add", content, "scan.dcm", None),
            ("content", bytes.fromhex(RECORD), "p", "NURSE", "TREAT"),
            ("records", "7", None, "R", None, None, None),
        ]


async def test_words_reach_those_who_act(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        wanted = words.ConsentWanted(
            channel=world.channel, patient="7", decision="permit", purposes=("TREAT",), classes=("BUNDLE",),
            label_ceiling="N", from_ms=0, until_ms=1, document={"resourceType": "Consent"},
        )  # fmt: skip
        async with world.desk() as desk:
            world.exchange.answer = 3
            assert await desk.grant_consent(wanted) == 3
            await desk.revoke(world.channel, 5)
            assert (await desk.close(world.channel, lost=True)).how == "alone"
            with pytest.raises(Refused, match="channel is hex") as refused:
                await desk.grants("nonsense")
            with pytest.raises(LocalError, match="none numbered 9"):
                await desk.prove(words.Prove(channel=world.channel, side="own", index=9))
        assert refused.value.fault is Fault.MALFORMED
        channel = bytes.fromhex(world.channel)
        assert world.exchange.asked == [("consent", wanted), ("revoke", channel, 5)]
        assert world.operations.asked == [("close", channel, False, True)]


async def test_a_port_in_use_says_so(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        async with world.desk() as desk:
            port = int(desk.url.rsplit(":", 1)[1])
            with pytest.raises(LocalError, match="cannot listen"):
                bind("127.0.0.1", port)


async def test_figures_name_no_patient(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        async with world.desk() as desk:
            figures = await desk.metrics()
        assert "interward_hospital_height 0.0" in figures
        assert f'interward_channel_own_entries{{channel="{world.channel[:8]}"}} 0.0' in figures


async def test_the_document_lists_every_endpoint(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        said = (await world.asking().get("/openapi.json")).json()
        operations = [(m.upper(), p) for p, methods in said["paths"].items() for m in methods]
        assert operations == [(e.method, e.path.replace(":int", "")) for e in ENDPOINTS]
        text = msgspec.json.encode(said).decode()
        for name in said["components"]["schemas"]:
            assert f'"#/components/schemas/{name}"' in text
