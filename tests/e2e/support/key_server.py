"""A server of issuers' keys that does as it is told: answers, hangs, lies, goes away."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class KeyServer:
    """On a free port of 127.0.0.1; what a path answers is a text, or a function of the handler."""

    def __init__(self, tls=None):
        self.answers = {}
        self.requests = []  # paths
        self.over = threading.Event()  # those that hang wait for it
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(self.path)
                answer = outer.answers.get(self.path, "")
                try:
                    if callable(answer):
                        answer(self)
                    else:
                        reply(answer)(self)
                except OSError:
                    pass  # whoever asked has heard enough

            def log_message(self, *arguments):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, address):
                pass  # a handshake that the other side gave up

            def finish_request(self, request, address):
                if tls:
                    request.settimeout(20)
                    request = tls.wrap_socket(request, server_side=True)
                super().finish_request(request, address)

        self.server = Server(("127.0.0.1", 0), Handler)
        self.scheme = "https" if tls else "http"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def url(self, path="/keys", host="127.0.0.1"):
        return f"{self.scheme}://{host}:{self.server.server_port}{path}"

    def count(self, path="/keys"):
        return self.requests.count(path)

    def stop(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    # -- ways to hang, which last until the server stops ----------------------------------

    def no_head(self, handler):
        self.over.wait()

    def half_a_head(self, handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-")
        self.over.wait()

    def half_a_body(self, handler):
        handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"keys":[')
        self.over.wait()

    def drip(self, handler):
        """A byte now and then, so that it never stands still."""
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        while not self.over.wait(0.2):
            handler.wfile.write(b" ")

    def endless_body(self, handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not self.over.is_set():
            handler.wfile.write(b"1000\r\n" + b" " * 4096 + b"\r\n")

    def endless_head(self, handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.over.is_set():
            handler.wfile.write(b"X-Filler: " + b"x" * 4000 + b"\r\n")

    def endless_interim(self, handler):
        while not self.over.is_set():
            handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n")


def reply(body, status="200 OK", *lines, kind="application/json"):
    """A whole answer."""
    body = body.encode() if isinstance(body, str) else body

    def answer(handler):
        head = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close",
                *lines]
        handler.wfile.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        handler.close_connection = True

    return answer
