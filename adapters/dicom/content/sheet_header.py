"""The strip on top of every picture: verdict, risk, findings, reasons, model, time, and what the picture is not.

No name, identifier or date of birth is drawn: the object carries them, and a viewer shows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from adapters.dicom.content.sheet_canvas import (
    AMBER,
    FAINT,
    GREEN,
    INK,
    PAPER,
    RED,
    Canvas,
    Colour,
    Style,
    width_of,
    wrapped,
)
from gateway.case import Reading
from gateway.phrases import phrase
from gateway.result import Finding, Verdict

_COLOURS: dict[Verdict, Colour] = {Verdict.NORMAL: GREEN, Verdict.PATHOLOGY: RED, Verdict.UNDETERMINED: AMBER}
_TOP = 4.1
"""Lines of body size that verdict and provenance take."""


@dataclass(frozen=True, slots=True)
class Look:
    """Sizes of the strip in pixels. `lines`: rows of findings at most; `columns`: findings beside each other."""

    width: int
    margin: int
    body: int
    lines: int
    columns: int

    @property
    def inner(self) -> int:
        return self.width - 2 * self.margin


def header_height(reading: Reading, look: Look) -> int:
    """Pixels that `draw_header` will use."""
    body = Style(look.body)
    notes = sum(len(_note_lines(text, look, bold)) for text, bold in _notes(reading))
    rows = len(_rows(reading, look))
    legend = 1 if rows else 0
    return round(_TOP * look.body + (rows + legend + notes) * body.line + 0.9 * look.body) + _band(reading, look)


def draw_header(canvas: Canvas, reading: Reading, look: Look) -> int:
    """Draw the strip at the top; returns the y below it."""
    _draw_verdict(canvas, reading, look)
    _draw_provenance(canvas, reading, look)
    y = _TOP * look.body
    y = _draw_notes(canvas, reading, look, y)
    y = _draw_findings(canvas, reading, look, y)
    _draw_caveat(canvas, reading, look, round(y + 0.3 * look.body))
    return header_height(reading, look)


def _draw_verdict(canvas: Canvas, reading: Reading, look: Look) -> None:
    """Shape, word and colour say the same thing, so that none of them has to be seen."""
    verdict = reading.result.verdict
    style = Style(round(1.9 * look.body), bold=True, colour=_COLOURS[verdict])
    side, top = 2.4 * look.body, 0.6 * look.body
    _draw_shape(canvas, verdict, look.margin, top, side)
    x = look.margin + side + 0.6 * look.body
    middle = top + side / 2
    words = phrase(reading.language, verdict.value)
    canvas.text(x, middle, words, style, anchor="lm")
    if verdict is Verdict.UNDETERMINED and not reading.result.findings:
        return  # a risk of nothing looked at would read as none
    x += width_of(words, style) + 1.6 * look.body
    risk = f"{phrase(reading.language, 'risk')} {reading.result.risk:.2f}"
    canvas.text(x, middle, risk, Style(round(1.5 * look.body), bold=True), anchor="lm")


def _draw_shape(canvas: Canvas, verdict: Verdict, x: float, y: float, side: float) -> None:
    colour, draw = _COLOURS[verdict], canvas.draw
    middle, right, bottom = x + side / 2, x + side, y + side
    if verdict is Verdict.NORMAL:
        draw.ellipse((x, y, right, bottom), fill=colour)
        tick = [(x + u * side, y + v * side) for u, v in ((0.27, 0.52), (0.44, 0.69), (0.74, 0.34))]
        draw.line(tick, fill=PAPER, width=round(side / 9), joint="curve")
    elif verdict is Verdict.PATHOLOGY:
        draw.polygon(((middle, y), (right, bottom), (x, bottom)), fill=colour)
        canvas.text(middle, y + 0.66 * side, "!", Style(round(0.62 * side), True, PAPER), anchor="mm")
    else:
        draw.polygon(((middle, y), (right, y + side / 2), (middle, bottom), (x, y + side / 2)), fill=colour)
        canvas.text(middle, y + 0.51 * side, "?", Style(round(0.62 * side), True, PAPER), anchor="mm")


def _draw_provenance(canvas: Canvas, reading: Reading, look: Look) -> None:
    """Right side: title, pipeline and time, models, each with its version."""
    made = reading.run.created_at.astimezone(ZoneInfo(reading.timezone))
    provenance = reading.result.provenance
    models = ", ".join(f"{m.name} {m.version}" for m in provenance.models) or phrase(reading.language, "none")
    small = Style(look.body, colour=FAINT)
    lines = (
        f"{phrase(reading.language, 'report')}, {phrase(reading.language, 'preliminary').lower()}",
        f"{provenance.pipeline} {provenance.pipeline_version}, {made:%Y-%m-%d %H:%M:%S %Z}",
        f"{phrase(reading.language, 'model')}: {models}",
    )
    room = look.inner * 0.5
    for i, line in enumerate(lines):
        y = 0.35 * look.body + i * 1.15 * look.body
        shown = wrapped(line, small, room, 1)[0]
        canvas.text(look.width - look.margin, y, shown, small, anchor="ra")


def _notes(reading: Reading) -> list[tuple[str, bool]]:
    """(sentence, bold): that it is no normal result, why, that it is incomplete, the summary."""
    result, notes = reading.result, list[tuple[str, bool]]()
    if result.verdict is Verdict.UNDETERMINED:
        notes.append((phrase(reading.language, "not_normal"), True))
    if reading.incomplete:
        notes.append((reading.incomplete, True))
    if result.summary:
        notes.append((result.summary, False))
    if result.problems:
        reasons = "; ".join(p.text.rstrip(".") for p in result.problems)
        notes.append((f"{phrase(reading.language, 'quality')}: {reasons}", False))
    return notes


def _note_lines(text: str, look: Look, bold: bool) -> list[str]:
    return wrapped(text, Style(look.body, bold), look.inner, 3)


def _draw_notes(canvas: Canvas, reading: Reading, look: Look, y: float) -> float:
    for text, bold in _notes(reading):
        style = Style(look.body, bold, AMBER if bold else INK)
        y = canvas.paragraph(look.margin, y, text, style, look.inner, 3)
    return y


def _ordered(reading: Reading) -> list[Finding]:
    """Present ones first, then by probability."""
    return sorted(reading.result.findings, key=lambda f: (not f.present, -f.probability * f.acuity, -f.probability))


def _rows(reading: Reading, look: Look) -> list[list[tuple[str, bool]]]:
    """Cells (text, present) row by row; where they are more than fit, the last cell says how many are left out."""
    cells = [(f"{f.probability:.2f}  {f.display}", f.present) for f in _ordered(reading)]
    room = look.lines * look.columns
    if len(cells) > room:
        cells = [*cells[:room - 1], (f"+ {len(cells) - room + 1}", any(present for _, present in cells[room - 1:]))]
    return [cells[i:i + look.columns] for i in range(0, len(cells), look.columns)]


def _draw_findings(canvas: Canvas, reading: Reading, look: Look, y: float) -> float:
    rows, column = _rows(reading, look), look.inner / look.columns
    if rows:
        y = _draw_legend(canvas, reading, look, y, {present for row in rows for _, present in row})
    for row in rows:
        for i, (text, present) in enumerate(row):
            x = look.margin + i * column
            room = column - 1.3 * look.body
            _draw_mark(canvas, x, y, look, present)
            canvas.text(x + look.body, y + look.body / 2, text, _cell_style(text, look, room, present), width=room,
                        anchor="lm")
        y += Style(look.body).line
    return y


def _cell_style(text: str, look: Look, room: float, present: bool) -> Style:
    """A little smaller rather than cut."""
    sizes = [Style(size, present, INK if present else FAINT) for size in range(look.body, round(0.78 * look.body), -1)]
    return next((style for style in sizes if width_of(text, style) <= room), sizes[-1])


def _draw_legend(canvas: Canvas, reading: Reading, look: Look, y: float, marks: set[bool]) -> float:
    """What stands in the rows below: probability and finding, and what each mark that is there means."""
    style, x = Style(look.body, colour=FAINT), float(look.margin)
    head = f"{phrase(reading.language, 'findings')} ({phrase(reading.language, 'probability').lower()}):"
    canvas.text(x, y, head, style)
    x += width_of(head, style) + look.body
    for present in sorted(marks, reverse=True):
        words = phrase(reading.language, "present" if present else "absent")
        _draw_mark(canvas, x, y, look, present)
        canvas.text(x + look.body, y, words, style)
        x += width_of(words, style) + 2 * look.body
    return y + style.line


def _draw_mark(canvas: Canvas, x: float, y: float, look: Look, present: bool) -> None:
    side = 0.62 * look.body
    box = (x, y + 0.28 * look.body, x + side, y + 0.28 * look.body + side)
    canvas.draw.rectangle(box, fill=RED if present else None, outline=RED if present else FAINT,
                          width=max(1, look.body // 12))


def _caveat(reading: Reading, look: Look) -> list[str]:
    """Never cut: sentence by sentence where one line does not hold them."""
    words = [phrase(reading.language, "demonstration")] if reading.result.demonstration else []
    words.append(phrase(reading.language, "decision_support"))
    one = ". ".join(words)
    return [one] if width_of(one, Style(look.body, True)) <= look.inner else words


def _band(reading: Reading, look: Look) -> int:
    return round((0.3 + 1.3 * len(_caveat(reading, look))) * look.body)


def _draw_caveat(canvas: Canvas, reading: Reading, look: Look, y: int) -> None:
    """A band over the whole width; a demonstration says so in red."""
    fill = RED if reading.result.demonstration else (52, 60, 74)
    canvas.draw.rectangle((0, y, look.width, y + _band(reading, look)), fill=fill)
    style = Style(look.body, True, PAPER)
    for i, line in enumerate(_caveat(reading, look)):
        canvas.text(look.width / 2, y + (0.8 + 1.3 * i) * look.body, line, style, width=look.inner, anchor="mm")
