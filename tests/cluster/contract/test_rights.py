"""What `mlconsole rbac` prints is enough for every call that operations make, and not a verb more."""

import asyncio
import base64
from pathlib import Path

import msgspec
import pytest
import yaml

from mlconsole.cluster import access, events, fresh, history, leases, writes
from mlconsole.cluster.access import Check
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, Forbidden
from mlconsole.cluster.resources import AUTOSCALERS
from mlconsole.commands import rbac
from mlconsole.commands.rights import needs
from mlconsole.demo.apiserver.auth import Rule, User
from mlconsole.demo.apiserver.server import serve
from mlconsole.domain.history import Kind, Outcome, Record
from mlconsole.domain.patches import reversed_write
from mlconsole.domain.plans import Write, selector_write

from .test_kinds import making, pin, scaler

RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"
NAME = "console"


def printed(cluster, readonly):
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": cluster.namespace}
    return list(yaml.safe_load_all(rbac.manifest(cluster.namespace, readonly, subject)))


def rules(role, namespace):
    return tuple(
        Rule(
            tuple(rule["verbs"]),
            tuple(rule["resources"]),
            tuple(rule["apiGroups"]),
            (namespace,),
            tuple(rule.get("resourceNames", ())),
        )
        for rule in role["rules"]
    )


def admin_of(cluster):
    return yaml.safe_load(Path(cluster.kubeconfig).read_text())


async def account(cluster, role, binding):
    """A service account of the real cluster that has the printed role, as a kubeconfig."""
    secret = {"metadata": {"name": NAME, "annotations": {"kubernetes.io/service-account.name": NAME}}}
    await cluster.post(f"{cluster.core}/serviceaccounts", {"metadata": {"name": NAME}})
    await cluster.post(f"{cluster.core}/secrets", {**secret, "type": "kubernetes.io/service-account-token"})
    await cluster.post(f"{RBAC}/{cluster.namespace}/roles", role)
    await cluster.post(f"{RBAC}/{cluster.namespace}/rolebindings", binding)
    for _ in range(200):
        found = msgspec.json.decode(await cluster.connection.get(f"{cluster.core}/secrets/{NAME}"))
        if token := (found.get("data") or {}).get("token"):
            break
        await asyncio.sleep(0.05)
    config = admin_of(cluster)
    config["users"] = [{"name": NAME, "user": {"token": base64.b64decode(token).decode()}}]
    for context in config["contexts"]:
        context["context"]["user"] = NAME
    return yaml.safe_dump(config)


@pytest.fixture
async def become(cluster, tmp_path):
    """`await become(readonly)`: a connection of somebody with the printed rights alone."""
    opened, served = [], []

    async def start(readonly):
        role, binding = printed(cluster, readonly)
        if cluster.store is None:
            text = await account(cluster, role, binding)
        else:
            users = {"t-console": User(NAME, rules=rules(role, cluster.namespace))}
            served.append(await serve(cluster.store, users=users))
            text = served[0].kubeconfig("t-console", cluster.namespace)
        path = tmp_path / "kubeconfig-console"
        path.write_text(text)
        opened.append(await Connection.open(kubeconfig=str(path), namespace=cluster.namespace))
        # A real authorizer hears of a new binding by a watch of its own.
        for _ in range(200):
            (right,) = await access.review(opened[0], [Check("get", "", "services", "", cluster.namespace)])
            if right.allowed:
                break
            await asyncio.sleep(0.05)
        return opened[0]

    yield start
    for connection in opened:
        await connection.close()
    for server in served:
        await server.close()


def checks(namespace, readonly):
    return [check for need in needs(readonly) if not need.optional for check in need.checks(namespace)]


