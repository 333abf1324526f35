"""A drawing of a team document, as it was given: who is in it, how the talk flows, what ends it, and what is wrong where.

Works on any JSON: what cannot be read is drawn as a question, since the drawing is what helps to put it right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from console.workflows.outline import config as config_of
from console.workflows.outline import items, mapping
from console.workflows.outline import kind as kind_of

Json = Any

WIDTH, GAP_X, GAP_Y, LINE = 208, 64, 34, 17  # of a box, between boxes, and of a line of text, in pixels
MOST_TOOLS = 5
MOST_FIGURES = 24
CHARACTERS = 26  # of a line in a box


class Told(Protocol):
    """A finding about the document."""

    @property
    def path(self) -> str: ...
    @property
    def level(self) -> str: ...


@dataclass
class Box:
    """A member of a team. ``state`` is "", "info" or "error": the worst that was found about it."""

    name: str
    kind: str
    path: str
    lines: list[str]
    state: str = ""
    x: int = 0
    y: int = 0

    @property
    def height(self) -> int:
        """In pixels."""
        return 48 + LINE * len(self.lines)

    @property
    def shown(self) -> str:
        """The name, as long as the box is wide."""
        return _clip(self.name)

    @property
    def texts(self) -> list[tuple[int, str]]:
        """Each line with its place below the box's upper edge."""
        return [(54 + LINE * i, _clip(line)) for i, line in enumerate(self.lines)]


@dataclass
class Arrow:
    """From one box to another; ``back`` arrows go around below."""

    path: str
    label: str
    x: int
    y: int


@dataclass
class Figure:
    """One team: its boxes and arrows, and in words what ends it."""

    title: str
    kind: str
    inside: str  # the name of what it is in, or ""
    boxes: list[Box] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    width: int = 0
    height: int = 0

    @property
    def words(self) -> str:
        """The drawing for those who do not see it."""
        members = ", ".join(f"{box.name} ({box.kind})" for box in self.boxes)
        return f"{self.title}, a {self.kind} of {members or 'nobody'}."


def figures(document: Json, findings: Sequence[Told] = ()) -> list[Figure]:
    """The outermost team first, then each team inside it. At most ``MOST_FIGURES``."""
    found: list[Figure] = []
    if not isinstance(document, dict):
        return found
    if "participants" in config_of(document) or not config_of(document).get("name"):
        _draw(document, "$.team", "", found)
    else:  # a single agent
        figure = Figure(_name(document), "single agent", "", ends=["when it has answered"])
        found.append(figure)
        figure.boxes = [_box(document, "$.team", found)]
        _row(figure, [])
    for figure in found:
        for box in figure.boxes:
            levels = {each.level for each in findings if _about(each.path, box.path)}
            box.state = "error" if "error" in levels else "info" if "info" in levels else ""
    return found[:MOST_FIGURES]


def _draw(team: Json, path: str, inside: str, found: list[Figure]) -> None:
    """Lay a team out, and those inside it after it."""
    if len(found) >= MOST_FIGURES:
        return
    config = config_of(team)
    figure = Figure(_name(team), kind_of(team) or "team", inside)
    found.append(figure)
    members = [member for member in items(config.get("participants")) if isinstance(member, dict)]
    figure.boxes = [_box(member, f"{path}.config.participants[{i}]", found) for i, member in enumerate(members)]
    figure.ends = [*_ends(config.get("termination_condition"))]
    if isinstance(config.get("max_turns"), int):
        figure.ends.append(f"after {config['max_turns']} turns")
    names = [box.name for box in figure.boxes]
    if figure.kind == "GraphFlow":
        _layers(figure, names, _edges(config.get("graph")))
    elif figure.kind in ("SelectorGroupChat", "MagenticOneGroupChat"):
        _hub(figure, team, path)
    elif figure.kind == "Swarm":
        _swarm(figure, members, names)
    else:
        _row(figure, [(i, (i + 1) % len(names), "") for i in range(len(names))] if len(names) > 1 else [])


