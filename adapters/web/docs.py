"""`/docs`: the API as a plain page made from the OpenAPI document, with nothing fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse

from adapters.web.rendering import Renderer


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of the page. `parameters`: (name, where, type) each."""

    method: str
    path: str
    description: str
    parameters: tuple[tuple[str, str, str], ...]
    body: str


def router(app: FastAPI, renderer: Renderer) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    @routes.get("/docs")
    def docs() -> HTMLResponse:
        return renderer.html("docs.html", operations=list(operations(app.openapi())))

    return routes


def operations(openapi: Mapping[str, Any]) -> Iterator[Operation]:
    for path, methods in openapi["paths"].items():
        for method, told in methods.items():
            description = (told.get("description") or told.get("summary", "")).replace("`", "")
            yield Operation(method.upper(), path, description,
                            tuple(_parameter(p) for p in told.get("parameters", ())), _body(told))


def _parameter(told: Mapping[str, Any]) -> tuple[str, str, str]:
    schema = told.get("schema", {})
    kinds = [_kind(option) for option in schema.get("anyOf", [schema])]
    return told["name"], told["in"], " | ".join(kind for kind in kinds if kind != "null")


def _kind(schema: Mapping[str, Any]) -> str:
    return str(schema.get("type") or schema.get("$ref", "").rpartition("/")[2])


def _body(told: Mapping[str, Any]) -> str:
    return ", ".join(told.get("requestBody", {}).get("content", ()))
