"""What a filter of the worklist means, said plainly: the measure of every implementation."""

from __future__ import annotations

from gateway.browsing import WorklistFilter
from gateway.ports import CaseView


def passes(row: CaseView, where: WorklistFilter) -> bool:
    """The filter, as the port promises it."""
    present = {f["code"] for f in row.findings if f["present"]}
    told = f"{row.patient_name} {row.patient_id} {row.accession_number}".casefold()
    chosen = ((where.modality, row.modality), (where.verdict, row.verdict), (where.state, row.state),
              (where.priority, row.priority), (where.pipeline, row.pipeline))
    return (all(not wanted or value in wanted for wanted, value in chosen)
            and (not where.finding or bool(where.finding & present))
            and (where.received_from is None or row.received_at >= where.received_from)
            and (where.received_to is None or row.received_at < where.received_to)
            and all(word in told for word in where.text.casefold().split())
            and (where.read is None or (row.read_at is not None) == where.read)
            and (where.patient is None or row.patient_id == where.patient[1])
            and where.study_instance_uid in {"", row.study_instance_uid})
