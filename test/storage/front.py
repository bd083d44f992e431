"""A server before a store: sees every request, answers some itself, passes the others on, over TLS where it is given a certificate."""

import http.client
import http.server
import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    command: str
    path: str
    headers: http.client.HTTPMessage
    body: bytes


class Front:
    """`answer(request)` returns (status, headers, body) for what is not passed on. `rewrite` makes the path that is, `alter` the body that comes back."""

    def __init__(self, upstream, answer=lambda request: None, rewrite=lambda path: path, alter=lambda request, body: body, tls=None):
        host, port = upstream.removeprefix("http://").split(":")
        front = self
        self.requests = []
        self.resumed = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            closes_silently = False

            def setup(self):
                if tls is not None:
                    self.request.do_handshake()
                    front.resumed.append(self.request.session_reused)
                super().setup()

            def do_GET(self):
                request = Request(self.command, self.path, self.headers, self.rfile.read(int(self.headers.get("Content-Length", 0))))
                front.requests.append(request)
                given = answer(request)
                if given is None:
                    store = http.client.HTTPConnection(host, int(port))
                    store.request(request.command, rewrite(request.path), request.body, dict(request.headers))
                    reply = store.getresponse()
                    given = (reply.status, dict(reply.headers), alter(request, reply.read()))
                status, headers, body = given
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                        self.send_header(name, value)
                self.send_header("Content-Length", headers.get("Content-Length", len(body)) if self.command == "HEAD" else len(body))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)
                # Without a word, as a store that has waited long enough for the next request.
                self.close_connection = front.closes_silently

            do_HEAD = do_GET
            do_POST = do_GET

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass

        self.closes_silently = False
        self.server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def xml_error(status, code, headers=None, extra=""):
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>Said by the store</Message>{extra}</Error>'
    return status, {"Content-Type": "application/xml", **(headers or {})}, body.encode()