def _box(member: Json, path: str, found: list[Figure]) -> Box:
    """A member, and, as figures of their own, the teams that it holds."""
    kind, config, name = kind_of(member), config_of(member), _name(member)
    lines: list[str] = []
    if kind == "MessageFilterAgent" and isinstance(config.get("wrapped_agent"), dict):
        inner = _box(config["wrapped_agent"], f"{path}.config.wrapped_agent", found)
        sources = [str(each.get("source")) for each in items(mapping(config.get("filter")).get("per_source")) if each]
        return Box(name, inner.kind, path, [*inner.lines, f"hears only {', '.join(sources)}"])
    model = config_of(mapping(config.get("model_client"))).get("model")
    if isinstance(model, str):
        lines.append(model)
    tools = list(_tools(config, path, found, name))
    lines += [f"⚒ {tool}" for tool in tools[:MOST_TOOLS]]
    if len(tools) > MOST_TOOLS:
        lines.append(f"and {len(tools) - MOST_TOOLS} more tools")
    if "participants" in config:
        lines.append(f"{len(items(config.get('participants')))} members, drawn below")
        _draw(member, path, name, found)
    if isinstance(config.get("team"), dict):
        lines.append("speaks for a team, drawn below")
        _draw(config["team"], f"{path}.config.team", name, found)
    if config.get("structured_message_factory"):
        lines.append("answers as JSON")
    if items(config.get("memory")):
        lines.append("remembers a list")
    return Box(name, kind or "what is this?", path, lines)


def _tools(config: Json, path: str, found: list[Figure], owner: str) -> Iterator[str]:
    benches = config.get("workbench")
    for i, bench in enumerate([benches] if isinstance(benches, dict) else items(benches)):
        if isinstance(bench, dict) and kind_of(bench) == "McpWorkbench":
            yield str(bench.get("label") or "MCP server")
        for j, tool in enumerate(items(config_of(bench).get("tools"))):
            yield _tool(tool, f"{path}.config.workbench[{i}].config.tools[{j}]", found, owner)
    if isinstance(config.get("code_executor"), dict):
        yield "executes code"
    for i, tool in enumerate(items(config.get("tools"))):
        yield _tool(tool, f"{path}.config.tools[{i}]", found, owner)


def _tool(tool: Json, path: str, found: list[Figure], owner: str) -> str:
    config = config_of(tool)
    if isinstance(config.get("team"), dict):
        _draw(config["team"], f"{path}.config.team", f"{owner}'s tool {config.get('name')}", found)
        return f"{config.get('name')} (a team, below)"
    if isinstance(config.get("agent"), dict):
        inner = _name(config["agent"])
        figure = Figure(inner, "agent as a tool", owner)
        found.append(figure)
        figure.boxes = [_box(config["agent"], f"{path}.config.agent", found)]
        _row(figure, [])
        return f"{inner} (an agent, below)"
    return str(config.get("name") or kind_of(tool) or "?")


# Where boxes and arrows go


def _row(figure: Figure, arrows: list[tuple[int, int, str]]) -> None:
    """In one row; what goes back goes around below."""
    for i, box in enumerate(figure.boxes):
        box.x, box.y = i * (WIDTH + GAP_X), 0
    _finish(figure, arrows)


