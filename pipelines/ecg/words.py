"""What readers of ECGs share in words, in Russian: English → Russian (`{}`: a number or a list of leads)."""

from __future__ import annotations

RUSSIAN: dict[str, str] = {
    # measurements
    "Heart rate": "Частота сердечных сокращений",
    "heart beats per minute": "уд/мин",
    "P-R Interval": "Интервал PQ",
    "QRS duration": "Длительность QRS",
    "Q-T interval": "Интервал QT",
    "QTc interval by Bazett formula": "QTc по Базетту",
    "QTc interval by Fridericia formula": "QTc по Фридериции",
    "P wave axis": "Ось зубца P",
    "QRS axis": "Ось QRS",
    "T wave axis": "Ось зубца T",
    "ms": "мс",
    "degrees": "градусов",
    "no units": "без единиц",
    # problems
    "The model gave something that is no probability.": "Модель выдала значение, которое не является вероятностью.",
    "The waveform cannot be read: {}": "Запись ЭКГ не читается: {}",
    "Leads missing and not derivable: {}.": "Отведения отсутствуют и не вычисляются: {}.",
    "The sampling rate is {} Hz; at least 100 Hz is needed.":
        "Частота дискретизации {} Гц; нужно не менее 100 Гц.",
    "The recording lasts {} s; at least 8 s is needed.": "Запись длится {} с; нужно не менее 8 с.",
    "Too much noise to read, in leads {}.": "Слишком много помех для чтения, отведения: {}.",
    "More than 5 % of the samples are missing in leads {}.": "Отсутствует более 5 % отсчётов, отведения: {}.",
    "Flat leads: {}.": "Отведения без сигнала (изолиния): {}.",
    "Saturated or wrongly scaled leads: {}.": "Отведения с ограничением сигнала или неверным масштабом: {}.",
    "Leads I, II and III contradict each other (I + III is not II).":
        "Отведения I, II и III противоречат друг другу (I + III не равно II).",
}
