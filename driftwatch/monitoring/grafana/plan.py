"""Plan: what has to change in a Grafana, read from it every time, so that a repetition mends a failure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from urllib.parse import quote

from driftwatch.monitoring.grafana.connection import Connection
from driftwatch.monitoring.grafana.error import GrafanaError
from driftwatch.monitoring.grafana.objects import Wanted

Action = Literal["create", "update", "keep", "remove"]
# Without this header, Grafana's page refuses to edit rules that the API made.
EDITABLE = {"X-Disable-Provenance": "true"}
MESSAGE = "driftwatch grafana apply"
MOST_ANNOTATIONS = 10_000


@dataclass(frozen=True, slots=True)
class Change:
    """One object and what has to happen to it.

    Attributes:
        kind: "folder", "data source", "dashboard", "rule group" or "annotation".
        name: Name of the object for people.
        do: Makes the change; does nothing for "keep".
    """

    action: Action
    kind: str
    name: str
    do: Callable[[], object]


def plan(grafana: Connection, wanted: Wanted) -> list[Change]:
    """The changes that `apply` would make, in order; objects that are already right are kept.

    Raises:
        GrafanaError: Grafana cannot be read or is too old, or one of our uids belongs to somebody else's object.
    """
    grafana.version()
    changes = [_folder(grafana, wanted)]
    if wanted.datasource is not None:
        changes.append(_datasource(grafana, wanted.datasource))
    changes += [_dashboard(grafana, wanted, dashboard) for dashboard in wanted.dashboards]
    if wanted.group is not None:
        changes.append(_group(grafana, wanted, wanted.group))
    return [*changes, *_annotations(grafana, wanted)]


def removal(grafana: Connection, wanted: Wanted) -> list[Change]:
    """The removals: every object that `plan` would make and that is there, and nothing that belongs to anybody else."""
    grafana.version()
    slug, folder = wanted.config.slug, quote(wanted.folder_uid)
    changes = []
    for note in _noted(grafana, slug):
        call = partial(grafana.call, "DELETE", f"/annotations/{note['id']}")
        changes.append(Change("remove", "annotation", str(note.get("text", "")), call))
    group = f"/v1/provisioning/folder/{folder}/rule-groups/{quote(slug)}"
    if grafana.found(group) is not None:
        changes.append(Change("remove", "rule group", slug, partial(grafana.call, "DELETE", group, headers=EDITABLE)))
    ours = {dashboard["uid"] for dashboard in wanted.dashboards}
    for dashboard in wanted.dashboards:
        path = f"/dashboards/uid/{dashboard['uid']}"
        found = grafana.found(path)
        if found is not None:
            _refuse_foreign(found, dashboard, wanted)
            changes.append(Change("remove", "dashboard", dashboard["title"], partial(grafana.call, "DELETE", path)))
    if wanted.datasource is not None:
        path = f"/datasources/uid/{quote(wanted.config.datasource_uid)}"
        if grafana.found(path) is not None:
            call = partial(grafana.call, "DELETE", path)
            changes.append(Change("remove", "data source", wanted.datasource["name"], call))
    if grafana.found(f"/folders/{folder}") is not None:
        inside = grafana.call("GET", f"/search?type=dash-db&folderUIDs={folder}") or []
        if all(entry.get("uid") in ours for entry in inside):  # since deleting a folder deletes everything in it
            changes.append(
                Change("remove", "folder", wanted.config.prefix, partial(grafana.call, "DELETE", f"/folders/{folder}"))
            )
    return changes


def apply(changes: list[Change]) -> Iterator[Change]:
    """Make the changes and yield each one when it is done; kept objects are passed over."""
    for change in changes:
        if change.action != "keep":
            change.do()
            yield change


def _folder(grafana: Connection, wanted: Wanted) -> Change:
    path, folder = f"/folders/{quote(wanted.folder_uid)}", wanted.folder
    found = grafana.found(path)
    if found is None:
        return Change("create", "folder", folder["title"], partial(_create_folder, grafana, folder))
    if found.get("title") == folder["title"]:
        return Change("keep", "folder", folder["title"], _nothing)
    renamed = {"title": folder["title"], "overwrite": True}
    return Change("update", "folder", folder["title"], partial(grafana.call, "PUT", path, renamed))


def _create_folder(grafana: Connection, folder: dict[str, Any]) -> None:
    try:
        grafana.call("POST", "/folders", folder)
    except GrafanaError as err:
        if err.status not in (409, 412):  # 409 and 412 mean that somebody else was faster
            raise


def _datasource(grafana: Connection, datasource: dict[str, Any]) -> Change:
    path = f"/datasources/uid/{quote(datasource['uid'])}"
    found = grafana.found(path)
    if found is None:
        return Change(
            "create", "data source", datasource["name"], partial(grafana.call, "POST", "/datasources", datasource)
        )
    if found.get("type") != datasource["type"]:
        raise GrafanaError(
            f"{grafana.where} has a data source of type {found.get('type')} with the uid {datasource['uid']}, where a "
            "Prometheus was expected. Pass another --datasource-uid."
        )
    if _within(datasource, found):
        return Change("keep", "data source", datasource["name"], _nothing)
    if found.get("readOnly"):
        raise GrafanaError(
            f"{grafana.where} provisions the data source {datasource['uid']} from a file. Change it there, or leave "
            "--datasource-url out."
        )
    return Change("update", "data source", datasource["name"], partial(grafana.call, "PUT", path, datasource))


def _dashboard(grafana: Connection, wanted: Wanted, dashboard: dict[str, Any]) -> Change:
    body = {"dashboard": dashboard, "folderUid": wanted.folder_uid, "overwrite": True, "message": MESSAGE}
    send = partial(grafana.call, "POST", "/dashboards/db", body)
    found = grafana.found(f"/dashboards/uid/{dashboard['uid']}")
    if found is None:
        return Change("create", "dashboard", dashboard["title"], send)
    _refuse_foreign(found, dashboard, wanted)
    same = _within({key: value for key, value in dashboard.items() if key != "id"}, found.get("dashboard", {}))
    if same and found.get("meta", {}).get("folderUid") == wanted.folder_uid:
        return Change("keep", "dashboard", dashboard["title"], _nothing)
    return Change("update", "dashboard", dashboard["title"], send)


def _refuse_foreign(found: dict[str, Any], dashboard: dict[str, Any], wanted: Wanted) -> None:
    theirs, uid = found.get("dashboard", {}), dashboard["uid"]
    if found.get("meta", {}).get("provisioned"):
        raise GrafanaError(
            f'the dashboard "{theirs.get("title")}" ({uid}) is provisioned from a file, and Grafana refuses to change '
            "it over HTTP. Use one road for it: remove the file, or leave it to the file."
        )
    if wanted.config.slug not in (theirs.get("tags") or []):
        raise GrafanaError(
            f'the dashboard "{theirs.get("title")}" has our uid {uid} and not our tag {wanted.config.slug}: it is '
            "somebody else's. Rename or delete it, or pass another --prefix."
        )


def _group(grafana: Connection, wanted: Wanted, group: dict[str, Any]) -> Change:
    path = f"/v1/provisioning/folder/{quote(wanted.folder_uid)}/rule-groups/{quote(group['title'])}"
    send = partial(grafana.call, "PUT", path, group, headers=EDITABLE)
    found = grafana.found(path)
    if found is None:
        return Change("create", "rule group", group["title"], send)
    rules = {rule["uid"]: rule for rule in group["rules"]}
    theirs = {rule.get("uid"): rule for rule in found.get("rules", [])}
    if found.get("interval") == group["interval"] and _within(rules, theirs) and len(rules) == len(theirs):
        return Change("keep", "rule group", group["title"], _nothing)
    return Change("update", "rule group", group["title"], send)


def _annotations(grafana: Connection, wanted: Wanted) -> Iterator[Change]:
    notes = list(wanted.annotations())
    known = {tag for note in _noted(grafana, wanted.config.slug) for tag in note.get("tags", [])} if notes else set()
    for note in notes:
        run = next(tag for tag in note["tags"] if tag.startswith("run:")).removeprefix("run:")
        name = f"{run}: {note['text']}"
        if note["tags"][-1] in known:
            yield Change("keep", "annotation", name, _nothing)
        else:
            yield Change("create", "annotation", name, partial(grafana.call, "POST", "/annotations", note))


def _noted(grafana: Connection, slug: str) -> list[dict[str, Any]]:
    found = grafana.call("GET", f"/annotations?type=annotation&limit={MOST_ANNOTATIONS}&tags={quote(slug)}")
    return list(found or [])


def _within(wanted: Any, found: Any) -> bool:
    """Whether `found` holds everything that is wanted; what Grafana adds to an object does not matter."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(key in found and _within(wanted[key], found[key]) for key in wanted)
    if isinstance(wanted, list):
        return isinstance(found, list) and len(wanted) == len(found) and all(map(_within, wanted, found))
    return bool(wanted == found)


def _nothing() -> None:
    """Do nothing, for an object that is kept."""
