"""A bad day of the API server or the network: what the mirror does, and says."""

import asyncio

import pytest

from mlconsole.cluster import resources
from mlconsole.cluster.backoff import Backoff
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, Forbidden, TooManyRequests, Unauthorized, Unreachable
from mlconsole.cluster.inventory import Inventory
from mlconsole.cluster.reflector import Reflector
from mlconsole.demo.apiserver.faults import Failure
from mlconsole.domain.sources import Condition

from .conftest import kubeconfig_of, until

SERVICES = resources.Served(resources.SERVICES, "v1")
KEY = ("ml", "fraud")


@pytest.fixture
async def watched(embedded):
    """One Service, mirrored by a reflector whose every state is noted down."""
    await embedded.service("fraud", {"app": "fraud"})
    running = []

    def start(silence=5.0, connection=None):
        inventory = Inventory()
        conditions = []

        def note():
            if not conditions or conditions[-1] is not reflector.condition:
                conditions.append(reflector.condition)

        reflector = Reflector(
            connection or embedded.connection,
            SERVICES,
            "ml",
            inventory.services,
            note,
            silence=silence,
            backoff=Backoff(0.01, 0.05),
        )
        reflector.table, reflector.conditions = inventory.services, conditions
        running.append(asyncio.create_task(reflector.run()))
        return reflector

    yield start
    for task in running:
        assert not task.done()
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def watches(method, path):
    return method == "GET" and path.endswith("/services")


async def live(reflector):
    await until(lambda: reflector.condition is Condition.LIVE)


async def test_a_silent_watch_is_dead_until_proven_alive(embedded, watched):
    """After the list the first watch is taken up, and says nothing; those that follow it are refused for a while."""
    opened = []

    def again(method, path):
        if watches(method, path):
            opened.append(path)
        return watches(method, path) and len(opened) > 2

    embedded.faults.silent_watches = True
    embedded.faults.add(Failure(again, status=500, times=20))
    reflector = watched(silence=0.2)
    await live(reflector)
    await until(lambda: Condition.STALE in reflector.conditions)
    assert reflector.error is not None
    assert reflector.table.get(*KEY) is not None, "what was known stays, marked as stale"
    await embedded.service("later", {"app": "later"})
    embedded.faults.silent_watches = False
    await until(lambda: reflector.table.get("ml", "later"))
    assert reflector.condition is Condition.LIVE


async def test_a_dropped_watch_goes_on_where_it_was(embedded, watched):
    reflector = watched()
    await live(reflector)
    lists = embedded.faults.generation
    for number in range(3):
        embedded.faults.drop_watches()
        await embedded.service(f"new-{number}", {"app": "x"})
        await until(lambda number=number: reflector.table.get("ml", f"new-{number}"))
    assert embedded.faults.generation == lists + 3


async def test_410_lists_again_and_what_is_gone_goes(embedded, watched):
    await embedded.service("gone", {"app": "gone"})
    reflector = watched()
    await live(reflector)
    embedded.faults.add(Failure(watches, status=500, times=3))
    embedded.faults.drop_watches()
    await embedded.delete(f"{embedded.core}/services/gone")
    await embedded.service("came", {"app": "came"})
    embedded.store.compact()
    await until(lambda: reflector.table.get("ml", "came") and not reflector.table.get("ml", "gone"))
    await live(reflector)
    assert len(reflector.table) == 2


async def test_410_as_an_answer_lists_again(embedded, watched):
    reflector = watched()
    await live(reflector)
    embedded.faults.add(Failure(watches, status=410, times=2))
    embedded.faults.drop_watches()
    await embedded.service("came", {"app": "came"})
    await until(lambda: reflector.table.get("ml", "came"))


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_overloaded_server_is_tried_again(embedded, watched, status):
    embedded.faults.add(Failure(watches, status=status, times=2))
    reflector = watched()
    await until(lambda: reflector.condition is Condition.DOWN)
    assert reflector.error is not None
    await live(reflector)
    assert reflector.error is None


async def test_retry_after_is_honoured():
    error = TooManyRequests("x", retry_after=7.0)
    assert Backoff(0.01, 0.05).pause(error.retry_after) >= 7.0


async def test_401_renews_the_credentials_and_goes_on(embedded, tmp_path, watched):
    path = kubeconfig_of(tmp_path, embedded.server.kubeconfig())
    connection = await Connection.open(kubeconfig=path, namespace="ml")
    text = embedded.server.kubeconfig()
    (tmp_path / "kubeconfig").write_text(text.replace("t-admin", "expired"))
    await connection.reload()
    connection._loaded_at = float("-inf")
    with pytest.raises(Unauthorized) as refused:
        await connection.get("/api/v1/namespaces/ml/pods")
    assert "expired" not in str(refused.value)
    reflector = watched(connection=connection)
    await until(lambda: isinstance(reflector.error, Unauthorized))
    assert reflector.condition is Condition.DENIED
    (tmp_path / "kubeconfig").write_text(text)
    connection._loaded_at = float("-inf")
    await live(reflector)
    await connection.close()


async def test_403_turns_one_kind_off_and_the_others_live(embedded, mirror, tmp_path):
    await embedded.blue_green()
    path = kubeconfig_of(tmp_path, embedded.server.kubeconfig("t-viewer"))
    connection = await Connection.open(kubeconfig=path, namespace="ml")
    cache = mirror(embedded, connection=connection)
    await until(lambda: cache.state().condition is Condition.DENIED)
    await until(lambda: "ml/fraud" in cache.services)
    state = cache.state()
    assert "pods" in state.message
    assert "ask for the right to" in state.hint
    with pytest.raises(Forbidden) as refused:
        await connection.get("/api/v1/namespaces/ml/pods")
    assert (refused.value.verb, refused.value.resource) == ("list", "pods")
    await connection.close()


async def test_a_server_that_goes_away_is_stale_and_comes_back(embedded, mirror, tmp_path):
    from mlconsole.demo.apiserver.server import serve

    from .conftest import EMBEDDED_USERS

    await embedded.blue_green()
    cache = mirror(embedded)
    await until(lambda: cache.complete and cache.state().condition is Condition.LIVE)
    port = int(embedded.server.url.rpartition(":")[2])
    await embedded.server.close()
    await until(lambda: cache.state().condition is Condition.STALE)
    assert "refused" in cache.state().message or "answer" in cache.state().message or cache.state().message
    assert cache.services["ml/fraud"].live == "blue"
    again = await serve(embedded.store, users=EMBEDDED_USERS, faults=embedded.faults, port=port)
    cache.reconnect()
    await until(lambda: cache.state().condition is Condition.LIVE)
    await again.close()


async def test_an_unreachable_server_says_so_in_words(tmp_path):
    text = "{clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], users: [], current-context: x,"
    text += " contexts: [{name: x, context: {cluster: c, user: u}}]}"
    connection = await Connection.open(kubeconfig=kubeconfig_of(tmp_path, text))
    with pytest.raises(Unreachable) as refused:
        await connection.namespace_uid("ml")
    assert "127.0.0.1:1" in str(refused.value)
    assert "refused" in str(refused.value)
    await connection.close()


async def test_a_slow_server_ends_in_a_timeout(embedded):
    embedded.faults.add(Failure(lambda *_: True, delay=5.0))
    with pytest.raises(ClusterError, match="no answer in time"):
        await embedded.connection.get("/api/v1/namespaces/ml/pods", timeout=0.1)
