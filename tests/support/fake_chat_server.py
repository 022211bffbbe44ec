"""An OpenAI-compatible chat server that misbehaves on demand."""

import json
import math
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def completion(probs, *, model="judge-1", text=None, logprobs=True):
    """A chat completion whose first token has these probabilities."""
    text = max(probs, key=probs.get) if text is None else text
    tops = [{"token": token, "logprob": math.log(p)} for token, p in probs.items()]
    choice = {"message": {"role": "assistant", "content": text}}
    if logprobs:
        choice["logprobs"] = {"content": [{"token": text, "top_logprobs": tops}]}
    return {"model": model, "choices": [choice]}


class FakeChatServer:
    """Answers each request with what `respond` makes of it.

    `respond(number, body, server)` gets the number of the request and returns (status, headers, payload); a payload
    may be a dict, bytes, or None to never answer.
    """

    def __init__(self, respond: Callable) -> None:
        self.requests: list[dict] = []
        self.headers: list[dict] = []
        self.under_way = self.most_under_way = 0
        self.release = threading.Event()
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                outer._serve(self, respond)

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.release.set()
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, handler, respond):
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            number = len(self.requests)
            self.requests.append({"path": handler.path, **body})
            self.headers.append(dict(handler.headers))
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        status, headers, payload = respond(number, body, self)
        with self._lock:
            self.under_way -= 1
        if payload is None:
            self.release.wait(20)
            return
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)


def reply_in(body) -> str:
    """The reply that a request asks about."""
    return re.search(r"^Answer: (.*)$", body["messages"][0]["content"], re.MULTILINE).group(1)
