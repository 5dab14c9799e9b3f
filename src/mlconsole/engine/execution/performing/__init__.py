"""What is done in each phase, a small file a group; the machine (`domain.operation`) says which comes next."""

from __future__ import annotations

from mlconsole.domain.phases import Phase
from mlconsole.engine.execution.context import Performer
from mlconsole.engine.execution.performing import following, making, moving, proving, taking, waiting

PERFORMERS: dict[Phase, Performer] = {
    Phase.LOCK: taking.lock,
    Phase.RECORD: taking.record,
    Phase.PIN: making.pin,
    Phase.BRING_UP: making.bring_up,
    Phase.READY: proving.ready,
    Phase.SMOKE: proving.smoke,
    Phase.PARITY: proving.parity,
    Phase.ANALYSIS: proving.analysis,
    Phase.ALIAS: following.alias,
    Phase.SWITCH: moving.switch,
    Phase.VERIFY: moving.verify,
    Phase.RETURN: moving.come_back,
    Phase.APPROVAL: waiting.approval,
    Phase.WATCH: waiting.watch,
    Phase.KEEP: waiting.keep,
    Phase.DRAIN: waiting.drain,
    Phase.ASK: waiting.ask,
    Phase.RETIRE: making.retire,
    Phase.CLEAN_UP: making.clean_up,
    Phase.RESTORE: making.restore,
}
