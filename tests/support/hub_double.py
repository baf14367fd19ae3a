"""A stand-in for the Hugging Face Hub: its REST protocol for datasets, for the unmodified clients.

Speaks LFS (``mode="lfs"``) or Xet (``mode="xet"``), where the real hf_xet client keeps its chunks in a local folder.
Everything lives in memory. ``fail`` plans faults.
"""

import base64
import hashlib
import json
import re
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_doubletoken"
SMALL_FILE_BYTES = 10_000


class Entry(NamedTuple):
    """A file of a commit: its bytes where it is a git blob, else the SHA-256 and size of its content."""

    blob: bytes | None
    sha256: str | None
    size: int

    @property
    def oid(self) -> str:
        content = self.blob if self.blob is not None else f"lfs {self.sha256}".encode()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Commit(NamedTuple):
    oid: str
    parent: str | None
    title: str
    files: dict[str, Entry]


@dataclass
class Repo:
    private: bool
    gated: str | bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def add(self, title: str, files: dict[str, Entry], branch: str = "main") -> Commit:
        parent = self.branches.get(branch)
        oid = hashlib.sha1(f"{parent} {title} {len(self.commits)}".encode()).hexdigest()
        self.commits[oid] = Commit(oid, parent, title, files)
        self.branches[branch] = oid
        return self.commits[oid]

    def resolve(self, revision: str) -> Commit | None:
        oid = self.branches.get(revision) or self.tags.get(revision) or revision
        return self.commits.get(oid)

    @property
    def head(self) -> Commit:
        return self.commits[self.branches["main"]]


@dataclass
class Fault:
    """Answer requests whose ``METHOD path`` matches with ``status`` (0: hang up), before or after doing as asked."""

    pattern: str
    status: int
    times: int = 1
    after: bool = False
    headers: dict[str, str] = field(default_factory=dict)


