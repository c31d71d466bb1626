"""Who answers what a desk asks: each handler reads the request, has it done, and says what came of it.

Nothing is decided here. The table of what may be asked is `endpoints`.
"""

from contextlib import aclosing
from pathlib import Path
from typing import cast, get_args

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket

from l1.ground.faults import Fault, LocalError, require
from l1.ground.limits import ACCOUNT_BYTES, HANDLE_BYTES, SIZE_MAX, TIME_MS_MAX
from l1.serving.answers import json_answer
from l1.serving.figures import FIGURES_TYPE
from l1.serving.requests import body_of, hex_in_path, number, unhex
from l2.desk import watch_words, words
from l2.desk.crowds import CROWD_BYTES_MAX, NAME_CHARS_MAX, decode_crowd
from l2.desk.drafts import DRAFTS_BYTES_MAX, Wait
from l2.node import disputes
from l2.node.api.appending import AppendStreams, drafts_of
from l2.node.api.asking import asked, channel_in_path, channel_of, choice, index_in_path, record_in_path, text
from l2.node.api.figures import figures
from l2.node.api.key_handlers import KeyHandlers
from l2.node.api.streams import Streams
from l2.node.clock import now_ms
from l2.node.exchange import Exchange
from l2.node.exchange.book import PATIENT, PRACTITIONER
from l2.node.exchange.delivery import COMING
from l2.node.exchange.retention import check_hold, hold_view, retention_view
from l2.node.exchange.shares import AlreadyGranted
from l2.node.exchange.views import closed_access_views
from l2.node.hospital import Hospital
from l2.node.log_views import Filter, entry_views
from l2.node.operations import Operations
from l2.node.views import channel_view, status_view, story_view
from l2.protocol.channel import Channel
from l2.protocol.proof_file import proof_from_json
from l2.records.keys import handle

__all__ = ["ENTRIES_PER_ANSWER", "Handlers"]

ENTRIES_PER_ANSWER = 10_000
AT_ONCE_MAX = 4_096  # records shared or fetched in one request


