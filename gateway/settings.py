"""Typed configuration (CONTRACT, "Settings"). Unknown keys are errors; adapters/files/settings_file reads the file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from gateway.completion import EvidenceKind
from gateway.delivery import Kind
from gateway.study import Priority


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PeerAddress(Strict):
    host: str
    port: int = Field(ge=1, le=65535)


class DicomSettings(Strict):
    host: str = "127.0.0.1"
    port: int = Field(11112, ge=0, le=65535)
    ae_title: str = Field("TRIAGE", min_length=1, max_length=16)
    require_called_ae_title: bool = False
    allowed_calling_ae_titles: list[str] = []
    """Empty: anyone (on loopback). Otherwise others are refused with "calling AE title not recognised"."""
    maximum_associations: int = Field(100, ge=1)
    maximum_pdu_size: int = Field(0, ge=0)
    """Bytes; 0 is unlimited."""
    acse_timeout: float = 15
    dimse_timeout: float = 30
    network_timeout: float = 60
    processes: int = Field(1, ge=1, le=16)
    """Processes that receive and store. 1: the gateway's own; more: so many besides it, which take over the
    associations that only store. `maximum_associations` then holds for each."""
    storage_sop_classes: list[str] = []
    """UIDs of private or new storage SOP classes, accepted besides the standard ones."""
    peers: dict[str, PeerAddress] = {}
    """AE title → where reports of storage commitment go, once the association they were asked on is over. Destinations
    of type dicom and archives are known without it."""


class MllpSettings(Strict):
    host: str = "127.0.0.1"
    port: int = Field(2575, ge=0, le=65535)
    maximum_message_bytes: int = 16 * 1024 * 1024
    idle_timeout: float = 300
    default_charset: str = "UNICODE UTF-8"
    """HL7 table 0211, for messages without MSH-18."""
    sender_charsets: dict[str, str] = {}
    """MSH-3|MSH-4 → HL7 table 0211 value."""
    allowed_addresses: list[str] = []


class HttpSettings(Strict):
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    maximum_upload_bytes: int = 2 * 1024**3
    allowed_addresses: list[str] = []
    allowed_hosts: list[str] = []
    """Names in the Host header answered besides IP addresses, localhost and `host`; `*`: any."""


class InferenceSettings(Strict):
    url: str = Field("embedded", pattern=r"^(embedded|grpc://.+:\d+)$")
    timeout_seconds: float = 120
    threads: int = 0
    """ONNX Runtime threads a model; 0: one per core."""


class ModelSettings(Strict):
    """What a site sets for one model of the repository."""

    thresholds: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    """Label → probability from which on it counts as present here, in place of the model's own. `triage-gateway
    validate --operating-point` writes them."""
    sha256: str = Field("", pattern=r"^([0-9a-fA-F]{8,64})?$")
    """Beginning of the hash of the model file they were chosen for: with another file the model is not ready."""


class SiteSettings(Strict):
    facility: str = "SITE"
    timezone: str = "UTC"
    language: Literal["en", "ru"] = "en"
    identifier_systems: dict[str, Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$")]] = {}
    """Issuer of patient ids or accession numbers as received ("": none is named) → the URI that the EHR knows it by."""


class AssemblyPolicy(Strict):
    """How long a study waits, and on whose word it stops waiting (see gateway/assembly)."""

    quiet_seconds: float = Field(5, ge=0)
    settle_seconds: float = Field(2, ge=0)
    max_wait_seconds: float = Field(900, ge=0)
    trust: list[EvidenceKind] = list(EvidenceKind)
    """Kinds of evidence that count; a study's own sender and who says it must both be trusted with it."""
    expect: list[EvidenceKind] = []
    """Kinds of evidence without which a study waits until `max_wait_seconds`."""
    count_from: str = ""
    """Name of the archive that is asked how many instances it holds; empty: none."""


class SenderAssembly(Strict):
    """What is other for one sender; what is left out is as for everybody."""

    quiet_seconds: float | None = Field(None, ge=0)
    settle_seconds: float | None = Field(None, ge=0)
    max_wait_seconds: float | None = Field(None, ge=0)
    trust: list[EvidenceKind] | None = None
    expect: list[EvidenceKind] | None = None
    count_from: str | None = None


class AssemblySettings(AssemblyPolicy):
    senders: dict[str, SenderAssembly] = {}
    """AE title of a sender (name of any other kind of sender) → what is other for it."""

    def of_sender(self, name: str) -> AssemblyPolicy:
        """The policy for what `name` sends or says."""
        other = self.senders.get(name)
        return self if other is None else self.model_copy(update=other.model_dump(exclude_none=True))

    @model_validator(mode="after")
    def _what_is_expected_counts(self) -> AssemblySettings:
        for name in ("", *self.senders):
            policy = self.of_sender(name)
            if unheeded := set(policy.expect) - set(policy.trust):
                raise ValueError(f"{name or 'expect'}: {', '.join(sorted(unheeded))} is expected and not trusted")
        return self


class ByPriority(Strict):
    """A number for each order priority."""

    stat: float = Field(ge=0)
    urgent: float = Field(ge=0)
    routine: float = Field(ge=0)


class TriageSettings(Strict):
    """The worklist's order (see gateway/triage). Risk runs from 0 to 1; boosts are added to it."""

    budget_minutes: ByPriority = ByPriority(stat=15, urgent=60, routine=24 * 60)
    """Minutes from the first object in which a person should have looked."""
    boost: ByPriority = ByPriority(stat=0.5, urgent=0.25, routine=0)
    overdue_step: float = Field(0.1, ge=0)
    """Added at 1, 2, 4 and 8 times the budget."""
    assumed_risk: float = Field(0.5, ge=0, le=1)
    """Of what no reader could tell."""
    narrow_boost: float = Field(0.2, ge=0)
    """Of a normal verdict with a finding just under its threshold."""
    demonstration_penalty: float = Field(0.1, ge=0, le=1)


class EngineSettings(Strict):
    workers: int = Field(2, ge=1, le=64)
    """Runs read at the same time in this process."""
    attempts: int = Field(300, ge=1)
    """Readings tried before a run is `failed`, when models or files are only out of reach: 300 are about a day."""


class DeliverySettings(Strict):
    first_retry_seconds: float = 5
    longest_retry_seconds: float = 6 * 3600
    give_up_after_seconds: float = 7 * 24 * 3600
    timeout_seconds: float = 30


class StorageSettings(Strict):
    free_floor_bytes: int = 1024**3
    retention_days: float = 30
    retention_share: float = Field(0.8, gt=0, le=1)


class BatchSettings(Strict):
    root: Path | None = None
    """Folder from within which a table of paths alone may name files; left out: none may."""
    keep_hours: float = Field(24, gt=0)
    waiting: int = Field(20, ge=1)
    """Batches that may wait to be read."""


class AlarmSettings(Strict):
    silence_hours: float = 24
    """A sender not heard for so long raises `sender_silent`; 0 switches it off."""


class LogSettings(Strict):
    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Route(Strict):
    """First match per pipeline. `when`: DICOM keyword, `order.FIELD`, `sender` → condition (see gateway/routing)."""

    name: str
    when: dict[str, Any] = {}
    pipeline: str
    destinations: list[str] | None = None
    """Names; left out: every destination."""
    priority: Priority | None = None
    prior: Literal["none", "newest"] = "none"
    """`newest`: the patient's newest earlier study of the same modality is fetched from the archives before the
    reading, kept and shown beside it."""
    prior_wait_seconds: float = Field(60, ge=0)
    """How long a complete study waits for it at most."""


class _Destination(Strict):
    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    kinds: list[Kind] | None = None
    """Document kinds it takes; None: all its type can carry."""


class DicomDestination(_Destination):
    type: Literal["dicom"]
    host: str
    port: int
    ae_title: str
    calling_ae_title: str = ""
    storage_commitment: bool = False
    """Delivered only once the peer has committed to keep the object (PS3.4 Annex J)."""
    commitment_timeout_seconds: float = Field(24 * 3600, gt=0)
    """Without an answer in that time the delivery is `unproven`."""


class Hl7Destination(_Destination):
    type: Literal["hl7"]
    host: str
    port: int
    receiving_application: str = ""
    receiving_facility: str = ""


class FhirDestination(_Destination):
    type: Literal["fhir"]
    url: str
    bearer_token: SecretStr | None = None


class FolderDestination(_Destination):
    type: Literal["folder"]
    path: Path


DestinationSettings = Annotated[
    DicomDestination | Hl7Destination | FhirDestination | FolderDestination, Field(discriminator="type")]


class ArchiveSettings(Strict):
    """A PACS that is asked how much of a study it has, and for what is missing here."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    host: str
    port: int = Field(ge=1, le=65535)
    ae_title: str = Field(min_length=1, max_length=16)
    calling_ae_title: str = ""
    retrieve: Literal["get", "move", "none"] = "get"
    """`get`: C-GET; `move`: C-MOVE to dicom.ae_title, which the archive has to know; `none`: it is only asked."""
    timeout_seconds: float = Field(30, gt=0)
    """For each answer."""
    fetch_timeout_seconds: float = Field(600, gt=0)
    """For all that is fetched of one study."""


class Settings(Strict):
    """Everything, validated. Build through `adapters.files.settings_file.load`."""

    data_dir: Path = Path("./data")
    database_url: str = ""
    dicom: DicomSettings = DicomSettings()
    mllp: MllpSettings = MllpSettings()
    http: HttpSettings = HttpSettings()
    inference: InferenceSettings = InferenceSettings()
    model_repository: Path = Path("./model_repository")
    models: dict[str, ModelSettings] = {}
    """Name of a model in the repository → what is set for it here."""
    site: SiteSettings = SiteSettings()
    assembly: AssemblySettings = AssemblySettings()
    triage: TriageSettings = TriageSettings()
    engine: EngineSettings = EngineSettings()
    delivery: DeliverySettings = DeliverySettings()
    storage: StorageSettings = StorageSettings()
    batch: BatchSettings = BatchSettings()
    alarms: AlarmSettings = AlarmSettings()
    log: LogSettings = LogSettings()
    routes: list[Route] = []
    archives: list[ArchiveSettings] = []
    destinations: list[DestinationSettings] = []
