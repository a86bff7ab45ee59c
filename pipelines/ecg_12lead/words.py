"""What the pipeline says, in other languages: language → English → translation (`{}`: a number or a list of leads)."""

from __future__ import annotations

from pipelines.ecg.words import RUSSIAN, SYNDROMES

WORDS: dict[str, dict[str, str]] = {"ru": {
    **RUSSIAN,
    **SYNDROMES,
    "Probability of normal ECG": "Вероятность нормальной ЭКГ",
    # problems
    "The ECG as a whole looks normal (probability {}), against what was found.":
        "ЭКГ в целом выглядит нормальной (вероятность {}), вопреки найденному.",
    "other abnormality not excluded": "другая патология не исключена",
}}
