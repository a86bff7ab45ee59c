"""What the pipeline says, in other languages: language → English → translation (`{}`: a number or a reason)."""

from __future__ import annotations

WORDS: dict[str, dict[str, str]] = {"ru": {
    # findings
    "Any abnormality of the lungs": "Любая патология лёгких",
    "Opacity (consolidation or ground glass)": "Затемнение (консолидация или «матовое стекло»)",
    "Nodule or mass": "Очаг или образование",
    "Pleural effusion": "Плевральный выпот",
    "Emphysema": "Эмфизема",
    "Consolidation": "Консолидация",
    "Atelectasis": "Ателектаз",
    "Fibrotic sequelae": "Фиброзные изменения",
    "Bronchiectasis": "Бронхоэктазы",
    "Peribronchial thickening": "Перибронхиальное утолщение",
    "Interlobular septal thickening": "Утолщение междольковых перегородок",
    "Lymphadenopathy": "Лимфаденопатия",
    "Cardiomegaly": "Кардиомегалия",
    "Pericardial effusion": "Перикардиальный выпот",
    "Arterial wall calcification": "Кальциноз стенок артерий",
    "Hiatal hernia": "Грыжа пищеводного отверстия диафрагмы",
    "Medical material": "Инородные медицинские материалы",
    # measurements
    "Lung volume": "Объём лёгких",
    "Right lung volume": "Объём правого лёгкого",
    "Left lung volume": "Объём левого лёгкого",
    "Mean lung density": "Средняя плотность лёгких",
    "Mean density, right lung": "Средняя плотность, правое лёгкое",
    "Mean density, left lung": "Средняя плотность, левое лёгкое",
    "Lung below -950 HU": "Доля лёгких ниже -950 HU",
    "Right lung below -950 HU": "Доля правого лёгкого ниже -950 HU",
    "Left lung below -950 HU": "Доля левого лёгкого ниже -950 HU",
    "Lung from -700 to -300 HU": "Доля лёгких от -700 до -300 HU",
    "Right lung from -700 to -300 HU": "Доля правого лёгкого от -700 до -300 HU",
    "Left lung from -700 to -300 HU": "Доля левого лёгкого от -700 до -300 HU",
    "Lung above -300 HU": "Доля лёгких выше -300 HU",
    "Right lung above -300 HU": "Доля правого лёгкого выше -300 HU",
    "Left lung above -300 HU": "Доля левого лёгкого выше -300 HU",
    "Largest dense region of the lungs": "Самый большой плотный участок лёгких",
    "Largest dense region, right lung": "Самый большой плотный участок, правое лёгкое",
    "Largest dense region, left lung": "Самый большой плотный участок, левое лёгкое",
    "Reconstruction error of the lungs": "Ошибка реконструкции лёгких",
    "mL": "мл",
    "Hounsfield unit": "HU",
    "percent": "%",
    "no units": "без единиц",
    # picture
    "slice {} of {}, lung window": "срез {} из {}, лёгочное окно",
    # problems
    "The study holds no CT images.": "В исследовании нет изображений КТ.",
    "No axial series has {} slices or more.": "Нет аксиальной серии, в которой не менее {} срезов.",
    "No series is axial.": "Нет аксиальной серии.",
    "No series is of the chest (BodyPartExamined).": "Нет серии органов грудной клетки (BodyPartExamined).",
    "Only derived or secondary images (reformats, projections, captures), no original axial series.":
        "Только производные или вторичные изображения (реформации, проекции, снимки экрана), исходной аксиальной "
        "серии нет.",
    "Only localizers or scouts, no axial series.": "Только топограммы, аксиальной серии нет.",
    "The series cannot be read: {}.": "Серия не читается: {}.",
    "A model gave something that is no number.": "Модель выдала значение, которое не является числом.",
    "Only {} slices; at least {} are needed.": "Срезов всего {}; нужно не менее {}.",
    "Slices are {} mm apart.": "Расстояние между срезами {} мм — слишком большое.",
    "No lungs were found: another body part, or only air in the picture.":
        "Лёгкие не найдены: другая область тела или на изображениях только воздух.",
    "Soft tissue measures {} HU: these are no Hounsfield units.":
        "Плотность мягких тканей {} HU: значения не в единицах Хаунсфилда.",
    "The lungs are shown over {} mm only.": "Лёгкие видны только на протяжении {} мм.",
    "The lung bases are not in the pictures.": "Основания лёгких не попали в изображения.",
    "The lung apices are not in the pictures.": "Верхушки лёгких не попали в изображения.",
    "The lung bases and apices are not in the pictures.": "Основания и верхушки лёгких не попали в изображения.",
    "Motion: slices are shifted against each other by {} mm.":
        "Движение: срезы смещены относительно друг друга на {} мм.",
    "{} slices between the others show nothing.": "Срезов без изображения между остальными: {}.",
    "Hardly any air was found in the right lung.": "В правом лёгком почти не найдено воздуха.",
    "Hardly any air was found in the left lung.": "В левом лёгком почти не найдено воздуха.",
}}
