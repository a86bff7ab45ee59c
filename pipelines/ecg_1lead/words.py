"""What the pipeline says, in other languages: language → English → translation."""

from __future__ import annotations

from pipelines.ecg.words import RUSSIAN, SYNDROMES

WORDS: dict[str, dict[str, str]] = {"ru": {
    **RUSSIAN,
    **{english: SYNDROMES[english] for english in (
        "Premature ventricular complexes", "Complete left bundle branch block", "Sinus bradycardia",
        "Sinus tachycardia", "Atrial fibrillation")},
    # measurements
    "R-R interval by EKG": "Средний интервал RR",
    "Shortest R-R interval": "Наименьший интервал RR",
    "Longest R-R interval": "Наибольший интервал RR",
    "Standard deviation of R-R intervals": "Стандартное отклонение интервалов RR (SDNN)",
    # problems
    "The study holds no ECG waveform.": "В исследовании нет записи ЭКГ.",
    "Lead {} was read, the model has learned from lead I: never normal.":
        "Прочитано отведение {}, а модель обучена на отведении I: нормой не считается.",
    "Lead I alone was read: what only other leads show is not excluded.":
        "Прочитано только отведение I: то, что видно лишь в других отведениях, не исключено.",
}}
