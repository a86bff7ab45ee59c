"""What the pipeline says, in other languages: language → English → translation (`{}`: a number or a reason)."""

from __future__ import annotations

WORDS: dict[str, dict[str, str]] = {"ru": {
    # findings
    "Histology needed (sensitivity {}, specificity {})":
        "Нужна гистология (чувств. {}, специф. {})",
    "Histology needed": "Нужна гистология",
    "Melanoma": "Меланома",
    "Seborrheic keratosis": "Себорейный кератоз",
    # measurements
    "Asymmetry of the lesion": "Асимметрия образования",
    "Border irregularity": "Неровность границы",
    "Colour difference at the border": "Различие цвета на границе",
    "Colours in the lesion": "Цветов в образовании",
    "Diameter": "Диаметр",
    "Share of the picture covered by the lesion": "Доля снимка, занятая образованием",
    "Probability of nevus": "Вероятность невуса",
    "percent": "%",
    "mm": "мм",
    "count": "шт.",
    "no units": "без единиц",
    # picture
    "lesion outlined; evidence for melanoma": "образование обведено; признаки меланомы",
    "lesion outlined, photograph {} of {}; evidence for melanoma":
        "образование обведено, фотография {} из {}; признаки меланомы",
    "Outline of the lesion": "Контур образования",
    # problems
    "Not trained, so neither found nor excluded: actinic keratosis, basal cell carcinoma, dermatofibroma, vascular "
    "lesion, other skin cancer.":
        "Не обучено, поэтому не найдено и не исключено: актинический кератоз, базальноклеточная карцинома, "
        "дерматофиброма, сосудистое образование, другой рак кожи.",
    "The study holds no photograph.": "В исследовании нет фотографий.",
    "Only the first {} of {} photographs were read.": "Прочитаны только первые {} фотографий из {}.",
    "The photograph cannot be read: {}": "Фотография не читается: {}",
    "The image has no colours: it is no photograph.": "Изображение без цвета: это не фотография.",
    "The pixels of this image are damaged or cut short.": "Пиксели изображения повреждены или обрезаны.",
    "The pixels of this image cannot be decoded.": "Пиксели изображения не декодируются.",
    "The image is too large to be shown.": "Изображение слишком велико.",
    "The image has colours that are not shown here.": "Цвета изображения здесь не читаются.",
    "The photograph is smaller than 128 pixels.": "Фотография меньше 128 пикселей.",
    "The photograph is too dark. Take it again with more light.":
        "Фотография слишком тёмная. Снимите ещё раз при лучшем освещении.",
    "The photograph is overexposed. Take it again with less light.":
        "Фотография пересвечена. Снимите ещё раз при меньшем освещении.",
    "The photograph is blurred. Focus on the lesion and take it again.":
        "Фотография нерезкая. Наведите резкость на образование и снимите ещё раз.",
    "The picture does not show skin.": "На снимке не кожа.",
    "No lesion stands out from the skin.": "Образование на коже не выделяется.",
    "Unknown: the lesion looks unlike those from which the model learned.":
        "Неизвестно: образование не похоже на те, на которых обучалась модель.",
    "The model gave something that is no probability.": "Модель выдала значение, которое не является вероятностью.",
}}
