"""Patients, studies and audit of one database."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from adapters.database.audit import DatabaseAudit
from adapters.database.library_studies import DatabaseStudies
from adapters.database.opaque import open_addresses
from adapters.database.patients import DatabasePatients
from adapters.database.study_commands import StudyErasing
from gateway.erasing import Eraser, ForgetfulEngine
from gateway.library import Library
from gateway.ports import ObjectStore
from gateway.repository import DocumentFiles


def open_library(engine: sa.Engine, facility: str, plan: Callable[[int], None], store: ObjectStore,
                 documents: DocumentFiles, work: ForgetfulEngine) -> Library:
    """`plan`: route a study (its row id) and queue its runs. `work`: what carries them on."""
    addresses = open_addresses(engine)
    return Library(DatabasePatients(engine, facility, addresses), DatabaseStudies(engine, facility, addresses, plan),
                   DatabaseAudit(engine), Eraser(StudyErasing(engine, addresses), store, documents, work))
