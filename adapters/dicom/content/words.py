"""What volume and waveform loading say of a study, in other languages: language → English → translation."""

from __future__ import annotations

WORDS: dict[str, dict[str, str]] = {"ru": {
    # volumes: problems
    "{} of the series' objects could not be read and are left out":
        "объекты серии, которые не удалось прочитать, пропущены: {}",
    "{} images differ in orientation, size, spacing or thickness and are left out":
        "изображения с другой ориентацией, размером, шагом или толщиной пропущены: {}",
    "{} images repeat a slice position and are left out": "изображения, повторяющие положение среза, пропущены: {}",
    "about {} slices are missing in {} places (up to {} mm)":
        "не хватает примерно {} срезов, число разрывов: {} (до {} мм)",
    "the distance between slices varies by up to {} mm": "расстояние между срезами меняется до {} мм",
    "the stack is sheared by {} degrees (tilted gantry), not corrected":
        "наклон гентри {} градусов, не скорректирован",
    "some slices have no rescale to Hounsfield units": "для части срезов нет пересчёта в единицы Хаунсфилда",
    # volumes: refusals
    "the series holds no images": "в серии нет изображений",
    "the series is no stack: fewer than two slices at different positions":
        "серия не складывается в объём: меньше двух срезов в разных положениях",
    "the slices are not axial": "срезы не аксиальные",
    "the pixel data of a slice is shorter than its rows and columns say":
        "данные среза короче, чем следует из его размеров",
    "a slice's BitsStored does not fit its BitsAllocated": "у среза BitsStored не согласуется с BitsAllocated",
    "no decoder is installed for the transfer syntax {}": "нет декодера для синтаксиса передачи {}",
    "a compressed slice has another size than its rows and columns say":
        "размер сжатого среза не совпадает с заявленным",
    "the pixel data of a slice cannot be decoded": "данные среза не декодируются",
    "the image header is incomplete or damaged": "заголовок изображения неполон или повреждён",
    "an object is no readable DICOM image": "объект не является читаемым изображением DICOM",
    "a multi-frame image has no functional groups for each frame":
        "в многокадровом изображении нет функциональных групп для каждого кадра",
    "a slice carries no ImagePositionPatient, ImageOrientationPatient or PixelSpacing":
        "у среза нет ImagePositionPatient, ImageOrientationPatient или PixelSpacing",
    "a slice has an impossible position or pixel spacing": "у среза невозможное положение или размер пикселя",
    "a slice has an impossible ImageOrientationPatient": "у среза невозможная ориентация ImageOrientationPatient",
    "an object carries no pixel data": "в объекте нет пиксельных данных",
    "an image is not monochrome with 8 or 16 bits allocated":
        "изображение не монохромное с 8 или 16 битами на пиксель",
    # waveforms: problems
    "{} recordings; the fullest one was read": "записей: {}; прочитана самая полная",
    "{} waveform objects could not be read": "объекты ЭКГ, которые не удалось прочитать: {}",
    "{} channels without a voltage unit were left out": "каналы без единицы напряжения пропущены: {}",
    "{} further multiplex groups were not read": "другие мультиплексные группы не прочитаны: {}",
    "the order of the multiplex groups is assumed": "порядок мультиплексных групп предположен",
    "leads of {} multiplex groups were put on one time line":
        "отведения сведены на одну ось времени, мультиплексных групп: {}",
    "{} repeated channels were left out": "повторные каналы пропущены: {}",
    # waveforms: refusals
    "the study holds no ECG waveform": "в исследовании нет записи ЭКГ",
    "the object holds no waveform": "в объекте нет записи сигнала",
    "the waveform object is damaged or truncated": "объект записи ЭКГ повреждён или обрезан",
    "the object holds average beats only, no recording": "в объекте только усреднённые комплексы, записи нет",
    "no channel is an ECG lead with a voltage unit": "ни один канал не является отведением ЭКГ в единицах напряжения",
    "multiplex group {} names {} channels and says it has {}":
        "мультиплексная группа {}: описано каналов {}, заявлено {}",
    "multiplex group {} holds no samples": "мультиплексная группа {} не содержит отсчётов",
    "multiplex group {} is truncated: {} bytes of {}": "мультиплексная группа {} обрезана: байт {} из {}",
    "multiplex group {} has samples of an unknown kind": "мультиплексная группа {}: отсчёты неизвестного вида",
    "multiplex group {} says {} bits allocated for {} samples":
        "мультиплексная группа {}: заявлено бит {} для отсчётов {}",
    "multiplex group {} has no sampling frequency": "мультиплексная группа {}: нет частоты дискретизации",
}}
