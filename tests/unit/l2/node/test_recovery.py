"""What an operator is told of channels that did not come back."""

from l2.node.recovery import frozen_outcome
from l2.protocol.events import Connected, MessageReceived
from l2.protocol.messages import Message
from l2.protocol.phases import Phase
from tests.unit.l2.protocol.stories import granted
from tests.unit.l2.protocol.world import Pair


def test_a_frozen_channel_is_not_called_back_and_the_way_out_is_named() -> None:
    pair = Pair()
    granted(pair)
    pair.do(0, MessageReceived(Message.BATCH, b"rubbish"))
    assert pair.channels[0].phase is Phase.FROZEN
    said = frozen_outcome(pair.channels[0])
    assert (said["ok"], said["state"]) == (False, "frozen")
    assert "malformed" in said["why"]
    assert said["remedy"].endswith("interward channel close --alone")


def test_a_log_that_nobody_called_the_newest_is_closed_as_lost() -> None:
    pair = Pair()
    granted(pair)
    pair.crash(0)
    pair.do(0, Connected())
    pair.do(0, MessageReceived(Message.REESTABLISH, b"rubbish"))
    assert pair.channels[0].phase is Phase.FROZEN
    assert "--lost" in frozen_outcome(pair.channels[0])["remedy"]
