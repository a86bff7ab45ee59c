"""What DBOS stores is JSON: ids in, nothing out, errors as their names. No pickles."""

from __future__ import annotations

import json
from typing import Any

from dbos._serialization import Serializer


class WorkflowError(RuntimeError):
    """An error that a workflow ended with, as it was written down."""


class JsonSerializer(Serializer):  # type: ignore[misc]
    """Exceptions keep their type's name only: messages of libraries may quote data."""

    def serialize(self, data: Any) -> str:
        if isinstance(data, BaseException):
            return json.dumps({"__error__": type(data).__name__})
        return json.dumps(data)

    def deserialize(self, serialized_data: str) -> Any:
        data = json.loads(serialized_data)
        if isinstance(data, dict) and "__error__" in data:
            return WorkflowError(data["__error__"])
        return data

    def name(self) -> str:
        return "triage_gateway_json"
