"""What the library's state machine has no rule for, because the association ended while somebody still acted on it."""

from __future__ import annotations

import contextlib
import queue
from typing import Any

import structlog
from pynetdicom.fsm import InvalidEventError

_OUR_OWN = frozenset({"Evt1", "Evt7", "Evt8", "Evt9", "Evt11", "Evt14", "Evt15"})
"""Events that a primitive of ours makes (PS3.8 Table 9-10); the primitive stays queued until the event is acted on."""
_OVER = frozenset({"Sta1", "Sta13"})


def forgive_late_events(association: Any) -> None:
    """Let its upper layer drop an event without a rule, such as our acceptance of a request whose sender has been
    aborted meanwhile; the library's thread would die of it and leave socket and association as they are."""
    upper_layer = association.dul
    act = upper_layer.state_machine.do_action

    def do_action(event: str) -> None:
        try:
            act(event)
        except InvalidEventError:
            state = upper_layer.state_machine.current_state
            structlog.get_logger().debug("late_event", happened=event, state=state)
            if event in _OUR_OWN:
                with contextlib.suppress(queue.Empty):
                    upper_layer.to_provider_queue.get(False)
            if state not in _OVER:
                upper_layer.socket.close()

    upper_layer.state_machine.do_action = do_action
