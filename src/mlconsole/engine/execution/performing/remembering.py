"""Keep the templates of the releases that the traffic moved between: one may be gone when it is needed (I15)."""

from __future__ import annotations

from mlconsole.cluster.errors import ClusterError
from mlconsole.cluster.fresh import Fresh
from mlconsole.cluster.history import TEMPLATES
from mlconsole.domain.deploying import literal_secrets
from mlconsole.domain.history import Template, decode_templates, encode_templates
from mlconsole.domain.masking import SECRET_WORDS
from mlconsole.domain.operation import Operation
from mlconsole.domain.services import Release
from mlconsole.engine.execution.context import Context
from mlconsole.engine.ledger import Step


async def remember(context: Context, op: Operation) -> None:
    """Have the templates written down with the next record. What holds a secret is not kept, and that is told."""
    try:
        read = await context.gateway.read(op.plan)
    except (ClusterError, TimeoutError) as error:
        context.report(Step("record", f"the templates could not be read, none is kept: {error or 'no answer in time'}"))
        return
    plan, found = op.plan, []
    sides = [(plan.to_color, plan.to_release)]
    if plan.from_good_since:
        # It was seen in its place: the next way back may be its.
        sides.insert(0, (plan.from_color, plan.from_release))
    for color, release in sides:
        template = _template(context, read, color, release)
        if template is not None:
            found.append(Template(release, template, context.clock()))
    if found:
        known = decode_templates(context.ledger.past.rest.get(TEMPLATES, ""))
        context.ledger.more[TEMPLATES] = encode_templates(known, found)


def _template(context: Context, read: Fresh, name: str, release: Release) -> dict[str, object] | None:
    color = read.service.color(name)
    raw = read.raw.get(("deployments", color.deployment)) if color else None
    if color is None or raw is None or not color.release.same_as(release):
        return None
    template: dict[str, object] = raw["spec"]["template"]
    secrets = literal_secrets(template, SECRET_WORDS)
    if secrets:
        names = ", ".join(secrets[:3])
        words = f"the template of {release.label} is not kept: {names} stands in it as it is; put it into a Secret"
        context.report(Step("record", words))
        return None
    return template
