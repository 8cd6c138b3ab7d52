"""A local server that speaks the few endpoints of the Hugging Face Hub that the zoo uses."""

import base64
import hashlib
import json
import re
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

TOKEN = "hf_test"


class Repository:
    """Files by commit, and commits by branch or tag."""

    def __init__(self, private=False, gated=False):
        self.private = private
        self.gated = gated
        self.commits = {}  # {sha: {name: bytes}}
        self.refs = {}  # {branch or tag: sha}

    def commit(self, files, branch="main"):
        """Add files, and return the sha of the commit."""
        files = self.commits.get(self.refs.get(branch), {}) | files
        sha = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits[sha] = files
        self.refs[branch] = sha
        return sha


class Hub(ThreadingHTTPServer):
    """The server. `requests` logs (method, path)."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repositories, self.large, self.requests = {}, {}, []

    def create(self, name, **settings):
        return self.repositories.setdefault(name, Repository(**settings))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.respond()

    do_GET = do_POST = do_PUT = do_HEAD

    def respond(self):
        path = self.path.partition("?")[0]
        self.server.requests.append((self.command, path))
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        for method, pattern, answer in ROUTES:
            match = re.fullmatch(pattern, path)
            if method in (self.command, "ANY") and match:
                return answer(self, *match.groups())
        return self.send(501, f"{self.command} {path} is not implemented")

    def send(self, status, content=b"", **headers):
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    @property
    def logged_in(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def repository(self, name):
        """Return a repository that the caller may read; answer with an error, and return None."""
        found = self.server.repositories.get(name)
        if found is None or (found.private and not self.logged_in):
            self.send(401, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
        elif found.gated:
            self.send(403, X_Error_Code="GatedRepo", X_Error_Message="Access is restricted")
        else:
            return found
        return None

    def resolve(self, name, revision, file):
        repository = self.repository(name)
        if repository is None:
            return
        sha = repository.refs.get(revision, revision)
        if sha not in repository.commits:
            self.send(404, X_Error_Code="RevisionNotFound", X_Error_Message="Invalid rev id")
        elif file not in repository.commits[sha]:
            self.send(404, X_Error_Code="EntryNotFound", X_Repo_Commit=sha)
        else:
            content = repository.commits[sha][file]
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            self.send(200, content, X_Repo_Commit=sha, ETag=etag)

    def info(self, name):
        if repository := self.repository(name):
            self.send(200, {"id": name, "private": repository.private})

    def create(self):
        asked = json.loads(self.body)
        name = f"{asked.get('organization')}/{asked['name']}"
        if not self.logged_in:
            return self.send(401, {"error": "Invalid username or password."})
        status = 409 if name in self.server.repositories else 200
        private = asked.get("visibility") == "private" or asked.get("private")  # 2.x and 0.x
        self.server.create(name, private=bool(private))
        return self.send(status, {"url": f"{self.server.url}/{name}"})

    def validate(self):
        assert "license" not in json.loads(self.body)["content"]
        self.send(200, {"errors": [], "warnings": []})

    def preupload(self, name, revision):
        if self.repository(name) is None:
            return
        files = [file["path"] for file in json.loads(self.body)["files"]]
        modes = {True: "lfs", False: "regular"}
        entries = [
            {"path": file, "uploadMode": modes[".safetensors" in file], "shouldIgnore": False}
            for file in files
        ]
        self.send(200, {"files": entries})

    def batch(self, name):
        oids = [(entry["oid"], entry["size"]) for entry in json.loads(self.body)["objects"]]
        upload = {oid: {"upload": {"href": f"{self.server.url}/lfs/{oid}"}} for oid, _ in oids}
        objects = [{"oid": oid, "size": size, "actions": upload[oid]} for oid, size in oids]
        self.send(200, {"transfer": "basic", "objects": objects})

    def store(self, oid):
        assert hashlib.sha256(self.body).hexdigest() == oid
        self.server.large[oid] = self.body
        self.send(200)

    def commit(self, name, revision):
        repository = self.repository(name)
        if repository is None:
            return
        files = {}
        for line in self.body.splitlines():
            key, value = (json.loads(line)[name] for name in ("key", "value"))
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
        sha = repository.commit(files, revision)
        self.send(200, {"commitUrl": f"{self.server.url}/{name}/commit/{sha}", "commitOid": sha})


REPOSITORY = r"([\w.-]+/[\w.-]+)"
ROUTES = (
    ("ANY", rf"/{REPOSITORY}/resolve/([^/]+)/(.+)", Handler.resolve),
    ("GET", rf"/api/models/{REPOSITORY}", Handler.info),
    ("POST", "/api/repos/create", Handler.create),
    ("POST", "/api/validate-yaml", Handler.validate),
    ("POST", rf"/api/models/{REPOSITORY}/preupload/([^/]+)", Handler.preupload),
    ("POST", rf"/{REPOSITORY}\.git/info/lfs/objects/batch", Handler.batch),
    ("PUT", "/lfs/(.+)", Handler.store),
    ("POST", rf"/api/models/{REPOSITORY}/commit/([^/]+)", Handler.commit),
)


@contextmanager
def serving():
    """Run a Hub in a thread, and yield it."""
    with Hub() as hub:
        thread = Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