class Handlers:
    """The handlers, over one hospital."""

    def __init__(self, hospital: Hospital, exchange: Exchange, operations: Operations) -> None:
        self.hospital = hospital
        self.exchange = exchange
        self.operations = operations
        self.streams = Streams(hospital)
        self.appends = AppendStreams(exchange)
        self.keys = KeyHandlers(hospital, exchange, operations)

    # -- the hospital

    async def status(self, _: Request) -> Response:
        return json_answer(status_view(self.hospital))

    async def backup(self, request: Request) -> Response:
        to = (await asked(request, words.Backup)).to
        if not Path(to).is_absolute() or "\0" in to:
            raise LocalError(f"{to!r} is not an absolute path", "Name the folder by its whole path.")
        return json_answer(words.BackupDone(to=to, bytes=await self.operations.backup(Path(to))))

    # -- disputes and watchtowers

    async def disputes(self, _: Request) -> Response:
        return json_answer(disputes.case_views(self.hospital))

    async def dispute(self, request: Request) -> Response:
        return json_answer(disputes.show_case(self.hospital, channel_in_path(request), index_in_path(request)))

    async def file_dispute(self, request: Request) -> Response:
        filed = await disputes.file_case(self.hospital, channel_in_path(request), index_in_path(request))
        return json_answer(filed)

    async def learn(self, request: Request) -> Response:
        text = (await asked(request, watch_words.ProofShown)).proof
        return json_answer(await disputes.learn(self.hospital, proof_from_json(text.encode())))

    async def quarrels(self, request: Request) -> Response:
        return json_answer(disputes.quarrels(self.hospital.keeper(channel_in_path(request))))

    async def prove_access(self, request: Request) -> Response:
        index = (await asked(request, watch_words.AccessToProve)).access
        return json_answer(disputes.prove_access(self.hospital, channel_in_path(request), index))

    async def demand(self, request: Request) -> Response:
        receipt = (await asked(request, watch_words.Receipt)).receipt
        return json_answer(await disputes.demand_release(self.hospital, channel_in_path(request), receipt))

    async def towers(self, _: Request) -> Response:
        return json_answer(await self.operations.towers.views())

    async def add_tower(self, request: Request) -> Response:
        return json_answer(await self.operations.towers.add(await asked(request, watch_words.TowerWanted)))

    async def remove_tower(self, request: Request) -> Response:
        await self.operations.towers.remove(hex_in_path(request, "tower", ACCOUNT_BYTES))
        return json_answer({})

    async def events(self, _: Request) -> Response:
        self.streams.check_room()
        return StreamingResponse(self.streams.listen(), media_type="text/event-stream")

    async def metrics(self, _: Request) -> Response:
        return Response(figures(self.hospital), media_type=FIGURES_TYPE)

    # -- channels

    async def open_channel(self, request: Request) -> Response:
        made = await self.operations.open_channel(await asked(request, words.OpenChannel))
        return json_answer(words.Opened(channel=made.hex()))

    async def channels(self, _: Request) -> Response:
        return json_answer([channel_view(self.hospital, keeper) for keeper in self.hospital.all_keepers()])

    async def channel(self, request: Request) -> Response:
        return json_answer(channel_view(self.hospital, self.hospital.keeper(channel_in_path(request))))

    async def story(self, request: Request) -> Response:
        keeper = self.hospital.keeper(channel_in_path(request))
        return json_answer(story_view(self.hospital, keeper))

    async def deposit(self, request: Request) -> Response:
        channel = self._kept(request)
        await self.operations.deposit(channel, (await asked(request, words.Amount)).amount)
        return json_answer({})

    async def checkpoint(self, request: Request) -> Response:
        return json_answer(await self.operations.checkpoint(self._kept(request)))

    async def close(self, request: Request) -> Response:
        channel = self._kept(request)
        wanted = await asked(request, words.CloseChannel)
        return json_answer(await self.operations.close_channel(channel, alone=wanted.alone, lost=wanted.lost))

    async def challenge(self, request: Request) -> Response:
        await self.operations.challenge(self._kept(request))
        return json_answer({})

    async def settle(self, request: Request) -> Response:
        return json_answer(await self.operations.settle(self._kept(request)))

    def _kept(self, request: HTTPConnection) -> bytes:
        """The channel in the path, known to be ours. Raises `Refused` (UNKNOWN_CHANNEL)."""
        return self.hospital.keeper(channel_in_path(request)).channel.id

    # -- entries

    async def append(self, request: Request) -> Response:
        """The hot path: bytes to drafts in one decode, one append for all of them, one answer."""
        channel = self._kept(request)
        wait = _wait(request)
        drafts = drafts_of(await body_of(request, DRAFTS_BYTES_MAX))
        return json_answer(await self.exchange.append_drafts(channel, drafts, wait))

    async def append_stream(self, socket: WebSocket) -> None:
        """The same for a program that appends all day."""
        keeper, wait = self.hospital.keeper(channel_in_path(socket)), _wait(socket)
        self.appends.check_room()
        await self.appends.serve(socket, keeper, wait)

    async def entries(self, request: Request) -> Response:
        channel = self.hospital.keeper(channel_in_path(request)).channel
        side = channel.side if choice(request, "side", ("own", "peer")) == "own" else 1 - channel.side
        start, count = number(request, "from", 0, SIZE_MAX), number(request, "count", 100, ENTRIES_PER_ANSWER)
        return json_answer(await entry_views(channel, side, start, count, who=self.exchange.who))

    # -- consents and requests

    async def grant_consent(self, request: Request) -> Response:
        return json_answer(
            words.Index(index=await self.exchange.grant_consent(await asked(request, words.ConsentWanted)))
        )

    async def consents(self, _: Request) -> Response:
        return json_answer(self.exchange.consents())

    async def withdraw_consent(self, request: Request) -> Response:
        await self.exchange.withdraw_consent(self._kept(request), index_in_path(request))
        return json_answer({})

    async def request(self, request: Request) -> Response:
        return json_answer(words.Index(index=await self.exchange.request(await asked(request, words.RecordWanted))))

    async def requests(self, _: Request) -> Response:
        return json_answer(self.exchange.requests())

    # -- records

    async def add_record(self, request: Request) -> Response:
        name = request.headers.get("x-interward-name", "")
        require(len(name) <= NAME_CHARS_MAX, Fault.TOO_LARGE, f"a name has at most {NAME_CHARS_MAX} letters")
        label = request.headers.get("x-interward-label") or None
        async with aclosing(request.stream()) as pieces:
            return json_answer(await self.exchange.add_record(pieces, name, label))

    async def add_crowd(self, request: Request) -> Response:
        crowd = decode_crowd(await body_of(request, CROWD_BYTES_MAX))
        label = request.headers.get("x-interward-label") or None
        return json_answer(await self.exchange.add_crowd([(one.name, one.content) for one in crowd], label))

    async def records(self, request: Request) -> Response:
        found = self.exchange.records(
            patient=text(request, "patient"),
            class_=text(request, "class"),
            label=text(request, "label"),
            origin=text(request, "origin"),
            from_ms=_moment(request, "from_ms"),
            until_ms=_moment(request, "until_ms"),
        )
        return json_answer(found)

    async def record(self, request: Request) -> Response:
        return json_answer(self.exchange.record(record_in_path(request)))

    async def pieces(self, request: Request) -> Response:
        return json_answer(await self.exchange.pieces(record_in_path(request)))

    async def content(self, request: Request) -> Response:
        who, role, purpose = (text(request, name) or "" for name in ("practitioner", "role", "purpose"))
        size, pieces = await self.exchange.content(record_in_path(request), who, role, purpose)
        # The length is said first: an answer that ends before it, since a chunk was damaged, is known for cut short.
        return StreamingResponse(pieces, media_type="application/octet-stream", headers={"content-length": str(size)})

    async def share(self, request: Request) -> Response:
        record = record_in_path(request)
        return json_answer(await self.exchange.share(record, await asked(request, words.Share)))

    async def share_many(self, request: Request) -> Response:
        wanted = await asked(request, words.ShareMany)
        require(len(wanted.records) <= AT_ONCE_MAX, Fault.TOO_LARGE, f"at most {AT_ONCE_MAX} records go at once")
        ids = [unhex(record, "record", HANDLE_BYTES) for record in wanted.records]
        if not wanted.each:
            return json_answer(words.GrantedMany(grants=tuple(await self.exchange.share_all(ids, wanted.share))))
        became = await self.exchange.share_each(ids, wanted.share)
        shared = tuple(_shared(record, one) for record, one in zip(wanted.records, became, strict=True))
        return json_answer(words.GrantedMany(tuple(grant for one in shared for grant in one.grants), shared))

    # -- grants

    async def fetch_many(self, request: Request) -> Response:
        grants = (await asked(request, words.FetchMany)).grants
        require(len(grants) <= AT_ONCE_MAX, Fault.TOO_LARGE, f"at most {AT_ONCE_MAX} grants go at once")
        require(all(0 <= grant < SIZE_MAX for grant in grants), Fault.MALFORMED, "no log has so many entries")
        became = await self.exchange.fetch_all(self._kept(request), grants)
        return json_answer([_fetched(grant, one) for grant, one in zip(grants, became, strict=True)])

    # -- keeping and erasing

    async def erase(self, request: Request) -> Response:
        return json_answer(await self.exchange.erasing.erase(record_in_path(request)))

    async def retention(self, _: Request) -> Response:
        return json_answer(retention_view(self.hospital, self.exchange.erasing.holds))

    async def hold(self, request: Request) -> Response:
        wanted = await asked(request, words.HoldWanted)
        check_hold(self.hospital, wanted)
        return json_answer(
            hold_view(self.exchange.erasing.holds.put(wanted.what, wanted.name, wanted.reason, now_ms()))
        )

    async def unhold(self, request: Request) -> Response:
        wanted = await asked(request, words.HoldWanted)
        return json_answer(words.HoldEnded(ended=self.exchange.erasing.holds.drop(wanted.what, wanted.name)))

    async def after_close(self, _: Request) -> Response:
        return json_answer(closed_access_views(self.exchange.closed_log.read(self.hospital.reader.chain)))

    async def transfers(self, _: Request) -> Response:
        return json_answer(self.exchange.transfers())

    async def grants(self, request: Request) -> Response:
        named = text(request, "channel")
        is_open = choice(request, "state", ("all", "open")) == "open"
        return json_answer(self.exchange.grants(None if named is None else channel_of(named), is_open=is_open))

    async def fetch(self, request: Request) -> Response:
        return json_answer(await self.exchange.fetch(self._kept(request), index_in_path(request)))

    async def revoke(self, request: Request) -> Response:
        await self.exchange.revoke(self._kept(request), index_in_path(request))
        return json_answer({})

    # -- audit

    async def prove(self, request: Request) -> Response:
        wanted = await asked(request, words.Prove)
        channel = self.hospital.keeper(channel_of(wanted.channel)).channel
        side = channel.side if wanted.side == "own" else 1 - channel.side
        size = channel.heads[side].size
        if not 0 <= wanted.index < size:
            raise LocalError(f"the log has {size} entries, none numbered {wanted.index}", "Take one from the log.")
        return json_answer(await self.operations.prove(channel.id, side, wanted.index))

    async def verify_logs(self, request: Request) -> Response:
        wanted = await asked(request, words.Verify)
        channel = self.hospital.keeper(channel_of(wanted.channel)).channel
        return json_answer(await self.operations.verify_logs(channel.id))

    async def audit_log(self, request: Request) -> Response:
        """Entries of one channel or of all, of both sides or one, in the order of their times."""
        named, side = text(request, "channel"), choice(request, "side", ("both", "own", "peer"))
        start, count = number(request, "from", 0, SIZE_MAX), number(request, "count", 100, ENTRIES_PER_ANSWER)
        keepers = self.hospital.all_keepers() if named is None else [self.hospital.keeper(channel_of(named))]
        shown: list[words.Entry] = []
        for channel in [keeper.channel for keeper in keepers]:
            wanted = _filter(request, channel)
            for at in (channel.side, 1 - channel.side):
                if side in ("both", "own" if at == channel.side else "peer"):
                    found = await entry_views(channel, at, start, count, who=self.exchange.who, wanted=wanted)
                    shown += [{"channel": channel.id.hex(), **entry} for entry in found]
        shown.sort(key=lambda entry: (entry["time_ms"], entry["channel"], entry["side"], entry["index"]))
        return json_answer(shown[:count])


