"""A hub as huggingface.co answers: commits, trees in pages, files that lead elsewhere, gated and private repositories. `huggingface_hub` reads it, too."""

import hashlib
import http.server
import json
import re
import threading
import urllib.parse

COMMIT = "c0ffee" * 6 + "c0ff"
TOKEN = "hf_right"
PAGE = 3


class Hub:
    """`files` by path of the one repository `owner/model`; those above 1 MB lie in large file storage, behind a redirect to another origin."""

    def __init__(self, files, is_private=False):
        hub = self
        self.files = files
        self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                hub.requests.append((self.command, self.path, dict(self.headers)))
                url = urllib.parse.urlsplit(self.path)
                path = urllib.parse.unquote(url.path)
                if path.startswith("/lfs/"):
                    return self.send_file(path.removeprefix("/lfs/"))
                if is_private and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    return self.refuse(401, "RepoNotFound", "Invalid username or password.")
                if (found := re.fullmatch(r"/api/models/owner/model(?:/revision/(.+))?", path)) and found[1] in (None, "main", "v1", COMMIT):
                    siblings = [{"rfilename": name} for name in hub.files]
                    return self.send(200, {"id": "owner/model", "sha": COMMIT, "private": is_private, "gated": False, "tags": [], "downloads": 0, "siblings": siblings})
                if re.fullmatch(rf"/api/models/owner/model/tree/({COMMIT}|main|v1)", path):
                    return self.send_tree(url)
                if found := re.fullmatch(rf"/owner/model/resolve/({COMMIT}|main|v1)/(.+)", path):
                    return self.resolve(found[2])
                code = "RevisionNotFound" if "/owner/model/" in path else "RepoNotFound"
                return self.refuse(404, code, "Not found")

            do_HEAD = do_GET

            def send_tree(self, url):
                names = sorted(hub.files)
                start = int(urllib.parse.parse_qs(url.query).get("cursor", ["0"])[0])
                link = f'<http://{self.headers["Host"]}{url.path}?recursive=true&cursor={start + PAGE}>; rel="next"'
                self.send(200, [entry_of(name, hub.files[name]) for name in names[start : start + PAGE]], {"Link": link} if start + PAGE < len(names) else {})

            def resolve(self, name):
                if name not in hub.files:
                    return self.refuse(404, "EntryNotFound", "Entry not found")
                body = hub.files[name]
                facts = {"X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(body))}
                if len(body) <= 1_000_000:
                    return self.send_file(name, {**facts, "ETag": f'"{git_id(body)}"'})
                facts["X-Linked-Etag"] = f'"{hashlib.sha256(body).hexdigest()}"'
                # Another name of this machine is another host.
                target = f"http://localhost:{hub.port}/lfs/{urllib.parse.quote(name)}"
                return self.send(302, {}, {**facts, "Location": target})

            def send_file(self, name, headers=None):
                body, status, own = hub.files[name], 200, {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **(headers or {})}
                if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
                    start, end = int(found[1]), min(int(found[2] or len(body)), len(body) - 1)
                    own["Content-Range"] = f"bytes {start}-{end}/{len(body)}"
                    body, status = body[start : end + 1], 206
                self.answer(status, body, own)

            def refuse(self, status, code, message):
                self.send(status, {"error": message}, {"X-Error-Code": code, "X-Error-Message": message})

            def send(self, status, value, headers=None):
                self.answer(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

            def answer(self, status, body, headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def git_id(body):
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


def entry_of(name, body):
    entry = {"type": "file", "path": name, "size": len(body), "oid": git_id(body)}
    if len(body) > 1_000_000:
        entry["lfs"] = {"oid": hashlib.sha256(body).hexdigest(), "size": len(body), "pointerSize": 135}
    return entry
