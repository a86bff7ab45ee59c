"""WADO-RS for images: frames, rendered images and thumbnails (PS3.18 10.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from fastapi.responses import Response

from adapters.dicom.content import frames, media, rendered
from adapters.dicom.content.rendered import View
from adapters.dicom.transport.answers import NO_FRAMES, Part, Refusal, Uid, documented, multipart
from adapters.dicom.transport.bulk import frames_of
from adapters.dicom.transport.shelf import Target, middle, one, take
from gateway.errors import Unreadable, Unusable
from gateway.held import Holdings
from gateway.study import Instance

_REFUSED = (400, 404, 406, 410, 422, 503)
_FRAMES = documented({200: ("The frames.", ("multipart/related", media.OCTETS, *sorted(set(
    frames.NATIVE_TYPES.values()))))}, *_REFUSED)
_IMAGES = documented({200: ("The image, or several in parts.", (*rendered.OFFERED, "multipart/related")),
                      206: ("Those of the images that are left.", ("multipart/related",))}, *_REFUSED)
_THUMBNAIL = documented({200: ("The image.", rendered.OFFERED)}, *_REFUSED)
_LIST = re.compile(r"[1-9]\d{0,8}(,[1-9]\d{0,8})*")
_MOST_FRAMES = 10_000
_THUMBNAIL_SIDE = 128
_VIEW = {"window": "center,width,function (linear, linear-exact, sigmoid) of the values after rescaling.",
         "viewport": "width,height to fit in; then x,y,width,height of the region, a negative size flips.",
         "quality": "Of JPEG, 1 to 100."}
_NOT_SUPPORTED = ("annotation", "iccprofile")
"""Optional parameters of the standard that change nothing here: answered with a warning."""
Frames = Annotated[str, InPath(description="Frame numbers from 1, by comma.", pattern=r"^[0-9,]+$", examples=["1"])]
_SERIES = "/studies/{study}/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"


def add_routes(router: APIRouter, holdings: Holdings) -> None:
    _add_frames(router, holdings)
    _add_rendered(router, holdings)
    _add_thumbnails(router, holdings)


def _accepted(request: Request) -> tuple[media.Range, ...]:
    return media.ranges(request.headers.get("accept", ""), request.query_params.get("accept", ""))


# ---------------------------------------------------------------- frames


def _add_frames(router: APIRouter, holdings: Holdings) -> None:
    @router.get(_INSTANCE + "/frames/{numbers}", summary="Frames of an image (WADO-RS)", responses=_FRAMES)
    def of_frames(study: Uid, series: Uid, instance: Uid, numbers: Frames, request: Request) -> Response:
        image, wanted = _image(one(holdings, Target(study, series, instance)), numbers)
        return frames_of(image, wanted, _accepted(request))


def _image(instance: Instance, numbers: str) -> tuple[frames.Image, list[int]]:
    """Raises Unreadable (no list of frames), Refusal 404 (no such frame), Unusable (no image)."""
    if not _LIST.fullmatch(numbers):
        raise Unreadable(NO_FRAMES, element="frames")
    wanted = [int(number) for number in numbers.split(",")]
    if len(wanted) > _MOST_FRAMES:
        raise Unreadable(f"More than {_MOST_FRAMES} frames are asked for at once.", element="frames")
    image = frames.describe(Path(instance.path))
    if max(wanted) > image.frames:
        raise Refusal(404, f"There is no frame {max(wanted)}: the object has {image.frames}.")
    return image, wanted


# ---------------------------------------------------------------- rendered


def _add_rendered(router: APIRouter, holdings: Holdings) -> None:
    told = _described(_VIEW)

    @router.get("/studies/{study}/rendered", summary="Images of a study (WADO-RS)", responses=_IMAGES,
                openapi_extra=told)
    def study(study: Uid, request: Request) -> Response:
        return _all_rendered(holdings, request, Target(study))

    @router.get(_SERIES + "/rendered", summary="Images of a series (WADO-RS)", responses=_IMAGES, openapi_extra=told)
    def series(study: Uid, series: Uid, request: Request) -> Response:
        return _all_rendered(holdings, request, Target(study, series))

    @router.get(_INSTANCE + "/rendered", summary="An object as an image (WADO-RS)", responses=_IMAGES,
                openapi_extra=told)
    def instance(study: Uid, series: Uid, instance: Uid, request: Request) -> Response:
        return _rendered(holdings, request, Target(study, series, instance), "1")

    @router.get(_INSTANCE + "/frames/{numbers}/rendered", summary="Frames as images (WADO-RS)", responses=_IMAGES,
                openapi_extra=told)
    def of_frames(study: Uid, series: Uid, instance: Uid, numbers: Frames, request: Request) -> Response:
        return _rendered(holdings, request, Target(study, series, instance), numbers)


def _rendered(holdings: Holdings, request: Request, target: Target, numbers: str) -> Response:
    """One frame by itself, several in parts."""
    view, kind, warning = _asked(request)
    image, wanted = _image(one(holdings, target), numbers)
    first = rendered.render(image, wanted[0], view, kind)
    if len(wanted) == 1:
        return Response(first, 200, warning, kind)

    def parts() -> Iterator[Part]:
        yield Part(kind, (first,))
        yield from (Part(kind, (rendered.render(image, number, view, kind),)) for number in wanted[1:])

    return _warned(multipart(kind, parts()), warning)


def _all_rendered(holdings: Holdings, request: Request, target: Target) -> Response:
    """The first frame of every image."""
    view, kind, warning = _asked(request)
    shelved = take(holdings, target)
    middle(shelved.instances)
    images = [i for i in shelved.instances if i.tags.get("Rows")]
    return _warned(multipart(kind, _parts(images, view, kind), shelved.status), warning)


def _parts(images: Sequence[Instance], view: View, kind: str) -> Iterator[Part]:
    for instance in images:
        try:
            image = frames.describe(Path(instance.path))
            yield Part(kind, (rendered.render(image, 1, view, kind),))
        except Unusable:
            continue  # asked for by itself it is refused in words


def _asked(request: Request) -> tuple[View, str, dict[str, str]]:
    """(how to show, media type, Warning header). Raises Unreadable, NotAcceptable."""
    told = request.query_params
    unknown = [name for name in told if name not in (*_VIEW, *_NOT_SUPPORTED, "accept")]
    if unknown:
        raise Unreadable(f"Rendered images take the parameters {', '.join([*_VIEW, 'accept'])}.", element="query")
    view = View(rendered.parse_window(told["window"]) if "window" in told else None,
                rendered.parse_viewport(told["viewport"]) if "viewport" in told else None,
                rendered.parse_quality(told.get("quality", "90")))
    ignored = [name for name in _NOT_SUPPORTED if name in told]
    warning = {"Warning": f'299 triage-gateway "Not supported here, and left out: {", ".join(ignored)}."'}
    return view, media.image(_accepted(request), rendered.OFFERED), warning if ignored else {}


def _warned(response: Response, warning: Mapping[str, str]) -> Response:
    response.headers.update(warning)
    return response


# ---------------------------------------------------------------- thumbnails


def _add_thumbnails(router: APIRouter, holdings: Holdings) -> None:
    told = _described({"viewport": "width,height to fit in."})

    @router.get("/studies/{study}/thumbnail", summary="A small image of a study (WADO-RS)", responses=_THUMBNAIL,
                openapi_extra=told)
    def study(study: Uid, request: Request) -> Response:
        return _thumbnail(request, middle(take(holdings, Target(study)).instances))

    @router.get(_SERIES + "/thumbnail", summary="A small image of a series (WADO-RS)", responses=_THUMBNAIL,
                openapi_extra=told)
    def series(study: Uid, series: Uid, request: Request) -> Response:
        return _thumbnail(request, middle(take(holdings, Target(study, series)).instances))

    @router.get(_INSTANCE + "/thumbnail", summary="A small image of an object (WADO-RS)", responses=_THUMBNAIL,
                openapi_extra=told)
    def instance(study: Uid, series: Uid, instance: Uid, request: Request) -> Response:
        return _thumbnail(request, one(holdings, Target(study, series, instance)))

    @router.get(_INSTANCE + "/frames/{numbers}/thumbnail", summary="A small image of a frame (WADO-RS)",
                responses=_THUMBNAIL, openapi_extra=told)
    def of_frame(study: Uid, series: Uid, instance: Uid, numbers: Frames, request: Request) -> Response:
        return _thumbnail(request, one(holdings, Target(study, series, instance)), numbers.partition(",")[0])


def _thumbnail(request: Request, instance: Instance, number: str = "") -> Response:
    """Of a multi-frame object the middle frame stands for all."""
    told = request.query_params
    if any(name not in ("viewport", "accept") for name in told):
        raise Unreadable("Thumbnails take the parameters viewport and accept.", element="query")
    port = (rendered.parse_viewport(told["viewport"], region=False) if "viewport" in told
            else rendered.Viewport(_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
    kind = media.image(_accepted(request), rendered.OFFERED)
    image, wanted = _image(instance, number or "1")
    chosen = wanted[0] if number else (image.frames + 1) // 2
    return Response(rendered.render(image, chosen, View(viewport=port), kind), 200, media_type=kind)


def _described(parameters: Mapping[str, str]) -> dict[str, Any]:
    return {"parameters": [{"name": name, "in": "query", "required": False, "description": text,
                            "schema": {"type": "string"}} for name, text in parameters.items()]}
