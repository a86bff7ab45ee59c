"""The arrows of knowledge: adapters → gateway ← pipelines, and what each side must not know."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPOSITION_ROOT = ROOT / "gateway" / "app"
WIRES = {"socket", "socketserver", "pydicom", "pynetdicom", "highdicom", "hl7apy", "fastapi", "starlette", "uvicorn",
         "httpx", "sqlalchemy", "dbos", "onnxruntime", "tritonclient", "fhir", "wfdb"}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def modules(folder: str) -> list[Path]:
    return sorted(p for p in (ROOT / folder).rglob("*.py") if COMPOSITION_ROOT not in p.parents)


@pytest.mark.parametrize(("folder", "forbidden"), [
    ("gateway", {"adapters", "pipelines"} | WIRES),
    ("adapters", {"pipelines", "torch", "monai"}),
    ("pipelines", {"adapters"}),
])
def test_no_arrow_points_the_wrong_way(folder: str, forbidden: set[str]) -> None:
    wrong = {str(p.relative_to(ROOT)): sorted(imported(p) & forbidden) for p in modules(folder)
             if imported(p) & forbidden}
    assert modules(folder)
    assert not wrong


def test_serving_needs_no_torch() -> None:
    """Only training may import torch or MONAI: train modules, what they share, and networks; and nothing that serves
    imports what they share."""
    trains = {"learning", "network", "export"}
    serving = [p for p in modules("pipelines") if "train" not in p.stem and not trains & {p.stem, p.parent.name}]
    wrong = [str(p.relative_to(ROOT)) for p in serving
             if imported(p) & {"torch", "monai", "onnx"} or "pipelines.learning" in p.read_text()]
    assert serving
    assert not wrong


def test_adapters_do_not_know_the_composition_root() -> None:
    wrong = [str(p.relative_to(ROOT)) for p in modules("adapters") if "gateway.app" in p.read_text()]
    assert not wrong
