"""A hub of models on loopback, and models put into the cache."""

from __future__ import annotations

import json
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0" * 40


class Hub(ThreadingHTTPServer):
    """As much of the hub's API as a download needs; `status` is what it answers about the repository."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.file_status = 200
        self.gated = False
        self.folder = Path()
        self.tokens: list[str | None] = []
        self.fetched: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        self.server.tokens.append(self.headers.get("Authorization"))
        path = self.path.split("?")[0]
        if path.startswith("/api/"):
            status, data = self.server.status, json.dumps(self.listing(path)).encode()
        else:
            status = self.server.file_status
            if body:
                self.server.fetched.append(path.rpartition("/")[2])
            data = (self.server.folder / path.rpartition("/")[2]).read_bytes() if status == 200 else b""
        self.send_response(status)
        if status in (401, 403, 404):
            code = "GatedRepo" if self.server.gated else "RepoNotFound"
            self.send_header("X-Error-Code", code)
        if status != 200:
            data = b""
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{abs(hash(path)):x}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def listing(self, path: str) -> object:
        files = [file for file in sorted(self.server.folder.glob("*")) if file.is_file()]
        if "/tree/" in path:
            return [
                {
                    "type": "file",
                    "path": file.name,
                    "size": file.stat().st_size,
                    "oid": f"{abs(hash(file.name)):x}",
                }
                for file in files
            ]
        siblings = [{"rfilename": file.name, "size": file.stat().st_size} for file in files]
        return {"id": "org/tiny-instruct", "sha": COMMIT, "siblings": siblings}


def put_in_cache(cache: Path, name: str, source: Path) -> Path:
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    shutil.copytree(source, repository / "snapshots" / COMMIT)
    return repository / "snapshots" / COMMIT
