"""What can be done with a folder while no hospital runs on it: close its channels alone.

For the day when a machine will not serve any more but its disk can still be read. The chain gets what the disk says;
if that is old, the peer will show so, and the bond is forfeit. A disk in doubt is closed with `--lost` instead.
"""

import json
import sys
from collections.abc import Iterator

from l1.ground.faults import LocalError
from l1.reader.client import Reader
from l1.rules.transactions import Close
from l2.node.clock import now_ms
from l2.node.folder import Folder
from l2.node.parts import stores_in
from l2.node.store import ChannelStore
from l2.protocol.channel import LogRow, decode_log_row
from l2.protocol.rows import head_key

__all__ = ["close_from_folder"]


async def close_from_folder(folder: Folder, password: str, wanted: str) -> None:
    """Close alone, on what is stored, the channel named by (the beginning of) its id; any, if there is only one."""
    with folder.hold():
        keys = folder.keys(password)
        channel, heads = _choose(_stored(folder), wanted)
        async with Reader(folder.genesis(), folder.config().chain_url, now_ms=now_ms) as reader:
            row = await reader.channel(channel)
            if row is None:
                raise LocalError("the chain does not know this channel", "Is this the right chain?")
            me = await reader.hospital(keys.hospital)
            acting = None if me is None else keys.closing_signer(me)
            if acting is None:
                raise LocalError("no channel key of this folder may act on L1", "Restore its keyring.box as well.")
            side = row.opening.hospitals.index(keys.hospital)
            close = Close(channel=channel, own=heads[side].commitment, peer=heads[1 - side].commitment, lost=False)
            included = await reader.send(acting[1], close)
    said = {"channel": channel.hex(), "height": included.height, "own_size": heads[side].frontier.size}
    sys.stdout.write(json.dumps(said) + "\n")


def _stored(folder: Folder) -> Iterator[tuple[bytes, list[LogRow]]]:
    """Every channel in the folder's stores, with the heads of both its logs."""
    for path in stores_in(folder.path).values():
        store = ChannelStore(path)
        try:
            for channel in store.channels():
                rows = [store.rows(channel).get(head_key(side)) for side in (0, 1)]
                yield channel, [decode_log_row(row) for row in rows if row is not None]
        finally:
            store.close()


def _choose(stored: Iterator[tuple[bytes, list[LogRow]]], wanted: str) -> tuple[bytes, list[LogRow]]:
    found = [(channel, heads) for channel, heads in stored if channel.hex().startswith(wanted)]
    if len(found) != 1:
        cause = f"{len(found)} channels are stored here" + (f" that begin with {wanted}" if wanted else "")
        raise LocalError(cause, "Name one with --channel.")
    return found[0]
