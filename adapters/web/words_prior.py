"""Words of the case page about the earlier study that a route asks for."""

ENGLISH = {
    "prior.title": "Previous study",
    "prior.wanted": "The archive is asked for the newest earlier study of this patient",
    "prior.fetching": "Is being fetched from {archive}",
    "prior.fetched": "Fetched from {archive}: {objects} objects. It is kept beside this study and was not read again",
    "prior.here": "Was received before: {objects} objects",
    "prior.none": "No archive holds an earlier study of this patient and modality",
    "prior.failed": "Could not be fetched; this study was read without it",
}
RUSSIAN = {
    "prior.title": "Предыдущее исследование",
    "prior.wanted": "В архиве ищется последнее прежнее исследование пациента",
    "prior.fetching": "Загружается из архива {archive}",
    "prior.fetched": "Загружено из архива {archive}, объектов: {objects}. Хранится рядом и заново не читалось",
    "prior.here": "Было получено раньше, объектов: {objects}",
    "prior.none": "В архивах нет прежних исследований этого пациента той же модальности",
    "prior.failed": "Загрузить не удалось; это исследование прочитано без него",
}
