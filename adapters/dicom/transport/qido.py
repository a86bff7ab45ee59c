"""QIDO-RS: the Search transaction of DICOMweb (PS3.18 10.6) over what the gateway holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from adapters.dicom.content import dicom_json, media, qido
from adapters.dicom.transport.answers import PREFIX, DicomWebRoute, Uid, base_url, documented
from gateway.held import Holdings, Level
from gateway.study import Principal

_ANSWERS = documented({200: ("The results in the DICOM JSON Model.", (dicom_json.MEDIA_TYPE,)),
                       204: ("Nothing matches.", ())}, 400, 406, 422, 503)
_NOT_FUZZY = "The fuzzymatching parameter is not supported. Only literal matching has been performed."
_MORE = ("The number of results exceeded the maximum supported by the server. "
         "Additional results can be requested.")


def build_router(holdings: Holdings, principal_of: Callable[[Request], Principal]) -> APIRouter:
    """Searches for studies, series and instances under `/dicom-web`.

    200 with results, 204 without; 400 a parameter that is unknown or cannot be read, 406 no DICOM JSON accepted.
    """

    def asker(request: Request) -> Principal:
        return principal_of(request)

    router = APIRouter(prefix=PREFIX, tags=["DICOMweb"], route_class=DicomWebRoute, dependencies=[Depends(asker)],
                       responses=_ANSWERS, default_response_class=Response)

    def answer(request: Request, level: Level, study: str = "", series: str = "") -> Response:
        return _answer(holdings, request, level, study, series)

    @router.get("/studies", summary="Search for studies (QIDO-RS)", openapi_extra=_described(Level.STUDY))
    def studies(request: Request) -> Response:
        return answer(request, Level.STUDY)

    @router.get("/series", summary="Search for series (QIDO-RS)", openapi_extra=_described(Level.SERIES))
    def all_series(request: Request) -> Response:
        return answer(request, Level.SERIES)

    @router.get("/instances", summary="Search for instances (QIDO-RS)", openapi_extra=_described(Level.INSTANCE))
    def all_instances(request: Request) -> Response:
        return answer(request, Level.INSTANCE)

    @router.get("/studies/{study}/series", summary="Search for series of a study (QIDO-RS)",
                openapi_extra=_described(Level.SERIES))
    def series_of(study: Uid, request: Request) -> Response:
        return answer(request, Level.SERIES, study)

    @router.get("/studies/{study}/instances", summary="Search for instances of a study (QIDO-RS)",
                openapi_extra=_described(Level.INSTANCE))
    def instances_of_study(study: Uid, request: Request) -> Response:
        return answer(request, Level.INSTANCE, study)

    @router.get("/studies/{study}/series/{series}/instances", summary="Search for instances of a series (QIDO-RS)",
                openapi_extra=_described(Level.INSTANCE))
    def instances_of_series(study: Uid, series: Uid, request: Request) -> Response:
        return answer(request, Level.INSTANCE, study, series)

    return router


def _answer(holdings: Holdings, request: Request, level: Level, study: str, series: str) -> Response:
    parameters = request.query_params.multi_items()
    media.json(media.ranges(request.headers.get("accept", ""), request.query_params.get("accept", "")))
    search = qido.parse(level, parameters, study, series)
    found = holdings.search(search.query)
    base = base_url(request)
    warnings = [_NOT_FUZZY] if search.fuzzy else []
    warnings += [_MORE] if found.more and search.capped else []
    headers = {"Warning": ", ".join(f'299 triage-gateway "{text}"' for text in warnings)} if warnings else {}
    if not found.items:
        return Response(status_code=204, headers=headers)
    results = [qido.result(held, search, base) for held in found.items]
    return Response(dicom_json.encoded(results), 200, headers, dicom_json.MEDIA_TYPE)


def _described(level: Level) -> dict[str, Any]:
    """The query parameters for the API's description: any other attribute of the level is matched on as well."""
    told = {
        "limit": ("integer", "Most results."), "offset": ("integer", "Results passed over before."),
        "includefield": ("string", "Attributes to tell besides the usual ones (keywords or tags, by comma), or `all`."),
        "fuzzymatching": ("boolean", "Not supported: answered with a warning, and by literal matching."),
        **dict.fromkeys(qido.MATCHING[level],
                        ("string", "Value, UID list, range of dates or times, or text with `*` and `?`."))}
    return {"parameters": [{
        "name": name, "in": "query", "required": False, "description": text,
        "schema": {"type": kind, "minimum": 0} if kind == "integer" else {"type": kind}}
        for name, (kind, text) in told.items()]}
