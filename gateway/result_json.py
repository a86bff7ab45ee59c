"""The JSON form of a result: what is stored, delivered as `json` and shown by the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gateway.codes import Code
from gateway.result import (
    Finding,
    ImageRegion,
    Measurement,
    ModelRelease,
    Problem,
    Provenance,
    Result,
    Verdict,
    WaveformRegion,
)


def to_json(result: Result) -> dict[str, Any]:
    """JSON-serialisable; `from_json` gives the same result back."""
    form = asdict(result)
    form["demonstration"] = result.demonstration
    for finding, told in zip(result.findings, form["findings"], strict=True):
        told["present"] = finding.present
    return form


def from_json(form: Mapping[str, Any]) -> Result:
    """Raises ValueError or KeyError where the form is not a result's."""
    provenance = form["provenance"]
    return Result(
        verdict=Verdict(form["verdict"]),
        risk=form["risk"],
        findings=tuple(_finding(f) for f in form["findings"]),
        provenance=Provenance(provenance["pipeline"], provenance["pipeline_version"],
                              tuple(ModelRelease(**m) for m in provenance["models"])),
        evidence=tuple(form["evidence"]),
        measurements=tuple(_measurement(m) for m in form["measurements"]),
        problems=tuple(Problem(**p) for p in form["problems"]),
        summary=form["summary"],
    )


def _finding(form: Mapping[str, Any]) -> Finding:
    return Finding(form["label"], Code(**form["code"]), form["display"], form["probability"], form["threshold"],
                   form["acuity"], tuple(_measurement(m) for m in form["measurements"]), _region(form["region"]))


def _measurement(form: Mapping[str, Any]) -> Measurement:
    return Measurement(Code(**form["code"]), form["value"], Code(**form["unit"]),
                       form.get("display", ""), form.get("unit_display", ""))


def _region(form: Mapping[str, Any] | None) -> ImageRegion | WaveformRegion | None:
    if form is None:
        return None
    if "channels" in form:
        channels = tuple((int(group), int(channel)) for group, channel in form["channels"])
        return WaveformRegion(form["sop_instance_uid"], channels, form["start"], form["end"])
    return ImageRegion(**form)
