"""Failures in the shape that Kubernetes gives them: a Status object with a reason and a code."""

from __future__ import annotations

from typing import Any

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    501: "NotImplemented",
    503: "ServiceUnavailable",
}


class ApiError(Exception):
    """An answer that is not a success."""

    def __init__(self, code: int, message: str, reason: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason or _REASONS.get(code, "")
        self.details = details

    def status(self) -> dict[str, Any]:
        """The Status object."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details:
            status["details"] = self.details
        return status


def not_found(resource: str, group: str, name: str) -> ApiError:
    """404 for an object."""
    kind = f"{resource}.{group}" if group else resource
    details = {"name": name, "group": group, "kind": resource}
    return ApiError(404, f'{kind} "{name}" not found', details=details)


def conflict(resource: str, group: str, name: str) -> ApiError:
    """409 for a resourceVersion that is no longer the object's."""
    kind = f"{resource}.{group}" if group else resource
    words = "the object has been modified; please apply your changes to the latest version and try again"
    details = {"name": name, "group": group, "kind": resource}
    return ApiError(409, f'Operation cannot be fulfilled on {kind} "{name}": {words}', details=details)


def invalid(kind: str, name: str, field: str, why: str) -> ApiError:
    """422 for a field."""
    details = {"name": name, "kind": kind, "causes": [{"reason": "FieldValueInvalid", "message": why, "field": field}]}
    return ApiError(422, f'{kind} "{name}" is invalid: {field}: {why}', details=details)


def expired(why: str = "The resourceVersion for the provided watch is too old.") -> ApiError:
    """410 for a version that is no longer kept."""
    return ApiError(410, why, "Expired")
