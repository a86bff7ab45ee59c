"""Every row of a validation as CSV, so that figures can be computed again by others."""

from __future__ import annotations

import csv
from pathlib import Path

from pipelines.validation.records import Scored


def write(file: Path, scored: Scored) -> None:
    """record, label, truth, probability: a line for each label that was said and scored of a record."""
    with file.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(("record", "label", "truth", "probability"))
        for record in scored.records:
            writer.writerows((record.name, label, int(record.truth[label]), f"{record.probability[label]:.9g}")
                             for label in scored.labels if label in record.truth and label in record.probability)
