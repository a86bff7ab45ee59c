"""The page of one case, its documents as they were sent, and what people order or say there. All of it works without
scripts; the viewers need them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from adapters.web.cases import as_conflict, existing, existing_now
from adapters.web.catalogue import Texts
from adapters.web.presentation import Line, Tone
from adapters.web.principal import Asker
from adapters.web.problems import not_found
from adapters.web.rendering import Renderer
from adapters.web.schemas import CaseDetailForm
from adapters.web.words_case import FOR_SCRIPTS
from gateway.delivery import DeliveryState, Kind
from gateway.document_tree import Node, TreeReader
from gateway.errors import Unusable
from gateway.feedback import Feedback, FeedbackStore, Opinion
from gateway.history import CaseHistory
from gateway.image_stacks import is_image
from gateway.ports import Commands, Queries, StoredDocument
from gateway.result import Verdict
from gateway.viewing import CaseSources, Viewer, sounds, waveforms
from gateway.work import now

_LIVE_STATES = frozenset({"receiving", "waiting", "analysing"})
_JSON_KINDS = frozenset({Kind.DIAGNOSTIC_REPORT, Kind.JSON})
_BEST_FIRST = [state.value for state in (DeliveryState.DELIVERED, DeliveryState.PENDING, DeliveryState.UNPROVEN,
                                         DeliveryState.REFUSED, DeliveryState.DEAD)]
_FINDING = "finding."
"""Form fields of opinions are named so, followed by the finding's label."""


@dataclass(frozen=True)
class CaseParts:
    """What the case page needs beside queries and commands. `trees`: how documents of a kind are taken apart."""

    viewer: Viewer
    history: CaseHistory
    feedback: FeedbackStore
    trees: Mapping[Kind, TreeReader] = field(default_factory=dict)


def router(queries: Queries, commands: Commands, parts: CaseParts, renderer: Renderer) -> APIRouter:
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    _add_case(routes, queries, parts, renderer)
    _add_documents(routes, queries, parts, renderer)
    _add_feedback(routes, queries, parts)
    _add_orders(routes, queries, commands)
    return routes


def back_to_case(case_id: str, part: str = "") -> RedirectResponse:
    return RedirectResponse(f"/cases/{case_id}{part}", 303)


# ---------------------------------------------------------------- looking


def _add_case(routes: APIRouter, queries: Queries, parts: CaseParts, renderer: Renderer) -> None:
    @routes.get("/cases/{case_id}")
    def case(case_id: str, asker: Asker) -> Response:
        form = CaseDetailForm.of_detail(existing_now(queries, case_id)).model_dump()
        if form["case_id"] != case_id:
            return back_to_case(form["case_id"])
        line = renderer.line(form)
        return renderer.html(
            "case.html", case=form, line=line, notice=_notice(form, line, renderer.t), asker=asker.name,
            **_values(form, renderer), **_shown(form, parts.viewer.sources(case_id)), **_said(case_id, parts))


def _notice(form: Mapping[str, Any], line: Line, t: Texts) -> str:
    """One sentence over the findings wherever they are not a plain, current verdict."""
    settled = form["state"] == "reported" and form["verdict"] in {"normal", "pathology"}
    if not settled:
        return f"{t('not_normal')}. {line.why}".strip()
    return line.why if line.tone is Tone.CAUTION else ""


_UNITS = {"{count}": "", "{H.B.}/min": "/min", "deg": "°", "[hnsf'U]": " HU", "%": " %"}
"""UCUM code → what stands behind a number where the unit's name in words would be longer than the number."""


def _values(form: Mapping[str, Any], renderer: Renderer) -> dict[str, Any]:
    """What the template would otherwise have to work out."""
    result = form["result"] or {}
    findings = sorted(result.get("findings", ()), key=lambda f: (not f["present"], -f["probability"]))
    return {
        "findings": [f | {"sentence": sentence_of(f, renderer.t)} for f in findings], "result": result,
        "ran": result.get("provenance", {}).get("models", ()),
        "measurements": measurements_of(result.get("measurements", ()), findings),
        "marks": [renderer.mark(d) for d in form["ledger"]], "verdicts": list(Verdict),
        "sent": worst_by_destination(form["ledger"]),
        "words": {name: renderer.t(name) for name in FOR_SCRIPTS},
        "displays": {f["label"]: f["display"] for f in findings},
        "numbers": {run["run_id"]: run["number"] for run in form["runs"]},
        "reasons": renderer.why_here(form),
        "live": form["state"] in _LIVE_STATES or any(d["state"] == "pending" for d in form["ledger"]),
        "can_cancel": form["state"] in _LIVE_STATES,
        "can_replay": form["state"] in {"failed", "cancelled", "unsupported"} or form["verdict"] == "undetermined",
    }


