"""A hospital that came back from a backup and signed twice: the chain clears it, and takes the bond of whoever lied.

It had written an entry that Mallory heard, lost its disk, and was told by her that she held nothing of it. So it wrote
another one at the same place. Both words are genuine; what she signed in `resume` makes the first void.
"""

from client.demo.court import VERDICT_S, Court, consent_draft
from client.demo.world import wait_until
from l1.ground.faults import Fault, Refused
from l1.rules.evidence import decode_evidence
from l1.rules.transactions import Report

__all__ = ["accused_by_a_stranger", "restored", "shown_by_the_liar"]

HELD, LOST = 1, 2  # sizes of the honest hospital's log: in the backup, and when its disk died


async def restored(court: Court) -> str:
    """Play it up to the second signature. What both words are, as evidence in hex."""
    honest, world = court.honest, court.world
    await court.write(consent_draft())
    backup = world.folder / f"backup-{court.channel[:8]}"
    await honest.desk.backup(backup)
    await court.write(consent_draft(b"lost"))
    await honest.kill()
    honest.folder = world.folder / f"A-{court.channel[:8]}"
    await world.run("A-restore", ["l2.node", "restore", "--folder", str(honest.folder), "--backup", str(backup)])
    await honest.start()
    await court.do("come_back", peer=honest.id.hex(), size=HELD)
    await _writes_again(court)
    return str((await court.do("words", size=LOST))["evidence"])


async def _writes_again(court: Court) -> None:
    """Once it has resumed, it writes at the place of what it lost."""
    honest = court.honest

    async def open_again() -> bool:
        views = {view.id: view.state for view in await honest.desk.channels()}
        return views.get(court.channel) == "open"

    await wait_until("the restored hospital has its channel", open_again, VERDICT_S)
    await honest.desk.append(court.channel, [consent_draft(b"written after the loss")], wait="durable")

    async def heard_twice() -> bool:
        return int((await court.do("words", size=LOST))["count"]) > 1

    await court.do("wait", size=LOST)
    await wait_until("Mallory has heard both", heard_twice, VERDICT_S)


async def accused_by_a_stranger(court: Court, evidence: str) -> bool:
    """An auditor reports what it was shown. Whether the chain clears the hospital at once.

    It signed nothing before the resume stood on the chain [START-6], so the chain knows what that resume voids.
    """
    world = court.world
    report = Report(channel=bytes.fromhex(court.channel), evidence=decode_evidence(bytes.fromhex(evidence)))
    try:
        await world.reader.send(world.registrar, report)
    except Refused as refused:
        if refused.fault is not Fault.BELOW_RESUME:
            raise
        row = await court.row()
        return not row.claims and row.sides[1].resume_height > 0 and not row.sides[1].guilty
    return False


async def shown_by_the_liar(court: Court, evidence: str) -> None:
    """She shows by her own key what she had denied."""
    await court.do("report", evidence=evidence)
