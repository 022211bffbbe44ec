"""A Grafana that remembers what it is sent and answers as the real one was seen to.

204 comes without a body, 409 and 412 for what exists, 400 for a provisioned dashboard, 401, 5xx.
"""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class FakeGrafana:
    """Serves on a free port of loopback until closed.

    Args:
        prefix: Sub-path.
        version: What /api/health says.

    Attributes:
        requests: (method, path after /api, body, headers), in order.
        faults: (method, regular expression of the path) to (status, raw body): answered instead, once each.
    """

    TOKEN = "glsa_test"
    USER, PASSWORD = "admin", "secret"

    def __init__(self, *, prefix="", version="12.2.0"):
        self.version = version
        self.folders, self.datasources, self.dashboards, self.groups = {}, {}, {}, {}
        self.annotations, self.requests, self.faults = {}, [], {}
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                raw = self.rfile.read(length)
                status, body = fake._reply(self.command, self.path, raw, dict(self.headers), prefix)
                sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

            def log_message(self, *args):
                """Nothing: tests print what they need."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.01), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}{prefix}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def writes(self):
        """What changed something."""
        return [(method, path) for method, path, _, _ in self.requests if method != "GET"]

    def _reply(self, method, target, raw, headers, prefix):
        parts = urlsplit(target)
        if not parts.path.startswith(f"{prefix}/api/"):
            return 200, b"<!doctype html><title>Grafana</title>"
        path = parts.path.removeprefix(f"{prefix}/api")
        body = json.loads(raw) if raw else None
        self.requests.append((method, path, body, headers))
        for (wanted, pattern), fault in list(self.faults.items()):
            if wanted == method and re.fullmatch(pattern, path):
                del self.faults[wanted, pattern]
                return fault
        if path == "/health":
            return 200, {"database": "ok", "version": self.version, "commit": "0"}
        if headers.get("Authorization") not in (f"Bearer {self.TOKEN}", "Basic YWRtaW46c2VjcmV0"):
            return 401, {"message": "Invalid API key"}
        for pattern, handle in self._routes().items():
            if match := re.fullmatch(pattern, f"{method} {path}"):
                return handle(*map(unquote, match.groups()), body=body, query=parse_qs(parts.query))
        return 404, {"message": "Not found"}

    def _routes(self):
        return {
            r"GET /folders/([^/]+)": lambda uid, **_: self._get(self.folders, uid, "folder not found"),
            r"POST /folders": self._create_folder,
            r"PUT /folders/([^/]+)": lambda uid, body, **_: (200, self._merged(self.folders, uid, body)),
            r"DELETE /folders/([^/]+)": self._delete_folder,
            r"GET /search": lambda query, **_: (
                200,
                [{"uid": uid} for uid, entry in self.dashboards.items() if entry["folder"] in query["folderUIDs"]],
            ),
            r"GET /datasources/uid/([^/]+)": lambda uid, **_: self._get(self.datasources, uid, "Data source not found"),
            r"POST /datasources": self._create_datasource,
            r"PUT /datasources/uid/([^/]+)": lambda uid, body, **_: (200, self._merged(self.datasources, uid, body)),
            r"DELETE /datasources/uid/([^/]+)": lambda uid, **_: (self.datasources.pop(uid), (200, {"id": 1}))[1],
            r"GET /dashboards/uid/([^/]+)": self._get_dashboard,
            r"POST /dashboards/db": self._save_dashboard,
            r"DELETE /dashboards/uid/([^/]+)": lambda uid, **_: (self.dashboards.pop(uid), (200, {"title": uid}))[1],
            r"GET /v1/provisioning/folder/([^/]+)/rule-groups/([^/]+)": lambda folder, group, **_: self._get(
                self.groups, (folder, group), ""
            ),
            r"PUT /v1/provisioning/folder/([^/]+)/rule-groups/([^/]+)": self._put_group,
            # A success without a body, which the client package takes for an error.
            r"DELETE /v1/provisioning/folder/([^/]+)/rule-groups/([^/]+)": lambda folder, group, **_: (
                self.groups.pop((folder, group)),
                (204, None),
            )[1],
            r"GET /annotations": lambda query, **_: (
                200,
                [note for note in self.annotations.values() if set(query["tags"]) <= set(note["tags"])],
            ),
            r"POST /annotations": self._annotate,
            r"DELETE /annotations/(\d+)": lambda number, **_: (self.annotations.pop(int(number)), (200, {}))[1],
        }

    @staticmethod
    def _get(shelf, key, message):
        return (200, shelf[key]) if key in shelf else (404, {"message": message})

    @staticmethod
    def _merged(shelf, key, body):
        shelf[key] = {**shelf[key], **body}
        return shelf[key]

    def _create_folder(self, body, **_):
        if body["uid"] in self.folders:
            return 412, {"message": "a folder with the same uid already exists", "status": "version-mismatch"}
        self.folders[body["uid"]] = {"id": len(self.folders) + 1, "version": 1, **body}
        return 200, self.folders[body["uid"]]

    def _delete_folder(self, uid, **_):
        del self.folders[uid]
        self.dashboards = {key: entry for key, entry in self.dashboards.items() if entry["folder"] != uid}
        return 200, {"message": "Folder deleted"}

    def _create_datasource(self, body, **_):
        if any(found["name"] == body["name"] for found in self.datasources.values()):
            return 409, {"message": "data source with the same name already exists"}
        self.datasources[body["uid"]] = {"id": 1, "orgId": 1, "readOnly": False, **body}
        return 200, {"datasource": self.datasources[body["uid"]], "message": "Datasource added"}

    def _get_dashboard(self, uid, **_):
        if uid not in self.dashboards:
            return 404, {"message": "Dashboard not found"}
        entry = self.dashboards[uid]
        meta = {"folderUid": entry["folder"], "provisioned": entry["provisioned"]}
        return 200, {"dashboard": entry["dashboard"], "meta": meta}

    def _save_dashboard(self, body, **_):
        dashboard, folder = body["dashboard"], body.get("folderUid", "")
        known = self.dashboards.get(dashboard["uid"])
        if known and known["provisioned"]:
            return 400, {"message": "Cannot save provisioned dashboard"}
        if folder and folder not in self.folders:
            return 400, {"message": "folder not found"}
        if known and not body.get("overwrite"):
            return 412, {"message": "A dashboard with the same uid already exists", "status": "name-exists"}
        version = known["dashboard"]["version"] + 1 if known else 1
        saved = {**dashboard, "id": 7, "version": version}
        self.dashboards[dashboard["uid"]] = {"dashboard": saved, "folder": folder, "provisioned": False}
        return 200, {"uid": dashboard["uid"], "status": "success", "version": version}

    def _put_group(self, folder, group, body, **_):
        if folder not in self.folders:
            return 404, {"message": "folder not found"}
        rules = [
            {"id": i, "updated": "2026-11-01T00:00:00Z", "provenance": "", **rule}
            for i, rule in enumerate(body["rules"])
        ]
        self.groups[folder, group] = {**body, "rules": rules}
        return 200, self.groups[folder, group]

    def _annotate(self, body, **_):
        number = len(self.annotations) + 1
        self.annotations[number] = {"id": number, **body}
        return 200, {"id": number, "message": "Annotation added"}
