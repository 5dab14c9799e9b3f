"""What `mlconsole rbac` prints, on a real cluster: enough for everything, and what is taken out of it is named."""

import base64
import json

import pytest
import yaml

from mlconsole.cluster import access
from mlconsole.cluster.access import Check
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, Forbidden
from mlconsole.domain.history import Kind
from mlconsole.domain.plans import PlanError
from mlconsole.engine.consent import Consent, check_consent
from mlconsole.engine.planner import NO_WISH, Wish
from mlconsole.engine.session import Session

from .conftest import BLUE, DEADLINE, NAME, NEXT, REAL, Service, within

pytestmark = pytest.mark.real_cluster
IMAGE = "k8sb.local/busybox:1"
SURE = ("--yes", "--reason", "a test")
CONFIG = """\
[defaults.deploy]
resolve = false
[defaults.smoke]
payload = { features = [1, 2, 3, 4, 5] }
[defaults.watch]
drain = "200ms"
"""
NEXT_ONE = Wish(version=NEXT, image=IMAGE)
LEASES = "coordination.k8s.io"
NAMED = [
    ("", "services", "patch", Kind.SWITCH, NO_WISH),
    ("", "services", "patch", Kind.ROLLBACK, NO_WISH),
    ("", "pods/proxy", "create", Kind.SWITCH, NO_WISH),
    ("", "configmaps", "create", Kind.SWITCH, NO_WISH),
    ("", "configmaps", "update", Kind.SWITCH, NO_WISH),
    (LEASES, "leases", "create", Kind.SWITCH, NO_WISH),
    (LEASES, "leases", "update", Kind.SWITCH, NO_WISH),
    ("apps", "deployments", "patch", Kind.DEPLOY, NEXT_ONE),
    ("apps", "deployments", "create", Kind.DEPLOY, NEXT_ONE),
    ("apps", "deployments", "delete", Kind.DEPLOY, NEXT_ONE),
]
"""Verbs, and an operation that cannot do without them; to create and remove one, green has to be missing."""


class Guarded(Service):
    """The service, and somebody who has the printed rights alone."""

    @property
    def person(self):
        return self.folder / "person"

    @property
    def environ(self):
        return super().environ | {"KUBECONFIG": str(self.person)}

    async def admit(self, *options):
        """Apply what `mlconsole rbac` prints for a service account, and become it."""
        code, printed, err = await self.shell("rbac", "-n", self.namespace, "--service-account", "console", *options)
        assert code == 0, err
        path = self.folder / "rbac.yaml"
        path.write_text(printed)
        await self.kubectl("create", "serviceaccount", "console")
        await self.kubectl("apply", "-f", str(path))
        account = json.loads(await self.kubectl("get", "serviceaccount", "console", "-o", "json"))
        self.role = next(item for item in yaml.safe_load_all(printed) if item["kind"] == "Role")
        (self.folder / "secret.json").write_text(json.dumps(token_of(account["metadata"]["name"])))
        await self.kubectl("apply", "-f", str(self.folder / "secret.json"))

        async def token():
            found = json.loads(await self.kubectl("get", "secret", "console", "-o", "json"))
            return (found.get("data") or {}).get("token")

        self.become(base64.b64decode(await within(DEADLINE, token)).decode())
        await self.may("", "services", "get", True)

    def become(self, token):
        with open(REAL) as file:
            config = yaml.safe_load(file)
        config["users"] = [{"name": "console", "user": {"token": token}}]
        for context in config["contexts"]:
            context["context"]["user"] = "console"
        self.person.write_text(yaml.safe_dump(config))

    async def without(self, group, resource, verb):
        """Take one verb out of the role, and wait until the API server knows."""
        rules = [
            {**rule, "verbs": [item for item in rule["verbs"] if item != verb or not is_of(rule, group, resource)]}
            for rule in self.role["rules"]
        ]
        await self.rewrite(rules)
        await self.may(group, resource, verb, False)

    async def rewrite(self, rules):
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}/roles/{self.role['metadata']['name']}"
        body = {"rules": [rule for rule in rules if rule["verbs"]]}
        await self.connection.request("PATCH", path, body, "application/merge-patch+json")

    async def may(self, group, resource, verb, allowed):
        """Wait until the person may, or may not: an authorizer hears of a change by a watch of its own."""
        plain, _, sub = resource.partition("/")
        connection = await Connection.open(kubeconfig=str(self.person), namespace=self.namespace)
        try:

            async def said():
                (right,) = await access.review(connection, [Check(verb, group, plain, sub, self.namespace)])
                return right.allowed is allowed

            await within(DEADLINE, said)
        finally:
            await connection.close()


