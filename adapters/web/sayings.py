"""What other parts say in English where the pages repeat it, in Russian: refusals of files, rules, readiness."""

from __future__ import annotations

import re
from functools import lru_cache

from adapters.web.sayings_api import PROBLEMS
from gateway.translation import Words, worded

_BETWEEN = re.compile(r"(?<=\.) ")

_RULES = {
    "{}; {}": "{}; {}",
    "{}, but an earlier rule leads to the same pipeline": "{}, но более раннее правило ведёт к тому же модулю",
    "series {} of {} satisfies every condition": "серия {} из {} отвечает всем условиям",
    "sender is not {}": "отправитель не {}", "there is no order": "направления нет", "no series": "серий нет",
    "{} is missing, the rule wants {}": "{}: нет, правилу нужно {}",
    "{} has another value, the rule wants {}": "{}: другое значение, правилу нужно {}",
    "{} is {}, the rule wants {}": "{}: {}, правилу нужно {}", "{} is not {}": "{}: не {}",
    "no rule takes it: the study would be shown as unsupported":
        "ни одно правило его не берёт: исследование будет показано как неподдержанное",
    "{} reads nothing of it: {}": "{} ничего в нём не читает: {}",
    "{} takes it and ends undetermined: {}": "{} берёт его, но заключения не даст: {}",
    "{} reads {} of {} objects ({})": "{} читает объектов: {} из {} ({})",
    "{} reads {} of {} objects": "{} читает объектов: {} из {}",
}
_FILES = {
    "There is no file to read.": "Файла нет.", "There is no file to explain.": "Файла нет.",
    "This is not a DICOM file: DICM is missing after the preamble.": "Это не файл DICOM: после преамбулы нет DICM.",
    "This is no DICOM file: the letters DICM are missing at byte 128.":
        "Это не файл DICOM: на байте 128 нет букв DICM.",
    "This file is a DICOM object and {} at once: its preamble or its end is not DICOM's own.":
        "Этот файл — объект DICOM и одновременно {}: его преамбула или конец не от DICOM.",
    "a Windows program": "программа Windows", "a program": "программа", "a zip archive": "архив zip",
    "a PDF document": "документ PDF", "a script": "сценарий", "an RTF document": "документ RTF",
    "a BMP picture": "картинка BMP", "a sound or film": "звук или видео", "a GIF picture": "картинка GIF",
    "a PNG picture": "картинка PNG", "a JPEG picture": "картинка JPEG", "a RAR archive": "архив RAR",
    "a 7z archive": "архив 7z", "a gzip archive": "архив gzip", "an HTML or XML document": "документ HTML или XML",
    "The zip archive is damaged.": "Архив zip повреждён.", "The zip archive holds no file.": "В архиве zip нет файлов.",
    "The zip archive holds more than {} files.": "В архиве zip больше {} файлов.",
    "The zip archive unpacks to more than the gateway takes at once.":
        "Архив zip распаковывается в больший объём, чем шлюз берёт за раз.",
    "An archive within the archive is not unpacked.": "Архив внутри архива не распаковывается.",
    "This file is encrypted.": "Этот файл зашифрован.",
    "The name leads out of the archive: such files are not taken.": "Имя ведёт за пределы архива: такие не берутся.",
    "This is a link or a device and no plain file.": "Это ссылка или устройство, а не простой файл.",
    "This file unpacks to more than {} times its size.": "Этот файл распаковывается более чем в {} раз.",
    "This file of the archive is damaged or packed in an unknown way.":
        "Этот файл архива повреждён или упакован неизвестным способом.",
    "The file meta information names no transfer syntax.": "В заголовке файла не назван синтаксис передачи.",
    "The deflated data set was cut short.": "Сжатый набор данных обрезан.",
    "The deflated data set inflates to more than 1 GB.": "Сжатый набор данных распаковывается более чем в 1 ГБ.",
    "The deflated data set cannot be inflated.": "Сжатый набор данных не распаковывается.",
    "More than {} bytes follow the last element.": "После последнего элемента больше {} байт.",
    "The data set has more than {} elements.": "В наборе данных больше {} элементов.",
    "The data set has no {}.": "В наборе данных нет {}.",
    "{} is no single UID of at most {} characters.": "{} — не один UID длиной до {} знаков.",
    "The data set begins with file meta information (group 0002).":
        "Набор данных начинается с метаданных файла (группа 0002).",
    "{} is no UID: it has other characters than digits, and single dots between them.":
        "{} — не UID: в нём не только цифры и одиночные точки между ними.",
    "The data set is not in the transfer syntax that was announced.":
        "Набор данных записан не в том синтаксисе передачи, который объявлен.",
    "{} of the data set is not the one announced.": "{} набора данных не тот, что объявлен.",
}
_RECORDINGS = {
    "No WFDB header (.hea) beside this file names it.": "Ни один заголовок WFDB (.hea) рядом не называет этот файл.",
    "The WFDB records are longer than the {} bytes taken at once.":
        "Записи WFDB длиннее {} байт, которые берутся за раз.",
    "the WFDB record is too long to be a resting ECG": "запись WFDB слишком длинна для ЭКГ покоя",
    "the WFDB record has a gap between its segments: send the segments one by one":
        "между сегментами записи WFDB есть пропуск: отправьте сегменты по одному",
    "no signal of the WFDB record is a voltage": "ни один сигнал записи WFDB не является напряжением",
    "a signal file that the WFDB header names is missing: send it together with the .hea file":
        "нет файла сигналов, названного в заголовке WFDB: пришлите его вместе с файлом .hea",
    "a file of the WFDB record cannot be opened": "файл записи WFDB не открывается",
    "the WFDB record is damaged or truncated": "запись WFDB повреждена или обрезана",
    "a file name of the WFDB record holds a path": "имя файла записи WFDB содержит путь",
    "a file name of the WFDB record cannot be used": "имя файла записи WFDB непригодно",
    "an ECG of less than {} samples a second cannot be read": "ЭКГ с частотой менее {} отсчётов в секунду не читается",
    "the ECG's samples do not fit its leads": "отсчёты ЭКГ не соответствуют отведениям",
    "an ECG object holds at most {} leads": "в объекте ЭКГ не больше {} отведений",
    "the file is no NumPy array": "файл не является массивом NumPy",
    "the array does not hold 12 leads of samples: its shape must be (12, samples)":
        "в массиве нет 12 отведений: его форма должна быть (12, отсчёты)",
    "the array holds no sample that is a number": "в массиве нет числовых отсчётов",
    "the samples are too large for millivolts: the array must be in mV":
        "отсчёты слишком велики для милливольт: массив должен быть в мВ",
    "the array holds no plain numbers; pickled objects are never opened":
        "в массиве не простые числа; объекты pickle никогда не открываются",
    "the array is not as long as its header says": "длина массива не та, что в заголовке",
    "the XML is no HL7 v3 AnnotatedECG": "XML не является HL7 v3 AnnotatedECG",
    "the AnnotatedECG holds no series of waveforms": "в AnnotatedECG нет серии кривых",
    "the AnnotatedECG tells no time increment or no lead": "в AnnotatedECG нет шага времени или отведения",
    "the leads of the AnnotatedECG differ in length, or are too long for a resting ECG":
        "отведения AnnotatedECG разной длины или слишком длинны для ЭКГ покоя",
    "the AnnotatedECG tells one lead twice": "отведение в AnnotatedECG встречается дважды",
    "the time increment of the AnnotatedECG is no length of time": "шаг времени AnnotatedECG не является временем",
    "a lead of the AnnotatedECG is no voltage": "отведение AnnotatedECG не является напряжением",
    "a lead of the AnnotatedECG holds no samples, or one that is not finite":
        "в отведении AnnotatedECG нет отсчётов, или отсчёт не конечен",
    "a number of the AnnotatedECG is none": "число в AnnotatedECG не является числом",
    "the AnnotatedECG does not tell when it was recorded": "в AnnotatedECG нет времени записи",
    "the digits of a lead of the AnnotatedECG are no numbers": "отсчёты отведения AnnotatedECG не числа",
    "the time of the AnnotatedECG is none": "время в AnnotatedECG не является временем",
    "the XML declares a document type: entities are not taken": "XML объявляет тип документа: сущности не принимаются",
    "the XML holds no element": "в XML нет элементов",
    "the XML is nested too deep or holds too many elements": "XML вложен слишком глубоко или слишком велик",
    "the XML is not well-formed": "XML составлен с ошибкой",
}
_PICTURES = {
    "no reader takes photographs; what is taken: {}": "фотографии никто не читает; принимаются: {}",
    "the photograph is damaged or truncated": "фотография повреждена или обрезана",
    "the photograph is too large": "фотография слишком велика",
    "the file is no NIfTI-1 volume in one file": "файл не является томом NIfTI-1 в одном файле",
    "the NIfTI header is damaged": "заголовок NIfTI повреждён",
    "the NIfTI file is shorter than its header says": "файл NIfTI короче, чем сказано в заголовке",
    "the volume holds no air: it is no CT in Hounsfield units, the only kind taken as NIfTI":
        "в томе нет воздуха: это не КТ в единицах Хаунсфилда, а только они принимаются как NIfTI",
    "the NIfTI file holds no single volume of three dimensions": "в файле NIfTI нет одного трёхмерного тома",
    "the NIfTI volume is empty or too large": "том NIfTI пуст или слишком велик",
    "the NIfTI voxels are of a kind that is not read": "вид вокселей NIfTI не читается",
    "the NIfTI header says no place for its voxels": "в заголовке NIfTI нет места вокселей",
    "the NIfTI file does not tell the patient's orientation: left and right cannot be known":
        "в файле NIfTI нет положения пациента: лево и право неизвестны",
    "the voxels of the NIfTI volume have no possible size": "размер вокселей тома NIfTI невозможен",
    "the NIfTI volume is oblique: its axes must lie along the patient's":
        "том NIfTI наклонён: его оси должны идти вдоль осей пациента",
    "the sound file is damaged, truncated or of a kind that is not read":
        "звуковой файл повреждён, обрезан или не того вида, который читается",
    "the sound file is truncated": "звуковой файл обрезан",
    "the sound file holds no samples, or one that is not finite":
        "в звуковом файле нет отсчётов или есть бесконечный",
    "the sound file is neither WAV nor FLAC": "звуковой файл не WAV и не FLAC",
    "a sound has one or two channels; this file has {}: send each by itself":
        "у звука один или два канала; в этом файле их {}: отправьте каждый отдельно",
    "{} samples a second are no rate of a sound": "{} отсчётов в секунду — не частота звука",
    "the sound is longer than half an hour: send the part that is to be read":
        "звук длиннее получаса: отправьте ту часть, которую нужно прочитать",
    "a sound object holds one or two channels of samples": "объект звука содержит один или два канала отсчётов",
    "a sound of less than 1000 samples a second cannot be read":
        "звук менее чем с 1000 отсчётов в секунду не читается",
    "DICOM, zips of DICOM, WFDB records (.hea with its signal files), HL7 aECG XML, "
    ".npy (12 leads × samples, mV, 500 Hz), NIfTI-1 CT volumes, WAV or FLAC breath sounds":
        "DICOM, архивы zip с DICOM, записи WFDB (.hea с файлами сигналов), HL7 aECG XML, "
        ".npy (12 отведений × отсчёты, мВ, 500 Гц), тома КТ NIfTI-1, звуки дыхания WAV или FLAC",
    "DICOM, zips of DICOM, WFDB records (.hea with its signal files), HL7 aECG XML, "
    ".npy (12 leads × samples, mV, 500 Hz), NIfTI-1 CT volumes, WAV or FLAC breath sounds, PNG or JPEG photographs":
        "DICOM, архивы zip с DICOM, записи WFDB (.hea с файлами сигналов), HL7 aECG XML, "
        ".npy (12 отведений × отсчёты, мВ, 500 Гц), тома КТ NIfTI-1, звуки дыхания WAV или FLAC, "
        "фотографии PNG или JPEG",
}
_READINESS = {
    "the assembly clock has stopped": "часы сборки исследований остановились",
    "the database does not answer ({})": "база данных не отвечает ({})",
    "less than {} MiB of disk space are free; try again later": "свободно меньше {} МиБ; повторите позже",
    "the gateway is being stopped; try again later": "шлюз останавливается; повторите позже",
    "model {} needs a backend that only a Triton server has": "модели {} нужен сервер Triton",
    "model {} cannot be loaded: {}": "модель {} не загружается: {}",
    "config.pbtxt of model {} is of another model": "config.pbtxt модели {} от другой модели",
    "model {} has no version to serve": "у модели {} нет версии для работы",
    "the file of model {} is not the one that its config.pbtxt names (SHA-256)":
        "файл модели {} не тот, что назван в её config.pbtxt (SHA-256)",
    "model {} has no readable config.pbtxt": "config.pbtxt модели {} не читается",
    "model {} has no {} in version {}": "у модели {} нет {} в версии {}",
    "model {} is not in {}": "модели {} нет в {}",
    "the Triton server did not answer ({})": "сервер Triton не ответил ({})",
    "the Triton server or the model is not there ({})": "нет сервера Triton или модели ({})",
    "model {} version {} is not ready on the Triton server": "модель {} версии {} не готова на сервере Triton",
    "the Triton server has another file of model {} (SHA-256)": "на сервере Triton другой файл модели {} (SHA-256)",
}
_DELIVERIES = {
    "{} did not take the message: {}. Check that an MLLP receiver listens there; host and port stand under "
    "destinations in the configuration.":
        "{} не принял сообщение: {}. Проверьте, что там работает приёмник MLLP; адрес и порт указаны в разделе "
        "destinations конфигурации.",
    "{} cannot be reached: {}. Check that an MLLP receiver listens there; host and port stand under "
    "destinations in the configuration.":
        "{} недоступен: {}. Проверьте, что там работает приёмник MLLP; адрес и порт указаны в разделе destinations "
        "конфигурации.",
    "{} sent no acknowledgement of this message. Check that an MLLP receiver listens there; host and port stand under "
    "destinations in the configuration.":
        "{} не прислал подтверждения этого сообщения. Проверьте, что там работает приёмник MLLP; адрес и порт указаны "
        "в разделе destinations конфигурации.",
    "{} refused it: {}. Ask who runs it what it wants, then try again.":
        "{} отказал: {}. Узнайте у тех, кто его обслуживает, что ему нужно, затем повторите отправку.",
    "{} cannot take it now: {}": "{} сейчас не принимает: {}",
    "{} cannot be reached: {}.": "{} недоступен: {}.", "{} cannot be reached: {}": "{} недоступен: {}",
    "{} cannot be reached or does not answer as a DICOM peer.": "{} недоступен или не отвечает по DICOM.",
    "connection refused": "в соединении отказано", "timed out": "нет ответа вовремя",
    "no route to host": "нет пути к узлу", "name or service not known": "имя узла неизвестно",
    "connection reset by peer": "соединение сброшено", "broken pipe": "соединение разорвано",
}
WORDS = {"ru": _FILES | _RECORDINGS | _PICTURES | _READINESS | _DELIVERIES | PROBLEMS}
"""By language: English → the same."""
SAYINGS = {language: words | _RULES for language, words in WORDS.items()}
"""With the rules' words, which come last: their templates fit almost anything."""


@lru_cache(maxsize=4096)
def said(text: str, language: str) -> str:
    """The text in that language, or as it is."""
    return worded(text, SAYINGS.get(language, {}))


def said_in_sentences(text: str, language: str) -> str:
    """Of a refusal, which may be several sentences, each of which is known with its full stop or without."""
    words = WORDS.get(language, {})
    whole = worded(text, words)
    return whole if whole != text else " ".join(_sentence(one, words) for one in _BETWEEN.split(text))


def _sentence(text: str, words: Words) -> str:
    told = worded(text, words)
    return told if told != text or not text.endswith(".") else worded(text[:-1], words) + "."
