# SPDX-License-Identifier: Apache-2.0
"""A strict fake of the JSON API of Google Cloud Storage, for what
fake-gcs-server lacks: conditions on everything, rewrites in steps, pages that
end anywhere, names that are refused, one write a second to a name, tokens.

A header, parameter or member of a body that is not documented for a request is
answered 400, and printed.  google-cloud-storage has to be satisfied with it
first (test_gcs_fake.py).

As a program: fake_gcs.py PORT [--token TOKEN] [--write-gap SECONDS].
"""

import argparse
import base64
import datetime
import email
import io
import json
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

import google_crc32c

from fake_gcs_session import Sessions

BUCKET = {"name", "softDeletePolicy", "retentionPolicy", "hierarchicalNamespace"}
CLASSES = {"STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"}
PAGE_MAX = 100
BATCH_MAX = 100
STEP = 100_000  # bytes of a rewrite at a time
HEADERS = {
    *("host", "user-agent", "accept", "accept-encoding", "connection"),
    *("content-length", "content-type", "authorization", "range", "expect"),
    *("x-goog-api-client", "x-upload-content-type", "x-goog-user-project"),
    *("x-upload-content-length", "content-range", "x-goog-hash"),
}
BATCH_HEADERS = {"content-type", "content-id", "mime-version"}
BATCH_HEADERS |= {"content-length", "content-transfer-encoding"}
STANDARD = {"alt", "fields", "prettyPrint", "userProject", "quotaUser", "projection"}
CONDITIONS = {
    *("ifGenerationMatch", "ifGenerationNotMatch"),
    *("ifMetagenerationMatch", "ifMetagenerationNotMatch"),
}
SOURCE = {"ifSource" + name[2:] for name in CONDITIONS}
LISTING = {
    *("prefix", "delimiter", "maxResults", "pageToken", "startOffset"),
    *("endOffset", "includeTrailingDelimiter", "versions"),
    *("includeFoldersAsPrefixes", "matchGlob", "softDeleted", "filter"),
}
# The members of an object; clients send those back that only the server sets.
RESOURCE = {
    *("name", "metadata", "contentType", "crc32c", "md5Hash", "storageClass"),
    *("cacheControl", "contentEncoding", "contentLanguage", "contentDisposition"),
    *("kind", "id", "bucket", "generation", "metageneration", "size", "etag"),
    *(
        "kmsKeyName",
        "timeCreated",
        "updated",
        "componentCount",
        "acl",
        "owner",
        "selfLink",
    ),
}


class Refused(Exception):
    """An answer that is no success: status, reason, message."""


def bad(message):
    raise Refused(400, "invalid", message)


def only(what, known, kind):
    if more := set(what) - set(known):
        bad(f"Unknown {kind}: {sorted(more)}")


def crc32c(data):
    return base64.b64encode(google_crc32c.Checksum(data).digest()).decode()


@dataclass
class Reply:
    """An answer that is no resource."""

    status: int
    body: bytes
    headers: dict


@dataclass
class Object:
    name: str
    data: bytes
    generation: int
    metadata: dict
    more: dict = field(default_factory=dict)
    metageneration: int = 1
    components: int = 0
    updated: float = field(default_factory=time.time)

    def __post_init__(self):
        self.created = self.updated
        self.crc32c = crc32c(self.data)

    def resource(self, bucket):
        def date(seconds):
            when = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
            return when.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

        all_of_it = {
            "kind": "storage#object",
            "id": f"{bucket}/{self.name}/{self.generation}",
            "name": self.name,
            "bucket": bucket,
            "generation": str(self.generation),
            "metageneration": str(self.metageneration),
            "size": str(len(self.data)),
            "crc32c": self.crc32c,
            "storageClass": "STANDARD",
            "timeCreated": date(self.created),
            "updated": date(self.updated),
            "etag": base64.b64encode(str(self.generation).encode()).decode(),
            **self.more,
        }
        if self.metadata:
            all_of_it["metadata"] = self.metadata
        if self.components:
            all_of_it["componentCount"] = self.components
        return all_of_it