def _hub(figure: Figure, team: Json, path: str) -> None:
    """Whoever chooses the next speaker, and the members beside."""
    config = config_of(team)
    selects = figure.kind == "SelectorGroupChat"
    model = config_of(mapping(config.get("model_client"))).get("model")
    lines = [str(model)] if isinstance(model, str) else []
    hub = Box("selector" if selects else "orchestrator", "chooses who is next", f"{path}.config.model_client", lines)
    y = 0
    for box in figure.boxes:
        box.x, box.y = WIDTH + GAP_X, y
        y += box.height + GAP_Y
    hub.y = max(0, (y - GAP_Y - hub.height) // 2)
    figure.boxes.insert(0, hub)
    _finish(figure, [(0, i, "") for i in range(1, len(figure.boxes))])


def _swarm(figure: Figure, members: list[Json], names: list[str]) -> None:
    arrows = []
    for i, member in enumerate(members):
        for handoff in items(config_of(member).get("handoffs")):
            target = handoff.get("target") if isinstance(handoff, dict) else handoff
            if isinstance(target, str) and target not in names and len(names) < 60:
                names.append(target)
                figure.boxes.append(Box(target, "a person outside", "", ["is asked a question"]))
            if target in names:
                arrows.append((i, names.index(target), ""))
    _row(figure, arrows)


def _layers(figure: Figure, names: list[str], edges: list[tuple[str, str, str]]) -> None:
    """A column for each step of the way; members of one column work side by side."""
    place = {name: i for i, name in enumerate(names)}
    known = [(place[a], place[b], label) for a, b, label in edges if a in place and b in place]
    depth = [0] * len(names)
    forward: list[tuple[int, int]] = []
    for a, b, _ in known:  # an edge that would close a circle does not count
        if not _reaches(forward, b, a):
            forward.append((a, b))
    for _ in names:
        for a, b in forward:
            depth[b] = max(depth[b], depth[a] + 1)
    columns: dict[int, int] = {}
    for box, column in zip(figure.boxes, depth, strict=True):
        box.x, box.y = column * (WIDTH + GAP_X), columns.get(column, 0)
        columns[column] = box.y + box.height + GAP_Y
    _finish(figure, known)


def _reaches(edges: list[tuple[int, int]], start: int, goal: int) -> bool:
    seen, todo = set(), [start]
    while todo:
        at = todo.pop()
        if at == goal:
            return True
        if at not in seen:
            seen.add(at)
            todo += [b for a, b in edges if a == at]
    return False


def _finish(figure: Figure, arrows: list[tuple[int, int, str]]) -> None:
    figure.width = max((box.x + WIDTH for box in figure.boxes), default=WIDTH)
    bottom = max((box.y + box.height for box in figure.boxes), default=40)
    around = 0
    for a, b, label in arrows:
        start, end = figure.boxes[a], figure.boxes[b]
        if end.x > start.x and end.x - start.x <= WIDTH + GAP_X:
            x1, y1, x2, y2 = start.x + WIDTH, start.y + start.height // 2, end.x, end.y + end.height // 2
            middle = (x1 + x2) // 2
            path = f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2 - 3} {y2}"
            figure.arrows.append(Arrow(path, label[:14], middle, (y1 + y2) // 2 - 5))
            continue
        around += 1
        low = bottom + 12 + 13 * around
        x1, x2 = start.x + WIDTH // 2 + 8, end.x + WIDTH // 2 - 8
        y1, y2 = start.y + start.height, end.y + end.height
        path = f"M{x1} {y1} V{low - 8} Q{x1} {low} {x1 - 8 if x2 < x1 else x1 + 8} {low}"
        path += f" H{x2 + 8 if x2 < x1 else x2 - 8} Q{x2} {low} {x2} {low - 8} V{y2 + 3}"
        figure.arrows.append(Arrow(path, label[:14], (x1 + x2) // 2, low - 4))
    figure.height = bottom + (26 + 13 * around if around else 4)


# Reading what may be anything


def _edges(graph: Json) -> list[tuple[str, str, str]]:
    found = []
    for name, node in mapping(mapping(graph).get("nodes")).items():
        for edge in items(mapping(node).get("edges")):
            if isinstance(edge, dict) and isinstance(edge.get("target"), str):
                condition = edge.get("condition")
                found.append((str(name), edge["target"], f"“{condition}”" if isinstance(condition, str) else ""))
    return found


def _ends(condition: Json) -> Iterator[str]:
    """What ends a team, in words."""
    config = config_of(condition)
    kind = kind_of(condition)
    inner = [" and ".join(_ends(each)) or "?" for each in items(config.get("conditions"))]
    if kind == "AndTerminationCondition":
        yield " and ".join(inner)
    elif kind == "OrTerminationCondition":
        yield from inner
    elif kind:
        say = _SAYS.get(kind)
        yield say.format(**{**_NOTHING, **config}) if say else kind


_NOTHING = dict.fromkeys(
    "text max_messages target timeout_seconds max_total_token sources source function_name".split(), "?"
)
_SAYS = {
    "TextMentionTermination": "when somebody says “{text}”",
    "MaxMessageTermination": "after {max_messages} messages",
    "HandoffTermination": "when it is handed over to {target}",
    "TimeoutTermination": "after {timeout_seconds} s of work",
    "TokenUsageTermination": "when its tokens are used up",
    "SourceMatchTermination": "when one of {sources} has spoken",
    "TextMessageTermination": "at a text message of {source}",
    "FunctionCallTermination": "when {function_name} was called",
    "StopMessageTermination": "at a StopMessage",
    "ExternalTermination": "when it is told to from outside",
}


def _name(node: Json) -> str:
    name = config_of(node).get("name") or mapping(node).get("label")
    return str(name)[:80] if isinstance(name, str) and name else kind_of(node) or "?"


def _about(path: str, box: str) -> bool:
    return bool(box) and (path == box or path.startswith((f"{box}.", f"{box}[")))


def _clip(text: str) -> str:
    return text if len(text) <= CHARACTERS else f"{text[: CHARACTERS - 1]}…"
