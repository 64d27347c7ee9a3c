"""The OpenAPI document: what FastAPI makes of the routes, put right where it is not how our errors are.

``python -m tools.write_openapi`` writes it to docs/openapi.json; a test compares both.

Invariant: every operation lists its errors as `Problem`, by reference, and says whose permission it needs.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from api.problems import KINDS, MEDIA_TYPE, Check, FieldError, Problem

BASE: Final = "/api/v1"
FILE: Final = Path(__file__).resolve().parent.parent / "docs" / "openapi.json"
_REFERENCE: Final = {"$ref": "#/components/schemas/Problem"}


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Describe the errors of an operation, by their slugs."""
    found: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, title, _ = KINDS[code]
        if status in found:
            title = f"{found[status]['description']}; {title}"
        found[status] = {"description": title, "content": {MEDIA_TYPE: {"schema": _REFERENCE}}}
    return found


ALWAYS: Final = problems("payload-too-large", "wrong-host", "internal", "database-unavailable", "too-slow")


def access(permission: str, rate: str = "read") -> dict[str, Any]:
    """Say which permission an operation needs and which rate class it counts in."""
    return {"x-permission": permission, "x-rate-class": rate}


PUBLIC: Final = {"x-public": True, "x-rate-class": "none"}


def documented(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return an `openapi` method for an application, with our errors in place of FastAPI's."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            _, made = models_json_schema(
                [(model, "serialization") for model in (Problem, FieldError, Check)],
                ref_template="#/components/schemas/{model}",
            )
            schemas |= {name: schema for name, schema in made["$defs"].items() if name not in schemas}
            for path in document["paths"].values():
                for operation in path.values():
                    _own_errors(operation)
            for message in document.get("webhooks", {}).values():
                message["post"]["responses"] = {"101": {"description": "A frame of the stream"}}
            app.openapi_schema = document
        return app.openapi_schema

    return openapi


def _own_errors(operation: dict[str, Any]) -> None:
    refused = operation["responses"].get("422")
    if refused and "application/json" in refused.get("content", {}):
        operation["responses"]["422"] = problems("invalid-parameter")[422]
    for status, response in operation["responses"].items():
        response.setdefault("headers", {})["X-Request-Id"] = {
            "description": "The trace id of this request, also in the log.", "schema": {"type": "string"},
        }  # fmt: skip
        if status.startswith(("4", "5")):
            response["content"].pop("application/json", None)


def text(app: FastAPI) -> str:
    """Return the document as it is committed."""
    return json.dumps(app.openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
