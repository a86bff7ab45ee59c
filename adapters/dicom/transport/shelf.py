"""What a URL of WADO-RS names, from what is held: paths come from the index, never from a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.dicom.transport.answers import Refusal
from gateway.errors import Transient
from gateway.held import Holdings
from gateway.study import Instance


@dataclass(frozen=True, slots=True)
class Target:
    """A study, a series of it or an instance of that, as the URL names it."""

    study: str
    series: str = ""
    instance: str = ""

    @property
    def what(self) -> str:
        return "instance" if self.instance else "series" if self.series else "study"

    @property
    def path(self) -> str:
        parts = (("studies", self.study), ("series", self.series), ("instances", self.instance))
        return "".join(f"/{name}/{uid}" for name, uid in parts if uid)


@dataclass(frozen=True, slots=True)
class Shelved:
    """`instances`: with their files there. `lacking`: others of the target are gone."""

    instances: tuple[Instance, ...]
    lacking: bool

    @property
    def status(self) -> int:
        """206 where not all of it can be given (PS3.18 Table 10.4.3-1)."""
        return 206 if self.lacking else 200


def target_of(instance: Instance) -> Target:
    return Target(instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid)


def take(holdings: Holdings, target: Target) -> Shelved:
    """Raises Refusal: 404 never held, 410 deleted by retention; Transient where files are out of reach."""
    found = holdings.instances(target.study, target.series, target.instance)
    there = tuple(instance for instance in found if Path(instance.path).is_file())
    deleted = holdings.deleted_at(target.study) is not None
    if there:
        return Shelved(there, len(there) < len(found) or (deleted and not target.series))
    if deleted:
        raise Refusal(410, f"The gateway has deleted this {target.what}: its retention time was over. "
                           "The archive that sent it still has it.")
    if found:
        raise Transient(f"The files of this {target.what} are out of reach.")
    raise Refusal(404, f"The gateway holds no such {target.what}.")


def one(holdings: Holdings, target: Target) -> Instance:
    return take(holdings, target).instances[0]


def middle(instances: Sequence[Instance]) -> Instance:
    """The image that stands for a series or study: the middle one of the first series that has images.

    Raises Refusal 406 where there is none.
    """
    images = [i for i in instances if i.tags.get("Rows")]
    if not images:
        raise Refusal(406, "None of these objects is an image that can be shown; …/metadata tells what they hold.")
    series = [i for i in images if i.series_instance_uid == images[0].series_instance_uid]
    return series[len(series) // 2]
