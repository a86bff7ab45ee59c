"""`/api/batch`: many records in one upload, read while nobody waits; results as JSON, as CSV, or in a given table."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Query, UploadFile
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel

from adapters.files.batch_folder import Batch, BatchState
from adapters.web.batch_work import BatchWork, Order
from adapters.web.paging import DEFAULT_LIMIT, Limit
from adapters.web.principal import Asker
from adapters.web.problems import Refusal, not_found, problems_of
from adapters.web.schemas import Time
from adapters.web.tables_out import csv_lines
from adapters.web.uploads import Turns
from gateway.batch import FIXED, Fill, RecordResult, fill, labels_of, read_table, table

log = structlog.get_logger()
_LARGEST_TABLE = 32 * 1024 * 1024
BatchId = Annotated[str, Path(pattern="^[0-9a-f]{1,40}$", examples=["9f2a7c01d4e8b6503a1c"])]
Place = Annotated[str | None, Query(pattern="^[0-9]{1,9}$", description="`next` of the page before.")]
_CSV: dict[int | str, dict[str, Any]] = {200: {"description": "CSV in UTF-8.", "content": {"text/csv": {
    "schema": {"type": "string"}, "example": "record,state,reason,pipeline,verdict,risk,demonstration,AFIB\r\n"}}}}


class BatchForm(BaseModel):
    """`state`: waiting, running, done or failed. `total`: records, 0 until they are counted; of these `done`
    were read, `refused` are damaged, missing or of no kind that is read, and `failed` could not be read here."""

    batch_id: str
    state: str
    total: int
    done: int
    refused: int
    failed: int
    error: str
    created_at: Time
    ended_at: Time | None

    @classmethod
    def of(cls, state: BatchState) -> BatchForm:
        return cls(**{name: getattr(state, name) for name in cls.model_fields})


class BatchPage(BaseModel):
    items: list[BatchForm]
    next: str | None


class RecordFinding(BaseModel):
    label: str
    display: str
    probability: float
    threshold: float
    present: bool


class RecordForm(BaseModel):
    """What became of one record. `state`: done, refused or failed, with the `reason`."""

    record: str
    state: str
    reason: str
    pipeline: str
    verdict: str
    risk: float | None
    demonstration: bool | None
    summary: str
    findings: list[RecordFinding]
    problems: list[dict[str, str]]

    @classmethod
    def of(cls, result: RecordResult) -> RecordForm:
        told = {name: getattr(result, name) for name in cls.model_fields}
        return cls(**{**told, "findings": [RecordFinding(**f) for f in result.findings],
                      "problems": [dict(problem) for problem in result.problems]})


class RecordPage(BaseModel):
    """`state`: of the batch; while it runs, more records come after the last page."""

    state: str
    items: list[RecordForm]
    next: str | None


def router(work: BatchWork) -> APIRouter:
    routes = APIRouter(prefix="/api/batch", tags=["batch"])
    _add_orders(routes, work)
    _add_results(routes, work)
    return routes


def _existing(work: BatchWork, batch_id: str) -> Batch:
    batch = work.get(batch_id)
    if batch is None:
        raise not_found("batch")
    return batch


def _add_orders(routes: APIRouter, work: BatchWork) -> None:
    turns = Turns()

    @routes.post("", response_model=BatchForm, status_code=202, summary="Read many records",
                 responses=problems_of(400, 413, 422, 503, 507))
    def order(file: list[UploadFile], asker: Asker, response: Response, sample: UploadFile | None = None) -> BatchForm:
        """`file`: a zip of records (WFDB, `.npy`, aECG, DICOM, NIfTI), a CSV of paths in that zip, or both. `sample`: a
        CSV to be filled in by record name. Reading goes on when the asker leaves; ask `GET /api/batch/{batch_id}`."""
        with turns.one():
            batch = work.order(_sorted_out(file, sample))
        log.info("batch_ordered", batch=batch.state.batch_id, by=asker.name)
        response.headers["Location"] = f"/api/batch/{batch.state.batch_id}"
        return BatchForm.of(batch.state)

    @routes.get("", response_model=BatchPage, summary="List batches", responses=problems_of(422))
    def every(limit: Limit = DEFAULT_LIMIT,
              cursor: Annotated[str | None, Query(pattern="^[0-9a-f]{1,40}$")] = None) -> BatchPage:
        """The newest first; they are kept for `batch.keep_hours` after their end."""
        states = [batch.state for batch in work.all()]
        start = next((place for place, state in enumerate(states, 1) if state.batch_id == cursor), 0)
        if cursor is not None and not start:
            raise Refusal(422, "The cursor is not one that this list gave, or its batch is gone: begin anew.")
        page = states[start:start + limit]
        return BatchPage(items=[BatchForm.of(state) for state in page],
                         next=page[-1].batch_id if start + limit < len(states) else None)

    @routes.get("/{batch_id}", response_model=BatchForm, summary="See how far a batch is", responses=problems_of(404))
    def progress(batch_id: BatchId) -> BatchForm:
        """Counts so far."""
        return BatchForm.of(_existing(work, batch_id).state)

    @routes.delete("/{batch_id}", status_code=204, summary="Stop and delete a batch", responses=problems_of(404))
    def delete(batch_id: BatchId, asker: Asker) -> None:
        """With its results; one that is being read stops after the record at hand."""
        _existing(work, batch_id)
        work.remove(batch_id)
        log.info("batch_deleted", batch=batch_id, by=asker.name)


def _add_results(routes: APIRouter, work: BatchWork) -> None:
    @routes.get("/{batch_id}/results", response_model=RecordPage, summary="Read a batch's results",
                responses=problems_of(404, 422))
    def results(batch_id: BatchId, limit: Limit = DEFAULT_LIMIT, cursor: Place = None) -> RecordPage:
        """In the order of reading, also while the batch runs."""
        batch = _existing(work, batch_id)
        state, start = batch.state.state, int(cursor or 0)
        found = list(islice(batch.results(start), limit + 1))
        return RecordPage(state=state, items=[RecordForm.of(result) for result in found[:limit]],
                          next=str(start + limit) if len(found) > limit else None)

    @routes.get("/{batch_id}/results.csv", response_class=Response, summary="Download a batch's results as CSV",
                responses=problems_of(404) | _CSV)
    def results_csv(batch_id: BatchId) -> StreamingResponse:
        """One row for each record, one column for each label with its probability."""
        batch = _existing(work, batch_id)
        labels = labels_of(batch.results())
        return _csv(csv_lines((*FIXED, *labels), table(batch.results(), labels)), f"{batch_id}.csv")

    @routes.get("/{batch_id}/sample.csv", response_class=Response, summary="Download the sample, filled in",
                responses=problems_of(404, 409, 422) | _CSV)
    def sample_csv(batch_id: BatchId, values: Fill = Fill.PROBABILITY) -> Response:
        """The sample as it came, with the columns that are named as labels filled in for the records that were read.

        `values`: `probability`, or `present` for 1 and 0. Rows without such a record, other columns and order stay.
        """
        batch = _existing(work, batch_id)
        if not batch.state.over:
            raise Refusal(409, "The batch is still being read: its sample is filled in at the end.")
        sample = batch.sample()
        if sample is None:
            raise not_found("sample: none came with this batch")
        return _csv([fill(read_table(sample), batch.results(), values)], f"{batch_id}-sample.csv")


def _csv(lines: Any, name: str) -> StreamingResponse:
    return StreamingResponse(lines, media_type="text/csv",
                             headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _sorted_out(files: Sequence[UploadFile], sample: UploadFile | None) -> Order:
    """At most one zip and one table. Raises Refusal 422."""
    zips = [upload for upload in files if _is_zip(upload)]
    tables = [upload for upload in files if not _is_zip(upload)]
    if len(zips) > 1 or len(tables) > 1:
        raise Refusal(422, "A batch is one zip, one CSV of paths, or one of each; other files go into the zip.")
    return Order(zips[0].file if zips else None, _small(tables[0]) if tables else None,
                 _small(sample) if sample is not None else None)


def _is_zip(upload: UploadFile) -> bool:
    packed = zipfile.is_zipfile(upload.file)
    upload.file.seek(0)
    return packed


def _small(upload: UploadFile) -> bytes:
    content = upload.file.read(_LARGEST_TABLE + 1)
    if len(content) > _LARGEST_TABLE:
        raise Refusal(413, f"A table may have {_LARGEST_TABLE} bytes at most; records go into a zip.")
    return content