def measurements_of(measurements: Sequence[Mapping[str, Any]],
                    findings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each once: several findings may rest on the same measurement."""
    told: dict[tuple[str, float], dict[str, Any]] = {}
    for one in (*measurements, *(m for f in findings for m in f["measurements"])):
        name = one.get("display") or one["code"]["meaning"]
        told.setdefault((name, one["value"]), {"name": name, "value": one["value"], "unit": _unit_of(one)})
    return list(told.values())


def _unit_of(measurement: Mapping[str, Any]) -> str:
    """With the space before it."""
    unit, translated = measurement["unit"], measurement.get("unit_display")
    if unit["value"] == "1":
        return ""
    return f" {translated}" if translated else _UNITS.get(unit["value"], f" {unit['meaning']}")


def sentence_of(finding: Mapping[str, Any], t: Texts) -> str:
    """What the numbers say in words; so many decimals that probability and threshold are told apart."""
    probability, threshold = finding["probability"], finding["threshold"]
    places = next((n for n in (2, 3, 4) if round(probability, n) != round(threshold, n)), 2)
    return t("sentence.present" if finding["present"] else "sentence.absent",
             p=f"{probability:.{places}f}", threshold=f"{threshold:.{places}f}")


def worst_by_destination(ledger: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Destination → the state of its delivery that is furthest from delivered."""
    worst: dict[str, str] = {}
    for delivery in ledger:
        states = (delivery["state"], worst.get(delivery["destination"], _BEST_FIRST[0]))
        worst[delivery["destination"]] = max(states, key=_BEST_FIRST.index)
    return worst


def _shown(form: Mapping[str, Any], sources: CaseSources | None) -> dict[str, Any]:
    """Which viewers there are, which documents, and what is gone."""
    instances = sources.instances if sources else ()
    kinds = sources.kept if sources else {d["kind"] for d in form["documents"]}
    return {"has_images": any(map(is_image, instances)), "has_ecg": bool(sources and waveforms(sources)),
            "has_sound": bool(sources and sounds(sources)),
            "views": [kind for kind in Kind if kind.value in kinds and kind is not Kind.EVIDENCE],
            "has_picture": Kind.SC.value in kinds,
            "files_deleted_at": sources.files_deleted_at if sources and not instances else None}


def _said(case_id: str, parts: CaseParts) -> dict[str, Any]:
    return {"given": parts.feedback.of_case(case_id), "changes": parts.history.changes(case_id),
            "earlier": parts.history.earlier(case_id)}


# ---------------------------------------------------------------- documents


def _add_documents(routes: APIRouter, queries: Queries, parts: CaseParts, renderer: Renderer) -> None:
    def values(case_id: str, kind: Kind) -> dict[str, Any]:
        found = queries.document(case_id, kind)
        if found is None or kind is Kind.EVIDENCE:
            raise not_found("document of this kind for this case")
        return {"case_id": case_id, "kind": kind, "found": found, **_content(found, parts.trees)}

    @routes.get("/cases/{case_id}/documents/{kind}")
    def document(case_id: str, kind: Kind) -> HTMLResponse:
        ran = (existing(queries, case_id).result or {}).get("provenance", {}).get("models", ())
        return renderer.html("document.html", ran=ran, **values(case_id, kind))

    @routes.get("/fragments/cases/{case_id}/documents/{kind}")
    def fragment(case_id: str, kind: Kind) -> HTMLResponse:
        """The document alone: what the case page's script puts in its place."""
        return renderer.html("_case_document.html", **values(case_id, kind))


def _content(found: StoredDocument, trees: Mapping[Kind, TreeReader]) -> dict[str, Any]:
    """The document as a tree or as text; neither where it is a picture or of another kind."""
    tree: tuple[Node, ...] = trees[found.kind](found.content) if found.kind in trees else ()
    return {"tree": tree, "text": _pretty(found.content) if found.kind in _JSON_KINDS else ""}


def _pretty(content: bytes) -> str:
    try:
        return json.dumps(json.loads(content), indent=2, ensure_ascii=False)
    except ValueError:
        return content.decode("utf-8", "replace")


# ---------------------------------------------------------------- saying and ordering


def _add_feedback(routes: APIRouter, queries: Queries, parts: CaseParts) -> None:
    @routes.post("/cases/{case_id}/feedback")
    async def feedback(case_id: str, request: Request, asker: Asker) -> RedirectResponse:
        form = await request.form(max_files=0, max_fields=300)
        said = feedback_of(case_id, form, asker.name)
        await run_in_threadpool(existing, queries, case_id)
        await run_in_threadpool(parts.feedback.add, said, now())
        return back_to_case(case_id, "#feedback")


def feedback_of(case_id: str, form: FormData, asker: str) -> Feedback:
    """The form of the page as feedback, in the asker's name where no other is given. Raises Unusable."""
    told = {name: value for name, value in form.items() if isinstance(value, str) and value}
    try:
        findings = {name.removeprefix(_FINDING): Opinion(value) for name, value in told.items()
                    if name.startswith(_FINDING)}
        verdict = Verdict(told["verdict"]) if "verdict" in told else None
    except ValueError as error:
        raise Unusable("Choose agree or disagree for a finding, and a verdict of the list.",
                       element="feedback") from error
    return Feedback(case_id, told.get("given_by", "").strip() or asker, told.get("run_id", ""), findings, verdict,
                    told.get("comment", ""))


def _add_orders(routes: APIRouter, queries: Queries, commands: Commands) -> None:
    actions = {"read": commands.mark_read, "unread": commands.mark_unread, "cancel": commands.cancel,
               "replay": commands.replay}

    @routes.post("/cases/{case_id}/{action}")
    def act(case_id: str, action: str) -> RedirectResponse:
        existing(queries, case_id)
        if action not in actions:
            raise not_found("action")
        with as_conflict():
            actions[action](case_id)
        return back_to_case(case_id)
