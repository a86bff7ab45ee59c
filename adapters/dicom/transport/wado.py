"""WADO-RS: the Retrieve transaction of DICOMweb (PS3.18 10.4) for objects, their metadata and their bulk data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi import Path as InPath
from fastapi.responses import Response, StreamingResponse

from adapters.dicom.content import dicom_json, frames, media, transcode
from adapters.dicom.content.media import Wanted
from adapters.dicom.transport import wado_images
from adapters.dicom.transport.answers import (
    PREFIX,
    DicomWebRoute,
    Part,
    Refusal,
    Uid,
    base_url,
    documented,
    multipart,
    single,
)
from adapters.dicom.transport.bulk import bulk_of, bulk_parts
from adapters.dicom.transport.shelf import Target, one, take, target_of
from gateway.errors import Unusable
from gateway.held import Holdings
from gateway.study import Instance, Principal

_RELATED = "multipart/related"
_REFUSED = (400, 404, 406, 410, 422, 503)
_OBJECTS = documented({200: ("The objects.", (_RELATED, media.DICOM)),
                       206: ("Some of the objects; the others are gone or not to be had in that form.", (_RELATED,))},
                      *_REFUSED)
_METADATA = documented({200: ("The attributes in the DICOM JSON Model.", (media.JSON,)),
                        206: ("Those of the objects that are left.", (media.JSON,))}, *_REFUSED)
_BULK = documented({200: ("The values.", (_RELATED, media.OCTETS)), 206: ("Some of them.", (_RELATED,))}, *_REFUSED)
_WHERE = re.compile(r"[0-9A-Fa-f]{8}(/[1-9]\d{0,5}/[0-9A-Fa-f]{8}){0,8}")
_STUDY = "/studies/{study}"
_SERIES = _STUDY + "/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"
Where = Annotated[str, InPath(description="A BulkDataURI of the metadata ends in it.", examples=["7FE00010"])]


def build_router(holdings: Holdings, principal_of: Callable[[Request], Principal]) -> APIRouter:
    """Retrieval of what is held under `/dicom-web`. Bodies are sent while they are read.

    404 never held, 410 deleted by retention, 406 (in words) where nothing that is accepted can be given.
    """

    def asker(request: Request) -> Principal:
        return principal_of(request)

    router = APIRouter(prefix=PREFIX, tags=["DICOMweb"], route_class=DicomWebRoute, dependencies=[Depends(asker)],
                       default_response_class=Response)
    _add_objects(router, holdings)
    _add_metadata(router, holdings)
    _add_bulk(router, holdings)
    wado_images.add_routes(router, holdings)
    return router


def accepted(request: Request) -> tuple[media.Range, ...]:
    return media.ranges(request.headers.get("accept", ""), request.query_params.get("accept", ""))


# ---------------------------------------------------------------- objects


def _add_objects(router: APIRouter, holdings: Holdings) -> None:
    @router.get(_STUDY, summary="Retrieve a study (WADO-RS)", responses=_OBJECTS)
    def study(study: Uid, request: Request) -> Response:
        return _objects(holdings, request, Target(study))

    @router.get(_SERIES, summary="Retrieve a series (WADO-RS)", responses=_OBJECTS)
    def series(study: Uid, series: Uid, request: Request) -> Response:
        return _objects(holdings, request, Target(study, series))

    @router.get(_INSTANCE, summary="Retrieve an instance (WADO-RS)", responses=_OBJECTS)
    def instance(study: Uid, series: Uid, instance: Uid, request: Request) -> Response:
        return _objects(holdings, request, Target(study, series, instance))


def _objects(holdings: Holdings, request: Request, target: Target) -> Response:
    wanted = media.dicom(accepted(request), single=bool(target.instance))
    shelved = take(holdings, target)
    given = [(i, syntax) for i in shelved.instances if (syntax := _syntax(i, wanted)) is not None]
    if not given:
        stored = sorted({i.transfer_syntax_uid for i in shelved.instances})
        raise Refusal(406, f"Stored in {', '.join(stored)}; ask for that, or for transfer-syntax=*.")
    if target.instance:
        part = _part(*given[0], strict=frames.EXPLICIT_LITTLE_ENDIAN in wanted.transfer_syntaxes)
        return multipart(media.DICOM, [part], shelved.status) if wanted.multipart else single(part, shelved.status)
    status = 206 if len(given) < len(shelved.instances) else shelved.status
    return multipart(media.DICOM, (_part(instance, syntax, strict=False) for instance, syntax in given), status)


def _syntax(instance: Instance, wanted: Wanted) -> str | None:
    stored = instance.transfer_syntax_uid
    able = Path(instance.path).stat().st_size <= transcode.LARGEST and frames.decodable(stored)
    return wanted.pick(stored, decodable=able)


def _part(instance: Instance, syntax: str, *, strict: bool) -> Part:
    """The object in that transfer syntax. One that is damaged comes as it is stored, and says so, unless `strict`.

    Raises Unusable (strict), Transient.
    """
    path, stored = Path(instance.path), instance.transfer_syntax_uid
    if syntax != stored:
        try:
            return Part(media.DICOM, (transcode.to_explicit_little_endian(path, stored),), syntax)
        except Unusable:
            if strict:
                raise
    return Part(media.DICOM, transcode.stored_pieces(path), stored)


# ---------------------------------------------------------------- metadata


def _add_metadata(router: APIRouter, holdings: Holdings) -> None:
    @router.get(_STUDY + "/metadata", summary="Metadata of a study (WADO-RS)", responses=_METADATA)
    def study(study: Uid, request: Request) -> Response:
        return _metadata(holdings, request, Target(study))

    @router.get(_SERIES + "/metadata", summary="Metadata of a series (WADO-RS)", responses=_METADATA)
    def series(study: Uid, series: Uid, request: Request) -> Response:
        return _metadata(holdings, request, Target(study, series))

    @router.get(_INSTANCE + "/metadata", summary="Metadata of an instance (WADO-RS)", responses=_METADATA)
    def instance(study: Uid, series: Uid, instance: Uid, request: Request) -> Response:
        return _metadata(holdings, request, Target(study, series, instance))


def _metadata(holdings: Holdings, request: Request, target: Target) -> Response:
    media.json(accepted(request))
    shelved = take(holdings, target)
    return StreamingResponse(_as_array(shelved.instances, base_url(request)), shelved.status, media_type=media.JSON)


def _as_array(instances: Sequence[Instance], base: str) -> Iterator[bytes]:
    opening = b"["
    for instance in instances:
        yield opening + dicom_json.encoded(_attributes(instance, base))
        opening = b","
    yield b"]"


def _attributes(instance: Instance, base: str) -> dicom_json.Json:
    """Of the file; what the index knows where the file is damaged."""
    prefix = f"{base}{target_of(instance).path}/bulkdata/"
    try:
        return dicom_json.of_file(Path(instance.path), lambda where: prefix + where)
    except Unusable:
        return dicom_json.of_tags(instance.tags, (k for k in instance.tags if k != "TransferSyntaxUID"))


# ---------------------------------------------------------------- bulk data


def _add_bulk(router: APIRouter, holdings: Holdings) -> None:
    @router.get(_STUDY + "/bulkdata", summary="Bulk data of a study (WADO-RS)", responses=_BULK)
    def study(study: Uid, request: Request) -> Response:
        return _all_bulk(holdings, request, Target(study))

    @router.get(_SERIES + "/bulkdata", summary="Bulk data of a series (WADO-RS)", responses=_BULK)
    def series(study: Uid, series: Uid, request: Request) -> Response:
        return _all_bulk(holdings, request, Target(study, series))

    @router.get(_INSTANCE + "/bulkdata", summary="Bulk data of an instance (WADO-RS)", responses=_BULK)
    def instance(study: Uid, series: Uid, instance: Uid, request: Request) -> Response:
        return _all_bulk(holdings, request, Target(study, series, instance))

    @router.get(_INSTANCE + "/bulkdata/{where:path}", summary="One value that metadata refer to (WADO-RS)",
                responses=_BULK)
    def value(study: Uid, series: Uid, instance: Uid, where: Where, request: Request) -> Response:
        if not _WHERE.fullmatch(where):
            raise Refusal(404, "No BulkDataURI of ours ends like this.")
        held = one(holdings, Target(study, series, instance))
        return bulk_of(held, where, accepted(request))


def _all_bulk(holdings: Holdings, request: Request, target: Target) -> Response:
    """Every value that metadata refer to, each with its own URL as Content-Location."""
    ranges, shelved, base = accepted(request), take(holdings, target), base_url(request)
    if not any(r.covers(media.OCTETS) for r in ranges if r.multipart or r.open):
        raise media.NotAcceptable(f'Bulk data are given as multipart/related; type="{media.OCTETS}".')
    parts = (part for i in shelved.instances for part in bulk_parts(i, f"{base}{target_of(i).path}/bulkdata/"))
    return multipart(media.OCTETS, parts, shelved.status)
