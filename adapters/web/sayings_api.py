"""What the API refuses with, and how models stand, in Russian."""

from __future__ import annotations

TITLES = {
    400: "Неверный запрос", 403: "Запрещено", 404: "Не найдено", 405: "Метод не подходит", 406: "Такого вида нет",
    408: "Время запроса вышло", 409: "Противоречит состоянию", 410: "Удалено", 412: "Условие не выполнено",
    413: "Слишком большой объём", 415: "Такой вид не принимается", 422: "Содержание не принимается",
    428: "Нужно условие", 500: "Внутренняя ошибка", 503: "Временно недоступно", 507: "Нет места",
}
_DOOR = {
    "This address is not on the list http.allowed_addresses.": "Этого адреса нет в списке http.allowed_addresses.",
    "The Host header does not name this server; http.allowed_hosts lists the names it answers to.":
        "Заголовок Host не называет этот сервер; его имена перечислены в http.allowed_hosts.",
    "The address holds a character that nothing is named with.": "В адресе недопустимый знак.",
    "A request that changes something must come from the gateway's own page.":
        "Запрос, который что-то меняет, должен приходить со страницы самого шлюза.",
    "There is nothing at this address.": "По этому адресу ничего нет.",
    "This address does not take that method.": "Этот адрес не принимает такой метод.",
    "The body is longer than the {} bytes taken here: send less at once, or raise http.maximum_upload_bytes in the "
    "configuration.":
        "Тело длиннее {} байт, которые здесь принимаются: отправляйте меньше за раз или увеличьте "
        "http.maximum_upload_bytes в конфигурации.",
    "The body is longer than the {} bytes taken here, where forms and little JSON come; studies are sent to "
    "/api/studies.":
        "Тело длиннее {} байт, которые здесь принимаются: сюда приходят формы и небольшой JSON; исследования "
        "отправляют на /api/studies.",
    "The body is longer than {} bytes: send fewer instances at once, or raise http.maximum_upload_bytes in the "
    "configuration.":
        "Тело длиннее {} байт: отправляйте меньше объектов за раз или увеличьте http.maximum_upload_bytes в "
        "конфигурации.",
    "The body stopped coming, or comes too slowly, though it is not whole.":
        "Тело запроса перестало приходить или приходит слишком медленно.",
    "The gateway is busy with other uploads; try again later.": "Шлюз занят другими загрузками; повторите позже.",
    "The gateway is busy with other uploads.": "Шлюз занят другими загрузками; повторите позже.",
    "The gateway failed on this request; its log says where.": "Сбой шлюза на этом запросе; место указано в журнале.",
    "Too many pages are listening for changes; this one will ask from time to time.":
        "Слишком много страниц ждут изменений; эта будет спрашивать время от времени.",
    "the database is busy with another transaction": "база данных занята другой транзакцией; повторите позже",
    "The database does not answer; try again later.": "База данных не отвечает; повторите позже.",
    "The storage is full.": "Хранилище заполнено.", "The storage does not work: {}.": "Хранилище не работает: {}.",
    "The free-space floor is reached.": "Свободное место кончается: новое не принимается.",
}
_THINGS = {
    "There is no such case.": "Такого случая нет.", "there is no such case": "такого случая нет",
    "There is no such patient.": "Такого пациента нет.", "There is no such study.": "Такого исследования нет.",
    "There is no such batch.": "Такого пакета нет.", "There is no such model.": "Такой модели нет.",
    "There is no such action.": "Такого действия нет.", "There is no such slice.": "Такого среза нет.",
    "There is no such evidence.": "Такой карты признаков нет.", "there is no such delivery": "такой доставки нет",
    "There is no such document of this kind for this case.": "У этого случая нет документа такого вида.",
    "The batch was deleted.": "Пакет удалён.", "The case has no such version.": "У случая нет такой версии.",
    "The result has no finding of that label.": "В результате нет признака с таким названием.",
    "The recording has no such part.": "В записи нет такой части.",
    "The study holds no recording that can be shown.": "В исследовании нет записи, которую можно показать.",
    "The study holds no sound that can be played.": "В исследовании нет звука, который можно воспроизвести.",
    "The images of this case have changed: load the page again.":
        "Изображения этого случая изменились: обновите страницу.",
    "The recording of this case has changed: load the page again.":
        "Запись этого случая изменилась: обновите страницу.",
    "The picture of this case cannot be decoded.": "Картинка этого случая не декодируется.",
    "The files of this study were deleted (see storage.retention_days); results remain.":
        "Файлы исследования удалены (см. storage.retention_days); результаты остались.",
}
_CHANGES = {
    "Tell which version is to be changed: If-Match with the ETag of the last GET, or *.":
        "Укажите, какая версия меняется: If-Match с ETag последнего GET или *.",
    "The description was changed since it was read: read it again, then change it.":
        "Описание изменилось с тех пор, как его прочитали: прочитайте снова, затем меняйте.",
    "The patient was changed since it was read: read it again, then change it.":
        "Данные пациента изменились с тех пор, как их прочитали: прочитайте снова, затем меняйте.",
    "A patient with this id and issuer is known already.": "Пациент с таким номером и источником уже есть.",
    "The study is still being received: wait until it is read, or force the deletion.":
        "Исследование ещё принимается: дождитесь чтения или удалите принудительно (force).",
    "The study is being read: cancel its cases or wait, or force the deletion.":
        "Исследование читается: отмените его случаи, подождите или удалите принудительно (force).",
    "Results of the study are under delivery: wait until they are delivered, or force the deletion.":
        "Результаты исследования доставляются: дождитесь доставки или удалите принудительно (force).",
    "Objects of this study came in while it was being deleted: delete it again.":
        "Во время удаления пришли объекты этого исследования: удалите ещё раз.",
    "A study of this patient came in while it was being deleted: delete again.":
        "Во время удаления пришло исследование этого пациента: удалите ещё раз.",
    "The study is being read at this moment: try again when the reading has ended.":
        "Исследование сейчас читается: повторите, когда чтение закончится.",
    "the case is {}: there is nothing to cancel": "случай уже {}: отменять нечего",
    "a case that is {} cannot become {}": "случай в состоянии {} не может стать {}",
    "a newer result has replaced this one: it is not sent again":
        "этот результат заменён более новым: снова он не отправляется",
    "reported": "готов", "failed": "со сбоем", "cancelled": "отменён", "unsupported": "не поддержан",
    "There is nothing newer to read it with: models, rules, objects and order are as they were. Replay delivers the "
    "result again.":
        "Читать заново нечем: модели, правила, объекты и направление прежние. Повтор (replay) доставит результат "
        "снова.",
    "there are {} saved views already; delete one first": "сохранённых видов уже {}; сначала удалите один",
    "Choose agree or disagree for a finding, and a verdict of the list.":
        "Для признака выберите «согласен» или «не согласен», заключение — из списка.",
    "Nothing is said: agree or disagree with a finding, correct the verdict or write a comment.":
        "Отзыв пуст: согласитесь с признаком или возразите, исправьте заключение или напишите примечание.",
    "The comment is longer than {} characters: shorten it.": "Примечание длиннее {} знаков: сократите его.",
    "The name is longer than {} characters: shorten it.": "Имя длиннее {} знаков: сократите его.",
    "Feedback needs the name of who gives it.": "Для отзыва нужно имя того, кто его даёт.",
}
_UPLOADS = {
    "The upload holds no file that could be a study.": "В загрузке нет файла, который мог бы быть исследованием.",
    "What is taken: {}.": "Принимаются: {}.", "There is no object to read.": "Читать нечего: объектов нет.",
    "no rule takes this object ({})": "ни одно правило не берёт этот объект ({})",
    "no rule sends studies to {}": "ни одно правило не направляет исследования в {}",
    "The upload holds objects of more than one study; one study is read at a time.":
        "В загрузке объекты нескольких исследований; за раз читается одно.",
    "Conflict: kept beside another object of the same UID.":
        "Противоречие: сохранён рядом с другим объектом того же UID.",
    "A batch is one zip, one CSV of paths, or one of each; other files go into the zip.":
        "Пакет — один zip, один CSV с путями или по одному каждого; прочие файлы кладите в zip.",
    "A table may have {} bytes at most; records go into a zip.": "Таблица — не больше {} байт; записи кладите в zip.",
    "The batch is still being read: its sample is filled in at the end.":
        "Пакет ещё читается: образец заполняется в конце.",
    "Too many batches wait to be read; try again later.": "Слишком много пакетов ждут чтения; повторите позже.",
    "A table of paths needs the zip with its files beside it: paths of this machine are only taken from within "
    "batch.root, which is not configured.":
        "Таблице путей нужен zip с её файлами: пути на этой машине берутся только из batch.root, а он не настроен.",
    "Batches are not set up.": "Пакеты не настроены.",
    "The cursor is not one that this list gave, or its batch is gone: begin anew.":
        "Такой отметки (cursor) этот список не давал, или пакета больше нет: начните сначала.",
    "The cursor is not one of ours.": "Такой отметки (cursor) список не давал: начните сначала.",
    "The table needs a heading and rows, {} at most.": "Таблице нужны заголовок и строки, не больше {}.",
    "The table is no CSV in UTF-8.": "Таблица не является CSV в UTF-8.",
    "No column of the sample is a label that was looked for; the labels are {}.":
        "Ни один столбец образца не назван искомым признаком; признаки: {}.",
}
_FORMS = {
    "The body is no JSON: {} at character {}.": "Тело не является JSON: {}, знак {}.",
    "The body must be a JSON object, sent with Content-Type: application/json.":
        "Тело должно быть объектом JSON с Content-Type: application/json.",
    "{}: there is no such field here; /docs names those that are.":
        "{}: такого поля здесь нет; поля перечислены на /docs.",
    "{}: Field required.": "{}: обязательное поле.",
    "{}: Value error, {}.": "{}: {}.", "{}: String should match pattern {}.": "{}: должно соответствовать образцу {}.",
    "{}: String should have at most {} characters.": "{}: не больше {} знаков.",
    "{}: String should have at least {} character.": "{}: не меньше {} знака.",
    "{}: String should have at least {} characters.": "{}: не меньше {} знаков.",
    "{}: List should have at most {} items after validation, not {}.": "{}: не больше {} значений, а их {}.",
    "{}: List should have at least {} item after validation, not {}.": "{}: не меньше {} значения, а их {}.",
    "{}: Input should be less than or equal to {}.": "{}: не больше {}.",
    "{}: Input should be greater than or equal to {}.": "{}: не меньше {}.",
    "{}: Input should be a valid integer, unable to parse string as an integer.": "{}: должно быть целым числом.",
    "{}: Input should be a valid integer.": "{}: должно быть целым числом.",
    "{}: Input should be a valid boolean, unable to interpret input.": "{}: должно быть true или false.",
    "{}: Input should be a valid string.": "{}: должно быть строкой.",
    "{}: Input should be a valid list.": "{}: должно быть списком.",
    "{}: Input should be a valid dictionary or object to extract fields from.": "{}: должно быть объектом JSON.",
    "{}: Input should be {}.": "{}: должно быть одним из: {}.",
    "this is not a date as 2026-01-05 nor a time as 2026-01-05T08:30:00Z":
        "это не дата вида 2026-01-05 и не время вида 2026-01-05T08:30:00Z",
    "the year is to be from {} to {}": "год должен быть от {} до {}",
}
_MODELS = {
    "demonstration: {}": "демонстрация: {}", "trained on {} folds {}, validated on folds {} and {}":
        "обучена на {}, части {}, проверена на частях {} и {}",
    "not cleared for clinical use": "не допущена к клиническому применению",
    "cross-validated on {} records of PTB-XL": "перекрёстно проверена на {} записях PTB-XL",
    "validated on {} patients of SOOP left out of training (FLAIR, one slice each)":
        "проверена на {} пациентах SOOP вне обучения (FLAIR, по одному срезу)",
    "trained and tested on synthetic diffusion images":
        "обучена и проверена на синтетических диффузионных изображениях",
    "cross-validated on {} subjects of KAUH": "перекрёстно проверена на {} испытуемых KAUH",
    "trained on {} ({} images), validated on held-out folds of them":
        "обучена на {} ({} изображений), проверена на отложенных частях",
    "two of seven classes and nevus": "два класса из семи и невус",
    "trained on synthetic chests only, not for clinical use":
        "обучена только на синтетических грудных клетках, не для клинического применения",
}
PROBLEMS = _DOOR | _THINGS | _CHANGES | _UPLOADS | _FORMS | _MODELS