def _wait(request: HTTPConnection) -> Wait:
    return cast(Wait, choice(request, "wait", get_args(Wait)))


def _moment(request: Request, name: str) -> int | None:
    return None if text(request, name) is None else number(request, name, 0, TIME_MS_MAX)


def _shared(record: str, became: words.Granted | Exception) -> words.SharedOne:
    if isinstance(became, Exception):
        return words.SharedOne(record=record, problem=str(became), already=isinstance(became, AlreadyGranted))
    return words.SharedOne(record, became.grants, became.resources, became.of_resources)


def _fetched(grant: int, became: words.Fetched | Exception) -> words.FetchedOne:
    if isinstance(became, Exception):
        return words.FetchedOne(grant=grant, problem=str(became), coming=COMING in str(became))
    return words.FetchedOne(grant=grant, record=became.record, bytes=became.bytes, problem=became.unproven or None)


def _filter(request: Request, channel: Channel) -> Filter:
    """People in the desk's words become handles, which are different in every channel."""
    patient, practitioner = text(request, "patient"), text(request, "practitioner")
    secret = channel.me.secret
    return Filter(
        patient=None if patient is None else handle(secret, PATIENT, patient),
        practitioner=None if practitioner is None else handle(secret, PRACTITIONER, practitioner),
    )
