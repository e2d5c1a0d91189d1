# SPDX-License-Identifier: Apache-2.0
"""A reverse proxy for one HTTP/1.1 server that logs, slows and breaks.

Requests are forwarded as they came, the Host header too, so that signatures
stay valid.  Bodies stream.  One thread a connection.
"""

import contextlib
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

CHUNK = 64 << 10


@dataclass
class Request:
    """One request as the proxy saw it; end is None while it runs."""

    method: str
    target: str
    headers: dict
    start: float
    status: int | None = None
    sent: int = 0  # body bytes forwarded to the server
    received: int = 0  # body bytes forwarded to the client
    end: float | None = None
    fault: str | None = None
    answer: bytes = b""  # the reply's body unless GET, its first 64 KiB

    @property
    def path(self):
        return unquote(urlsplit(self.target).path)

    @property
    def query(self):
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def key(self):
        """The object's key: the path without the bucket."""
        return self.path.lstrip("/").partition("/")[2]

    @property
    def done(self):
        if self.fault == "answer":  # the server was not asked
            return False
        return self.end is not None and self.status is not None and self.status < 300

    @property
    def named(self):
        """The keys that a delete of many speaks of."""
        return [k.decode() for k in re.findall(rb"<Key>([^<]*)</Key>", self.answer)]

    @property
    def is_own(self):
        """Of the program's own folder alone."""
        keys = self.named if self.commit() == "delete-many" else [self.key]
        return bool(keys) and all(".ckptfs/" in f"/{k}" for k in keys)

    def commit(self):
        """What this request made visible: 'put', 'complete', 'copy', 'delete'
        or 'delete-many', None for everything else."""
        if not self.done or (not self.key and "delete" not in self.query):
            return None
        part = "partNumber" in self.query or "uploadId" in self.query
        if self.method == "PUT" and not part:
            return "copy" if "x-amz-copy-source" in self.headers else "put"
        if self.method == "POST" and "uploadId" in self.query:
            return None if b"<Error>" in self.answer else "complete"
        if self.method == "POST" and "delete" in self.query:
            return "delete-many"
        if self.method == "DELETE" and "uploadId" not in self.query:
            return "delete"
        return None


@dataclass
class Fault:
    """What to do with the next `count` matching requests (-1: all of them).

    act: 'status' (answer code without asking the server; name: the S3 error),
    'reset' (before forwarding), 'drop' (forward, then reset instead of the
    reply), 'delay' (seconds, then as usual), 'cut' (reset after `bytes` of the
    body), 'flip' (forward with the first byte of the body changed), 'flip-reply'
    (the same with the body that comes back).

    Silence: 'hang' (nothing is forwarded, and nothing answered), 'hang-reply'
    (forwarded, and nothing answered), 'loris' (of the reply a byte of its body
    each `seconds`).  Wrong replies of what was done: 'cut-reply' (reset after
    `bytes` of the body), 'headers' (some are others: `headers`), 'answer' (never
    forwarded: `code`, `headers` and `body` are the reply).
    """

    act: str
    method: str = ".*"
    path: str = ""
    skip: int = 0
    count: int = 1
    code: int = 503
    name: str = ""
    seconds: float = 0
    retry_after: int | None = None
    bytes: int = 0
    headers: dict = field(default_factory=dict)
    body: str = ""
    hits: int = field(default=0, init=False)

    def matches(self, request):
        return re.fullmatch(self.method, request.method) and re.search(
            self.path, unquote(request.target)
        )


class Bucket:
    """Tokens: no more than `rate` bytes a second through take(); 0: no limit."""

    def __init__(self):
        self.rate = 0
        self.free_at = 0.0
        self.lock = threading.Lock()

    def take(self, n):
        with self.lock:
            if not self.rate:
                return
            now = time.monotonic()
            at = max(self.free_at, now)
            self.free_at = until = at + n / self.rate
        time.sleep(until - now)


