"""When nothing has come for so long that there is time for what can wait: the files of answered objects."""

from __future__ import annotations

from collections.abc import Callable

from adapters.dicom.transport.processors import Processors

QUIET_SECONDS = 0.05
"""While every processor is taken: senders wait for one, and files would keep it from them still longer."""
RESPITE_SECONDS = 0.02
"""How long a processor must have been free, as often as it was looked, for less than that to be enough."""
PUT_OFF_SECONDS = 1.0
"""For how long files are put off: well within the time that a study waits for more after its last object."""
PATIENCE_SECONDS = 0.25
"""How long a sender that leaves waits for its files until they are not put off any more."""
FEW = 16
"""Files that are written at once where somebody who leaves waits for them: so few keep nobody from a processor for
long, and an association that waits is a thread and a descriptor."""


class Lull:
    """Asked each time when nothing has come for a moment. Times are of a monotonic clock, in seconds."""

    def __init__(self, processors: Processors, may_put_off: Callable[[], bool]) -> None:
        """`may_put_off`: whether files may wait longer than they have to, see `gateway.ports.Intake`."""
        self._processors, self._may_put_off = processors, may_put_off
        self.came = 0.0
        """When something came last."""
        self._taken = -RESPITE_SECONDS

    def is_here(self, now: float, answered_at: float, waiting: int, leaving_since: float | None = None) -> bool:
        """`answered_at`: when the first object was answered that has no file; `waiting`: how many have none;
        `leaving_since`: since when somebody who leaves waits for files."""
        if self._processors.are_taken():
            self._taken = now
        return (now - self._taken >= RESPITE_SECONDS or now - self.came >= QUIET_SECONDS
                or now - answered_at >= PUT_OFF_SECONDS or not self._may_put_off()
                or (leaving_since is not None and (waiting <= FEW or now - leaving_since >= PATIENCE_SECONDS)))
