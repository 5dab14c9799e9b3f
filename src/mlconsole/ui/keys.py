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
    Key("w", "alerts", "alerts", "what is wrong: alerts, since when, and whether the deploy did it", "look", hint=2),
    Key("l", "logs", "logs", "the end of the log of a pod of the selected service", "look", hint=2),
    Key("e", "events", "events", "Kubernetes Events about the selected service", "look", hint=3),
    Key("a", "audit", "audit", "who switched what, when and why", "look", hint=4),
    Key("i", "chain", "chain", "the serving chain link by link, and where each is known from", "look", hint=6),
    Key("m", "panel", "metric", "next chart: latency, errors, request rate and what else there is", "look", hint=7),
    Key("M", "panel(-1)", "previous metric", "the chart before", "look"),
    Key("t", "range", "time", "next time range of the chart: 5 min, 15 min, 1 h, 6 h, 1 d, 7 d", "look", hint=7),
    Key("v", "chart('values')", "values", "the chart's crosshair with the values under it, or away with it", "look"),
    Key("y", "chart('compare')", "compare", "beneath the chart: yesterday, last week, the version before", "look"),
    Key("f", "export", "file", "write the chart to a file: the picture as SVG, the values as CSV", "look"),
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

CHART = (
    Key("left", "chart('back')", "back", "back in time, or the crosshair to the left", "chart", "←"),
    Key("right", "chart('forward')", "forward", "forward in time, or the crosshair to the right", "chart", "→"),
    Key("shift+left", "chart('far_back')", "far back", "the same, farther", "chart", "shift ←"),
    Key("shift+right", "chart('far_forward')", "far forward", "the same, farther", "chart", "shift →"),
    Key(
        "up", "chart('earlier_mark')", "earlier mark", "the crosshair to the mark before, with its words", "chart", "↑"
    ),
    Key("down", "chart('later_mark')", "later mark", "the crosshair to the mark after", "chart", "↓"),
    Key("left_square_bracket", "chart('shorter')", "shorter", "a shorter range", "chart", "["),
    Key("right_square_bracket", "chart('longer')", "longer", "a longer range", "chart", "]"),
    Key(
        "plus",
        "chart('in')",
        "closer",
        "closer, about the crosshair; the wheel does it about the pointer",
        "chart",
        "+",
    ),
    Key("minus", "chart('out')", "farther", "farther, about the crosshair", "chart", "-"),
    Key("space", "chart('pause')", "pause", "hold the chart where it is, or let it go on", "chart"),
    Key("end,0", "chart('live')", "now", "the present again", "chart", "end or 0"),
    Key("g", "chart('scale')", "logarithmic", "a logarithmic axis, or a linear one", "chart"),
    Key("b", "chart('glyphs')", "blocks", "half blocks instead of braille, or braille again", "chart"),
)
"""The keys of the chart while it has the focus; some mean something else elsewhere."""

MORE = (
    Key("s", "scale", "scale", "scale a colour: how many pods it has", "more", "x s"),
    Key("t", "restart", "restart", "restart a colour: its pods one by one", "more", "x t"),
    Key("p", "pause", "hold a rollout", "hold a colour's rollout, or let it go on", "more", "x p"),
    Key(
        "d",
        "drill",
        "rehearse the rollback",
        "rehearse the way back: dry and timed",
        "more",
        "x d",
    ),
    Key("a", "adopt", "adopt", "make a plain Deployment blue-green", "more", "x a"),
    Key("u", "release", "undo an adoption", "make it one plain Deployment again", "more", "x u"),
)
"""The keys of the menu on `x`: what is needed seldom."""

PAGES = (
    Key("y", "", "yes", "yes, to this very plan; enter on the button is the same", "plan"),
    Key("n", "", "no", "no: nothing was changed", "plan", "n or esc"),
    Key("w", "", "waive", "waive what stops it and may be waived, with a reason; again takes that back", "plan"),
    Key("R", "", "plan again", "read the cluster and plan again", "plan"),
    Key("g", "", "go on", "of a deploy: switch to it when its gates pass, or not", "plan"),
    Key("i", "", "image", "of a deploy: type the version's image", "plan"),
    Key("enter", "", "follow", "what it says, its evidence, its phases", "under way", "o enter"),
    Key("K", "", "keep", "the release stays", "under way", "o K"),
    Key("p", "", "approve", "approve it, as the second person", "under way", "o p"),
    Key("h", "", "hand over", "its executor stops where it is safe to; anybody may resume", "under way", "o h"),
    Key("r", "", "resume", "take up what was interrupted", "under way", "o r"),
    Key("a", "", "abort", "end it: undone, or the traffic moved back", "under way", "o a"),
    Key("b", "", "abandon", "leave what was interrupted as it is, with a reason", "under way", "o b"),
)
"""The keys of the pages of operations: those pages have their own bindings, the help says all in one place."""

GROUPS = {
    "traffic": "Move traffic",
    "plan": "On a plan",
    "under way": "What is under way",
    "more": "More operations",
    "look": "Look closer",
    "chart": "The chart, while it has the focus",
    "move": "Move around",
    "place": "Where it looks",
    "console": "The console",
}