class Stream:
    """A socket with a read buffer."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""

    def head(self):
        """Lines up to the empty one; b'' at the end of the connection."""
        while b"\r\n\r\n" not in self.buffer:
            if len(self.buffer) > 1 << 20 or not self._more():
                return b""
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def line(self):
        while b"\r\n" not in self.buffer:
            if not self._more():
                raise ConnectionError("ended within a line")
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def some(self, n):
        if not self.buffer:
            self._more()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def _more(self):
        data = self.sock.recv(CHUNK)
        self.buffer += data
        return bool(data)


def parse_head(head):
    """(first line, {lower-case name: value})"""
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return lines[0], headers


def reset_at_close(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset(sock):
    reset_at_close(sock)
    sock.close()


def flipped(data):
    return bytes([data[0] ^ 1]) + data[1:]


class Broken(Exception):
    """The connection was broken on purpose."""


class Proxy:
    """start(), stop(); endpoint; log, faults; up_rate and down_rate.  tls: an
    ssl.SSLContext with a certificate; the client's side is https then.
    on_request: called with each Request before anything is done with it."""

    def __init__(self, upstream, tls=None):
        parts = urlsplit(upstream)
        self.upstream = (parts.hostname, parts.port)
        self.tls = tls
        self.tunnels = False  # it is asked by CONNECT for the server
        self.asked_for = []
        self.log = []
        self.faults = []
        self.up, self.down = Bucket(), Bucket()
        self.lock = threading.Lock()
        self.sockets = set()
        self.listener = None
        self.endpoint = None
        self.port = None
        self.on_request = None

    def start(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Small buffers, so that a slow rate is felt by the client.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(128)
        self.port = self.listener.getsockname()[1]
        scheme = "https" if self.tls else "http"
        self.endpoint = f"{scheme}://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def stop(self):
        # shutdown wakes the thread that waits in accept; close would not
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.break_connections()

    def break_connections(self):
        with self.lock:
            sockets = list(self.sockets)
        for sock in sockets:
            with contextlib.suppress(OSError):
                reset_at_close(sock)
                sock.shutdown(socket.SHUT_RDWR)  # wakes its thread

    def limit(self, up=0, down=0):
        """Bytes a second towards the server and back; 0: no limit."""
        self.up.rate, self.down.rate = up, down
        self.up.free_at = self.down.free_at = 0.0

    def fault(self, act, **how):
        fault = Fault(act, **how)
        with self.lock:
            self.faults.append(fault)
        return fault

    def heal(self):
        with self.lock:
            self.faults.clear()

    def requests(self, method=".*", path=""):
        """Those whose method matches whole and whose target has `path`."""
        with self.lock:
            log = list(self.log)
        return [
            r
            for r in log
            if re.fullmatch(method, r.method) and re.search(path, unquote(r.target))
        ]

    def commits(self, path=""):
        """(kind, key) of what became visible, in the order of its replies;
        the program's own folder left out."""
        done = [r for r in self.requests(path=path) if r.commit()]
        done = [r for r in done if not r.is_own]
        done.sort(key=lambda r: r.end)
        return [(r.commit(), r.key) for r in done]

    def body_bytes(self, path=""):
        """Bytes of object bodies sent so far, those under way included."""
        return sum(r.sent for r in self.requests("PUT", path))

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = None
        if self.tls:
            try:
                if self.tunnels:
                    self._connect(sock)
                sock = self.tls.wrap_socket(sock, server_side=True)
            except OSError:  # who does not trust us hangs up
                sock.close()
                return
        with self.lock:
            self.sockets.add(sock)
        try:
            server = socket.create_connection(self.upstream)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            near, far = Stream(sock), Stream(server)
            while head := near.head():
                if not self._exchange(head, near, far):
                    break
        except (Broken, OSError, ValueError):
            pass
        finally:
            with self.lock:
                self.sockets.discard(sock)
            with contextlib.suppress(OSError):
                sock.close()
            if server:
                server.close()

    def _connect(self, sock):
        """As a proxy of the web: whoever is asked for is us."""
        first, _ = parse_head(Stream(sock).head())
        self.asked_for.append(first)
        if not first.startswith("CONNECT "):
            raise OSError("not asked to connect")
        sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")

    def _pick(self, request):
        with self.lock:
            for fault in self.faults:
                if not fault.matches(request):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                if fault.count == 0:
                    continue
                fault.count -= fault.count > 0
                fault.hits += 1
                request.fault = fault.act
                return fault
        return None

    def _exchange(self, head, near, far):
        """One request and its reply; whether the connection goes on."""
        first, headers = parse_head(head)
        method, target, _ = first.split(" ", 2)
        request = Request(method, target, headers, time.monotonic())
        with self.lock:
            self.log.append(request)
        if self.on_request:
            self.on_request(request)
        fault = self._pick(request)
        try:
            if headers.pop("expect", "").lower() == "100-continue":
                near.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                head = re.sub(rb"(?i)\r\nexpect:[^\r]*", b"", head)
            if fault and fault.act == "delay":
                time.sleep(fault.seconds)
            elif fault and fault.act == "reset":
                self._break(near)
            elif fault and fault.act == "hang":
                self._hang(near)
            elif fault and fault.act in ("status", "answer"):
                return self._refuse(request, fault, near)
            far.sock.sendall(head)
            limit = fault.bytes if fault and fault.act == "cut" else None
            flips = fault is not None and fault.act == "flip"
            self._body(request, headers, near, far, limit, flips)
            if limit is not None:
                self._break(near)
            if fault and fault.act == "hang-reply":
                self._swallow(request, far)
                self._hang(near)
            return self._reply(request, near, far, fault)
        finally:
            request.end = request.end or time.monotonic()

    def _break(self, near):
        reset(near.sock)
        raise Broken

    def _hang(self, near):
        """Say nothing until the client gives up."""
        while near.some(CHUNK):
            pass
        raise Broken

    def _swallow(self, request, far):
        """The server is done with it once its answer begins."""
        first, _ = parse_head(far.head())
        request.status, request.end = int(first.split(" ")[1]), time.monotonic()

    def _refuse(self, request, fault, near):
        self._body(request, request.headers, near, None, None)
        request.sent = 0  # the server got none of it
        request.status, request.end = fault.code, time.monotonic()
        body = fault.body.encode() if fault.act == "answer" else _error_body(fault)
        body = body if request.method != "HEAD" else b""
        again = f"Retry-After: {fault.retry_after}\r\n" if fault.retry_after else ""
        again += "".join(f"{n}: {v}\r\n" for n, v in fault.headers.items())
        near.sock.sendall(
            f"HTTP/1.1 {fault.code} Injected\r\nx-amz-request-id: FAULT\r\n"
            f"Content-Type: application/xml\r\n{again}"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        return True

    def _body(self, request, headers, near, far, limit, flips=False):
        def forward(data):
            self.up.take(len(data))
            if flips and request.sent == 0:
                data = flipped(data)
            if far:
                far.sock.sendall(data)
            request.sent += len(data)

        if "chunked" in headers.get("transfer-encoding", ""):
            self._chunked(near, forward)
            return
        left = int(headers.get("content-length", 0))
        if limit is not None:
            left = min(left, limit)
        self._copy(near, left, forward)

    def _reply(self, request, near, far, fault):
        while True:
            head = far.head()
            if not head:
                self._break(near)
            first, headers = parse_head(head)
            status = int(first.split(" ")[1])
            if status >= 200:
                break
        act = fault.act if fault else ""
        drop = act == "drop"
        flips = act == "flip-reply"
        if act == "headers":
            head = _with_headers(head, fault.headers)
        body = request.method != "HEAD" and status not in (204, 304)
        chunked = body and "chunked" in headers.get("transfer-encoding", "")
        length = int(headers.get("content-length", 0)) if body else 0

        def finish():
            # Before the last byte goes: who has the reply finds it logged.
            request.status, request.end = status, time.monotonic()

        def forward(data):
            self.down.take(len(data))
            if flips and request.received == 0:
                data = flipped(data)
            if request.method != "GET" and len(request.answer) < CHUNK:
                request.answer += data
            request.received += len(data)
            if request.received == length and not chunked:
                finish()
            if act == "loris":
                self._trickle(near, data, fault.seconds)
            elif act == "cut-reply" and request.received > fault.bytes:
                near.sock.sendall(data[: fault.bytes - request.received])
                self._break(near)
            elif not drop:
                near.sock.sendall(data)

        if not chunked and length == 0:
            finish()
        if not drop:
            near.sock.sendall(head)
        if chunked:
            self._chunked(far, forward, finish)
        else:
            self._copy(far, length, forward)
        if drop:
            self._break(near)
        if act == "headers" and "content-length" in fault.headers:
            return False  # longer than said, or shorter
        closing = headers.get("connection", "") + request.headers.get("connection", "")
        return "close" not in closing.lower()

    def _trickle(self, near, data, seconds):
        for i in range(len(data)):
            near.sock.sendall(data[i : i + 1])
            time.sleep(seconds)

    def _copy(self, source, left, forward):
        while left > 0:
            data = source.some(min(left, CHUNK))
            if not data:
                raise ConnectionError("ended within a body")
            left -= len(data)
            forward(data)

    def _chunked(self, source, forward, finish=lambda: None):
        while True:
            line = source.line()
            size = int(line.split(b";")[0], 16)
            forward(line + b"\r\n")
            if size == 0:
                break
            self._copy(source, size, forward)
            forward(source.line() + b"\r\n")
        while line := source.line():
            forward(line + b"\r\n")
        finish()
        forward(b"\r\n")


def _with_headers(head, headers):
    """Lines of those names are others; of names that are not there, new ones."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    lines = [n for n in lines if n.partition(":")[0].lower() not in headers]
    lines += [f"{n}: {v}" for n, v in headers.items() if v is not None]
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1")


def _error_body(fault):
    names = {503: "SlowDown", 500: "InternalError", 403: "AccessDenied"}
    name = fault.name or names.get(fault.code, "Injected")
    return (
        f'<?xml version="1.0"?><Error><Code>{name}</Code>'
        "<Message>injected</Message></Error>"
    ).encode()
