"""A hub of models on loopback, and models put into the cache."""

from __future__ import annotations

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0" * 40
PIECE = 32 << 10  # bytes


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
        self.ranges: list[str] = []  # of the requests for a part of a file
        self.pieces = threading.Semaphore(0)  # with `slow`: each lets one piece of a large file go
        self.slow = False
        self.etags: dict[str, str] = {}  # of files that have one of their own

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
        begin = 0
        if status == 200 and body and (wished := self.headers.get("Range")):
            self.server.ranges.append(wished)
            begin = int(wished.removeprefix("bytes=").partition("-")[0])
            status = 206
        self.send_response(status)
        if status in (401, 403, 404):
            code = "GatedRepo" if self.server.gated else "RepoNotFound"
            self.send_header("X-Error-Code", code)
        if status == 206:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
            data = data[begin:]
        elif status != 200:
            data = b""
        self.send_header("X-Repo-Commit", COMMIT)
        etag = self.server.etags.get(path.rpartition("/")[2], f"{abs(hash(path)):x}")
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self._write(data)

    def _write(self, data: bytes) -> None:
        try:
            for at in range(0, len(data), PIECE):
                if self.server.slow and len(data) > PIECE:
                    self.server.pieces.acquire(timeout=20)
                self.wfile.write(data[at : at + PIECE])
        except OSError:  # whoever downloaded has left
            self.close_connection = True

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
