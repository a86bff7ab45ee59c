"""What read the study: a Device for each model release, and one for the pipeline where it ran several."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.fhir.content import vocabulary as v
from adapters.fhir.content.bundle import Entry, create_unless_there
from adapters.fhir.content.datatypes import Json, clean, compact, concept, full_url, identifier
from gateway import identity
from gateway.phrases import phrase
from gateway.result import ModelRelease, Provenance
from gateway.site_thresholds import told_thresholds


@dataclass(frozen=True, slots=True)
class Devices:
    """All entries, and the one that the Observations name as their device."""

    entries: tuple[Entry, ...]
    observer: Entry


def device_entries(provenance: Provenance, language: str) -> Devices:
    models = tuple(_model(m, language) for m in provenance.models)
    if len(models) == 1:
        return Devices(models, models[0])
    pipeline = _pipeline(provenance, models)
    return Devices((pipeline, *models), pipeline)


def _model(model: ModelRelease, language: str) -> Entry:
    """Known by name, version, file hash and the site's thresholds: others are another Device. Never updated."""
    thresholds = told_thresholds(model, language)
    value = identity.digest("model", model.name, model.version, model.sha256, model.demonstration,
                            *([thresholds] if thresholds else []))
    notes = [phrase(language, "demonstration")] if model.demonstration else []
    notes += [clean(model.status), clean(thresholds)]
    resource = _device(value, model.name, [{"value": clean(model.version)}], notes)
    if model.sha256:
        resource["property"] = [{"type": {"text": "SHA-256 of the model file"}, "valueCode": [{"text": model.sha256}]}]
    return create_unless_there(full_url("Device", value), resource, v.DEVICE, value)


def _pipeline(provenance: Provenance, models: tuple[Entry, ...]) -> Entry:
    """Names its models in `version.component`; R4 has no other link from a Device to its parts."""
    parts = [entry.resource["identifier"][0]["value"] for entry in models]
    value = identity.digest("pipeline", provenance.pipeline, provenance.pipeline_version, *parts)
    versions: list[Json] = [{"value": clean(provenance.pipeline_version)}]
    for entry in models:
        told = entry.resource.get("version", [{"value": "1"}])[0]["value"]
        versions.append({"component": entry.resource["identifier"][0], "value": told})
    resource = _device(value, provenance.pipeline, versions, [])
    return create_unless_there(full_url("Device", value), resource, v.DEVICE, value)


def _device(value: str, name: str, versions: list[Json], notes: list[str]) -> Json:
    return compact({  # type: ignore[no-any-return]
        "resourceType": "Device", "identifier": [identifier(v.DEVICE, value)], "status": "active",
        "manufacturer": "Triage Gateway", "modelNumber": clean(name),
        "deviceName": [{"name": clean(name), "type": "model-name"}], "type": concept(v.SOFTWARE),
        "version": [version for version in versions if version["value"]],
        "note": [{"text": note} for note in notes if note]})
