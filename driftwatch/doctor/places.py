"""Checks the places that results go to (ports, disks, services), and the judge, which may be a server too."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from driftwatch.config.resolved import Setting
from driftwatch.doctor.finding import Finding
from driftwatch.errors import DriftwatchError
from driftwatch.http.client import send, shown
from driftwatch.http.reply import NoReply
from driftwatch.service.live import TOKEN, listening
from driftwatch.service.security import is_loopback

# chosen: enough for a run's own folder, and so little that with less the training's checkpoints will not fit either
LEAST_BYTES, SCARCE_BYTES = 100 << 20, 1 << 30
TIMEOUT_SECONDS = 5.0

Settings = dict[str, Setting]


def endpoint(settings: Settings) -> Finding:
    """The finding on whether the port of /metrics and of the run's page is free."""
    port = settings.get("exporters.prometheus.port")
    if port is None or port.value is None:
        return Finding("port", "skipped", "no exporter listens")
    address = str(settings["exporters.prometheus.address"].value or "127.0.0.1")
    try:
        listening(address, int(port.value)).close()
    except OSError as err:
        text = f"port {port.value} at {address} cannot be used ({err.strerror}); a run would take a free one"
        return Finding("port", "warning", text, "Set DRIFTWATCH_PORT to a free port, or to 0 to take any.")
    if not is_loopback(address) and not os.environ.get(TOKEN):
        text = f"{address}:{port.value} is free; beyond loopback it shows /metrics only, without a token"
        return Finding("port", "warning", text, f"Set {TOKEN} to see the page of the run from elsewhere.")
    return Finding("port", "ok", f"{address}:{port.value} is free" if port.value else f"{address} takes any port")


def disk(settings: Settings) -> Finding:
    """The finding on whether the run's folder can be made and has room."""
    setting = settings["output_dir"]
    folder = Path(setting.value) if setting.value else Path.cwd()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"room?")
        free = shutil.disk_usage(folder).free
    except OSError as err:
        text = f"nothing can be written below {folder} ({err.strerror})"
        return Finding("disk", "problem", text, "Name a folder that can be written as output_dir.")
    whose = "" if setting.value else " (runs go below the Trainer's output folder; this one was looked at)"
    text = f"{free / 1e9:.1f} GB free at {folder}{whose}"
    if free < LEAST_BYTES:
        return Finding("disk", "problem", text, "Make room, or name another disk as output_dir.")
    if free < SCARCE_BYTES:
        return Finding("disk", "warning", text, "Make room: checkpoints go there as well.")
    return Finding("disk", "ok", text)


def servers(settings: Settings) -> Iterator[Finding]:
    """The findings on whether the servers that exporters push to answer."""
    url = settings.get("exporters.service.url")
    if url is not None and url.value:
        yield _answers("service", f"{str(url.value).rstrip('/')}/healthz", "Start it: driftwatch serve --host …")
    gateway = settings.get("exporters.prometheus.pushgateway")
    if gateway is not None and gateway.value:
        yield _answers("pushgateway", f"{str(gateway.value).rstrip('/')}/-/ready", "Check its address.")


def judge(confirm: Any, pack: Any) -> Finding:
    """The finding on whether the judge can classify a plain reply.

    Args:
        confirm: The run's Confirmation; `None` if no replies are judged.
        pack: The run's TopicPack.
    """
    from driftwatch.judges.by_name import judge_by_name
    from driftwatch.judges.judge import Asked
    from driftwatch.topics.question import question

    if confirm is None:
        text = "nothing is confirmed, so no alert will be raised; topics are watched by the screen alone"
        return Finding("judge", "warning", text, 'Add "confirm: {judge: sides}" to the settings to get alerts.')
    found = next(((topic, item) for topic in pack for item in topic.items if item.sides), None)
    if found is None:
        return Finding("judge", "problem", f"pack {pack.id} has no two-sided item", "Choose another pack.")
    topic, item = found
    reply = f"I think that {item.sides[0]}"
    asked = Asked(topic.id, topic.poles, item, "two_sided", 0, question(item, "two_sided", 0), reply)
    try:
        who = judge_by_name(confirm.judge) if isinstance(confirm.judge, str) else confirm.judge
        reading = who.read([asked])[0]
    except DriftwatchError as err:
        return Finding("judge", "problem", str(err), "Correct “judge” under “confirm”, or its server or key.")
    if reading.probs is None or reading.probs.index(max(reading.probs)) != 0:
        why = reading.unread or "it found another stance"
        text = f"{who.id} answers, and does not read {reply!r} as the first side: {why}"
        return Finding("judge", "warning", text, "See how well it reads: driftwatch judge.")
    return Finding("judge", "ok", f"{who.id} reads a plain reply")


def _answers(check: str, url: str, fix: str) -> Finding:
    try:
        reply = send("GET", url, timeout=TIMEOUT_SECONDS)
    except NoReply as err:
        return Finding(check, "problem", f"{shown(url)} does not answer ({err})", fix)
    if not reply.is_success:
        return Finding(check, "warning", f"{shown(url)} answers {reply.status}", fix)
    return Finding(check, "ok", f"{shown(url)} answers")
