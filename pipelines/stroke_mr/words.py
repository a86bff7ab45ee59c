"""What the pipeline says, in other languages: language → English → translation (`{}`: a number or a reason)."""

from __future__ import annotations

WORDS: dict[str, dict[str, str]] = {"ru": {
    # findings
    "Acute ischaemic lesion on diffusion images": "Острый ишемический очаг на диффузионных изображениях",
    "Acute or subacute lesion on FLAIR": "Острый или подострый очаг на FLAIR",
    # measurements
    "Lesion volume": "Объём очага",
    "Slices with lesion": "Срезов с очагом",
    "Separate lesions": "Отдельных очагов",
    "Lesion in the territory of the {} anterior cerebral artery": "Очаг в бассейне передней мозговой артерии ({})",
    "Lesion in the territory of the {} middle cerebral artery": "Очаг в бассейне средней мозговой артерии ({})",
    "Lesion in the territory of the {} posterior cerebral artery": "Очаг в бассейне задней мозговой артерии ({})",
    "Lesion in the territory of the {} vertebrobasilar arteries": "Очаг в вертебробазилярном бассейне ({})",
    "Lesion in the {} insula": "Очаг в островковой доле ({})",
    "left": "слева",
    "right": "справа",
    "Etiology (demonstration): {} pattern": "Этиология (демонстрация): {} характер",
    "atherothrombotic": "атеротромботический",
    "cardioembolic": "кардиоэмболический",
    "cryptogenic": "криптогенный",
    "mL": "мл",
    "no units": "без единиц",
    # picture
    "{}, slice {} of {}": "{}, срез {} из {}",
    # problems
    "The study holds no MR images.": "В исследовании нет изображений МРТ.",
    "Neither FLAIR nor diffusion images, only other contrasts (T1, T2 and the like).":
        "Нет ни FLAIR, ни диффузионных изображений, только другие контрасты (T1, T2 и подобные).",
    "No FLAIR or diffusion series has {} slices or more.":
        "Нет серии FLAIR или диффузии, в которой не менее {} срезов.",
    "No FLAIR or diffusion series is axial.": "Нет аксиальной серии FLAIR или диффузии.",
    "No series is of the head (BodyPartExamined).": "Нет серии головы (BodyPartExamined).",
    "Only localizers, no diagnostic series.": "Только локалайзеры, диагностических серий нет.",
    "None of the series that could be loaded is FLAIR or diffusion (b ≥ 800).":
        "Среди прочитанных серий нет ни FLAIR, ни диффузии (b ≥ 800).",
    "The series cannot be read: {}.": "Серия не читается: {}.",
    "A model gave something that is no number.": "Модель выдала значение, которое не является числом.",
    "Pixels of the series hold no usable numbers.": "Пиксели серии не содержат пригодных значений.",
    "Only {} slices; at least {} are needed.": "Срезов всего {}; нужно не менее {}.",
    "Slices of {} by {} pixels show too little.": "Срезы {} на {} пикселей слишком грубы.",
    "Slices are {} mm apart.": "Расстояние между срезами {} мм — слишком большое.",
    "No brain was found: another body part, or too little of the head is shown.":
        "Головной мозг не найден: другая область тела или показана слишком малая часть головы.",
    "What was found has not the shape of a brain (off by {} mm).":
        "Найденное по форме не похоже на головной мозг (расхождение {} мм).",
    "{} shows the brain over {} mm only.": "На {} мозг виден только на протяжении {} мм.",
    "{} slices between the others show nothing.": "Срезов без изображения между остальными: {}.",
    "Motion: slices of {} are shifted against each other by {} mm.":
        "Движение: срезы {} смещены друг относительно друга на {} мм.",
    "Motion: ghosts of the head lie beside it on {}.": "Движение: на {} рядом с головой видны её повторения.",
    "Fluid is bright on what is named {}: another contrast (T2).":
        "На серии, названной {}, жидкость яркая: другой контраст (T2).",
    "Without diffusion images an early infarct cannot be ruled out.":
        "Без диффузионных изображений ранний инфаркт исключить нельзя.",
    "about {} slices are missing in {} places (up to {} mm)": "не хватает около {} срезов в {} местах (до {} мм)",
    "the distance between slices varies by up to {} mm": "расстояние между срезами меняется до {} мм",
    "{} of the series' objects could not be read and are left out":
        "{} объектов серии не удалось прочитать, они пропущены",
    "{} images differ in orientation, size, spacing or thickness and are left out":
        "{} изображений отличаются ориентацией, размером, шагом или толщиной и пропущены",
    "no images of the series form an axial stack": "изображения серии не складываются в аксиальную стопку",
}}
