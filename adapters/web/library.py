"""The routes of the archive: patients, studies, audit, feedback and batches."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from fastapi import APIRouter

from adapters.web import batch, feedback_api, patients, studies
from adapters.web.batch_work import BatchWork
from gateway.feedback import FeedbackStore
from gateway.library import Library
from gateway.ports import Queries


def library_routers(library: Library, feedback: FeedbackStore, queries: Queries, batches: BatchWork,
                    zone: ZoneInfo) -> list[APIRouter]:
    """`zone`: of times in filters that tell none."""
    return [patients.router(library.patients, library.eraser),
            studies.router(library.studies, library.eraser, library.audit, zone),
            feedback_api.router(feedback, queries), batch.router(batches)]
