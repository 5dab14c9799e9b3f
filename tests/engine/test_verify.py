"""What was missing when the time was up is said in words."""

from mlconsole.config import ServiceSettings, Verify
from mlconsole.demo.apiserver.faults import Failure
from mlconsole.domain.history import Kind, Outcome
from mlconsole.engine import verify


async def test_a_cluster_that_does_not_answer_is_named_as_that(good):
    plan = await good.plan(Kind.ROLLBACK)
    good.cluster.faults.add(Failure(lambda m, p: "/services/" in p, delay=5.0, times=99))
    said = []
    settings = ServiceSettings(verify=Verify(deadline=1.0))
    outcome, words = await verify.arrival(good.connection, plan, settings, said.append)
    assert outcome is Outcome.UNVERIFIED
    assert words == "after 1 s: could not look: no answer in time"
    assert set(said) == {"could not look: no answer in time"}
