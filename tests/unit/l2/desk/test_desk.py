"""The desk asks the right path with its token, and turns answers and failures into values and exceptions."""

import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from l1.ground.faults import Fault, LocalError, Refused
from l2.desk.desk import TOKEN_FILE, URL_FILE, Desk
from l2.desk.drafts import WithdrawDraft, encode_drafts
from l2.desk.problem import error_of
from l2.desk.words import CloseChannel, OpenChannel

Answer = Callable[[httpx.Request], httpx.Response]


def desk_answered_by(answer: Answer) -> Desk:
    desk = Desk("http://hospital.test", "secret")
    desk._http = httpx.AsyncClient(
        base_url=desk.url, headers=desk._http.headers, transport=httpx.MockTransport(answer), trust_env=False
    )
    return desk


async def test_an_opening_is_asked_with_the_token() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"channel": "ab" * 32})

    wanted = OpenChannel(peer="B", deposit=5, peer_deposit=6, bond=7, window_ms=8)
    async with desk_answered_by(answer) as desk:
        assert await desk.open_channel(wanted) == "ab" * 32
    assert asked[0].url.path == "/v1/channels"
    assert asked[0].headers["authorization"] == "Bearer secret"
    assert asked[0].content == b'{"peer":"B","deposit":5,"peer_deposit":6,"bond":7,"window_ms":8}'


async def test_drafts_go_as_canonical_bytes() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"first": 3, "last": 3, "written": 1, "refused": [], "refused_count": 0})

    async with desk_answered_by(answer) as desk:
        assert (await desk.append("cd", [WithdrawDraft(2)], wait="durable")).first == 3
    assert asked[0].content == encode_drafts([WithdrawDraft(2)])
    assert asked[0].url.params["wait"] == "durable"


async def test_a_refusal_is_raised_with_its_fault() -> None:
    body = error_of(Refused(Fault.NOT_GRANTED, "the consent was withdrawn"))
    async with desk_answered_by(lambda _: httpx.Response(400, content=body)) as desk:
        with pytest.raises(Refused, match="withdrawn"):
            await desk.content("ab", practitioner="p", role="PHYSICIAN", purpose="TREAT")


async def test_an_answer_that_is_no_answer_is_refused() -> None:
    async with desk_answered_by(lambda _: httpx.Response(200, content=b"[]")) as desk:
        with pytest.raises(Refused, match="does not decode"):
            await desk.status()


async def test_nobody_there_is_said_plainly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with Desk(f"http://127.0.0.1:{port}", "t") as desk:
        with pytest.raises(LocalError, match="no hospital answers"):
            await desk.status()


def test_a_folder_leads_to_its_desk(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="is not a hospital's folder"):
        Desk.of_folder(tmp_path)
    (tmp_path / TOKEN_FILE).write_text("t\n")
    with pytest.raises(LocalError, match="is not running"):
        Desk.of_folder(tmp_path)
    (tmp_path / URL_FILE).write_text("http://127.0.0.1:1\n")
    assert Desk.of_folder(tmp_path).url == "http://127.0.0.1:1"


def test_unset_choices_of_a_close_are_the_gentle_ones() -> None:
    assert CloseChannel() == CloseChannel(alone=False, lost=False)