def check_name(name):
    if not name or len(name.encode()) > 1024 or re.search("[\r\n]", name):
        bad("Invalid argument: the object's name")
    if name in {".", ".."}:
        bad("Invalid argument: the object's name")


def select(value, fields):
    """What "a,b(c,d)" leaves of a resource."""
    if not fields or fields == "*":
        return value
    kept, at = {}, 0
    while at < len(fields):
        name = re.compile(r"[A-Za-z0-9]+").match(fields, at)
        if not name:
            bad(f"Invalid field selection {fields}")
        at, inner = name.end(), None
        if fields[at : at + 1] == "(":
            end = fields.index(")", at)
            inner, at = fields[at + 1 : end], end + 1
        if fields[at : at + 1] not in {"", ","}:
            bad(f"Invalid field selection {fields}")
        at += 1
        found = value.get(name[0])
        if found is None:
            continue
        if inner and isinstance(found, list):
            found = [select(v, inner) for v in found]
        elif inner:
            found = select(found, inner)
        kept[name[0]] = found
    return kept


class Store:
    def __init__(self, token=None, write_gap=0.0):
        self.token, self.write_gap = token, write_gap
        self.buckets = {}
        self.lock = threading.RLock()
        self.generation = int(time.time() * 1e6)
        self.rewrites = {}
        self.written = {}
        self.settings = {}  # of buckets
        self.sessions = Sessions(bad, Refused, self.finish)

    # ---- conditions

    def check(self, obj, query, prefix="if"):
        """Those of the query hold for obj (None: there is none)."""
        generation = obj.generation if obj else 0
        for name, value, wanted in (
            ("GenerationMatch", generation, True),
            ("GenerationNotMatch", generation, False),
            ("MetagenerationMatch", obj and obj.metageneration, True),
            ("MetagenerationNotMatch", obj and obj.metageneration, False),
        ):
            said = query.get(prefix + name)
            if said is None:
                continue
            if not re.fullmatch(r"\d+", str(said)):
                bad(f"Invalid value for {prefix + name}: {said}")
            if (int(said) == value) != wanted:
                raise Refused(
                    412,
                    "conditionNotMet",
                    "At least one of the pre-conditions you specified did not hold.",
                )

    def bucket(self, name):
        if name not in self.buckets:
            raise Refused(404, "notFound", "The specified bucket does not exist.")
        return self.buckets[name]

    def find(self, bucket, name, query=None, generation="generation"):
        obj = self.bucket(bucket).get(name)
        wanted = (query or {}).get(generation)
        if not obj or (wanted and str(wanted) != str(obj.generation)):
            raise Refused(404, "notFound", f"No such object: {bucket}/{name}")
        return obj

    def write(self, bucket, query, **how):
        """A new object in place of what is there, if that is as it should be."""
        check_name(how["name"])
        objects = self.bucket(bucket)
        self.check(objects.get(how["name"]), query)
        now, place = time.monotonic(), (bucket, how["name"])
        if now - self.written.get(place, -1e9) < self.write_gap:
            raise Refused(429, "rateLimitExceeded", "The object is written too often")
        self.written[place] = now
        self.generation += 1
        objects[how["name"]] = Object(generation=self.generation, **how)
        return objects[how["name"]]

    # ---- methods

    def upload(self, bucket, query, head, body):
        known = {"uploadType", "name", "kmsKeyName"}
        only(query, STANDARD | CONDITIONS | known, "parameter")
        if query.get("uploadType") != "multipart":
            bad("this fake has uploads of type multipart and resumable alone")
        kind = re.fullmatch(r"multipart/related; boundary=\"?([^\"]+)\"?", head)
        if not kind:
            bad(f"Content-Type {head}")
        edge = b"--" + kind[1].encode()
        parts = body.split(edge)
        if len(parts) != 4 or parts[0].strip() or parts[3].strip() not in {b"--"}:
            bad("Missing or malformed parts of the multipart body")
        (first, said), (second, data) = (
            p.removeprefix(b"\r\n").removesuffix(b"\r\n").split(b"\r\n\r\n", 1)
            for p in parts[1:3]
        )
        if not re.fullmatch(rb"content-type: *application/json[^\r\n]*", first.lower()):
            bad("the first part is the resource")
        if not re.fullmatch(rb"content-type: *[^\r\n]+", second.lower()):
            bad("the second part is the bytes")
        return self.made(bucket, query, json.loads(said), data)

    def finish(self, session):
        return self.made(session.bucket, session.query, session.said, session.data)

    def made(self, bucket, query, said, data):
        """An object of what was said of it and its bytes."""
        only(said, RESOURCE, "member")
        if "crc32c" in said and said["crc32c"] != crc32c(data):
            bad(
                f'Provided CRC32C "{said["crc32c"]}" doesn\'t match calculated '
                f'CRC32C "{crc32c(data)}".'
            )
        name = said.get("name") or query.get("name", "")
        more = about(said, query)
        return self.write(
            bucket, query, name=name, data=data, metadata=meta(said), more=more
        ).resource(bucket)

    def listing(self, bucket, query):
        only(query, STANDARD | LISTING, "parameter")
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        start = query.get("startOffset", "")
        after = base64.b64decode(query.get("pageToken", "")).decode()
        most = min(int(query.get("maxResults", PAGE_MAX)), PAGE_MAX)
        found = {}
        for name, obj in self.bucket(bucket).items():
            if not name.startswith(prefix) or name.encode() < start.encode():
                continue
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            if cut >= 0:
                found[name[: cut + len(delimiter)]] = None
            else:
                found[name] = obj
        left = (n for n in found if n.encode() > after.encode())
        names = sorted(left, key=str.encode)
        page = names[:most]
        answer = {"kind": "storage#objects"}
        items = [found[n].resource(bucket) for n in page if found[n]]
        prefixes = [n for n in page if not found[n]]
        if items:
            answer["items"] = items
        if prefixes:
            answer["prefixes"] = prefixes
        if len(names) > most:
            answer["nextPageToken"] = base64.b64encode(page[-1].encode()).decode()
        return answer

    def patch(self, bucket, name, query, said):
        only(query, STANDARD | CONDITIONS | {"generation"}, "parameter")
        only(said, RESOURCE, "member")
        obj = self.find(bucket, name, query)
        self.check(obj, query)
        merged = {**obj.metadata, **(said.get("metadata") or {})}
        obj.metadata = {k: v for k, v in merged.items() if v is not None}
        obj.metageneration += 1
        obj.updated = time.time()
        return obj.resource(bucket)

    def delete(self, bucket, name, query):
        only(query, STANDARD | CONDITIONS | {"generation"}, "parameter")
        self.check(self.find(bucket, name, query), query)
        del self.bucket(bucket)[name]

    def compose(self, bucket, name, query, said):
        allowed = {"ifGenerationMatch", "ifMetagenerationMatch", "kmsKeyName"}
        only(query, STANDARD | allowed, "parameter")
        only(said, {"sourceObjects", "destination", "kind"}, "member")
        only(said.get("destination", {}), RESOURCE, "member")
        sources = said.get("sourceObjects", [])
        if not 1 <= len(sources) <= 32:
            bad("The number of source components provided is not from 1 to 32")
        pieces = []
        for source in sources:
            only(source, {"name", "generation", "objectPreconditions"}, "member")
            only(source.get("objectPreconditions", {}), {"ifGenerationMatch"}, "member")
            obj = self.find(bucket, source["name"], source)
            self.check(obj, source.get("objectPreconditions", {}))
            pieces.append(obj)
        into = said.get("destination", {})
        return self.write(
            bucket,
            query,
            name=name,
            data=b"".join(o.data for o in pieces),
            metadata=meta(into),
            more=about(into, query),
            components=sum(o.components or 1 for o in pieces),
        ).resource(bucket)

    def rewrite(self, bucket, name, to, query, said):
        allowed = {"rewriteToken", "maxBytesRewrittenPerCall", "sourceGeneration"}
        allowed |= {"destinationKmsKeyName"}
        only(query, STANDARD | CONDITIONS | SOURCE | allowed, "parameter")
        only(said, RESOURCE, "member")
        source = self.find(bucket, name, query, "sourceGeneration")
        self.check(source, query, "ifSource")
        self.check(self.bucket(to[0]).get(to[1]), query)
        what = (bucket, name, source.generation, to, json.dumps(said, sort_keys=True))
        done = 0
        if token := query.get("rewriteToken"):
            if self.rewrites.get(token, (None,))[0] != what:
                bad("Invalid rewriteToken")
            done = self.rewrites.pop(token)[1]
        done = min(done + STEP, len(source.data))
        answer = {
            "kind": "storage#rewriteResponse",
            "totalBytesRewritten": str(done),
            "objectSize": str(len(source.data)),
            "done": done == len(source.data),
        }
        if not answer["done"]:
            answer["rewriteToken"] = f"{len(self.rewrites)}-{time.monotonic_ns()}"
            self.rewrites[answer["rewriteToken"]] = (what, done)
            return answer
        obj = self.write(
            to[0],
            query,
            name=to[1],
            data=source.data,
            metadata=meta(said) if said else dict(source.metadata),
            more=about(source.more | {"storageClass": "STANDARD"} | said, query),
        )
        return answer | {"resource": obj.resource(to[0])}


