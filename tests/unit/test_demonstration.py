"""What `make demo` sends is read as it says, by the models that are served and along the demonstration's own routes."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from adapters.demo.hospital import configuration
from adapters.inference.embedded import EmbeddedInference
from gateway.app.readers import PixelsAndSamples, demo_scenarios
from gateway.explaining import study_alone
from gateway.reading import Fulfilment, read
from gateway.routing import route_study
from gateway.settings import Settings
from gateway.study import Study
from tests.mr_studies import received
from tests.reading import MODELS

pytestmark = pytest.mark.slow


def test_every_study_gets_its_verdict(tmp_path: Path) -> None:
    routes = Settings.model_validate(configuration(tmp_path, 1, 2, 3)).routes
    inference = EmbeddedInference(MODELS, 60, 1)
    for number, scenario in enumerate(demo_scenarios()):
        folder = tmp_path / str(number)
        folder.mkdir()
        of = study_alone("SITE", received(scenario.objects, folder))
        taken, _ = route_study(routes, of)
        verdicts = {verdict_of(route.pipeline, of, inference) for route in taken}
        assert bool(taken) == (scenario.state == "reported"), scenario.title
        assert scenario.verdict is None or scenario.verdict in verdicts, f"{scenario.title}: {verdicts}"


def verdict_of(name: str, of: Study, inference: EmbeddedInference) -> str:
    pipeline = importlib.import_module(f"pipelines.{name}").PIPELINE
    fulfilment = Fulfilment(PixelsAndSamples(), inference)
    return str(read(pipeline, of, pipeline.select(of), fulfilment, inference).result.verdict.value)
