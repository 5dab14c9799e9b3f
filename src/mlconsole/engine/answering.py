"""How a refusal or a failure is told: in words, with what to do, and with the exit code of the shell twins."""

from __future__ import annotations

from mlconsole.cluster.errors import Forbidden, NotFound, Unauthorized, Unreachable
from mlconsole.domain.plans import PlanError


def describe(error: Exception) -> tuple[str, str, int]:
    """(message, hint, exit code) of a refusal or a failure, the codes being those of the shell twins."""
    if isinstance(error, PlanError):
        return error.message, error.hint, error.exit_code
    hint = getattr(error, "hint", "")
    message = getattr(error, "message", "") or str(error) or "no answer in time"
    for kinds, code in (((Forbidden, Unauthorized), 3), ((NotFound,), 2), ((Unreachable, TimeoutError), 5)):
        if isinstance(error, kinds):
            return message, hint, code
    return message, hint, 1
