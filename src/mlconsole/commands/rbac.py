"""`mlconsole rbac`: the rules that the console needs, ready for `kubectl apply -f -`. Asks no cluster."""

from __future__ import annotations

import argparse
import json
import sys

from mlconsole.cluster import kubeconfig
from mlconsole.cluster.errors import ClusterError
from mlconsole.commands.exits import EPILOG, Exit
from mlconsole.commands.rights import Need, needs
from mlconsole.commands.running import settings
from mlconsole.config import Settings
from mlconsole.domain.text import visible
from mlconsole.metrics import kube

API = "rbac.authorization.k8s.io"


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    found = argparse.ArgumentParser(
        prog="mlconsole rbac",
        description="Print a Role and its RoleBinding with all that the console needs and no more; -A: a ClusterRole.\n"
        "  mlconsole rbac -n ml --user jane | kubectl apply -f -",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
        allow_abbrev=False,
    )
    found.add_argument("--readonly", action="store_true", help="only what looking needs")
    whom = found.add_mutually_exclusive_group()
    whom.add_argument("--user", metavar="NAME", help="bind it to a user")
    whom.add_argument("--group", metavar="NAME", help="bind it to a group (default: a group named like the role)")
    whom.add_argument("--service-account", metavar="NAME", help="bind it to a service account: [NAMESPACE:]NAME")
    return found


def run(args: argparse.Namespace) -> int:
    """Run it."""
    config = settings(args).settings
    namespace = "" if config.cluster.all_namespaces else _namespace(config)
    subject = _subject(args, namespace)
    sys.stdout.write(manifest(namespace, args.readonly, subject))
    for place in _elsewhere(config, namespace):
        sys.stdout.write(_proxied(place, args.readonly, subject))
    return Exit.DONE


def _elsewhere(config: Settings, namespace: str) -> list[kube.Place]:
    """The Services that Prometheus is asked at through the API server, where the role itself does not reach."""
    urls = [config.metrics.prometheus_url, *(item.prometheus_url for item in config.environments.values())]
    places = dict.fromkeys(place for url in urls if url and (place := kube.place(url)))
    return [place for place in places if namespace not in ("", place.namespace)]


def _proxied(place: kube.Place, readonly: bool, subject: dict[str, str]) -> str:
    """A Role and its RoleBinding for one Service in another namespace."""
    need = Need("", "services/proxy", ("get",), "Prometheus, through the API server")
    names = f"  resourceNames: [{_text(place.resource)}]"
    head = f"# What mlconsole needs in namespace {place.namespace}, to ask the Prometheus there."
    return "---\n" + _documents(head, place.namespace, readonly, [*_rule(need, place.namespace), names], subject)


def _namespace(config: Settings) -> str:
    """The namespace that the console would look at; a kubeconfig that cannot be read is `doctor`'s to tell."""
    if config.cluster.namespace:
        return config.cluster.namespace
    try:
        contexts = kubeconfig.contexts(config.cluster.kubeconfig)
    except ClusterError:
        return "default"
    wanted = config.cluster.context
    chosen = next((item for item in contexts if (item.name == wanted if wanted else item.current)), None)
    return (chosen.namespace if chosen else "") or "default"


def _subject(args: argparse.Namespace, namespace: str) -> dict[str, str]:
    if args.service_account:
        home, _, name = args.service_account.rpartition(":")
        return {"kind": "ServiceAccount", "name": name, "namespace": home or namespace or "default"}
    if args.user:
        return {"kind": "User", "apiGroup": API, "name": args.user}
    return {"kind": "Group", "apiGroup": API, "name": args.group or _name(args.readonly)}


def _name(readonly: bool) -> str:
    return "mlconsole-viewer" if readonly else "mlconsole-operator"


def manifest(namespace: str, readonly: bool, subject: dict[str, str]) -> str:
    """Two YAML documents; empty `namespace` for the whole cluster."""
    where = f"in namespace {visible(namespace)}" if namespace else "in every namespace"
    comment = f"# What mlconsole needs {where}{' to look' if readonly else ''}."
    rules = [line for need in needs(readonly) for line in _rule(need, namespace)]
    return _documents(comment, namespace, readonly, rules, subject)


def _documents(comment: str, namespace: str, readonly: bool, rules: list[str], subject: dict[str, str]) -> str:
    kind = "Role" if namespace else "ClusterRole"
    meta = [f"  name: {_name(readonly)}", *([f"  namespace: {_text(namespace)}"] if namespace else [])]
    head = f"apiVersion: {API}/v1"
    lines = [
        comment,
        *(head, f"kind: {kind}", "metadata:", *meta, "rules:"),
        *rules,
        *("---", head, f"kind: {kind}Binding", "metadata:", *meta, "roleRef:"),
        *(f"  apiGroup: {API}", f"  kind: {kind}", f"  name: {_name(readonly)}", "subjects:"),
        *(f"{'  ' if index else '- '}{key}: {_text(value)}" for index, (key, value) in enumerate(subject.items())),
    ]
    return "\n".join(lines) + "\n"


def _rule(need: Need, namespace: str) -> list[str]:
    if need.optional and namespace:
        verbs = ", ".join(need.verbs)
        return [f"# {need.purpose}: {verbs} {need.label} takes a ClusterRole, see `mlconsole rbac -A`"]
    rule = [
        f"# {need.purpose}",
        f"- apiGroups: [{_text(need.group)}]",
        f"  resources: [{_text(need.resource)}]",
        f"  verbs: [{', '.join(_text(verb) for verb in need.verbs)}]",
    ]
    return rule + ([f"  resourceNames: [{_text(namespace)}]"] if need.named and namespace else [])


def _text(value: str) -> str:
    """A YAML string: JSON's are."""
    return json.dumps(value)
