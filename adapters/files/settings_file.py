"""The configuration: one YAML file and `GATEWAY_` variables over it, refused with file, line and key where wrong."""

from __future__ import annotations

import difflib
import ipaddress
import itertools
import json
import zoneinfo
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import yaml
from pydantic import ValidationError
from pydicom.datadict import keyword_dict, tag_for_keyword

from adapters.files import settings_paths
from gateway.errors import ConfigurationError
from gateway.routing import check_condition
from gateway.settings import DicomDestination, FolderDestination, Settings

PREFIX = "GATEWAY_"

_OPEN_WITHOUT_LIST = (("dicom", "allowed_calling_ae_titles"), ("mllp", "allowed_addresses"),
                      ("http", "allowed_addresses"))
_DATABASES = ("postgresql+psycopg://", "sqlite://")


class _Sources:
    """Where each key path was written: `config/gateway.yaml, line 12`, or the name of a variable."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._places: dict[settings_paths.Path, str] = {}

    def line(self, path: settings_paths.Path, number: int) -> None:
        self._places[path] = f"{self._file}, line {number}"

    def variable(self, path: settings_paths.Path, name: str) -> None:
        self._places[path] = f"environment variable {name}"

    def error(self, path: settings_paths.Path, sentence: str) -> ConfigurationError:
        """Named by the nearest place that is known: a missing key stands where its mapping begins."""
        for end in range(len(path), -1, -1):
            if place := self._places.get(path[:end]):
                return ConfigurationError(f"{place}: {settings_paths.shown(path)}: {sentence}")
        return ConfigurationError(f"{self._file or 'defaults'}: {settings_paths.shown(path)}: {sentence}")


def load(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """Settings of the file (None: the defaults) with `GATEWAY_DICOM__PORT=104` and the like over them.

    Values of variables are read as YAML; a number in a name is a list index (`GATEWAY_DESTINATIONS__0__PORT`).
    Relative paths are taken from the working directory. Raises ConfigurationError, which names the file and line or
    the variable, the key path and, for an unknown key, the nearest known one.
    """
    sources = _Sources(path)
    values = _read(path, sources) if path else {}
    for name in sorted(environment):
        if name.startswith(PREFIX):
            _override(values, name, environment[name], sources)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise _explained(error, sources) from None
    _check(settings, sources)
    return _absolute(settings)


def redacted(settings: Settings) -> dict[str, Any]:
    """JSON-serialisable, without bearer tokens and the passwords of URLs."""
    told = settings.model_dump(mode="json")
    for destination in told["destinations"]:
        if "url" in destination:
            destination["url"] = _without_password(destination["url"])
    told["database_url"] = _without_password(settings.database_url)
    return told


def schema() -> str:
    """The JSON schema of the file, as `config/schema.json` holds it."""
    form = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema()}
    return json.dumps(form, indent=2, ensure_ascii=False) + "\n"


def _read(path: Path, sources: _Sources) -> dict[str, Any]:
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {_unread(error)}.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise ConfigurationError(f"{place}: this is no YAML: {getattr(error, 'problem', None) or error}.") from error
    if node is None:
        return {}
    value = _value(node, (), sources)
    if not isinstance(value, dict):
        raise ConfigurationError(f"{path}, line 1: the file must hold keys with values.")
    return value


def _unread(error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, UnicodeDecodeError):
        return "this is no text file in UTF-8"
    return f"cannot be read: {(error.strerror or type(error).__name__).lower()}"


def _value(node: yaml.Node, path: settings_paths.Path, sources: _Sources) -> Any:
    """The node as plain values; notes the line of each key path and refuses keys that stand twice."""
    sources.line(path, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, index), sources) for index, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return yaml.SafeLoader("").construct_object(node)
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(yaml.SafeLoader("").construct_object(key_node))
        if key in values:
            sources.line((*path, key), key_node.start_mark.line + 1)
            raise sources.error((*path, key), "this key stands twice.")
        values[key] = _value(value_node, (*path, key), sources)
        sources.line((*path, key), key_node.start_mark.line + 1)
    return values


def _override(values: dict[str, Any], name: str, text: str, sources: _Sources) -> None:
    path = settings_paths.from_environment(name.removeprefix(PREFIX))
    sources.variable(path, name)
    place: Any = values
    for part, following in itertools.pairwise(path):
        place = _step(place, part, [] if isinstance(following, int) else {}, path, sources)
    value = text if settings_paths.takes_text(path) or not text.strip() else _parsed(text, path, sources)
    last = path[-1]
    if isinstance(place, list) and isinstance(last, int) and last <= len(place):
        place[last:last + 1] = [value]
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise sources.error(path, "there is nothing of this name.")


def _step(place: Any, part: settings_paths.Part, empty: Any, path: settings_paths.Path, sources: _Sources) -> Any:
    """What stands under `part`, made where it is missing: a new key, or the next item of a list."""
    if isinstance(place, dict):
        if place.get(part) is None:
            place[part] = empty
        return place[part]
    if isinstance(place, list) and isinstance(part, int) and part <= len(place):
        if part == len(place):
            place.append(empty)
        return place[part]
    raise sources.error(path, "there is nothing of this name.")


def _parsed(text: str, path: settings_paths.Path, sources: _Sources) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise sources.error(path, "the value is no YAML.") from error


def _explained(error: ValidationError, sources: _Sources) -> ConfigurationError:
    """The first mistake as one sentence; a misspelt key before the required one that it should have been."""
    mistakes = error.errors(include_url=False, include_input=False)
    mistake = next((m for m in mistakes if m["type"] == "extra_forbidden"), mistakes[0])
    path = tuple(_without_tags(mistake["loc"]))
    if mistake["type"] == "extra_forbidden":
        return sources.error(path, f"unknown key; {settings_paths.nearest(path[:-1], str(path[-1]))}")
    if mistake["type"] == "missing":
        return sources.error(path, "this key is required.")
    if mistake["type"].startswith("union_tag"):
        return sources.error((*path, "type"), "must be one of dicom, hl7, fhir, folder.")
    return sources.error(path, f"{mistake['msg'][0].lower()}{mistake['msg'][1:]}.")


def _without_tags(location: tuple[int | str, ...]) -> Iterator[int | str]:
    """pydantic names the type of a destination after its index; the file does not."""
    for index, part in enumerate(location):
        if not (index == 2 and location[0] == "destinations" and isinstance(location[1], int)):
            yield part


def _check(settings: Settings, sources: _Sources) -> None:
    """What no single key can tell."""
    for section, list_name in _OPEN_WITHOUT_LIST:
        part = getattr(settings, section)
        if not _loopback(part.host) and not getattr(part, list_name):
            raise sources.error((section, "host"), f"{part.host} can be reached from other machines, so {section}."
                                                   f"{list_name} must say who may connect (or bind to 127.0.0.1).")
    if settings.database_url and not settings.database_url.startswith(_DATABASES):
        raise sources.error(("database_url",), "write postgresql+psycopg://user@host/name, or nothing for SQLite.")
    _check_ports(settings, sources)
    for kind in ("routes", "archives", "destinations"):
        names = [part.name for part in getattr(settings, kind)]
        for index, name in enumerate(names):
            if Counter(names[:index])[name]:
                raise sources.error((kind, index, "name"), f"the name {name} stands twice.")
    _check_routes(settings, sources)
    _check_archives(settings, sources)
    _check_callers(settings, sources)
    try:
        zoneinfo.ZoneInfo(settings.site.timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise sources.error(("site", "timezone"), "no such time zone (use names such as Europe/Berlin).") from error


def _check_ports(settings: Settings, sources: _Sources) -> None:
    taken: dict[int, str] = {}
    for section in ("dicom", "mllp", "http"):
        port = getattr(settings, section).port
        if port and port in taken:
            raise sources.error((section, "port"), f"{taken[port]}.port is {port} as well.")
        taken[port] = section


def _check_routes(settings: Settings, sources: _Sources) -> None:
    known = [destination.name for destination in settings.destinations]
    for number, route in enumerate(settings.routes):
        for index, name in enumerate(route.destinations or ()):
            if name not in known:
                raise sources.error(("routes", number, "destinations", index),
                                    f"no destination is named {name}; known: {', '.join(known) or 'none'}.")
        for name, condition in route.when.items():
            if name != "sender" and not name.startswith("order.") and tag_for_keyword(name) is None:
                raise sources.error(("routes", number, "when", name), f"{name} is no DICOM keyword, order.FIELD or "
                                                                      f"sender{_alike(name)}")
            try:
                check_condition(condition)
            except ValueError as error:
                raise sources.error(("routes", number, "when", name), f"{error}.") from error


def _check_archives(settings: Settings, sources: _Sources) -> None:
    known = [archive.name for archive in settings.archives]
    policies: list[tuple[settings_paths.Path, str]] = [(("assembly",), settings.assembly.count_from)]
    policies += [(("assembly", "senders", name), other.count_from or "")
                 for name, other in settings.assembly.senders.items()]
    for path, name in policies:
        if name and name not in known:
            raise sources.error((*path, "count_from"),
                                f"no archive is named {name}; known: {', '.join(known) or 'none'}.")
    if all(archive.retrieve == "none" for archive in settings.archives):
        for number, route in enumerate(settings.routes):
            if route.prior != "none":
                raise sources.error(("routes", number, "prior"), "nothing can be fetched: archives names none that is "
                                                                 "asked with C-GET or C-MOVE.")


def _check_callers(settings: Settings, sources: _Sources) -> None:
    """Who is to call back has to be let in."""
    allowed = settings.dicom.allowed_calling_ae_titles
    calling_back = [(("destinations", number, "storage_commitment"), one.ae_title)
                    for number, one in enumerate(settings.destinations)
                    if isinstance(one, DicomDestination) and one.storage_commitment]
    calling_back += [(("archives", number, "retrieve"), one.ae_title)
                     for number, one in enumerate(settings.archives) if one.retrieve == "move"]
    for path, title in calling_back:
        if allowed and title not in allowed:
            raise sources.error(path, f"{title} calls back, so dicom.allowed_calling_ae_titles must name it.")


def _alike(keyword: str) -> str:
    alike = difflib.get_close_matches(keyword, keyword_dict, n=1, cutoff=0.7)
    return f"; did you mean {alike[0]}?" if alike else "."


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _absolute(settings: Settings) -> Settings:
    destinations = [d.model_copy(update={"path": d.path.expanduser().absolute()})
                    if isinstance(d, FolderDestination) else d for d in settings.destinations]
    return settings.model_copy(update={
        "data_dir": settings.data_dir.expanduser().absolute(),
        "model_repository": settings.model_repository.expanduser().absolute(),
        "destinations": destinations})


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is None:
        return url
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{address}"))
