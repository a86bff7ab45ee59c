"""Reading the configuration: overrides, and refusals that name file, line and key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.files.settings_file import load, redacted, schema
from gateway.delivery import Kind
from gateway.errors import ConfigurationError
from gateway.settings import DicomDestination, FhirDestination, Settings

ROOT = Path(__file__).parents[2]
PACS = "destinations:\n  - {name: pacs, type: dicom, host: h, port: 1, ae_title: P}\n"


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "gateway.yaml"


def refused(path: Path, text: str, environment: dict[str, str] | None = None) -> str:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load(path, environment or {})
    return str(caught.value)


def test_the_default_file_says_what_the_defaults_are() -> None:
    shipped = load(ROOT / "config" / "gateway.yaml", {}).model_dump()
    routes = shipped.pop("routes")
    defaults = load(None, {}).model_dump()
    assert defaults.pop("routes") == []
    head = " ".join((ROOT / "config" / "gateway.yaml").read_text(encoding="utf-8").partition("\n\n")[0].split("\n# "))
    assert "every key at its default, but for `routes`: a configuration without them has none" in head
    assert shipped == defaults
    assert [(route["pipeline"], route["when"]) for route in routes] == [
        ("ecg_12lead", {"Modality": "ECG", "NumberOfWaveformChannels": {"not": "< 3"}}),
        ("ecg_mi", {"Modality": "ECG", "NumberOfWaveformChannels": {"not": "< 3"}}),
        ("ecg_1lead", {"Modality": "ECG", "NumberOfWaveformChannels": "< 3"}), ("chest_ct", {"Modality": "CT"}),
        ("stroke_mr", {"Modality": "MR", "BodyPartExamined": ["absent", "/brain|head|skull|neuro|cereb|cran/"]}),
        ("dermoscopy", {"Modality": ["DMS", "XC"]}), ("asthma", {"Modality": ["AU", "RESP"]})]


def test_the_default_file_shows_every_key() -> None:
    text = (ROOT / "config" / "gateway.yaml").read_text(encoding="utf-8")
    for section, value in Settings().model_dump().items():
        assert f"\n{section}:" in text
        for key in value if isinstance(value, dict) else ():
            assert f"\n  {key}:" in text, f"{section}.{key}"


def test_the_commented_destinations_are_valid(written: Path) -> None:
    text = (ROOT / "config" / "gateway.yaml").read_text(encoding="utf-8")
    head, _, examples = text.partition("destinations: []\n")
    written.write_text(head + "destinations:\n" + examples.replace("\n#", "\n").removeprefix("#"), encoding="utf-8")
    assert [d.type for d in load(written, {}).destinations] == ["dicom", "hl7", "fhir", "folder"]


def test_the_schema_is_current() -> None:
    assert (ROOT / "config" / "schema.json").read_text(encoding="utf-8") == schema(), (
        "write adapters.files.settings_file.schema() to config/schema.json")
    assert json.loads(schema())["additionalProperties"] is False


def test_relative_paths_are_taken_from_the_working_directory(written: Path) -> None:
    written.write_text("data_dir: here\ndestinations:\n  - {name: out, type: folder, path: results}\n")
    settings = load(written, {})
    assert settings.data_dir == written.parent / "here"
    assert settings.model_repository == written.parent / "model_repository"
    assert settings.destinations[0].path == written.parent / "results"  # type: ignore[union-attr]


def test_variables_override_the_file(written: Path) -> None:
    written.write_text(PACS + "routes:\n  - {name: ct, pipeline: chest_ct, when: {Modality: CT}}\n")
    settings = load(written, {
        "GATEWAY_DICOM__PORT": "104", "GATEWAY_SITE__FACILITY": "007", "GATEWAY_DATABASE_URL": "",
        "GATEWAY_DICOM__REQUIRE_CALLED_AE_TITLE": "true", "GATEWAY_DICOM__ALLOWED_CALLING_AE_TITLES": "[CT1, '2']",
        "GATEWAY_DESTINATIONS__0__PORT": "4242", "GATEWAY_DESTINATIONS__0__KINDS": "[sr]",
        "GATEWAY_DESTINATIONS__1__NAME": "ehr", "GATEWAY_DESTINATIONS__1__TYPE": "fhir",
        "GATEWAY_DESTINATIONS__1__URL": "http://ehr", "GATEWAY_DESTINATIONS__1__BEARER_TOKEN": "1234",
        "GATEWAY_ROUTES__0__WHEN__BodyPartExamined": "CHEST", "GATEWAY_ROUTES__0__DESTINATIONS": "[ehr]",
        "HOME": "/root", "GATEWAYS_OTHER": "x"})
    assert (settings.dicom.port, settings.site.facility, settings.database_url) == (104, "007", "")
    assert settings.dicom.require_called_ae_title
    assert settings.dicom.allowed_calling_ae_titles == ["CT1", "2"]
    pacs, ehr = settings.destinations
    assert isinstance(pacs, DicomDestination)
    assert isinstance(ehr, FhirDestination)
    assert (pacs.port, pacs.kinds) == (4242, [Kind.SR])
    assert ehr.bearer_token is not None
    assert ehr.bearer_token.get_secret_value() == "1234"
    assert settings.routes[0].when == {"Modality": "CT", "BodyPartExamined": "CHEST"}
    assert settings.routes[0].destinations == ["ehr"]


@pytest.mark.parametrize(("text", "line", "said"), [
    ("site:\n  facility: A\ndicom:\n  prot: 1\n", 4, "dicom.prot: unknown key; did you mean port?"),
    ("dicmo: {}\n", 1, "dicmo: unknown key; did you mean dicom?"),
    ("\nxyzzy: 1\n", 2, "known here: alarms, archives, assembly"),
    ("dicom:\n  port: many\n", 2, "dicom.port: input should be a valid integer"),
    ("dicom:\n\n  port: 70000\n", 3, "dicom.port: input should be less than or equal to 65535"),
    ("site: {language: de}\n", 1, "site.language: input should be 'en' or 'ru'"),
    ("site: {timezone: Mars/Olympus}\n", 1, "site.timezone: no such time zone"),
    ("inference:\n  url: http://x\n", 2, "inference.url"),
    ("dicom: 5\n", 1, "dicom: input should be"),
    ("data_dir: a\ndata_dir: b\n", 2, "data_dir: this key stands twice"),
    ("dicom:\n  host: 0.0.0.0\n", 2, "dicom.allowed_calling_ae_titles must say who may connect"),
    ("mllp:\n  host: 10.0.0.1\n", 2, "mllp.allowed_addresses must say"),
    ("http:\n  host: gateway.example\n", 2, "http.allowed_addresses must say"),
    ("http:\n  host: '::'\n", 2, "http.allowed_addresses must say"),
    (PACS + "  - {name: pacs, type: folder, path: x}\n", 3, "destinations[1].name: the name pacs stands twice"),
    (PACS + "  - {name: b, type: dicom, host: h, port: 1}\n", 3, "destinations[1].ae_title: this key is required"),
    (PACS + "  - {name: b, type: dcm}\n", 3, "destinations[1].type: must be one of dicom, hl7, fhir, folder"),
    (PACS + "  - {name: b, path: x}\n", 3, "destinations[1].type: must be one of dicom, hl7, fhir, folder"),
    (PACS + "  - {name: b, type: folder, pathh: x}\n", 3, "unknown key; did you mean path?"),
    (PACS + "  - {name: b, type: folder, path: x, kind: [sr]}\n", 3, "unknown key; did you mean kinds?"),
    (PACS + "  - {name: b, type: folder, path: x, kinds: [pdf]}\n", 3, "destinations[1].kinds[0]"),
    (PACS + "  - {name: a/b, type: folder, path: x}\n", 3, "destinations[1].name"),
    ("routes:\n  - name: a\n    pipeline: p\n    destinations:\n      - nowhere\n", 5, "destination is named nowhere"),
    ("routes:\n  - {name: a, pipeline: p}\n  - {name: a, pipeline: q}\n", 3, "routes[1].name: the name a stands twice"),
    ("routes:\n  - name: a\n    pipeline: p\n    when:\n      Modaltiy: CT\n", 5, "did you mean Modality?"),
    ("routes:\n  - name: a\n    pipeline: p\n    when:\n      Rows: '/(/'\n", 5, "not a regular expression"),
    ("routes:\n  - name: a\n    pipeline: p\n    when:\n      Rows: '< five'\n", 5, "compares with a number"),
    ("mllp:\n  port: 11112\n", 2, "mllp.port: dicom.port is 11112 as well"),
    ("database_url: mysql://db\n", 1, "database_url: write postgresql+psycopg://"),
    ("a: [1\nb: 2\n", 2, "this is no YAML"),
    ("- a\n", 1, "the file must hold keys with values"),
    ("assembly:\n  count_from: pacs\n", 2, "assembly.count_from: no archive is named pacs; known: none"),
    ("assembly:\n  senders:\n    CT1:\n      count_from: pacs\n", 4, "CT1.count_from: no archive is named pacs"),
    ("routes:\n- name: a\n  pipeline: b\n  prior: newest\n", 4, "routes[0].prior: nothing can be fetched"),
    ("dicom:\n  allowed_calling_ae_titles: [CT1]\narchives:\n- name: pacs\n  host: a\n  port: 104\n  ae_title: PACS\n"
     "  retrieve: move\n", 8, "archives[0].retrieve: PACS calls back, so dicom.allowed_calling_ae_titles must name it"),
    ("dicom:\n  allowed_calling_ae_titles: [CT1]\ndestinations:\n- name: pacs\n  type: dicom\n  host: a\n  port: 104\n"
     "  ae_title: PACS\n  storage_commitment: true\n", 9, "destinations[0].storage_commitment: PACS calls back"),
    ("archives:\n- name: a\n  host: b\n  port: 0\n  ae_title: C\n", 4, "archives[0].port"),
])
def test_a_mistake_is_refused_with_file_line_and_key(written: Path, text: str, line: int, said: str) -> None:
    sentence = refused(written, text)
    assert sentence.startswith(f"{written}, line {line}: ")
    assert said in sentence


@pytest.mark.parametrize(("name", "value", "said"), [
    ("GATEWAY_DICOM__PROT", "1", "dicom.prot: unknown key; did you mean port?"),
    ("GATEWAY_DICOM__PORT", "many", "dicom.port: input should be a valid integer"),
    ("GATEWAY_DICOM__HOST", "0.0.0.0", "dicom.allowed_calling_ae_titles must say"),
    ("GATEWAY_DESTINATIONS__7__NAME", "x", "there is nothing of this name"),
    ("GATEWAY_DICOM__PORT__X", "1", "dicom.port"),
    ("GATEWAY_DICOM__ALLOWED_CALLING_AE_TITLES", "[a", "the value is no YAML"),
])
def test_a_wrong_variable_is_named(written: Path, name: str, value: str, said: str) -> None:
    sentence = refused(written, "dicom: {port: 1}\n", {name: value})
    assert f"environment variable {name}" in sentence or name == "GATEWAY_DICOM__PORT__X"
    assert said in sentence


def test_a_missing_file_is_named(written: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gateway\.yaml: there is no such file"):
        load(written, {})


def test_what_is_no_text_is_named(written: Path) -> None:
    written.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"no text file"):
        load(written, {})


@pytest.mark.parametrize("text", ["dicom: {host: 127.0.0.2}", "dicom: {host: localhost}", "http: {host: '::1'}",
                                  "dicom: {host: 0.0.0.0, allowed_calling_ae_titles: [CT]}", ""])
def test_loopback_and_listed_senders_are_fine(written: Path, text: str) -> None:
    written.write_text(text)
    load(written, {})


def test_secrets_are_not_shown(written: Path) -> None:
    written.write_text("database_url: postgresql+psycopg://gw:hush@db:5432/gw\ndestinations:\n"
                       "  - {name: a, type: fhir, url: 'http://u:hush@h/fhir', bearer_token: hush}\n")
    settings = load(written, {})
    assert "hush" not in json.dumps(redacted(settings))
    assert redacted(settings)["database_url"] == "postgresql+psycopg://gw:***@db:5432/gw"
    assert redacted(load(None, {}))["database_url"] == ""


def test_identifier_systems_are_addresses(written: Path) -> None:
    text = "site:\n  identifier_systems:\n    HOSPITAL: {}\n"
    written.write_text(text.format("urn:oid:1.2.643.5"), encoding="utf-8")
    assert load(written, {}).site.identifier_systems == {"HOSPITAL": "urn:oid:1.2.643.5"}
    assert "line 3: site.identifier_systems.HOSPITAL: " in refused(written, text.format("our hospital"))
