"""The fixed sentences of documents and page, in the site's language."""

from __future__ import annotations

from gateway import completion_words

PHRASES: dict[str, dict[str, str]] = {
    "en": {
        "normal": "Normal", "pathology": "Pathology", "undetermined": "Undetermined",
        "demonstration": "Demonstration model, not for clinical use",
        "decision_support": "For decision support; to be confirmed by a physician",
        "report": "AI triage report", "verdict": "Verdict", "risk": "Risk", "findings": "Findings",
        "probability": "Probability", "threshold": "Threshold", "present": "present", "absent": "not found",
        "measurements": "Measurements", "quality": "Quality", "model": "Model", "preliminary": "Preliminary",
        "partial": "The study is incomplete", "none": "none", "version": "version",
        "site_thresholds": "Thresholds of this site",
        "not_normal": "Not analysed to the end: this is not a normal result",
        "summary_normal": "None of the conditions looked for was found.",
        "summary_not_normal": "Nothing found, but not called normal", "summary_not_read": "The study could not be read",
        **completion_words.ENGLISH,
    },
    "ru": {
        "normal": "Норма", "pathology": "Патология", "undetermined": "Не определено",
        "demonstration": "Демонстрационная модель, не для клинического применения",
        "decision_support": "Для поддержки принятия решений; требует подтверждения врачом",
        "report": "Отчёт ИИ-сортировки", "verdict": "Заключение", "risk": "Риск", "findings": "Признаки",
        "probability": "Вероятность", "threshold": "Порог", "present": "есть", "absent": "не найдено",
        "measurements": "Измерения", "quality": "Качество", "model": "Модель", "preliminary": "Предварительно",
        "partial": "Исследование получено не полностью", "none": "нет", "version": "версия",
        "site_thresholds": "Пороги этого учреждения",
        "not_normal": "Анализ не завершён: это не нормальный результат",
        "summary_normal": "Ни один из искомых признаков не найден.",
        "summary_not_normal": "Признаки не найдены, но исследование не признано нормой",
        "summary_not_read": "Исследование не удалось прочитать",
        **completion_words.RUSSIAN,
    },
}


def phrase(language: str, key: str) -> str:
    """The sentence in that language; KeyError for an unknown language or key."""
    return PHRASES[language][key]
