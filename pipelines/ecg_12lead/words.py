"""What the pipeline says, in other languages: language → English → translation (`{}`: a number or a list of leads)."""

from __future__ import annotations

from pipelines.ecg.words import RUSSIAN

WORDS: dict[str, dict[str, str]] = {"ru": {
    **RUSSIAN,
    # findings
    "First-degree atrioventricular block": "Атриовентрикулярная блокада I степени",
    "Premature ventricular complexes": "Желудочковая экстрасистолия",
    "Premature atrial complexes": "Предсердная экстрасистолия",
    "Incomplete right bundle branch block": "Неполная блокада правой ножки пучка Гиса",
    "Left axis deviation": "Отклонение электрической оси сердца влево",
    "Right axis deviation": "Отклонение электрической оси сердца вправо",
    "Complete left bundle branch block": "Полная блокада левой ножки пучка Гиса",
    "Complete right bundle branch block": "Полная блокада правой ножки пучка Гиса",
    "Sinus bradycardia": "Синусовая брадикардия",
    "Sinus tachycardia": "Синусовая тахикардия",
    "Atrial fibrillation": "Фибрилляция предсердий",
    "Probability of normal ECG": "Вероятность нормальной ЭКГ",
    # problems
    "other abnormality not excluded": "другая патология не исключена",
    "The study holds no 12-lead or general ECG waveform.":
        "В исследовании нет ЭКГ в 12 отведениях или общей записи ЭКГ.",
}}
