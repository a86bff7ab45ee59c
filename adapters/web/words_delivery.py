"""The strings of documents and of the proof that they arrived."""

from __future__ import annotations

ENGLISH = {
    "about.source": "the recording, made DICOM here", "about.sr": "structured report, DICOM",
    "about.sc": "secondary capture, DICOM", "about.seg": "outlines, DICOM", "about.oru": "result message, HL7 v2",
    "about.diagnostic_report": "report, FHIR R4", "about.json": "the whole result, for programs",
    "about.evidence": "where the model looked",
    "fact.status": "status", "fact.warning": "with a warning", "fact.sop_instance_uid": "SOP Instance UID",
    "fact.transaction_uid": "Transaction UID", "fact.committed_at": "storage committed", "fact.waits_for": "state",
    "fact.storage_commitment": "storage commitment", "fact.http_status": "HTTP status", "fact.statuses": "entries",
    "fact.locations": "resources", "fact.MSA-1": "MSA-1", "fact.MSA-2": "MSA-2",
    "fact.foreign_acknowledgements": "acknowledgements of other messages", "fact.file": "file",
    "fact.sha256": "SHA-256",
}
RUSSIAN = {
    "about.source": "запись, переведённая здесь в DICOM", "about.sr": "структурированный отчёт, DICOM",
    "about.sc": "вторичный снимок, DICOM", "about.seg": "контуры, DICOM",
    "about.oru": "сообщение с результатом, HL7 v2",
    "about.diagnostic_report": "отчёт, FHIR R4", "about.json": "весь результат, для программ",
    "about.evidence": "куда смотрела модель",
    "fact.status": "статус", "fact.warning": "с предупреждением", "fact.sop_instance_uid": "SOP Instance UID",
    "fact.transaction_uid": "Transaction UID", "fact.committed_at": "хранение обещано", "fact.waits_for": "состояние",
    "fact.storage_commitment": "обязательство хранения", "fact.http_status": "статус HTTP", "fact.statuses": "записи",
    "fact.locations": "ресурсы", "fact.MSA-1": "MSA-1", "fact.MSA-2": "MSA-2",
    "fact.foreign_acknowledgements": "подтверждений других сообщений", "fact.file": "файл", "fact.sha256": "SHA-256",
}
