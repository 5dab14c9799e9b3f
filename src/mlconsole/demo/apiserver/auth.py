"""Who may do what: bearer tokens, users, and rules that the access reviews answer from, too."""

from __future__ import annotations

from dataclasses import dataclass

from mlconsole.demo.apiserver.errors import ApiError


@dataclass(frozen=True)
class Rule:
    """Verbs on resources (`services/proxy` for a subresource); `*` is any."""

    verbs: tuple[str, ...]
    resources: tuple[str, ...]
    groups: tuple[str, ...] = ("*",)
    namespaces: tuple[str, ...] = ("*",)
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class User:
    """A user; `rules` None may do everything."""

    name: str
    groups: tuple[str, ...] = ("system:authenticated",)
    rules: tuple[Rule, ...] | None = None

    def may(self, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        """Whether a rule allows it."""
        if self.rules is None:
            return True
        return any(
            _in(verb, rule.verbs)
            and _in(group, rule.groups)
            and _in(resource, rule.resources)
            and _in(namespace, rule.namespaces)
            and (not rule.names or name in rule.names)
            for rule in self.rules
        )


def _in(value: str, allowed: tuple[str, ...]) -> bool:
    return "*" in allowed or value in allowed


def forbidden(user: User, verb: str, group: str, resource: str, namespace: str, name: str) -> ApiError:
    """403, in Kubernetes' words."""
    kind = f"{resource}.{group}" if group else resource
    subject = f'{kind} "{name}"' if name else kind
    place = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    words = f'User "{user.name}" cannot {verb} resource "{resource}" in API group "{group}" {place}'
    return ApiError(403, f"{subject} is forbidden: {words}", details={"name": name, "group": group, "kind": resource})
