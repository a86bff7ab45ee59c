"""`/healthz`: the process lives. `/readyz`: it can take and read studies, or 503 and why not."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from adapters.web.problems import problem
from gateway.ports import Health


def router(health: Health) -> APIRouter:
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz")
    def healthz() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @routes.get("/readyz", response_class=JSONResponse, responses={503: {"description": "Not ready, and why"}})
    def readyz() -> Response:
        """Studies can be taken and read; 503 and why, if not."""
        ready, parts = health.ready()
        if ready:
            return JSONResponse({"status": "ready", "parts": dict(parts)})
        return problem(503, f"Not ready: {not_ready(parts)}.", parts=dict(parts))

    return routes


def not_ready(parts: Mapping[str, str]) -> str:
    """`inference: model ecg_12lead is not loaded; …`."""
    return "; ".join(f"{part}: {why}" for part, why in parts.items() if why != "ok")
