"""What every ECG reader does before it looks at a signal: which object is read, and what is told where it cannot be."""

from __future__ import annotations

from collections.abc import Callable

from gateway.errors import Unusable
from gateway.pipeline import Analysis, Ecg, Selection, Steps, load_ecg
from gateway.result import Problem, Result
from gateway.study import Study
from pipelines.ecg.selection import RESTING, newest_longest

NO_ECG = Problem("no-ecg", "The study holds no 12-lead or general ECG waveform.")
Refuse = Callable[[tuple[Problem, ...], tuple[str, ...]], Result]
"""(why nothing is read, SOP Instance UIDs of what was chosen) → the result that says so."""


def resting_ecg(study: Study) -> Selection:
    """The newest ECG waveform object, of equally new ones the longest; `no-ecg` where there is none."""
    fitting = [i for i in study.instances if i.sop_class_uid in RESTING]
    if not fitting:
        return Selection((), (NO_ECG,), "no ECG waveform object")
    chosen = max(fitting, key=newest_longest)
    return Selection((chosen,), note=f"newest of {len(fitting)}: {RESTING[chosen.sop_class_uid]}")


def opened(selection: Selection, missing: Problem, refuse: Refuse,
           read: Callable[[Ecg], Steps[Analysis]]) -> Steps[Analysis]:
    """Load what was chosen and `read` it; what is not there (`missing`) or cannot be loaded is refused, with the
    reason."""
    evidence = tuple(i.sop_instance_uid for i in selection.instances)
    if selection.problems or not selection.instances:
        return Analysis(refuse(selection.problems or (missing,), evidence))
    try:
        ecg = yield from load_ecg(selection.instances)
    except Unusable as refusal:
        problem = Problem("unreadable-ecg", f"The waveform cannot be read: {refusal.reason}")
        return Analysis(refuse((problem,), evidence))
    return (yield from read(ecg))
