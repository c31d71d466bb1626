"""Where something listens, as an operator writes it: checked before anything is made from it."""

from l1.ground.faults import LocalError

__all__ = ["check_url", "split_address"]

PORT_MAX = 65_535


def split_address(address: str) -> tuple[str, int]:
    """host:port. Raises `LocalError`."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > PORT_MAX:
        raise LocalError(f"{address!r} is not host:port", "For example 127.0.0.1:9800; port 0 takes a free one.")
    return host, int(port)


def check_url(url: str) -> None:
    """Whether the chain may be asked there. Raises `LocalError`."""
    if not url.startswith(("http://", "https://")):
        raise LocalError(f"the chain at {url}: that is not a URL", "Set chain_url, for example http://127.0.0.1:8800.")
