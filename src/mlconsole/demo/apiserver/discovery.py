"""The API's own description: which groups, versions and kinds there are."""

from __future__ import annotations

from typing import Any

from mlconsole.demo.apiserver.resources import RESOURCES, VIRTUAL

VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
SCALE = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
VERSION = {
    "major": "1",
    "minor": "30",
    "gitVersion": "v1.30.0+mlconsole-demo",
    "gitCommit": "0",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux/amd64",
}


def _groups() -> dict[str, list[str]]:
    """The versions of each group, the preferred one first."""
    found: dict[str, list[str]] = {}
    served = [(item.group, item.version) for item in RESOURCES if item.group]
    served += [(group, version) for group, _, version in (name.partition("/") for name, _ in VIRTUAL)]
    for group, version in served:
        if version not in found.setdefault(group, []):
            found[group].append(version)
    return found


def describe(path: str) -> dict[str, Any] | None:
    """The document at a discovery path, or None for a path that is none."""
    if path == "/version":
        return VERSION
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/apis":
        groups = [_group(name, versions) for name, versions in sorted(_groups().items())]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    parts = path.strip("/").split("/")
    if parts[0] == "apis" and len(parts) == 2 and parts[1] in _groups():
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1], _groups()[parts[1]])}
    group_version = "/".join(parts[1:])
    if (parts[0] == "api" and len(parts) == 2) or (parts[0] == "apis" and len(parts) == 3):
        resources = _resources(group_version)
        if resources:
            return {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": group_version,
                "resources": resources,
            }
    return None


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def _resources(group_version: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for item in RESOURCES:
        if item.group_version != group_version:
            continue
        entry: dict[str, Any] = {
            "name": item.plural,
            "singularName": item.kind.lower(),
            "namespaced": item.namespaced,
            "kind": item.kind,
            "verbs": VERBS,
            "shortNames": list(item.short),
        }
        if item.categories:
            entry["categories"] = list(item.categories)
        found.append(entry)
        for name in item.subresources:
            told = SCALE if name == "scale" else {"kind": item.kind}
            verbs = ["get"] if name == "log" else ["get", "patch", "update"]
            found.append(
                {
                    "name": f"{item.plural}/{name}",
                    "singularName": "",
                    "namespaced": item.namespaced,
                    "verbs": verbs,
                    **told,
                }
            )
    for (version, plural), (kind, _) in VIRTUAL.items():
        if version == group_version:
            found.append({"name": plural, "singularName": "", "namespaced": False, "kind": kind, "verbs": ["create"]})
    return found