MORE = (
    ("create", "", "services", ""),
    ("delete", "", "services", ""),
    ("update", "apps", "deployments", ""),
    ("deletecollection", "apps", "deployments", ""),
    ("patch", "apps", "deployments", "scale"),
    ("patch", "apps", "replicasets", ""),
    ("update", "autoscaling", "horizontalpodautoscalers", ""),
    ("create", "policy", "poddisruptionbudgets", ""),
    ("patch", "policy", "poddisruptionbudgets", ""),
    ("patch", "coordination.k8s.io", "leases", ""),
    ("deletecollection", "coordination.k8s.io", "leases", ""),
    ("patch", "", "configmaps", ""),
    ("delete", "", "configmaps", ""),
    ("get", "", "secrets", ""),
    ("create", "", "pods", ""),
    ("update", "", "pods", ""),
    ("delete", "", "pods", ""),
    ("create", "", "pods", "exec"),
    ("create", "", "pods", "eviction"),
)


@pytest.mark.parametrize("readonly", [False, True])
async def test_every_verb_that_is_printed_is_granted_and_no_other(cluster, become, readonly):
    connection, namespace = await become(readonly), cluster.namespace
    wanted = checks(namespace, readonly)
    rest = [Check(*verb, namespace) for verb in MORE]
    assert not set(rest) & set(wanted)
    if readonly:
        rest += [check for check in checks(namespace, False) if check not in wanted]
    answers = await access.review(connection, [*wanted, *rest])
    assert {right.check for right in answers if right.allowed} == set(wanted)


async def test_the_printed_rights_carry_every_write_of_an_operation(cluster, become):
    await cluster.blue_green()
    await scaler(cluster)
    connection, namespace = await become(False), cluster.namespace
    where = (connection, namespace, "fraud")

    async def send(write):
        return msgspec.json.decode(await writes.send(connection, write, expect=connection.identity))

    assert await connection.namespace_uid(namespace)
    read = await fresh.read(*where)
    assert read.autoscalers
    held = await leases.acquire(*where, "ann@bastion/op-1", 15, {}, await leases.read(*where))
    await leases.ask(*where, "{}")
    held = await leases.renew(*where, held)
    record = Record("op-1", Kind.SWITCH, "fraud", namespace, 1.0, "ann", outcome=Outcome.VERIFIED, ended_at=2.0)
    past = await history.append(connection, [record], history.Past())
    await history.append(connection, [record], past)
    await events.tell(connection, record)
    made = await send(making(cluster, "fraud-red"))
    await send(Write("deployments", namespace, "fraud-red", ({"op": "replace", "path": "/spec/replicas", "value": 0},)))
    await send(pin(cluster, 1, 2))
    await send(selector_write(read.service, "green"))
    await send(reversed_write(making(cluster, "fraud-red"), made["metadata"]["uid"]))
    await leases.release(*where, held)
    reply = await connection.exchange("POST", f"{cluster.core}/pods/nobody:8000/proxy/predict", {})
    assert reply.status != 403


async def test_who_may_only_look_sees_all_and_changes_nothing(cluster, become):
    await cluster.blue_green()
    await scaler(cluster)
    connection, namespace = await become(True), cluster.namespace
    where = (connection, namespace, "fraud")
    read = await fresh.read(*where)
    assert read.autoscalers
    assert await leases.read(*where) is None
    made = read.uid_of("deployments", "fraud-green")
    record = Record("op-1", Kind.SWITCH, "fraud", namespace, 1.0, "ann")
    tries = [
        leases.acquire(*where, "ann@bastion/op-1", 15, {}, None),
        history.append(connection, [record], history.Past()),
        *(
            writes.send(connection, write, expect=connection.identity)
            for write in (
                selector_write(read.service, "green"),
                making(cluster, "fraud-red"),
                pin(cluster, 1, 2),
                Write("deployments", namespace, "fraud-green", delete=True, uid=made),
            )
        ),
    ]
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert all(isinstance(item, Forbidden) for item in found), found
    assert {item.verb for item in found} == {"create", "patch", "delete"}
    assert {item.resource for item in found} >= {"leases", AUTOSCALERS.key}
    with pytest.raises(ClusterError):
        await connection.get(f"{cluster.core}/secrets")
