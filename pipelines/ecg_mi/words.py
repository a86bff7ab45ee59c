"""What the pipeline says, in other languages: language → English → translation (`{}`: a number or a list of leads)."""

from __future__ import annotations

from pipelines.ecg.words import RUSSIAN

WORDS: dict[str, dict[str, str]] = {"ru": {
    **RUSSIAN,
    "Myocardial infarction": "Инфаркт миокарда",
    "Inferior infarction, new or old": "Инфаркт нижней стенки, новый или старый",
    "Anteroseptal infarction, new or old": "Переднеперегородочный инфаркт, новый или старый",
    "Septal infarction, new or old": "Перегородочный инфаркт, новый или старый",
    "Anterior infarction, new or old": "Инфаркт передней стенки, новый или старый",
    "Anterolateral infarction, new or old": "Переднебоковой инфаркт, новый или старый",
    "Lateral infarction, new or old": "Инфаркт боковой стенки, новый или старый",
    # measurements
    "mV": "мВ",
    "Q duration in {}": "Длительность Q в {}",
    "Q amplitude in {}": "Амплитуда Q в {}",
    "Q of Q and R together in {}": "Доля Q в сумме Q и R в {}",
    "ST level in {}, 60 ms after the QRS": "Уровень ST в {}, 60 мс после QRS",
    "Inverted T amplitude in {}": "Амплитуда отрицательного T в {}",
    "R amplitude in {}": "Амплитуда R в {}",
    # problems
    "Only infarction was looked for; nothing else is excluded.":
        "Искали только инфаркт; остальное не исключено.",
    "Not trained, so nothing is said of it: {}.": "Модель этому не обучена и ничего об этом не говорит: {}.",
    "QRS of {} ms: signs of infarction are less reliable.": "QRS {} мс: признаки инфаркта менее надёжны.",
}}
