"""From both networks' probabilities to findings, verdict and words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.pipeline import Ecg
from gateway.result import Finding, Problem, Provenance, Result, Verdict, risk_of
from pipelines.ecg import telling
from pipelines.ecg.delineation import Delineation
from pipelines.ecg.intervals import measurements
from pipelines.ecg.labels import Label
from pipelines.ecg.telling import Scores
from pipelines.ecg_mi.labels import MI, SITES
from pipelines.ecg_mi.marks import marks, q_leads
from pipelines.ecg_mi.signs import Signs

ONLY_INFARCTION = Problem("infarction-only", "Only infarction was looked for; nothing else is excluded.")
WIDE = 120
"""ms: from here on the QRS itself changes Q, R and ST."""


def untrained(names: Sequence[str]) -> tuple[Problem, ...]:
    """Sites that the model has never seen: nothing is said of them, not even that they are not there."""
    known = {label.name: label for label in SITES}
    return tuple(Problem("site-not-trained", f"Not trained, so nothing is said of it: {known[name].display}.")
                 for name in names)


def decide(scores: Scores, sites: Sequence[str], ecg: Ecg, waves: Delineation | None, signs: Signs | None,
           provenance: Provenance) -> Result:
    """Pathology when infarction reaches its threshold, else normal, which means no infarction and no more. Sites are
    findings only with an infarction. `sites`: those that the model was trained for; of the others every result says so.
    """
    infarction = telling.finding_of(MI, scores, ecg, waves)
    where = tuple(telling.finding_of(label, scores, ecg, waves) for label in told_sites(sites))
    findings = (infarction, *where) if infarction.present else (infarction,)
    verdict = Verdict.PATHOLOGY if infarction.present else Verdict.NORMAL
    missing = [label.name for label in SITES if label.name not in sites]
    problems = (*ecg.problems, *_wide(waves), *untrained(missing), ONLY_INFARCTION)
    return Result(verdict, risk_of(findings), findings, provenance, (ecg.sop_instance_uid,),
                  (*measurements(waves), *marks(signs)), problems, _summary(findings, waves, q_leads(signs)))


def told_sites(sites: Sequence[str]) -> tuple[Label, ...]:
    return tuple(label for label in SITES if label.name in sites)


def _wide(waves: Delineation | None) -> tuple[Problem, ...]:
    if waves is None or waves.qrs is None or waves.qrs < WIDE:
        return ()
    return (Problem("wide-qrs", f"QRS of {waves.qrs:.0f} ms: signs of infarction are less reliable."),)


def _summary(findings: tuple[Finding, ...], waves: Delineation | None, q_waves: tuple[str, ...]) -> str:
    rate = "" if waves is None else f" Heart rate {waves.heart_rate:.0f}/min."
    infarction, *sites = findings
    if not infarction.present:
        return f"No sign of infarction found; nothing else was looked for.{rate}"
    present = sorted((site for site in sites if site.present), key=lambda site: -site.probability)
    told = "; ".join(telling.told(finding, None) for finding in (infarction, *present))
    site = "" if present else " Its site cannot be told."
    seen = f" Q waves in {', '.join(q_waves)}." if q_waves else ""
    return f"{told}.{site}{seen}{rate}"
