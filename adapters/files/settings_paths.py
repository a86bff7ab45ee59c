"""Key paths of the settings: which keys a place in the configuration may have, and what type stands there."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

from gateway.settings import Settings

Part = str | int
Path = tuple[Part, ...]


def shown(path: Iterable[Part]) -> str:
    """`destinations[0].host`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the settings"


def keys_at(path: Sequence[Part]) -> list[str]:
    """The keys that a mapping at this path may have; empty where any are allowed or it is no mapping."""
    return sorted({name for kind in _types_at(path) if _is_model(kind) for name in kind.model_fields})


def nearest(path: Sequence[Part], key: str) -> str:
    """A sentence that suggests a key, or lists them all where none resembles what was written."""
    known = keys_at(path)
    alike = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"did you mean {alike[0]}?" if alike else f"known here: {', '.join(known)}"


def takes_text(path: Sequence[Part]) -> bool:
    """Whether text, and nothing that YAML would make of it, stands at this path."""
    kinds = [kind for kind in _types_at(path) if kind is not type(None)]
    return bool(kinds) and all(isinstance(k, type) and issubclass(k, (str, SecretStr)) for k in kinds)


def from_environment(name: str) -> Path:
    """`DICOM__PORT` → (`dicom`, `port`); numbers are list indices, and keys of free mappings stay as written."""
    path: Path = ()
    for part in name.split("__"):
        kinds = _types_at(path)
        if part.isdigit() and any(get_origin(kind) is list for kind in kinds):
            path += (int(part),)
        elif any(_is_model(kind) for kind in kinds):
            path += (part.lower(),)
        else:
            path += (part,)
    return path


def _types_at(path: Sequence[Part]) -> list[Any]:
    kinds: list[Any] = [Settings]
    for part in path:
        kinds = [member for kind in kinds for member in _members(_inside(kind, part))]
    return kinds


def _inside(kind: Any, part: Part) -> Any:
    """The annotation of what stands under `part`, None where nothing may."""
    if _is_model(kind):
        field = kind.model_fields.get(part)
        return field.annotation if field else None
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is list and isinstance(part, int):
        return arguments[0]
    return arguments[1] if origin is dict else None


def _members(annotation: Any) -> list[Any]:
    """The types a union is made of."""
    if annotation is None:
        return []
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [member for argument in get_args(annotation) for member in _members(argument)]
    return [annotation]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