class Reply(Exception):
    def __init__(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        self.status, self.body, self.headers = status, body, headers or {}


class HubDouble:
    """A server on a free port of the loopback interface; use it as a context manager."""

    def __init__(self, folder: Path, *, mode: Literal["lfs", "xet"] = "lfs", token: str = TOKEN) -> None:
        self.mode, self.token = mode, token
        self.cas = folder / "cas"
        self.cas.mkdir(parents=True)
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.tells_oids = True
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.lock = threading.RLock()
        handler = type("Bound", (Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> "HubDouble":
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def fail(self, pattern: str, status: int, *, times: int = 1, after: bool = False, **headers: str) -> None:
        self.faults.append(Fault(pattern, status, times, after, headers))

    def make_repo(self, name: str, *, private: bool) -> Repo:
        repo = self.repos[name] = Repo(private=private)
        attributes = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"
        repo.add("initial commit", {".gitattributes": Entry(attributes, None, len(attributes))})
        return repo

    def count(self, pattern: str) -> int:
        return sum(bool(re.search(pattern, request)) for request in self.requests)

    def xet_hashes(self) -> dict[str, str]:
        """Xet file hashes by SHA-256, out of the shards that the client wrote (48-byte header, then file records)."""
        found: dict[str, str] = {}
        for path in self.cas.rglob("*"):
            data = path.read_bytes() if path.is_file() and path.suffix in ("", ".mdb") else b""
            if data[:11] != b"HFRepoMetaD":
                continue
            at = 48
            while data[at : at + 32] != b"\xff" * 32 and at + 48 <= len(data):
                flags, segments = struct.unpack_from("<II", data, at + 32)
                name, at = data[at : at + 32], at + 48 + 48 * segments * (2 if flags >> 31 else 1)
                if flags >> 30 & 1:
                    found[_swapped(data[at : at + 32])] = _swapped(name)
                    at += 48
        return found


def _swapped(raw: bytes) -> str:
    return b"".join(raw[at : at + 8][::-1] for at in range(0, 32, 8)).hex()


class Handler(BaseHTTPRequestHandler):
    hub: HubDouble
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        url = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = f"{self.command} {unquote(url.path)}"
        with self.hub.lock:
            self.hub.requests.append(request)
            fault = next((each for each in self.hub.faults if each.times and re.search(each.pattern, request)), None)
            reply = Reply(404, {"error": "no such endpoint"})
            try:
                if fault and not fault.after:
                    raise Reply(fault.status, {"error": "planned fault"}, fault.headers)
                self._route(request, url.path)
            except Reply as raised:
                reply = raised
            if fault:
                fault.times -= 1
                reply = Reply(fault.status, {"error": "planned fault"}, fault.headers) if fault.after else reply
        self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        if reply.status == 0:
            self.close_connection = True
            return
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        headers = {"Content-Length": str(len(body)), "Content-Type": "application/json"} | reply.headers
        self.send_response(reply.status)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self) -> Any:
        return json.loads(self.body or b"null")

    def _authorise(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            message = "Invalid credentials in Authorization header"
            raise Reply(401, {"error": message}, {"X-Error-Message": message})

    def _repo(self, name: str) -> Repo:
        repo = self.hub.repos.get(name)
        if repo is None:
            raise Reply(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        return repo

    def _commit(self, repo: Repo, revision: str) -> Commit:
        commit = repo.resolve(unquote(revision))
        if commit is None:
            raise Reply(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
        return commit

    def _route(self, request: str, path: str) -> None:
        routes = (
            (r"POST /api/repos/create", self._create),
            (r"POST /api/validate-yaml", self._validate),
            (r"(?:GET|HEAD) /api/datasets/([^/]+/[^/]+)(?:/revision/(.+))?", self._info),
            (r"GET /api/datasets/([^/]+/[^/]+)/refs", self._refs),
            (r"GET /api/datasets/([^/]+/[^/]+)/tree/([^/]+)(?:/(.*))?", self._tree),
            (r"POST /api/datasets/([^/]+/[^/]+)/tag/(.+)", self._tag),
            (r"DELETE /api/datasets/([^/]+/[^/]+)/tag/(.+)", self._delete_tag),
            (r"GET /api/whoami-v2", self._whoami),
            (r"PUT /api/datasets/([^/]+/[^/]+)/settings", self._settings),
            (r"POST /api/datasets/([^/]+/[^/]+)/super-squash/(.+)", self._squash),
            (r"GET /api/datasets/([^/]+/[^/]+)/commits/(.+)", self._commits),
            (r"GET /api/datasets/([^/]+/[^/]+)/lfs-files", self._lfs_files),
            (r"POST /api/datasets/([^/]+/[^/]+)/lfs-files/batch", self._delete_lfs),
            (r"POST /api/datasets/([^/]+/[^/]+)/preupload/(.+)", self._preupload),
            (r"POST /api/datasets/([^/]+/[^/]+)/commit/(.+)", self._apply),
            (r"GET /api/datasets/([^/]+/[^/]+)/xet-(?:read|write)-token/(.+)", self._xet_token),
            (r"POST /datasets/([^/]+/[^/]+)\.git/info/lfs/objects/batch", self._lfs_batch),
            (r"PUT /lfs/([0-9a-f]{64})", self._lfs_put),
            (r"POST /lfs/verify", self._lfs_verify),
            (r"(?:GET|HEAD) /datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self._resolve),
        )
        for pattern, act in routes:
            if match := re.fullmatch(pattern, f"{self.command} {path}"):
                act(*(unquote(group) if group else "" for group in match.groups()))

    def _create(self) -> None:
        self._authorise()
        asked = self._json()
        name = f"{asked.get('organization') or 'tester'}/{asked['name']}"
        body = {"url": f"{self.hub.url}/datasets/{name}", "name": name}
        if name in self.hub.repos:
            raise Reply(409, body | {"error": "You already created this dataset repo"})
        self.hub.make_repo(name, private=asked.get("visibility") == "private" or bool(asked.get("private")))
        raise Reply(200, body)

    def _validate(self) -> None:
        raise Reply(200, {"errors": [], "warnings": []})

    def _info(self, name: str, revision: str) -> None:
        repo = self._repo(name)
        if repo.private:
            self._authorise()
        commit = self._commit(repo, revision or "main")
        siblings = [{"rfilename": path} for path in sorted(commit.files)]
        raise Reply(
            200,
            {
                "id": name,
                "sha": commit.oid,
                "private": repo.private,
                "gated": repo.gated,
                "siblings": siblings,
                "tags": [],
                "downloads": 0,
            },
        )

    def _refs(self, name: str) -> None:
        repo = self._repo(name)
        refs = [
            {"name": b, "ref": b if b.startswith("refs/") else f"refs/heads/{b}", "targetCommit": oid}
            for b, oid in repo.branches.items()
        ]
        converts = [ref for ref in refs if ref["ref"].startswith("refs/convert/")]
        branches = [ref for ref in refs if ref not in converts]
        tags = [{"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": oid} for tag, oid in repo.tags.items()]
        raise Reply(200, {"branches": branches, "converts": converts, "tags": tags})

    def _tree(self, name: str, revision: str, folder: str) -> None:
        commit = self._commit(self._repo(name), revision)
        prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
        deep = self.query.get("recursive", "").lower() == "true"
        listed: dict[str, dict[str, Any]] = {}
        for path, entry in sorted(commit.files.items()):
            rest = path.removeprefix(prefix)
            if not path.startswith(prefix):
                continue
            if "/" in rest and not deep:
                top = prefix + rest.split("/")[0]
                listed[top] = {
                    "type": "directory",
                    "path": top,
                    "oid": hashlib.sha1(top.encode()).hexdigest(),
                    "size": 0,
                }
                continue
            listed[path] = {"type": "file", "path": path, "oid": entry.oid, "size": entry.size}
            if entry.sha256:
                listed[path]["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": 130}
        if prefix and not listed:
            raise Reply(404, {"error": "not found"}, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit.oid})
        raise Reply(200, list(listed.values()))

    def _tag(self, name: str, revision: str) -> None:
        self._authorise()
        repo = self._repo(name)
        tag = self._json()["tag"]
        if tag in repo.tags:
            raise Reply(409, {"error": f"Tag {tag} already exists"})
        repo.tags[tag] = self._commit(repo, revision).oid
        raise Reply(200, {})

    def _delete_tag(self, name: str, tag: str) -> None:
        self._authorise()
        if self._repo(name).tags.pop(tag, None) is None:
            raise Reply(404, {"error": "no such tag"}, {"X-Error-Code": "RevisionNotFound"})
        raise Reply(200, {})

    def _whoami(self) -> None:
        self._authorise()
        raise Reply(200, {"name": "tester", "type": "user"})

    def _settings(self, name: str) -> None:
        self._authorise()
        self._repo(name).gated = self._json()["gated"]
        raise Reply(200, {})

    def _squash(self, name: str, branch: str) -> None:
        self._authorise()
        repo = self._repo(name)
        files = repo.head.files
        kept = set(repo.tags.values())
        repo.branches.pop(branch)
        repo.commits = {oid: commit for oid, commit in repo.commits.items() if oid in kept}
        repo.add(self._json()["message"], files, branch)
        raise Reply(200, {})

    def _commits(self, name: str, revision: str) -> None:
        repo = self._repo(name)
        commit = self._commit(repo, revision)
        listed = []
        while commit is not None:
            about = {"authors": [{"user": "tester"}], "date": "2027-01-01T00:00:00.000Z", "message": ""}
            listed.append({"id": commit.oid, "title": commit.title, **about})
            commit = repo.commits.get(commit.parent or "")
        raise Reply(200, listed)

    def _lfs_files(self, name: str) -> None:
        self._authorise()
        files = {
            entry.sha256: {"fileOid": entry.sha256, "filename": path, "oid": entry.sha256, "size": entry.size}
            for commit in self._repo(name).commits.values()
            for path, entry in commit.files.items()
            if entry.sha256
        } | {
            oid: {"fileOid": oid, "filename": "gone", "oid": oid, "size": len(data)}
            for oid, data in self.hub.objects.items()
        }
        rest = {"pushedAt": "2027-01-01T00:00:00.000Z", "ref": "main"}
        raise Reply(200, [{**file, **rest} for file in files.values()])

    def _delete_lfs(self, name: str) -> None:
        self._authorise()
        for oid in self._json()["deletions"]["sha"]:
            self.hub.objects.pop(oid, None)
        raise Reply(200, {})

    def _preupload(self, name: str, revision: str) -> None:
        self._authorise()
        commit = self._commit(self._repo(name), revision)
        files = []
        for asked in self._json()["files"]:
            known = commit.files.get(asked["path"])
            is_large = asked["size"] > SMALL_FILE_BYTES and not asked["path"].endswith(".md")
            mode = "lfs" if asked["path"].endswith(".parquet") or is_large else "regular"
            oid = (known.sha256 or known.oid) if known and self.hub.tells_oids else None
            files.append({"path": asked["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        raise Reply(200, {"files": files, "commitOid": commit.oid})

    def _apply(self, name: str, branch: str) -> None:
        self._authorise()
        repo = self._repo(name)
        files = dict(self._commit(repo, branch).files)
        title = ""
        for line in self.body.splitlines():
            step = json.loads(line)
            asked = step["value"]
            match step["key"]:
                case "header":
                    title = asked["summary"]
                    if asked.get("parentCommit", repo.branches[branch]) != repo.branches[branch]:
                        raise Reply(412, {"error": "The branch has moved since the parent commit"})
                case "file":
                    content = base64.b64decode(asked["content"])
                    files[asked["path"]] = Entry(content, None, len(content))
                case "lfsFile":
                    if asked["oid"] not in self.hub.objects and asked["oid"] not in self.hub.xet_hashes():
                        raise Reply(400, {"error": f"no content was uploaded for {asked['path']}"})
                    files[asked["path"]] = Entry(None, asked["oid"], asked["size"])
                case "deletedFile":
                    if files.pop(asked["path"], None) is None:
                        raise Reply(404, {"error": "A file with this name doesn't exist"})
        commit = repo.add(title, files, branch)
        url = f"{self.hub.url}/datasets/{name}/commit/{commit.oid}"
        raise Reply(200, {"success": True, "commitOid": commit.oid, "commitUrl": url, "hookOutput": ""})

    def _xet_token(self, name: str, revision: str) -> None:
        self._repo(name)
        if self.hub.mode == "lfs":
            raise Reply(404, {"error": "Not Found"})
        cas, expires = f"local://{self.hub.cas}", "4102444800"
        headers = {"X-Xet-Cas-Url": cas, "X-Xet-Access-Token": "any", "X-Xet-Token-Expiration": expires}
        raise Reply(200, {"accessToken": "any", "exp": int(expires), "casUrl": cas}, headers)

    def _lfs_batch(self, name: str) -> None:
        self._authorise()
        objects = []
        for asked in self._json()["objects"]:
            actions = (
                {}
                if asked["oid"] in self.hub.objects
                else {
                    "upload": {"href": f"{self.hub.url}/lfs/{asked['oid']}"},
                    "verify": {"href": f"{self.hub.url}/lfs/verify"},
                }
            )
            objects.append({**asked, "actions": actions} if actions else asked)
        raise Reply(200, {"transfer": "basic", "objects": objects})

    def _lfs_put(self, sha256: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != sha256:
            raise Reply(400, {"error": "the content is not what its name says"})
        self.hub.objects[sha256] = self.body
        raise Reply(200, {})

    def _lfs_verify(self) -> None:
        raise Reply(200 if self._json()["oid"] in self.hub.objects else 404, {})

    def _resolve(self, name: str, revision: str, path: str) -> None:
        repo = self._repo(name)
        if repo.private:
            self._authorise()
        commit = self._commit(repo, revision)
        entry = commit.files.get(path)
        headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        if entry is None:
            raise Reply(404, {"error": "Entry not found"}, headers | {"X-Error-Code": "EntryNotFound"})
        headers["ETag"] = f'"{entry.sha256 or entry.oid}"'
        content = entry.blob
        if entry.sha256:
            content = self.hub.objects.get(entry.sha256)
            headers |= {"X-Linked-Etag": f'"{entry.sha256}"', "X-Linked-Size": str(entry.size)}
        if content is None:
            token = f"{self.hub.url}/api/datasets/{name}/xet-read-token/{commit.oid}"
            headers |= {"X-Xet-Hash": self.hub.xet_hashes()[entry.sha256 or ""], "Link": f'<{token}>; rel="xet-auth"'}
            if self.command == "GET":
                raise Reply(501, {"error": "Xet content is read through the Xet client"}, headers)
            raise Reply(200, b"", headers | {"Content-Length": str(entry.size)})
        if span := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            start, end = int(span[1]), min(int(span[2] or entry.size), entry.size - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{entry.size}"
            raise Reply(206, content[start : end + 1], headers)
        raise Reply(200, content, headers)
