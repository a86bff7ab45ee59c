"""UPS-RS (PS3.18 11) over the worklist: search and retrieval of workitems. It is read only: claims are refused."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from adapters.dicom.content import dicom_json, media, qido
from adapters.dicom.transport.answers import PREFIX, DicomWebRoute, Refusal, Uid, base_url, documented
from adapters.dicom.transport.workitems import Workitems
from gateway.study import Principal

_JSON = (dicom_json.MEDIA_TYPE,)
_FOUND = documented({200: ("The workitems, in the order of the worklist.", _JSON), 204: ("Nothing matches.", ())},
                    400, 406, 422, 503)
_ONE = documented({200: ("The workitem.", _JSON)}, 400, 404, 406, 422, 503)
_REFUSED = documented({}, 403, 404, 400, 422)
_KEYS = ("ProcedureStepState", "ScheduledProcedureStepPriority", "PatientID", "PatientName", "StudyInstanceUID",
         "ReferencedRequestSequence.AccessionNumber", "ScheduledProcedureStepStartDateTime", "InputReadinessState")
_MORE = ("The number of results exceeded the maximum supported by the server. "
         "Additional results can be requested.")


def build_router(workitems: Workitems, principal_of: Callable[[Request], Principal]) -> APIRouter:
    """`/dicom-web/workitems`. 403 for everything that would change a workitem: a study counts as read when it was
    opened to the end on the page, or its final report came."""

    def asker(request: Request) -> Principal:
        return principal_of(request)

    router = APIRouter(prefix=PREFIX, tags=["DICOMweb"], route_class=DicomWebRoute, dependencies=[Depends(asker)],
                       default_response_class=Response)

    @router.get("/workitems", summary="Search for workitems (UPS-RS)", responses=_FOUND, openapi_extra=_described())
    def search(request: Request) -> Response:
        return _search(workitems, request)

    @router.get("/workitems/{workitem}", summary="Retrieve a workitem (UPS-RS)", responses=_ONE)
    def retrieve(workitem: Uid, request: Request) -> Response:
        _require_json(request)
        told = workitems.get(workitem, base_url(request))
        if told is None:
            raise Refusal(404, "There is no such workitem.")
        return Response(dicom_json.encoded([dicom_json.of_tags(told, told)]), 200, media_type=dicom_json.MEDIA_TYPE)

    @router.put("/workitems/{workitem}/state", summary="Refused: the worklist is read only", responses=_REFUSED)
    @router.post("/workitems/{workitem}/cancelrequest", summary="Refused: the worklist is read only",
                 responses=_REFUSED)
    @router.post("/workitems/{workitem}", summary="Refused: the worklist is read only", responses=_REFUSED)
    def change(workitem: Uid) -> Response:
        if workitems.get(workitem) is None:
            raise Refusal(404, "There is no such workitem.")
        raise Refusal(403, "Workitems are read only here: a study counts as read when it was opened to the end on the "
                           "page, or when its final report came.")

    return router


def _require_json(request: Request) -> None:
    media.json(media.ranges(request.headers.get("accept", ""), request.query_params.get("accept", "")))


def _search(workitems: Workitems, request: Request) -> Response:
    _require_json(request)
    search = qido.parse_workitems(request.query_params.multi_items())
    limit, offset = search.query.limit, search.query.offset
    inputs = search.include_all or "InputInformationSequence" in search.include
    found = workitems.search(search.query.matching, base_url(request), inputs=inputs)
    page = list(islice(found, offset, offset + limit + 1))
    headers = {"Warning": f'299 triage-gateway "{_MORE}"'} if len(page) > limit and search.capped else {}
    if not page[:limit]:
        return Response(status_code=204, headers=headers)
    results = [dicom_json.of_tags(told, told) for told in page[:limit]]
    return Response(dicom_json.encoded(results), 200, headers, dicom_json.MEDIA_TYPE)


def _described() -> dict[str, Any]:
    told = {"limit": "integer", "offset": "integer", "includefield": "string", **dict.fromkeys(_KEYS, "string")}
    return {"parameters": [{
        "name": name, "in": "query", "required": False,
        "schema": {"type": kind, "minimum": 0} if kind == "integer" else {"type": kind}}
        for name, kind in told.items()]}