def about(said, query):
    """What is kept of a resource, beside its metadata."""
    kept = {k: said[k] for k in ("contentType", "storageClass") if k in said}
    if kept.get("storageClass", "STANDARD") not in CLASSES:
        bad(f"Invalid argument: storageClass {kept['storageClass']}")
    key = query.get("kmsKeyName") or query.get("destinationKmsKeyName")
    if key and not re.fullmatch(
        "projects/.+/locations/.+/keyRings/.+/cryptoKeys/.+", key
    ):
        bad(f"Malformed Cloud KMS crypto key: {key}")
    return kept | ({"kmsKeyName": key} if key else {})


def meta(said):
    found = said.get("metadata") or {}
    if not all(isinstance(v, str) for v in found.values()):
        bad("metadata are strings")
    if sum(len(k.encode()) + len(v.encode()) for k, v in found.items()) > 8192:
        bad("The metadata are larger than 8 KiB")
    return dict(found)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    store = None

    def log_message(self, *args):
        pass

    def do_GET(self):
        length = self.headers.get("Content-Length")
        body = self.rfile.read(int(length or 0))
        if self.command == "POST" and self.path == "/batch/storage/v1":
            self.batch(body)
        else:
            self.serve(length, body)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def batch(self, body):
        """Requests in a body, each answered by itself; calls alone, no bytes."""
        try:
            known = HEADERS | {"mime-version"}
            only((k.lower() for k in self.headers), known, "header")
            kind = self.headers.get("Content-Type", "")
            form = re.fullmatch(r"multipart/mixed; boundary=\"?([^\"]+)\"?", kind)
            if not form:
                bad(f"Content-Type {kind}")
            pieces = body.replace(b"\r\n", b"\n").split(b"--" + form[1].encode())
            if len(pieces) < 3 or pieces[0].strip() or pieces[-1].strip() != b"--":
                bad("Missing or malformed parts of the multipart body")
            if len(pieces) - 2 > BATCH_MAX:
                bad(f"more than {BATCH_MAX} calls")
            answers = [Inner(self, piece).answer for piece in pieces[1:-1]]
        except Refused as e:
            self.refuse(*e.args)
            return
        edge = f"batch_{time.monotonic_ns()}"
        whole = b"".join(f"--{edge}\r\n".encode() + a + b"\r\n" for a in answers)
        headers = {"Content-Type": f"multipart/mixed; boundary={edge}"}
        self.reply(200, whole + f"--{edge}--\r\n".encode(), headers)

    def serve(self, length, body):
        try:
            parts = urlsplit(self.path)
            pairs = parse_qsl(parts.query, keep_blank_values=True)
            query = dict(pairs)
            only((k.lower() for k in self.headers), HEADERS, "header")
            if len(query) != len(pairs):
                bad("a parameter twice")
            if self.command in {"POST", "PATCH"} and length is None:
                raise Refused(411, "required", "Length Required")
            with self.store.lock:
                self.authorize(parts.path)
                answer = self.route(parts.path, query, body)
        except Refused as e:
            self.refuse(*e.args)
            return
        except (ValueError, KeyError) as e:
            self.refuse(400, "parseError", f"{type(e).__name__}: {e}")
            return
        if answer is None:
            self.reply(204, b"")
        elif isinstance(answer, Reply):
            self.reply(answer.status, answer.body, answer.headers)
        elif isinstance(answer, Object):
            self.media(answer)
        else:
            text = json.dumps(select(answer, query.get("fields"))).encode()
            self.reply(200, text, {"Content-Type": "application/json; charset=UTF-8"})

    def refuse(self, status, reason, message):
        if status == 400:
            print(self.command, self.path, message, file=sys.stderr, flush=True)
        error = {"message": message, "domain": "global", "reason": reason}
        whole = {"error": {"code": status, "message": message, "errors": [error]}}
        self.reply(status, json.dumps(whole).encode())

    def reply(self, status, body, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def authorize(self, path):
        said = self.headers.get("Authorization")
        if self.store.token and path != "/" and said != f"Bearer {self.store.token}":
            raise Refused(401, "authError", "Invalid Credentials")

    def json_body(self, body, may_be_empty=False):
        if not body and may_be_empty:
            return {}
        if not self.headers.get("Content-Type", "").startswith("application/json"):
            bad("a body that is no application/json")
        said = json.loads(body)
        return said if isinstance(said, dict) else bad("the body is no object")

    def route(self, path, query, body):
        store, method = self.store, self.command
        if path == "/":
            return {}
        if form := re.fullmatch("/storage/v1/b(?:/([^/]+))?", path):
            return self.of_buckets(form[1], query, body)
        form = re.fullmatch(r"(/upload|/download)?/storage/v1/b/([^/]+)/o(/.*)?", path)
        if not form:
            raise Refused(404, "notFound", f"no such path: {path}")
        root, bucket, rest = form[1], form[2], (form[3] or "")[1:]
        words = [unquote(w, errors="strict") for w in rest.split("/")] if rest else []
        if root == "/upload" and not words:
            return self.sent(bucket, query, body)
        if root != "/upload" and not words and method == "GET":
            return store.listing(bucket, query)
        if root == "/upload" or not words:
            raise Refused(404, "notFound", f"no such method: {method} {path}")
        if len(words) == 1:
            return self.one(method, bucket, words[0], query, body)
        return self.several(bucket, words, query, body)

    def of_buckets(self, name, query, body):
        """A new one, or the settings of one."""
        store = self.store
        if self.command == "POST" and not name:
            said = self.json_body(body)
            only(said, BUCKET, "member")
            name = said["name"]
            store.buckets.setdefault(name, {})
            store.settings[name] = {"kind": "storage#bucket", **said}
        elif self.command == "GET" and name:
            only(query, STANDARD | {"ifMetagenerationMatch"}, "parameter")
            store.bucket(name)
        else:
            raise Refused(404, "notFound", f"no such method: {self.command}")
        return store.settings[name]

    def sent(self, bucket, query, body):
        if query.get("uploadType") == "resumable":
            return self.resumable(bucket, query, body)
        if self.command != "POST":
            raise Refused(404, "notFound", f"no such method: {self.command}")
        kind = self.headers.get("Content-Type", "")
        return self.store.upload(bucket, query, kind, body)

    def resumable(self, bucket, query, body):
        sessions, method = self.store.sessions, self.command
        known = (
            STANDARD | CONDITIONS | {"uploadType", "name", "upload_id", "kmsKeyName"}
        )
        only(query, known, "parameter")
        if ("upload_id" in query) == (method == "POST"):
            raise Refused(404, "notFound", f"no such method: {method}")
        if method == "POST":
            self.store.bucket(bucket)
            said = self.json_body(body, may_be_empty=True)
            where = sessions.begin(bucket, query, said)
            host = f"http://{self.headers['Host']}"
            return Reply(200, b"", {"Location": host + where})
        if method == "DELETE":
            sessions.cancel(query)
            return Reply(499, b"", {})
        is_done, what = sessions.put(query, self.headers["Content-Range"] or "", body)
        if is_done:
            said = re.search("crc32c=([^,]+)", self.headers.get("X-Goog-Hash", ""))
            return what if not said or said[1] == what["crc32c"] else bad("crc32c")
        return Reply(308, b"", {"Range": f"bytes=0-{what - 1}"} if what else {})

    def one(self, method, bucket, name, query, body):
        """An object by itself."""
        store = self.store
        if method == "GET":
            only(query, STANDARD | CONDITIONS | {"generation"}, "parameter")
            obj = store.find(bucket, name, query)
            store.check(obj, query)
            return obj if query.get("alt") == "media" else obj.resource(bucket)
        if method == "DELETE":
            return store.delete(bucket, name, query)
        if method == "PATCH":
            return store.patch(bucket, name, query, self.json_body(body))
        raise Refused(404, "notFound", f"no such method: {method}")

    def several(self, bucket, words, query, body):
        """An object made of others."""
        if self.command == "POST" and words[1:] == ["compose"]:
            return self.store.compose(bucket, words[0], query, self.json_body(body))
        form = words[1:3] + words[4:5]
        if self.command != "POST" or form != ["rewriteTo", "b", "o"] or len(words) != 6:
            raise Refused(404, "notFound", f"no such method: {words[1:]}")
        said = self.json_body(body, may_be_empty=True)
        to = (words[3], words[5])
        return self.store.rewrite(bucket, words[0], to, query, said)

    def media(self, obj):
        data, status = obj.data, 200
        headers = {
            "Content-Type": obj.more.get("contentType", "application/octet-stream"),
            "X-Goog-Generation": str(obj.generation),
            "X-Goog-Metageneration": str(obj.metageneration),
            "X-Goog-Storage-Class": "STANDARD",
            "X-Goog-Hash": f"crc32c={obj.crc32c}",
            "X-Goog-Stored-Content-Length": str(len(data)),
            "X-Goog-Stored-Content-Encoding": "identity",
        }
        if said := self.headers.get("Range"):
            form = re.fullmatch(r"bytes=(\d+)-(\d*)", said)
            if not form:
                self.refuse(400, "invalid", f"Range {said}")
                return
            first = int(form[1])
            last = min(int(form[2] or len(data)), len(data) - 1)
            if first >= len(data):
                self.reply(416, b"", {"Content-Range": f"bytes */{len(data)}"})
                return
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[first : last + 1], 206
        self.reply(status, data, headers)


class Inner(Handler):
    """One request of a batch: answer, with the headers of its part."""

    def __init__(self, outer, piece):
        head, _, request = piece.removeprefix(b"\n").partition(b"\n\n")
        about = email.message_from_bytes(head + b"\n\n")
        only((k.lower() for k in about), BATCH_HEADERS, "header of a part")
        if about.get_content_type() != "application/http":
            bad("a part that is no application/http")
        line, _, rest = request.partition(b"\n")
        # Google's own client sends whole URLs, though a path is what is said.
        form = re.fullmatch(
            rb"(DELETE|PATCH|GET|POST) (?:http://[^/]+)?(/storage/v1/\S+) HTTP/1.1",
            line,
        )
        if not form:
            bad(f"a part begins with {line}")
        headers, _, body = rest.partition(b"\n\n")
        self.headers = email.message_from_bytes(headers.lstrip(b"\n") + b"\n\n")
        if auth := outer.headers.get("Authorization"):
            self.headers["Authorization"] = auth
        self.command, self.path = form[1].decode(), form[2].decode()
        self.request_version, self.requestline = "HTTP/1.1", line.decode()
        self.wfile = io.BytesIO()
        self.serve(self.headers.get("Content-Length"), body.strip())
        part = "Content-Type: application/http\r\n"
        if said := about.get("Content-ID"):
            part += f"Content-ID: {said.replace('<', '<response-', 1)}\r\n"
        self.answer = part.encode() + b"\r\n" + self.wfile.getvalue()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--token")
    parser.add_argument("--write-gap", type=float, default=0)
    args = parser.parse_args()
    Handler.store = Store(args.token, args.write_gap)
    Server(("127.0.0.1", args.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
