"""What the viewers of the case page ask for: lists of slices and leads, pixels, samples, evidence."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response
from numpy.typing import NDArray

from adapters.web.pixel_codec import differences, gzipped
from adapters.web.problems import Refusal
from gateway.audio import Audio
from gateway.errors import Unusable
from gateway.pipeline import Ecg
from gateway.viewing import EcgView, ImageView, Viewer

MICROVOLT = 1000.0
"""Samples go out as whole microvolts."""
MISSING = -32768
"""Told for a sample that is not there."""
_MOST_SAMPLES = 4_000_000
"""Leads × samples of one answer."""
Version = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
Place = Annotated[int, Path(ge=0, le=10**9)]


def router(viewer: Viewer) -> APIRouter:
    """Every answer is private and has a tag: a browser asks again and gets 304 while nothing has changed."""
    routes = APIRouter(include_in_schema=False)
    _add_images(routes, viewer)
    _add_ecg(routes, viewer)
    _add_sound(routes, viewer)
    return routes


def _add_images(routes: APIRouter, viewer: Viewer) -> None:
    @routes.get("/cases/{case_id}/images")
    def images(case_id: str) -> JSONResponse:
        with _found():
            view = viewer.images(case_id)
        return _list(image_form(view), view.version)

    @routes.get("/cases/{case_id}/images/{version}/{stack}/{number}")
    def pixels(case_id: str, version: Version, stack: Place, number: Place, request: Request) -> Response:
        """int16 or RGB as `pixel_codec` tells them; the headers say how stored values become real ones."""
        def made() -> tuple[bytes, dict[str, str]]:
            with _found():
                found = viewer.slice(case_id, version, stack, number)
            told = {"X-Rescale": f"{found.slope:.10g} {found.intercept:.10g}"}
            plain = found.stored.tobytes() if found.stored.ndim == 3 else differences(found.stored)
            return plain, told

        return _tagged(request, f"{version}-{stack}-{number}", made)

    @routes.get("/cases/{case_id}/evidence/{version}/{label}/{plane}")
    def evidence(case_id: str, version: Version, label: Place, plane: Place, request: Request) -> Response:
        """uint8, row by row."""
        def made() -> tuple[bytes, dict[str, str]]:
            with _found():
                return viewer.plane(case_id, version, label, plane).tobytes(), {}

        return _tagged(request, f"{version}-e{label}-{plane}", made)


def _add_ecg(routes: APIRouter, viewer: Viewer) -> None:
    @routes.get("/cases/{case_id}/ecg")
    def ecg(case_id: str) -> JSONResponse:
        with _found():
            view = viewer.ecg(case_id)
        return _list(ecg_form(view), view.version)

    @routes.get("/cases/{case_id}/ecg/{version}/{first}/{count}")
    def samples(case_id: str, version: Version, first: Place, count: Place, request: Request) -> Response:
        """int16 microvolts (leads, samples) as `pixel_codec` tells them, `MISSING` where nothing was recorded."""
        def made() -> tuple[bytes, dict[str, str]]:
            with _found():
                view = viewer.ecg(case_id)
            if view.version != version:
                raise Refusal(404, "The recording of this case has changed: load the page again.")
            return differences(microvolts(view.ecg, first, count)), {}

        return _tagged(request, f"{version}-{first}-{count}", made)


@contextmanager
def _found() -> Iterator[None]:
    """What is not there is 404, and so is what cannot be shown: both with the sentence."""
    try:
        yield
    except Unusable as error:
        raise Refusal(404, error.reason) from error


def _list(form: Mapping[str, Any], version: str) -> JSONResponse:
    return JSONResponse(form, headers={"Cache-Control": "private, no-cache", "ETag": f'"{version}"'})


def _tagged(request: Request, tag: str, make: Callable[[], tuple[bytes, dict[str, str]]]) -> Response:
    headers = {"Cache-Control": "private, no-cache", "ETag": f'"{tag}"', "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    content, told = make()
    if "gzip" in request.headers.get("accept-encoding", ""):
        content, told = gzipped(content), told | {"Content-Encoding": "gzip"}
    return Response(content, media_type="application/octet-stream", headers=headers | told)


def _add_sound(routes: APIRouter, viewer: Viewer) -> None:
    @routes.get("/cases/{case_id}/sound")
    def sound(case_id: str) -> Response:
        """WAV, 16 bits, as loud as it was recorded."""
        with _found():
            return Response(wav(viewer.sound(case_id)), media_type="audio/wav")


def wav(audio: Audio) -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(len(audio.signal))
        file.setsampwidth(2)
        file.setframerate(round(audio.rate))
        samples = np.clip(np.nan_to_num(audio.signal), -1, 1).T * 32767
        file.writeframes(np.ascontiguousarray(np.rint(samples).astype("<i2")).tobytes())
    return content.getvalue()


def microvolts(ecg: Ecg, first: int, count: int) -> NDArray[np.int16]:
    """int16 (leads, samples). Raises Refusal 404 beyond the end."""
    if first >= ecg.signal.shape[1] or not 0 < count * len(ecg.leads) <= _MOST_SAMPLES:
        raise Refusal(404, "The recording has no such part.")
    part = ecg.signal[:, first:first + count] * MICROVOLT
    known = np.clip(np.rint(part), MISSING + 1, -MISSING - 1)
    return np.where(np.isfinite(part), np.nan_to_num(known), MISSING).astype(np.int16)


def image_form(view: ImageView) -> dict[str, Any]:
    """The list of stacks with what lies over them; places count from 0."""
    place = {one.key: (s, n) for s, stack in enumerate(view.stacks) for n, one in enumerate(stack.slices)}
    deleted = view.sources.files_deleted_at
    return {
        "version": view.version, "deleted_at": deleted.isoformat() if deleted and not view.stacks else None,
        "stacks": list(_stacks(view)), "regions": list(_regions(view, place)), "evidence": _evidence(view),
        "key": _key(view, place)}


def _stacks(view: ImageView) -> Iterator[dict[str, Any]]:
    plane_of = dict(zip(view.evidence.slices, view.evidence.planes, strict=True)) if view.evidence else {}
    for stack in view.stacks:
        planes = [plane_of.get(one.key, -1) for one in stack.slices]
        yield {"modality": stack.modality, "description": stack.description, "rows": stack.rows,
               "columns": stack.columns, "spacing": stack.spacing, "window": stack.window, "sides": stack.sides,
               "inverted": stack.inverted, "colour": stack.colour, "read": stack.read,
               "positions": [one.position for one in stack.slices],
               "planes": planes if any(plane >= 0 for plane in planes) else None}


def _evidence(view: ImageView) -> dict[str, Any] | None:
    if view.evidence is None:
        return None
    told = {label: {"display": name, "present": True} for label, name in view.evidence.names.items()}
    told |= {finding["label"]: finding for finding in view.sources.findings}
    peaks = view.evidence.values.max(axis=(2, 3), initial=0).tolist()
    return {"form": view.evidence.form, "rows": view.evidence.values.shape[2], "columns": view.evidence.values.shape[3],
            "labels": [{"label": label, "display": told.get(label, {}).get("display", label), "peaks": peak,
                        "present": bool(told.get(label, {}).get("present"))}
                       for label, peak in zip(view.evidence.labels, peaks, strict=True)]}


def _regions(view: ImageView, place: Mapping[tuple[str, int], tuple[int, int]]) -> Iterator[dict[str, Any]]:
    """Boxes of present findings, in source pixels."""
    for finding in view.sources.findings:
        region = finding.get("region") or {}
        where = place.get((region.get("sop_instance_uid", ""), region.get("frame", 1)))
        if finding.get("present") and where and "left" in region:
            yield {"label": finding["label"], "display": finding["display"], "stack": where[0], "slice": where[1],
                   "box": [region[side] for side in ("left", "top", "right", "bottom")]}


def _key(view: ImageView, place: Mapping[tuple[str, int], tuple[int, int]]) -> dict[str, int] | None:
    """The most telling slice: the reader's own choice, else the first region's, else the middle of the first stack."""
    if view.evidence is not None and (told := place.get(view.evidence.slices[view.evidence.key])):
        return {"stack": told[0], "slice": told[1]}
    for region in _regions(view, place):
        return {"stack": region["stack"], "slice": region["slice"]}
    return {"stack": 0, "slice": len(view.stacks[0].slices) // 2} if view.stacks else None


def ecg_form(view: EcgView) -> dict[str, Any]:
    """The recording without its samples, and what lies over it."""
    displays = {finding["label"]: finding["display"] for finding in view.sources.findings}
    return {
        "version": view.version, "rate": view.ecg.rate, "leads": list(view.ecg.leads),
        "samples": view.ecg.signal.shape[1],
        "shades": [{"label": shade.label, "display": displays.get(shade.label, shade.label), "lead": shade.lead,
                    "start": shade.start, "end": shade.end} for shade in view.shades],
        "evidence": None if view.evidence is None else {
            "step": view.evidence.step, "leads": list(view.evidence.leads),
            "labels": [{"label": label, "display": displays.get(label, label)} for label in view.evidence.labels],
            "values": view.evidence.values.tolist()}}
