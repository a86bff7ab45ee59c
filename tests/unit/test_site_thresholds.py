"""A site's own thresholds: in the release that pipelines read, in the run's identity, in what people see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.cli.local import list_models
from adapters.fhir.content.devices import device_entries
from adapters.inference.embedded import EmbeddedInference
from gateway.app.readers import check_models
from gateway.errors import ConfigurationError, NotReady
from gateway.result import ModelRelease, Provenance
from gateway.settings import ModelSettings, Settings
from gateway.site_thresholds import applied, fingerprint_at, told_thresholds, with_site_thresholds
from tests.reading import MODELS

RELEASE = ModelRelease("m", "1", "ab" * 32, demonstration=False, status="validated on X",
                       parameters={"thresholds": '{"A": 0.5, "B": 0.4}', "labels": "A,B"})


def test_the_sites_threshold_takes_the_place_of_the_models_own() -> None:
    release = applied(RELEASE, ModelSettings(thresholds={"A": 0.2}))
    assert json.loads(release.parameters["thresholds"]) == {"A": 0.2, "B": 0.4}
    assert told_thresholds(release, "en") == "Thresholds of this site: A 0.2"
    assert told_thresholds(release, "ru") == "Пороги этого учреждения: A 0.2"
    assert applied(RELEASE, ModelSettings()) is RELEASE
    assert told_thresholds(RELEASE, "en") == ""


@pytest.mark.parametrize(("site", "why"), [
    (ModelSettings(thresholds={"C": 0.2}), "names C; the model has thresholds for A, B"),
    (ModelSettings(thresholds={"A": 0.2}, sha256="abababff"), "another file"),
])
def test_what_does_not_fit_the_model_is_not_ready(site: ModelSettings, why: str) -> None:
    with pytest.raises(NotReady, match=why):
        applied(RELEASE, site)
    assert applied(RELEASE, ModelSettings(thresholds={"A": 0.2}, sha256="ABABABAB")).sha256 == RELEASE.sha256


def test_other_thresholds_make_another_run() -> None:
    plain = {"m": "f1", "n": "f2"}.__getitem__
    one, two = (fingerprint_at({"m": ModelSettings(thresholds={"A": level})}, plain) for level in (0.2, 0.3))
    assert len({one("m"), two("m"), plain("m")}) == 3
    assert one("n") == plain("n")
    assert fingerprint_at({"m": ModelSettings()}, plain)("m") == plain("m")


def test_fhir_devices_tell_them_and_are_devices_of_their_own() -> None:
    site = applied(RELEASE, ModelSettings(thresholds={"A": 0.2}))
    plain, changed = (device_entries(Provenance("p", "1", (release,)), "en").observer for release in (RELEASE, site))
    assert changed.resource["identifier"] != plain.resource["identifier"]
    assert "Thresholds of this site: A 0.2" in [note["text"] for note in changed.resource["note"]]


def test_served_models_and_the_list_of_models_tell_them() -> None:
    settings = Settings(model_repository=MODELS, models={"ecg_12lead": ModelSettings(thresholds={"AFIB": 0.9})})
    inference = with_site_thresholds(EmbeddedInference(MODELS, 30, 1), settings.models)
    assert json.loads(inference.release("ecg_12lead").parameters["thresholds"])["AFIB"] == 0.9
    told = {line.name: line.status for line in list_models(settings)}
    assert "Thresholds of this site: AFIB 0.9" in told["ecg_12lead"]
    assert "Thresholds" not in told["chest_ct_classifier"]


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no model ecg_12leads"):
        check_models(Settings(model_repository=MODELS, models={"ecg_12leads": ModelSettings()}))
    with pytest.raises(ConfigurationError, match="known are none"):
        check_models(Settings(model_repository=tmp_path, models={"x": ModelSettings()}))
