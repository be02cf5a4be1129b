"""A stand-in for the Hugging Face Hub on the loopback interface, with a log of what it was asked."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote, urlsplit

MOST = 400  # requests that one server answers: a client that loops is cut off


@dataclass
class Repository:
    """A repository: commits with their files, and the branches that point to them."""

    commits: dict[str, dict[str, bytes]]
    branches: dict[str, str]
    is_gated: bool = False
    is_private: bool = False

    def commit(self, revision: str) -> str | None:
        """The commit of a branch or of itself."""
        return self.branches.get(revision, revision if revision in self.commits else None)


@dataclass
class Hub:
    """The server; `with Hub({...}) as hub` runs it, and `hub.log` holds "METHOD /path" of every request."""

    repositories: dict[str, Repository]
    log: list[str] = field(default_factory=list)
    status: int = 0  # answers everything with this status

    def __enter__(self) -> Self:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("_Bound", (_Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    timeout = 5

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *args: Any) -> None:
        pass

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        self.hub.log.append(f"{self.command} {unquote(path)}")
        if self.hub.status or len(self.hub.log) > MOST:
            return self._send(self.hub.status or 503)
        match [unquote(part) for part in path.strip("/").split("/")]:
            case ["api", "models", org, name]:
                return self._info(f"{org}/{name}", "main")
            case ["api", "models", org, name, "revision", revision]:
                return self._info(f"{org}/{name}", revision)
            case [org, name, "resolve", revision, *file] if file:
                return self._file(f"{org}/{name}", revision, "/".join(file))
        return self._send(404)

    def _info(self, repo: str, revision: str) -> None:
        found = self._commit(repo, revision)
        if found is not None:
            repository, commit = found
            files = [{"rfilename": name} for name in repository.commits[commit]]
            body = json.dumps({"id": repo, "modelId": repo, "sha": commit, "siblings": files}).encode()
            self._send(200, body, **{"Content-Type": "application/json"})

    def _file(self, repo: str, revision: str, name: str) -> None:
        found = self._commit(repo, revision)
        if found is None:
            return
        repository, commit = found
        if repository.is_gated:
            return self._send(403, **{"X-Error-Code": "GatedRepo"})
        body = repository.commits[commit].get(name)
        if body is None:
            return self._send(404, **{"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        headers = {
            "ETag": f'"{hashlib.sha1(body).hexdigest()}"',
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
        }
        if piece := self.headers.get("Range"):
            first, _, last = piece.removeprefix("bytes=").partition("-")
            return self._send(206, body[int(first) : int(last) + 1], **headers)
        return self._send(200, body, **headers)

    def _commit(self, repo: str, revision: str) -> tuple[Repository, str] | None:
        """The commit, or None when the refusal has been sent."""
        repository = self.hub.repositories.get(repo)
        if repository is None or repository.is_private:
            headers = {"X-Error-Message": "Invalid username or password."}  # said of absent ones too
            self._send(401, **headers if repository else {**headers, "X-Error-Code": "RepoNotFound"})
            return None
        commit = repository.commit(revision)
        if commit is None:
            self._send(404, **{"X-Error-Code": "RevisionNotFound"})
            return None
        return repository, commit

    def _send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
