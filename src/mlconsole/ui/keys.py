"""Every key of the console, once: bindings, menu, hints, help and command palette are made from these tables."""

from __future__ import annotations

from msgspec import Struct


class Key(Struct, frozen=True):
    """A key, what it does, and where that is said."""

    key: str
    """As Textual names it; alternatives separated by commas."""
    action: str
    label: str
    """A word or two, for the hints."""
    help: str
    group: str
    shown: str = ""
    """How the key is written; empty for `key` itself."""
    hint: int = 0
    """Its place among the hints in the screen's last line, a high number being left out first; 0 for none."""

    @property
    def written(self) -> str:
        """How the key is written."""
        return self.shown or self.key


KEYS = (
    Key(
        "d",
        "deploy",
        "deploy",
        "plan a deploy: the version under the registry's cursor, or one to choose",
        "traffic",
        hint=2,
    ),
    Key("s", "switch", "switch", "plan a switch of the selected service to its idle colour", "traffic", hint=1),
    Key("r", "rollback", "rollback", "plan the way back: to the last version known good", "traffic", hint=1),
    Key("o", "operations", "operations", "what is under way: follow, keep, approve, abort, resume", "traffic", hint=2),
    Key("x", "more", "more", "more operations: scale, restart, hold, rehearse, adopt, release", "traffic", hint=5),
    Key("l", "logs", "logs", "the end of the log of a pod of the selected service", "look", hint=2),
    Key("e", "events", "events", "Kubernetes Events about the selected service", "look", hint=3),
    Key("a", "audit", "audit", "who switched what, when and why", "look", hint=4),
    Key("i", "chain", "chain", "the serving chain link by link, and where each is known from", "look", hint=6),
    Key("m", "panel", "metric", "next chart: latency, errors, request rate", "look", hint=7),
    Key("t", "range", "time", "next time range of the chart: 5 min, 15 min, 1 h, 6 h", "look", hint=7),
    Key("slash", "filter", "filter", "show only rows that hold these words; esc ends it", "move", "/", hint=3),
    Key("z", "zoom", "zoom", "the focused pane alone, or all of them again", "move", hint=5),
    Key("1,2,3,4,5,6", "", "pane", "go to a pane", "move", "1-6"),
    Key("tab", "cycle(1)", "next pane", "next pane", "move"),
    Key("shift+tab", "cycle(-1)", "previous pane", "previous pane", "move"),
    Key(
        "left_square_bracket,p", "service(-1)", "previous service", "previous service, from any pane", "move", "[ or p"
    ),
    Key("right_square_bracket,n", "service(1)", "next service", "next service, from any pane", "move", "] or n"),
    Key("c", "context", "context", "another context of the kubeconfig; works while this one is down", "place", hint=4),
    Key("N", "namespace", "namespace", "another namespace, or all of them", "place"),
    Key("R", "reconnect", "reconnect", "try every source that is down again, now", "place"),
    Key("T", "theme", "theme", "next theme", "console"),
    Key("ctrl+p", "command_palette", "palette", "every action by name", "console"),
    Key("question_mark,f1", "help", "help", "this page", "console", "?", hint=1),
    Key("q,ctrl+c,ctrl+q", "leave", "quit", "end the console; the services go on without it", "console", "q", hint=1),
)

MORE = (
    Key("s", "scale", "scale", "scale a colour: how many pods it has", "more", "x s"),
    Key("t", "restart", "restart", "restart a colour: its pods anew, one after the other", "more", "x t"),
    Key("p", "pause", "hold a rollout", "hold the rollout of a colour's Deployment, or let it go on", "more", "x p"),
    Key(
        "d",
        "drill",
        "rehearse the rollback",
        "rehearse the way back: dry, the standby asked, both timed",
        "more",
        "x d",
    ),
    Key("a", "adopt", "adopt", "turn a plain Deployment and Service into blue-green, no request lost", "more", "x a"),
    Key("u", "release", "undo an adoption", "turn blue-green back into one plain Deployment", "more", "x u"),
)
"""The keys of the menu on `x`: what is needed seldom."""

GROUPS = {
    "traffic": "Move traffic",
    "more": "More operations",
    "look": "Look closer",
    "move": "Move around",
    "place": "Where it looks",
    "console": "The console",
}
