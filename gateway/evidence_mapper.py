"""Where evidence lies in a recording, computed when somebody looks: only by the very models that made the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from gateway.errors import GatewayError
from gateway.evidence_map import EvidenceTrace
from gateway.pipeline import Ecg, Pipeline
from gateway.ports import Inference
from gateway.reading import Fulfilment, drive
from gateway.viewing import CaseSources

log = structlog.get_logger()


class EvidenceMapper:
    """Asks the pipeline that made a result, where it has the optional `evidence_of` (see gateway.pipeline.Pipeline)."""

    def __init__(self, pipelines: Mapping[str, Pipeline], fulfilment: Fulfilment, inference: Inference) -> None:
        self._pipelines, self._fulfilment, self._inference = pipelines, fulfilment, inference

    def map(self, found: CaseSources, ecg: Ecg) -> EvidenceTrace | None:
        """None where nothing was found, the models are others now or away, or the pipeline makes no map."""
        pipeline = self._pipelines.get(found.provenance.get("pipeline", ""))
        labels = [finding["label"] for finding in found.findings if finding["present"]]
        make = getattr(pipeline, "evidence_of", None)
        if make is None or not labels:
            return None
        try:
            if not self._same_models(found.provenance):
                return None
            trace: EvidenceTrace | None = drive(make(ecg, labels), self._fulfilment)
        except GatewayError as error:
            log.warning("evidence_not_mapped", pipeline=found.provenance["pipeline"], error=type(error).__name__)
            return None
        return trace

    def _same_models(self, provenance: Mapping[str, Any]) -> bool:
        return all(self._inference.release(model["name"]).sha256 == model["sha256"] for model in provenance["models"])
