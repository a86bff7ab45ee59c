"""A result's words for people in the site's language; codes, labels and numbers stay as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from gateway.evidence_map import EvidenceVolume
from gateway.phrases import phrase
from gateway.pipeline import Analysis, KeyImage, SpectrogramSheet
from gateway.result import Finding, Measurement, Problem, Result, Verdict

Words = Mapping[str, str]
"""English → translation. Both may hold `{}`: what stands there in the English text is put in, in the same order."""

ENGLISH = "en"
OWN_WORDS: Mapping[str, Words] = {
    "ru": {"the study holds nothing that this pipeline reads": "в исследовании нет того, что читает этот модуль"},
}
"""By language: what the gateway itself says in a result, whatever the pipeline."""
_Told = TypeVar("_Told")


def in_language(analysis: Analysis, words: Words, language: str) -> Analysis:
    """The analysis with its result, its picture's caption and the names of its evidence translated; English stays as it
    is."""
    if language == ENGLISH:
        return analysis
    picture = analysis.picture
    if isinstance(picture, KeyImage | SpectrogramSheet):
        picture = replace(picture, caption=worded(picture.caption, words))
    evidence = analysis.evidence
    if isinstance(evidence, EvidenceVolume):
        evidence = replace(evidence, names={label: worded(name, words) for label, name in evidence.names.items()})
    return replace(analysis, result=translated(analysis.result, words, language), picture=picture, evidence=evidence)


def translated(result: Result, words: Words, language: str) -> Result:
    """Displays, problem texts and summary in `language`; a text without a translation stays English.

    `Code.meaning` stays English: in a coded entry it belongs to the code. What people are to read of a measurement
    stands in its `display` and `unit_display`. Raises KeyError for a language without phrases.
    """
    if language == ENGLISH:
        return result
    told = replace(
        result,
        findings=tuple(_finding(finding, words) for finding in result.findings),
        measurements=tuple(_measurement(measurement, words) for measurement in result.measurements),
        problems=tuple(Problem(problem.code, worded(problem.text, words)) for problem in result.problems))
    return replace(told, summary=_summary(result, told, language))


def worded(text: str, words: Words) -> str:
    """The translation of one text: exact, else by a template with `{}`, else the text itself.

    What a placeholder stands for is translated as well where the words hold it (the reason of a refusal).
    """
    if text in words:
        return words[text]
    templates = {english: told for english, told in words.items() if "{}" in english and english != "{}"}
    for template, translation in templates.items():
        found = re.fullmatch(_pattern(template), text)
        if found:
            return translation.format(*(worded(part, words) for part in found.groups()))
    return text


def _pattern(template: str) -> str:
    return "(.+?)".join(re.escape(part) for part in template.split("{}"))


def _finding(finding: Finding, words: Words) -> Finding:
    return replace(finding, display=worded(finding.display, words),
                   measurements=tuple(_measurement(m, words) for m in finding.measurements))


def _measurement(measurement: Measurement, words: Words) -> Measurement:
    return replace(measurement, display=worded(measurement.name, words),
                   unit_display=worded(measurement.unit_name, words))


def _summary(english: Result, told: Result, language: str) -> str:
    """Composed anew of what the English one names: present findings, or why there is none, then measurements."""
    measured = [_figure(m) for source, m in zip(english.measurements, told.measurements, strict=True)
                if source.name in english.summary]
    return " ".join([_conclusion(english, told, language), *measured])


def _figure(measurement: Measurement) -> str:
    unit = "" if measurement.unit.value == "1" else f" {measurement.unit_name}"
    return f"{measurement.name} {measurement.value:g}{unit}".removesuffix(".") + "."


def _conclusion(english: Result, told: Result, language: str) -> str:
    if told.verdict is Verdict.NORMAL:
        return phrase(language, "summary_normal")
    if told.verdict is Verdict.PATHOLOGY:
        present = [pair for pair in zip(english.findings, told.findings, strict=True) if pair[0].present]
        named = _named(present, lambda finding: finding.display, english.summary)
        probability = phrase(language, "probability").lower()
        return "; ".join(f"{f.display} ({probability} {f.probability:.2f})" for f in sorted(named, key=_urgency)) + "."
    reasons = _named(list(zip(english.problems, told.problems, strict=True)), _reason, english.summary)
    opening = phrase(language, "summary_not_normal" if told.findings else "summary_not_read")
    return f"{opening}: {'; '.join(map(_reason, reasons))}."


def _named(pairs: Sequence[tuple[_Told, _Told]], text_of: Callable[[_Told], str], summary: str) -> list[_Told]:
    """The translated ones whose English text the summary holds; all of them where it holds none."""
    return [told for english, told in pairs if text_of(english) in summary] or [told for _, told in pairs]


def _urgency(finding: Finding) -> float:
    return -finding.probability * finding.acuity


def _reason(problem: Problem) -> str:
    return problem.text.rstrip(".")
