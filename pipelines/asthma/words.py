"""What this pipeline says, in Russian (see gateway.translation)."""

from __future__ import annotations

WORDS: dict[str, dict[str, str]] = {"ru": {
    "Breath sounds: asthma-like, other abnormal, normal": "Звуки дыхания: как при астме, иная патология, норма",
    # findings
    "Asthma-like breath sound": "Звук дыхания как при астме",
    "Abnormal breath sounds": "Патологические дыхательные шумы",
    "Wheezes": "Свистящие хрипы",
    "Crackles": "Крепитация и влажные хрипы",
    # measurements
    "Share of sound energy in 200-800 Hz": "Доля энергии звука в полосе 200-800 Гц",
    "Share of time with a clear tone": "Доля времени с ясным тоном",
    "Length of recording": "Длительность записи",
    "percent": "%",
    "s": "с",
    # problems
    "The study holds no sound recording.": "В исследовании нет записи звука.",
    "The model gave something that is no probability.": "Модель выдала значение, которое не является вероятностью.",
    "A sound cannot be read: {}": "Запись звука не читается: {}",
    "The sampling rate is {} Hz; breath sounds are read at 4 to 48 kHz.":
        "Частота дискретизации {} Гц; звуки дыхания читаются при 4-48 кГц.",
    "The recording lasts {} s; at least {} s is needed.": "Запись длится {} с; нужно не менее {} с.",
    "The recording lasts {} s; the published rule wants {} s.":
        "Запись длится {} с; по опубликованному правилу нужно {} с.",
    "More than 5 % of the samples are missing.": "Отсутствует более 5 % отсчётов.",
    "The recording is silent for more than half of its time.": "Более половины записи — тишина.",
    "2 % of the samples or more are clipped: the recording was too loud.":
        "Обрезано 2 % отсчётов или больше: запись слишком громкая.",
    "A steady hum is louder than the breath.": "Ровный гул громче дыхания.",
    "A voice or other sound from outside is heard, not the breath alone.":
        "Слышен голос или другой посторонний звук, а не только дыхание.",
    # caption
    "Recording {} of {}, {}: mel spectrogram, window 100 ms; below, orange: where the networks attended":
        "Запись {} из {}, {}: мел-спектрограмма, окно 100 мс; внизу оранжевым: на что смотрели сети",
    "place not told": "место не указано",
    "chest": "грудная клетка",
}}
