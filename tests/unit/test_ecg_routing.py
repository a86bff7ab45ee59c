"""A recording goes to the reader for what it holds: told by its channels, from the bytes as they come."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.demo.hospital import configuration
from adapters.dicom.content.part10 import split
from adapters.dicom.content.tags import read_tags
from adapters.dicom.content.waveform_write import write_ecg
from adapters.files.settings_file import load
from gateway.ports import EcgSource
from gateway.routing import route_study
from gateway.settings import Settings
from gateway.study import Patient
from pipelines.ecg.leads import LEADS
from pipelines.ecg.synthetic import synthesise
from tests.builders import study

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("channels", "pipelines"), [
    (12, ["ecg_12lead", "ecg_mi"]), (8, ["ecg_12lead", "ecg_mi"]), (2, ["ecg_1lead"]), (1, ["ecg_1lead"])])
def test_the_number_of_channels_chooses_the_readers(channels: int, pipelines: list[str], tmp_path: Path) -> None:
    """By the configuration that is delivered, and the demonstration's."""
    leads = (*LEADS[:2], *LEADS[6:])[:channels] if channels < 12 else LEADS
    rows = synthesise("normal", 1)[[LEADS.index(lead) for lead in leads]]
    source = EcgSource(("test", "1"), Patient("x"), rows, 500.0, leads, datetime.now(UTC))
    header, dataset = split(write_ecg(source))
    tags = read_tags(header, [dataset])
    assert (tags["NumberOfWaveformChannels"], tags["NumberOfWaveformSamples"], tags["SamplingFrequency"]) == (
        channels, 5000, 500.0)
    base = study("ecg")
    instances = tuple(replace(i, tags={**i.tags, **tags, "Modality": "ECG"}) for i in base.instances)
    of = replace(base, series=(replace(base.series[0], instances=instances),))
    for settings in (load(ROOT / "config" / "gateway.yaml", {}), Settings(**configuration(tmp_path, 1, 2, 3))):
        chosen, _ = route_study(settings.routes, of)
        assert [route.pipeline for route in chosen] == pipelines


def test_without_the_number_it_is_taken_for_twelve_leads() -> None:
    chosen, _ = route_study(load(ROOT / "config" / "gateway.yaml", {}).routes, study("ecg"))
    assert [route.pipeline for route in chosen] == ["ecg_12lead", "ecg_mi"]
