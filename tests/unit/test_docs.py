"""What the documents say is so: links lead somewhere, named files and tests are there, examples are understood."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from adapters.cli.app import build_cli
from adapters.cli.services import CliServices
from adapters.demo.command import add_demo
from adapters.files.settings_file import load

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "NOTICE")]
TOP = ("gateway", "adapters", "pipelines", "model_repository", "config", "tests", ".ci")
EXAMPLES = sorted((ROOT / "config" / "examples").glob("*.yaml"))
every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def blocks(language: str) -> list[str]:
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    return [re.sub(r"^ {3}", "", found[2], flags=re.MULTILINE) if found[1] else found[2]
            for found in re.finditer(rf"^( *)```{language}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)]


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@every_document
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        path = ROOT / name if name else document
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


@every_document
def test_named_files_are_there(document: Path) -> None:
    named = re.findall(rf"(?<![\w/.-])((?:{'|'.join(map(re.escape, TOP))})/[\w./-]+)", document.read_text("utf-8"))
    missing = [name for name in named
               if "NAME" not in name and "TYPE" not in name and not (ROOT / name.rstrip("./")).exists()]
    assert not missing


def test_named_tests_are_there() -> None:
    named = [found for path in DOCUMENTS for found in
             re.findall(r"(tests/[\w/]+\.py)::(\w+)", path.read_text(encoding="utf-8"))]
    assert named
    assert not [f"{file}::{test}" for file, test in named
                if not re.search(rf"def {test}\b", (ROOT / file).read_text(encoding="utf-8"))]


def test_python_examples_are_python() -> None:
    assert blocks("python")
    for block in blocks("python"):
        ast.parse(block)


def test_the_configuration_in_the_readme_is_understood(tmp_path: Path) -> None:
    assert blocks("yaml")
    for block in blocks("yaml"):
        file = tmp_path / "site.yaml"
        file.write_text(block, encoding="utf-8")
        assert load(file, {}).routes


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_configurations_start(example: Path) -> None:
    settings = load(example, {})
    assert settings.routes
    assert settings.destinations


# ---------------------------------------------------------------- commands


def commands() -> list[str]:
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    quoted = re.findall(r"`(triage-gateway [a-z][^`]*)`", text)
    typed = [line.strip().removeprefix(".venv/bin/") for block in blocks("sh") for line in block.splitlines()]
    return [line for line in quoted + typed if line.startswith("triage-gateway ")]


@pytest.fixture
def a_folder_of_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the names that the examples use."""
    here = tmp_path / "here"
    for folder in (here / "studies", here / "model_repository", tmp_path / "shared/data/ptb-xl"):
        folder.mkdir(parents=True)
    for name in ("scan.zip", "image.dcm", "report.dcm", "site.yaml"):
        (here / name).touch()
    monkeypatch.chdir(here)


def nothing(*_: Any, **__: Any) -> Any:
    raise AssertionError("examples are read here and not run")


def parsed(command: Any, words: list[str], name: str) -> None:
    """Raises a usage error where the words are no call of the command."""
    context = command.make_context(name, words)
    rest = [*context._protected_args, *context.args] if hasattr(context, "_protected_args") else context.args
    if hasattr(command, "commands") and rest:
        found, below, remaining = command.resolve_command(context, rest)
        parsed(below, remaining, found)


@pytest.mark.usefixtures("a_folder_of_examples")
def test_commands_are_called_as_written() -> None:
    cli = build_cli(CliServices(serve=nothing, load_settings=nothing, modalities=nothing, send_files=nothing,
                                check=nothing, conform=nothing, models=nothing, train=nothing, validate=nothing))
    add_demo(cli, nothing)
    group = typer.main.get_command(cli)
    assert len(commands()) > 10
    for line in commands():
        parsed(group, [word for word in line.split()[1:] if word != "COMMAND"], "triage-gateway")


def test_make_knows_what_the_documents_ask_of_it() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    asked = set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE))
    known = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= asked
    assert asked <= known


# ---------------------------------------------------------------- installing


def requirements() -> Iterator[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]:
        yield Requirement(line)


def test_every_dependency_is_pinned() -> None:
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    for wanted in requirements():
        exactly = [s.version for s in wanted.specifier if s.operator == "==" and "*" not in s.version]
        version = pinned.get(canonicalize_name(wanted.name), *exactly[:1]) if exactly else pinned[
            canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version), wanted


def test_the_container_opens_the_ports_that_it_names() -> None:
    settings = load(ROOT / "config/examples/container.yaml", {})
    ports = {str(settings.http.port), str(settings.dicom.port), str(settings.mllp.port)}
    dockerfile = (ROOT / "Dockerfile").read_text()
    exposed = re.search(r"^EXPOSE (.+)$", dockerfile, re.MULTILINE)
    assert exposed is not None
    assert set(exposed[1].split()) == ports
    copied = [name for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
              for name in line.split()[:-1]]
    listed = (ROOT / ".dockerignore").read_text().split()
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in listed, name
    compose = yaml.safe_load((ROOT / "config/compose.yaml").read_text())["services"]["gateway"]
    assert {port.rpartition(":")[2] for port in compose["ports"]} == ports
    assert all(port.startswith("127.0.0.1:") for port in compose["ports"])
    empty = {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for name, value in compose["environment"].items()}
    assert load(ROOT / "config/examples/container.yaml", empty) == settings


def test_kubernetes_runs_the_container_as_it_is() -> None:
    folder = ROOT / "config/kubernetes"
    parts = {path.stem: yaml.safe_load(path.read_text()) for path in folder.glob("*.yaml")}
    assert {f"{name}.yaml" for name in parts} - {"kustomization.yaml"} == set(parts["kustomization"]["resources"])
    given = yaml.safe_load(parts["config"]["data"]["gateway.yaml"])
    assert given == yaml.safe_load((ROOT / "config/examples/container.yaml").read_text())
    pod = parts["deployment"]["spec"]["template"]["spec"]
    assert pod["enableServiceLinks"] is False
    assert parts["deployment"]["spec"]["replicas"] == 1
    container = pod["containers"][0]
    names = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in parts["service"]["spec"]["ports"]} == names
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    user = f"USER {pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    assert user in (ROOT / "Dockerfile").read_text()