def token_of(account):
    """A secret that the cluster puts an account's token into."""
    metadata = {"name": account, "annotations": {"kubernetes.io/service-account.name": account}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/service-account-token"}


def is_of(rule, group, resource):
    return rule["apiGroups"] == [group] and rule["resources"] == [resource]


@pytest.fixture
def kind_of_service():
    return Guarded


async def test_the_printed_rights_are_enough_for_everything(service, load_on):
    service.write_config(CONFIG)
    await service.admit()
    code, out, err = await service.shell("status", "--output", "json")
    assert (code, '"live": "blue"' in out) == (0, True), err
    for arguments in (
        ("deploy", NAME, "--version", NEXT, "--image", IMAGE),
        ("switch", NAME, "--wait"),
        ("drill", NAME),
        ("rollback", NAME),
        ("restart", NAME, "green"),
    ):
        done = await service.said(*arguments, *SURE)
        assert (done["exit_code"], done.get("outcome")) == (0, "verified"), done
        assert all(right["allowed"] for right in done["plan"]["rights"]), done["plan"]["rights"]
        assert "forbidden" not in json.dumps(done).lower(), done
    code, out, err = await service.shell("operations", NAME, "--output", "json")
    assert (code, json.loads(out)["operations"]) == (0, []), err
    audit = await service.said("audit", NAME)
    assert [item["outcome"] for item in audit["operations"]] == ["verified"] * 5
    # A server before 1.26 does not say who one is: the kubeconfig's word stands for it.
    assert {item["user"].rpartition(":")[2] for item in audit["operations"]} == {"console"}
    assert sorted(await service.events()) == ["Deploy", "Drill", "Restart", "Rollback", "Switch"]
    count = load_on.versions[BLUE]
    await within(DEADLINE, lambda: load_on.seen(BLUE, count + 20))
    await load_on.drain()
    assert load_on.lost == []


async def test_a_verb_that_is_missing_is_named_before_anything_is_tried(service):
    service.write_config(CONFIG)
    await service.admit()
    before = await service.service()
    async with Session.open(service.settings(service.person)) as session:
        for group, resource, verb, kind, wish in NAMED:
            if verb == "create" and resource == "deployments":
                await service.kubectl("delete", "deployment", f"{NAME}-green", "--wait=true")
            await service.without(group, resource, verb)
            plan = await session.plan(kind, NAME, "", 0, wish)
            consent = Consent(plan.hash, "a test", NAME, tuple(gate.name for gate in plan.gates))
            missing = {f"{right.verb} {right.resource}" for right in plan.missing_rights}
            assert missing == {f"{verb} {resource}{'.' + group if group else ''}"}, (kind, missing)
            with pytest.raises(PlanError, match=f"may not {verb} {resource}"):
                check_consent(plan, consent, plan.created_at)
        await service.without("", "pods", "list")
        with pytest.raises(Forbidden) as refused:
            await session.plan(Kind.DEPLOY, NAME, "", 0, NEXT_ONE)
    assert (refused.value.verb, refused.value.resource) == ("list", "pods"), refused.value
    after = await service.service()
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_who_may_only_look_is_told_what_is_missing(service):
    service.write_config(CONFIG)
    await service.admit("--readonly")
    code, out, err = await service.shell("status", "--output", "json")
    assert (code, '"live": "blue"' in out) == (0, True), err
    before = await service.service()
    for arguments, verb in (
        (("switch", NAME), "patch services"),
        (("rollback", NAME), "patch services"),
        (("scale", NAME, "green", "3"), "patch deployments"),
    ):
        refused = await service.said(*arguments, *SURE)
        assert (refused["exit_code"], verb in refused["error"]) == (3, True), refused
    code, out, err = await service.shell("audit", NAME, "--output", "json")
    assert (code, json.loads(out)["operations"]) == (0, []), err
    after = await service.service()
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    with pytest.raises(ClusterError):
        await service.get(f"/api/v1/namespaces/{service.namespace}/configmaps/mlconsole-history-{NAME}")
