"""The kinds that are questions: what may I do, who am I."""

from __future__ import annotations

from typing import Any

from mlconsole.demo.apiserver.auth import User


def answer(kind: str, user: User, body: dict[str, Any]) -> dict[str, Any]:
    """The object with its status filled in."""
    if kind == "SelfSubjectAccessReview":
        return {**body, "status": _access(user, (body.get("spec") or {}).get("resourceAttributes") or {})}
    if kind == "SelfSubjectRulesReview":
        return {**body, "status": {"resourceRules": _rules(user), "nonResourceRules": [], "incomplete": False}}
    info = {"username": user.name, "groups": list(user.groups)}
    return {**body, "status": {"userInfo": info}}


def _access(user: User, wanted: dict[str, str]) -> dict[str, Any]:
    resource = wanted.get("resource", "")
    if wanted.get("subresource"):
        resource += f"/{wanted['subresource']}"
    allowed = user.may(
        wanted.get("verb", ""), wanted.get("group", ""), resource, wanted.get("namespace", ""), wanted.get("name", "")
    )
    return {"allowed": allowed, "reason": "" if allowed else "no rule allows it"}


def _rules(user: User) -> list[dict[str, Any]]:
    if user.rules is None:
        return [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
    return [
        {
            "verbs": list(rule.verbs),
            "apiGroups": list(rule.groups),
            "resources": list(rule.resources),
            "resourceNames": list(rule.names),
        }
        for rule in user.rules
    ]
