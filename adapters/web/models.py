"""`/api/models`: what can run, and whether it is what it says it is."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Response

from adapters.web.sayings import said
from adapters.web.schemas import ModelForm, ModelList
from adapters.web.spoken import Language
from gateway.errors import Transient
from gateway.ports import Inference

ModelCards = Callable[[str], str | None]
"""Model name → its MODEL.md (Markdown), None where there is none."""


def router(inference: Inference, cards: ModelCards) -> APIRouter:
    routes = APIRouter(prefix="/api", tags=["models"])

    @routes.get("/models", response_model=ModelList)
    def models(language: Language, response: Response) -> ModelList:
        """Each model of the repository with its release, and whether it is ready."""
        response.headers["Vary"] = "Accept-Language"
        return ModelList(items=[_in_words(form, language) for form in model_forms(inference, cards)])

    return routes


def _in_words(form: ModelForm, language: str) -> ModelForm:
    return form.model_copy(update={"status": said(form.status, language), "reason": said(form.reason, language)})


def model_forms(inference: Inference, cards: ModelCards) -> list[ModelForm]:
    return [_form(name, inference, cards) for name in inference.models()]


def _form(name: str, inference: Inference, cards: ModelCards) -> ModelForm:
    card = f"/models/{name}" if cards(name) is not None else None
    try:
        release = inference.release(name)
    except Transient as error:
        return ModelForm(name=name, version="", sha256="", status="", demonstration=None, ready=False,
                         reason=str(error), card=card)
    return ModelForm(name=name, version=release.version, sha256=release.sha256, status=release.status,
                     demonstration=release.demonstration, ready=True, reason="", card=card)
