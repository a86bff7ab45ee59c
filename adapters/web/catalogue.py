"""The strings of the pages and the terminal, in English and Russian. Document phrases are gateway/phrases.py's."""

from __future__ import annotations

from collections.abc import Callable

from adapters.web import words_case, words_delivery, words_operations, words_prior, words_triage, words_worklist
from gateway.phrases import PHRASES

ENGLISH = {
    "title": "Triage worklist", "worklist": "Worklist", "deliveries": "Deliveries", "models": "Models", "api": "API",
    "skip": "Skip to the content", "case": "Case", "back": "Back to the worklist",
    "page_of": "{shown} of {total} studies", "next_page": "Next page", "first_page": "First page",
    "empty": "No studies yet.",
    "empty_hint": "Send DICOM objects to {ae} on {host}:{port}; they appear here as they arrive.",
    "stale": "Connection lost. The list is as it was at {time}.", "live": "Live", "not_ready": "Not ready",
    "col_risk": "Risk", "col_verdict": "Verdict", "col_found": "Found",
    "col_patient": "Patient", "col_modality": "Modality", "col_priority": "Priority", "col_waiting": "Waiting",
    "col_state": "State", "col_deliveries": "Deliveries", "state.receiving": "receiving", "state.waiting": "in queue",
    "state.analysing": "analysing", "state.reported": "reported", "state.failed": "failed",
    "state.unsupported": "unsupported", "state.cancelled": "cancelled", "word.receiving": "Receiving",
    "word.waiting": "In queue", "word.analysing": "Analysing", "word.failed": "Failed",
    "word.unsupported": "Unsupported", "word.cancelled": "Cancelled", "word.partial": "Incomplete",
    "word.conflict": "Contradictory", "word.none": "No verdict", "priority.stat": "STAT", "priority.urgent": "Urgent",
    "priority.routine": "Routine", "delivery.pending": "pending", "delivery.delivered": "delivered",
    "delivery.refused": "refused", "delivery.unproven": "sent, unproven", "delivery.dead": "not delivered, given up",
    "kind.source": "Source", "kind.sr": "SR", "kind.sc": "Picture", "kind.seg": "Segmentation", "kind.oru": "ORU",
    "kind.diagnostic_report": "DiagnosticReport", "kind.json": "JSON", "completeness.complete": "complete",
    "completeness.partial": "partial", "completeness.assumed": "assumed complete",
    "conflict_long": "Objects of this study contradict each other.", "demo": "DEMO", "read": "read",
    "earlier": "earlier result: {verdict}", "no_finding": "nothing found", "no_name": "No name", "no_id": "no id",
    "years": "{n} y", "months": "{n} mo", "sex.M": "M", "sex.F": "F", "sex.O": "O", "minutes": "{n} min",
    "hours": "{n} h {m:02d}", "days": "{n} d {m} h", "seconds": "< 1 min", "picture": "Picture",
    "sound": "The recorded sound",
    "picture_alt": "Picture made by the model for this study", "summary": "Conclusion", "why": "What to know",
    "provenance": "How it was read", "pipeline": "Pipeline", "evidence": "Objects read",
    "instances": "Objects received", "order": "Order", "no_order": "No order has come for this study.",
    "accession": "Accession number", "clinical_question": "Clinical question", "procedure": "Requested procedure",
    "referrer": "Referring physician", "placed": "Placed", "received": "Received", "reported": "Reported",
    "study_uid": "Study Instance UID", "ledger": "Where it went", "destination": "Destination",
    "document": "Document", "attempts": "Attempts", "proof": "Proof", "retry": "Try again",
    "retry_all": "Try all dead deliveries again", "no_deliveries": "No deliveries.", "next_try": "next try {time}",
    "versions": "Versions", "version_n": "No.", "current": "current", "documents": "Documents",
    "mark_read": "Mark as read", "was_read": "Read {time}", "replay": "Read again", "cancel": "Cancel",
    "no_result": "There is no result yet.", "no_reading": "No model has read this study.",
    "others": "Other cases of this study", "all": "all", "ready": "ready",
    "status": "Status", "none_found": "No findings were looked for.", "above": "above the threshold",
    "below": "below the threshold",
}
RUSSIAN = {
    "title": "Рабочий список", "worklist": "Список", "deliveries": "Доставка", "models": "Модели", "api": "API",
    "skip": "К содержанию", "case": "Случай", "back": "К рабочему списку", "page_of": "{shown} из {total} исследований",
    "next_page": "Следующая страница", "first_page": "Первая страница", "empty": "Исследований пока нет.",
    "empty_hint": "Отправьте объекты DICOM на {ae}, {host}:{port}; они появятся здесь по мере поступления.",
    "stale": "Связь потеряна. Список на {time}.", "live": "Обновляется", "not_ready": "Не готово",
    "col_risk": "Риск", "col_verdict": "Заключение",
    "col_found": "Найдено", "col_patient": "Пациент", "col_modality": "Вид", "col_priority": "Срочность",
    "col_waiting": "Ждёт", "col_state": "Состояние", "col_deliveries": "Доставка", "state.receiving": "приём",
    "state.waiting": "в очереди", "state.analysing": "анализ", "state.reported": "готово", "state.failed": "сбой",
    "state.unsupported": "не поддержано", "state.cancelled": "отменено", "word.receiving": "Приём",
    "word.waiting": "В очереди", "word.analysing": "Анализ", "word.failed": "Сбой",
    "word.unsupported": "Не поддержано", "word.cancelled": "Отменено", "word.partial": "Неполное",
    "word.conflict": "Противоречие", "word.none": "Без заключения", "priority.stat": "Экстренно",
    "priority.urgent": "Срочно", "priority.routine": "Планово", "delivery.pending": "ожидает",
    "delivery.delivered": "доставлено", "delivery.refused": "отказ",
    "delivery.unproven": "отправлено, не подтверждено", "delivery.dead": "не доставлено, попытки окончены",
    "kind.source": "Источник", "kind.sr": "SR", "kind.sc": "Снимок", "kind.seg": "Сегментация", "kind.oru": "ORU",
    "kind.diagnostic_report": "DiagnosticReport", "kind.json": "JSON", "completeness.complete": "полное",
    "completeness.partial": "неполное", "completeness.assumed": "считается полным",
    "conflict_long": "Объекты исследования противоречат друг другу.", "demo": "ДЕМО", "read": "прочитано",
    "earlier": "прежний результат: {verdict}", "no_finding": "ничего не найдено", "no_name": "Без имени",
    "no_id": "без номера", "years": "{n} л.", "months": "{n} мес.", "sex.M": "М", "sex.F": "Ж", "sex.O": "др.",
    "minutes": "{n} мин", "hours": "{n} ч {m:02d}", "days": "{n} д {m} ч", "seconds": "< 1 мин", "picture": "Снимок",
    "sound": "Записанный звук",
    "picture_alt": "Снимок, созданный моделью для этого исследования", "summary": "Вывод", "why": "Обратите внимание",
    "provenance": "Чем прочитано", "pipeline": "Конвейер", "evidence": "Прочитано объектов",
    "instances": "Получено объектов", "order": "Направление", "no_order": "Направление к исследованию не поступало.",
    "accession": "Номер направления", "clinical_question": "Клинический вопрос",
    "procedure": "Назначенное исследование", "referrer": "Направивший врач", "placed": "Назначено",
    "received": "Получено", "reported": "Готово", "study_uid": "Study Instance UID", "ledger": "Куда отправлено",
    "destination": "Получатель", "document": "Документ", "attempts": "Попыток", "proof": "Подтверждение",
    "retry": "Повторить", "retry_all": "Повторить все недоставленные", "no_deliveries": "Доставок нет.",
    "next_try": "следующая попытка {time}", "versions": "Версии", "version_n": "№", "current": "текущая",
    "documents": "Документы", "mark_read": "Отметить прочитанным", "was_read": "Прочитано {time}",
    "replay": "Прочитать заново", "cancel": "Отменить", "no_result": "Результата пока нет.",
    "no_reading": "Исследование не прочитано ни одной моделью.",
    "others": "Другие случаи исследования", "all": "все", "ready": "готова", "status": "Статус",
    "none_found": "Признаки не искались.", "above": "выше порога", "below": "ниже порога",
}
_PARTS = {"en": (ENGLISH, words_case.ENGLISH, words_triage.ENGLISH, words_worklist.ENGLISH, words_operations.ENGLISH,
                 words_prior.ENGLISH, words_delivery.ENGLISH),
          "ru": (RUSSIAN, words_case.RUSSIAN, words_triage.RUSSIAN, words_worklist.RUSSIAN, words_operations.RUSSIAN,
                 words_prior.RUSSIAN, words_delivery.RUSSIAN)}
STRINGS = {language: {name: text for part in (PHRASES[language], *parts) for name, text in part.items()}
           for language, parts in _PARTS.items()}
Texts = Callable[..., str]
"""`t("hours", n=2, m=5)`; a name that is not in the catalogue raises KeyError."""


def texts(language: str) -> Texts:
    """The catalogue of one language, as a function."""
    strings = STRINGS[language]

    def t(name: str, **values: object) -> str:
        return strings[name].format(**values) if values else strings[name]

    return t
