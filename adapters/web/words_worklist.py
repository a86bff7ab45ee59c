"""The strings of the worklist: its filter, saved views, keys and notices."""

from __future__ import annotations

ENGLISH = {
    "page_from": "{first}–{last} of {total} studies", "no_match": "No study passes this filter.",
    "previous_page": "Previous page", "pages": "Pages of the list", "col_age": "Age, sex",
    "wait_of": "{waited} of {budget}", "overdue": "overdue", "whole_hours": "{n} h",
    "filter": "Filter", "filter.text": "Name, ID or accession number", "filter.modality": "Modality",
    "filter.verdict": "Verdict", "filter.state": "State", "filter.finding": "Finding", "filter.priority": "Priority",
    "filter.read": "Read by a person", "filter.unread": "Not yet read", "filter.was_read": "Read",
    "filter.from": "Received from", "filter.to": "to", "filter.any": "any", "filter.apply": "Apply",
    "filter.clear": "Clear filter", "filter.counts": "Show only",
    "search_is_private": "What you search for stands in no address and in no log.",
    "views": "Views", "views.all": "All studies", "views.unread": "Not yet read", "views.save": "Save this view",
    "views.name": "Name of the view", "views.do_save": "Save", "views.delete": "Delete the view {view}",
    "views.hint": "The filter is saved, the searched text is not.",
    "held": "{n} changes", "held_alarms": "new pathologies: {n}", "held_show": "Show",
    "keys_title": "Keyboard", "keys_open": "Keys", "close": "Close",
    "key.j": "next study", "key.k": "previous study", "key.enter": "open the study", "key.slash": "search",
    "key.help": "this help", "key.dot": "show the changes that wait", "key.u": "back to the worklist",
    "key.escape": "leave the row or the search",
}
RUSSIAN = {
    "page_from": "{first}–{last} из {total} исследований", "no_match": "Под этот отбор ничего не подходит.",
    "previous_page": "Предыдущая страница", "pages": "Страницы списка", "col_age": "Возраст, пол",
    "wait_of": "{waited} из {budget}", "overdue": "просрочено", "whole_hours": "{n} ч",
    "filter": "Отбор", "filter.text": "Имя, номер, направление", "filter.modality": "Вид",
    "filter.verdict": "Заключение", "filter.state": "Состояние", "filter.finding": "Признак",
    "filter.priority": "Срочность", "filter.read": "Прочитано", "filter.unread": "Ещё не прочитано",
    "filter.was_read": "Прочитано", "filter.from": "Получено с", "filter.to": "по", "filter.any": "все",
    "filter.apply": "Применить", "filter.clear": "Сбросить отбор", "filter.counts": "Показать только",
    "search_is_private": "То, что вы ищете, не попадает ни в адрес, ни в журнал.",
    "views": "Виды списка", "views.all": "Все исследования", "views.unread": "Непрочитанные",
    "views.save": "Сохранить вид", "views.name": "Название вида", "views.do_save": "Сохранить",
    "views.delete": "Удалить вид {view}", "views.hint": "Сохраняется отбор, но не искомый текст.",
    "held": "Изменений: {n}", "held_alarms": "новых патологий: {n}", "held_show": "Показать",
    "keys_title": "Клавиши", "keys_open": "Клавиши", "close": "Закрыть",
    "key.j": "следующее исследование", "key.k": "предыдущее исследование", "key.enter": "открыть исследование",
    "key.slash": "поиск", "key.help": "эта подсказка", "key.dot": "показать отложенные изменения",
    "key.u": "назад к списку", "key.escape": "покинуть строку или поиск",
}
