"""What an object costs the index when that holds few objects, and when it holds many."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import sqlalchemy as sa

from adapters.database.connection import database_url, migrate, open_database
from adapters.database.index import InstanceIndex
from adapters.database.tables import instances, studies
from adapters.dicom.content import part10
from adapters.dicom.content.tags import read_tags
from gateway.study import Instance
from tests.bench.studies import ct_slices_of_noise
from tests.untouched import Untouched

FEW, MANY = 1_000, 1_000_000
_A_STUDY = 500
_ADDED, _ROUNDS = 1_500, 5
_NOW = datetime.now(UTC)


def per_object(folder: Path) -> tuple[float, float]:
    """Seconds of processor time for each object, among a thousand and among a million."""
    found = []
    for name, already in (("few", FEW), ("many", MANY)):
        engine = _opened(folder / name, already)
        found.append(median(_cost(engine, f"{name}.{number}") for number in range(_ROUNDS)))
        engine.dispose()
    return found[0], found[1]


def _opened(folder: Path, already: int) -> sa.Engine:
    folder.mkdir(parents=True)
    engine = open_database(database_url("", folder))
    migrate(engine)
    with engine.begin() as connection:
        for study in range(already // _A_STUDY):
            connection.execute(sa.insert(studies).values(
                facility="SITE", study_instance_uid=f"2.25.{study}", patient_id=f"P{study}", receiving=False,
                first_received_at=_NOW, burst_started_at=_NOW, last_received_at=_NOW, instance_count=_A_STUDY))
            rows = [_row(study + 1, f"2.25.{study}.{number}") for number in range(_A_STUDY)]
            connection.execute(sa.insert(instances), rows)
    return engine


def _row(study: int, uid: str) -> dict[str, object]:
    return {"study_id": study, "sop_instance_uid": uid, "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
            "series_instance_uid": "2.25.1", "transfer_syntax_uid": "1.2.840.10008.1.2.1",
            "path": f"/objects/{study}/{uid}.dcm", "digest": uid, "sender": "dicom:CT", "size": 525_000,
            "tags": {"Modality": "CT"}, "received_at": _NOW, "conflict": False}


def _cost(engine: sa.Engine, name: str) -> float:
    """Seconds for each object of a study that comes in."""
    content = ct_slices_of_noise(name, 1)[0]
    header, dataset = part10.split(content)
    tags = read_tags(header, [dataset])
    index = InstanceIndex(engine, "SITE", lambda _: None, Untouched())
    added = [Instance(f"{name}.{number}", tags["SOPClassUID"], tags["StudyInstanceUID"], tags["SeriesInstanceUID"],
                      tags["TransferSyntaxUID"], f"/objects/{name}/{number}.dcm", len(content), f"{name}.{number}",
                      tags, _NOW, "dicom:CT") for number in range(_ADDED)]
    for instance in added:
        index.add(instance, conflict=False)
    began = time.process_time()
    index.start()
    index.flush(120)
    cost = (time.process_time() - began) / _ADDED
    index.stop()
    return cost
