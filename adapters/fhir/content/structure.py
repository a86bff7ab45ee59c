"""Bytes → a resource whose structure is valid R4, or a refusal that names the element."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from adapters.fhir.content.checks import MISSING, structure_problems, walk
from adapters.fhir.content.datatypes import Json
from adapters.fhir.content.refusals import InvalidCode, InvalidStructure, MissingElement, NotTaken

_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_MAXIMUM_DEPTH = 50


def parse_resource(body: bytes, resource_type: str) -> Json:
    """One resource of that type. Raises Unreadable (no JSON, another resource, unknown structure) or Unusable
    (an element that is required is missing)."""
    resource = _decoded(body)
    if resource.get("resourceType") != resource_type:
        raise InvalidStructure(f"The body is no {resource_type}: its resourceType says otherwise.",
                               element="resourceType")
    _require_text(resource, resource_type)
    problems = structure_problems(resource)
    for path, what in problems:
        if what != MISSING:
            raise InvalidStructure(f"{path} {what}.", element=path)
    for path, what in problems:
        raise MissingElement(f"{path} {what}.", element=path)
    _refuse_modifiers(resource, resource_type)
    return resource


def _decoded(body: bytes) -> Json:
    try:
        resource = json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise InvalidStructure("The body is not UTF-8 text.") from error
    except json.JSONDecodeError as error:
        raise InvalidStructure(
            f"The body is no JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidStructure("The body is no JSON that can be read: a number or its nesting is out of range."
                               ) from error
    if not isinstance(resource, dict):
        raise InvalidStructure("The body is no JSON object.")
    return resource


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _require_text(resource: Json, resource_type: str) -> None:
    """No nesting beyond reason, no nulls or empty elements, no control characters (R4 2.6.2, 2.24.0.1)."""
    _require_depth(resource, _MAXIMUM_DEPTH)
    for path, value in walk(resource, resource_type):
        if value in ("", [], {}):
            raise InvalidStructure(f"{path} is empty; leave it out instead.", element=path)
        if isinstance(value, str) and _FORBIDDEN.search(value):
            raise InvalidStructure(f"{path} holds characters that FHIR text must not.", element=path)


def _require_depth(value: Any, left: int) -> None:
    if left == 0:
        raise InvalidStructure(f"The body is nested deeper than {_MAXIMUM_DEPTH} levels.")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _require_depth(inner, left - 1)


def _refuse_modifiers(resource: Json, resource_type: str) -> None:
    """What changes the meaning and is not understood must not be ignored (R4 2.4.0.2)."""
    for path, value in walk(resource, resource_type):
        if isinstance(value, dict):
            for name in ("modifierExtension", "implicitRules"):
                if name in value:
                    raise NotTaken(f"{path}.{name} changes the meaning in a way that is not known here.",
                                   element=f"{path}.{name}")


def require_code(resource: Json, name: str, allowed: tuple[str, ...], *, needed: bool = True) -> str:
    """The code of a required binding. Raises Unusable where it is missing or outside the value set."""
    path = f"{resource['resourceType']}.{name}"
    value = resource.get(name)
    if value is None and not needed:
        return ""
    if value is None:
        raise MissingElement(f"{path} {MISSING}.", element=path)
    if value not in allowed:
        raise InvalidCode(f"{path} is none of {', '.join(allowed)}.", element=path)
    return str(value)
