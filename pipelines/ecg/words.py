"""What readers of ECGs share in words, in Russian: English → Russian (`{}`: a number or a list of leads)."""

from __future__ import annotations

SYNDROMES: dict[str, str] = {
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
}

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
    "Probability of normal ECG": "Вероятность нормальной ЭКГ",
    # problems
    "The model gave something that is no probability.": "Модель выдала значение, которое не является вероятностью.",
    "The study holds no 12-lead or general ECG waveform.":
        "В исследовании нет ЭКГ в 12 отведениях или общей записи ЭКГ.",
    "The waveform cannot be read: {}": "Запись ЭКГ не читается: {}",
    "Leads missing and not derivable: {}.": "Отведения отсутствуют и не вычисляются: {}.",
    "The sampling rate is {} Hz; at least 100 Hz is needed.":
        "Частота дискретизации {} Гц; нужно не менее 100 Гц.",
    "The recording lasts {} s; at least {} s is needed.": "Запись длится {} с; нужно не менее {} с.",
    "Too much noise to read, in leads {}.": "Слишком много помех для чтения, отведения: {}.",
    "More than 5 % of the samples are missing in leads {}.": "Отсутствует более 5 % отсчётов, отведения: {}.",
    "Found but not measured: {}, heart rate {}/min.": "Найдено, но не подтверждено измерением: {}, ЧСС {} уд/мин.",
    "Found but not measured: {}, PR interval {} ms.": "Найдено, но не подтверждено измерением: {}, интервал PQ {} мс.",
    "Found but not measured: {}, QRS axis {}°.": "Найдено, но не подтверждено измерением: {}, ось QRS {}°.",
    "Found but not measured: {}, QRS duration {} ms.":
        "Найдено, но не подтверждено измерением: {}, длительность QRS {} мс.",
    "Measured but not found: {}, heart rate {}/min.": "Измерено, но не найдено: {}, ЧСС {} уд/мин.",
    "Measured but not found: {}, PR interval {} ms.": "Измерено, но не найдено: {}, интервал PQ {} мс.",
    "Measured but not found: {}, QRS axis {}°.": "Измерено, но не найдено: {}, ось QRS {}°.",
    "Measured as no normal ECG has it: QTc interval {} ms.": "Измерение вне нормы: интервал QTc {} мс.",
    "Measured as no normal ECG has it: QRS duration {} ms.": "Измерение вне нормы: длительность QRS {} мс.",
    "Measured as no normal ECG has it: angle between QRS and T axis {}°.":
        "Измерение вне нормы: угол между осями QRS и T {}°.",
    "The ECG as a whole looks normal (probability {}), against what was found.":
        "ЭКГ в целом выглядит нормальной (вероятность {}), вопреки найденному.",
    "other abnormality not excluded": "другая патология не исключена",
    "Flat leads: {}.": "Отведения без сигнала (изолиния): {}.",
    "Saturated leads: {}.": "Отведения с ограничением сигнала: {}.",
    "More than 20 mV, which no heart gives, in leads {}: wrong gain?":
        "Более 20 мВ, чего не бывает, в отведениях {}: неверный масштаб?",
    "The QRS measures {} mV, which is not plausible: wrong gain?":
        "Размах QRS {} мВ неправдоподобен: неверный масштаб?",
    "Mains hum of {} Hz in leads {}.": "Сетевая наводка {} Гц, отведения: {}.",
    "No heartbeat was found in the recording.": "В записи не найдено сердечных сокращений.",
    "No heartbeat in leads {}: electrode off?": "Нет сердечных сокращений в отведениях {}: отошёл электрод?",
    "No heartbeat in leads {}: electrode off, or exchanged with that of the right leg?":
        "Нет сердечных сокращений в отведениях {}: отошёл электрод или перепутан с электродом правой ноги?",
    "No heartbeat was found for {} s of the recording.": "На протяжении {} с записи не найдено сердечных сокращений.",
    "Right and left arm seem exchanged: lead I is upside down against V6, P or T against what is usual.":
        "Похоже, перепутаны электроды правой и левой руки: отведение I перевёрнуто относительно V6, P или T "
        "направлены необычно.",
    "Right arm and left leg seem exchanged: P, QRS and T point up in aVR.":
        "Похоже, перепутаны электроды правой руки и левой ноги: P, QRS и T в aVR направлены вверх.",
    "Chest leads {} and {} seem exchanged: each is more like the neighbours of the other.":
        "Похоже, перепутаны грудные электроды {} и {}: каждый больше похож на соседей другого.",
    "What leads I and II say of {} is not what was recorded there.":
        "Запись в отведениях {} не согласуется с отведениями I и II.",
    "Leads I, II and III contradict each other (I + III is not II).":
        "Отведения I, II и III противоречат друг другу (I + III не равно II).",
}
