"""Makes docs/architecture.md: the rooms of the package, what each is for, and a picture drawn from their imports."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "driftwatch"
# The layers in the order of the flow; `tests/promises/test_layers.py` checks every module against it.
LAYERS: dict[str, tuple[str, ...]] = {
    "the vocabulary": ("errors", "plugins", "stance", "documents", "english", "wording", "http"),
    "what is asked": ("topics",),
    "how far, how sure": ("drift", "evidence", "simulation"),
    "the training process": ("host",),
    "asking": ("chat", "scoring", "judges", "testing", "replies", "probes"),
    "what was found": ("record", "store", "exporters"),
    "one run": ("watch", "callback"),
    "readers": ("report", "service", "monitoring"),
    "the command line": ("config", "launch", "doctor", "demo", "cli"),
}
ORDER = tuple(room for rooms in LAYERS.values() for room in rooms)

INTRODUCTION = """\
# Architecture

Generated from the imports by `tools/architecture.py`; `make generate` rewrites it.

One run flows through the rooms in this order:

```text
 Trainer (transformers, trl)                   inside the training process
   │ on_train_begin, on_step_end, on_train_end
   ▼
 callback.DriftCallback ─► watch.Monitor       settings and the life of a run; the one error guard
   │ is this step due, for how much?           watch.schedule, watch.budget
   ▼
 watch.Run.observe(model, step)                one observation; nothing in a run is optional
   │   host.guard.undisturbed(model)           everything that is touched is put back, bit for bit
   │   probes.Probe.measure(…)                 the screen: likelihoods of the whole bank (chat, scoring)
   │   watch.Confirm.observe(…)                fresh replies of both models (replies), read by a judge (judges)
   │   drift.compare(…)                        how far the stances have moved
   │   evidence.update(…)                      how sure that is: one e-process per topic and kind
   ▼
 record.Record ══════ the border: nothing beyond it needs torch ══════
   ├─► store.RunStore                          written first, one folder for each run
   ├─► exporters                               best effort, on a thread of their own: Prometheus, trackers, webhooks
   └─► watch.actions                           save or stop, where the user asked for it
 RunStore ─► report, service, cli              what people read; monitoring makes what operators install
```

A room imports only from rooms before it, so that no arrow runs back; a test holds that. The picture leaves out an arrow
where a longer way shows it already.

"""


def rooms_used(path: Path) -> set[str]:
    """The rooms that a module imports from, including imports behind TYPE_CHECKING and inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("driftwatch."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "driftwatch":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("driftwatch.")}
    return found & set(ORDER)


def imports() -> dict[str, set[str]]:
    """For each room, the rooms that it imports from."""
    found: dict[str, set[str]] = {}
    for room in ORDER:
        place = PACKAGE / room
        paths = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        found[room] = set[str]().union(*map(rooms_used, paths)) - {room}
    return found


def drawn(used: dict[str, set[str]]) -> dict[str, set[str]]:
    """The arrows of a picture, without those that a longer path already shows."""
    reached: dict[str, set[str]] = {}
    for room in ORDER:
        reached[room] = set[str]().union(used[room], *(reached[other] for other in used[room] if other in reached))
    return {
        room: {other for other in others if not any(other in reached.get(via, ()) for via in others - {other})}
        for room, others in used.items()
    }


def purpose(room: str) -> str:
    """The first line of a room's docstring."""
    place = PACKAGE / room
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.splitlines()[0] if text else ""


def architecture_page() -> str:
    """The page in Markdown, with one Mermaid picture."""
    used = imports()
    picture = ["```mermaid", "flowchart BT"]
    for number, (layer, rooms) in enumerate(LAYERS.items()):
        picture += [f'    subgraph layer{number}["{layer}"]', *(f"        {room}" for room in rooms), "    end"]
    picture += [f"    {room} --> {other}" for room, others in drawn(used).items() for other in sorted(others)]
    rows = [f"| {layer} | `{room}` | {purpose(room)} |" for layer, rooms in LAYERS.items() for room in rooms]
    return INTRODUCTION + "\n".join(
        [*picture, "```", "", "| layer | room | what it is for |", "|---|---|---|", *rows, ""]
    )
