"""What both nodes' servers share: bounded reading of requests, figures, listening."""

import httpx
import pytest
from starlette.requests import Request

from l1.ground.faults import Fault, LocalError, Refused
from l1.serving.figures import Figure, exposition
from l1.serving.listening import bind, config_of
from l1.serving.requests import number, unhex


def asking(query: bytes) -> Request:
    return Request({"type": "http", "query_string": query, "headers": []})


@pytest.mark.parametrize(("query", "value"), [(b"", 7), (b"n=0", 0), (b"n=12", 12), (b"n=0012", 12), (b"n=999", 100)])
def test_numbers_have_a_default_and_a_bound(query: bytes, value: int) -> None:
    assert number(asking(query), "n", 7, 100) == value


@pytest.mark.parametrize("query", [b"n=-1", b"n=", b"n=1.5", b"n=%D9%A1", b"n=" + b"9" * 20])
def test_what_is_no_number_is_refused(query: bytes) -> None:
    with pytest.raises(Refused, match="whole number"):
        number(asking(query), "n", 7, 100)


@pytest.mark.parametrize("text", ["zz", "0", "AB", "ab ", "a b", "abcd"])
def test_hex_has_one_spelling_and_its_size(text: str) -> None:
    with pytest.raises(Refused) as refused:
        unhex(text, "id", 1)
    assert refused.value.fault is Fault.MALFORMED
    assert unhex("ab", "id", 1) == b"\xab"


def test_figures_stand_alone_or_by_label() -> None:
    text = exposition([Figure("one", "a figure", 1), Figure("many", "some", {"a": 2, "b": 3}, label="of")]).decode()
    assert "# HELP one a figure\n" in text
    assert 'many{of="a"} 2.0\nmany{of="b"} 3.0\n' in text
    assert "python_info" not in text


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 99_999), ("192.0.2.1", 0), ("no such host", 0)])
def test_where_nobody_can_listen_says_so(host: str, port: int) -> None:
    with pytest.raises(LocalError, match="cannot listen"):
        bind(host, port)


def test_the_url_names_the_port_that_was_taken() -> None:
    listener, url = bind("127.0.0.1", 0)
    with listener:
        assert url == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_client_ends_idle_connections_long_before_the_server_does() -> None:
    """If both waited equally long, a question on a connection that is just ending would be lost now and then."""
    idle = httpx.AsyncClient()._transport._pool._keepalive_expiry  # type: ignore[attr-defined]
    assert config_of(1).keep_alive_timeout > 5 * idle
