"""A hospital's own thresholds, laid over those that a model came with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gateway.errors import NotReady
from gateway.identity import digest
from gateway.phrases import phrase
from gateway.pipeline import Array
from gateway.ports import Inference
from gateway.result import ModelRelease
from gateway.settings import ModelSettings

PARAMETER = "site_thresholds"
"""Under `ModelRelease.parameters`: the site's own thresholds as people read them; absent where there are none."""


def applied(release: ModelRelease, site: ModelSettings) -> ModelRelease:
    """The release with the site's thresholds among its `thresholds`, which is where pipelines read theirs.

    Raises NotReady where they were chosen for another file, or name a label that the model has no threshold for.
    """
    if not site.thresholds:
        return release
    if site.sha256 and not release.sha256.startswith(site.sha256.lower()):
        raise NotReady(f"models.{release.name}.thresholds were chosen for another file of the model (SHA-256 "
                       f"{site.sha256[:12]}…): choose them anew with validate --operating-point, or remove them")
    own = _own(release)
    if unknown := sorted(site.thresholds.keys() - own.keys()):
        raise NotReady(f"models.{release.name}.thresholds names {', '.join(unknown)}; the model has thresholds for "
                       f"{', '.join(own) or 'nothing'}")
    told = ", ".join(f"{label} {level:g}" for label, level in sorted(site.thresholds.items()))
    return replace(release, parameters={
        **release.parameters, "thresholds": json.dumps({**own, **site.thresholds}), PARAMETER: told})


def _own(release: ModelRelease) -> dict[str, float]:
    try:
        told = json.loads(release.parameters.get("thresholds", "{}"))
        return {str(label): float(level) for label, level in told.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise NotReady(f"the thresholds of model {release.name} cannot be read from its config.pbtxt") from error


def told_thresholds(release: ModelRelease, language: str) -> str:
    """`Thresholds of this site: AFIB 0.2`; empty where the model's own hold."""
    told = release.parameters.get(PARAMETER, "")
    return f"{phrase(language, PARAMETER)}: {told}" if told else ""


@dataclass(frozen=True, slots=True)
class _WithSiteThresholds:
    inner: Inference
    models_of_site: Mapping[str, ModelSettings]

    def release(self, model: str) -> ModelRelease:
        return applied(self.inner.release(model), self.models_of_site.get(model, ModelSettings()))

    def models(self) -> tuple[str, ...]:
        return self.inner.models()

    def infer(self, model: str, inputs: Mapping[str, Array], outputs: tuple[str, ...]) -> dict[str, Array]:
        return self.inner.infer(model, inputs, outputs)


def with_site_thresholds(inference: Inference, site: Mapping[str, ModelSettings]) -> Inference:
    """The same models, whose releases tell the site's thresholds."""
    return _WithSiteThresholds(inference, site) if site else inference


def fingerprint_at(site: Mapping[str, ModelSettings], fingerprint: Callable[[str], str]) -> Callable[[str], str]:
    """Other thresholds make another run, as another model does."""
    def told(model: str) -> str:
        own = site.get(model)
        return fingerprint(model) if own is None or not own.thresholds else digest(fingerprint(model), own.thresholds)

    return told
