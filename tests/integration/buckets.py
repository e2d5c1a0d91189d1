# SPDX-License-Identifier: Apache-2.0
"""What is in the bucket, read without the program under test."""

import json
import os
import stat
import urllib.request
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import servers
from mount import wait_until


@dataclass
class Object:
    size: int
    mtime_ns: int | None


class DirBucket:
    """A directory as the bucket."""

    kind = "file"

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.source = f"file://{self.folder}"
        self.options = {}
        self.env = {}

    def keys(self, prefix=""):
        """Names of objects, markers of directories and what is hidden left
        out."""
        found = []
        for top, dirs, names in os.walk(self.folder):
            dirs[:] = [d for d in dirs if d != ".ckptfs"]
            found += [str(Path(top, n).relative_to(self.folder)) for n in names]
        return sorted(k for k in found if k.startswith(prefix))

    def get(self, key):
        return (self.folder / key).read_bytes()

    def head(self, key):
        st = (self.folder / key).lstat()
        assert stat.S_ISREG(st.st_mode) or stat.S_ISLNK(st.st_mode)
        return Object(st.st_size, st.st_mtime_ns)

    def put(self, key, data):
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".foreign")
        temporary.write_bytes(data)
        temporary.rename(path)

    def delete(self, key):
        (self.folder / key).unlink()

    def beside(self):
        """Losing sides of conflicts: (path in the mount, bytes)."""
        top = self.folder / ".ckptfs/conflict"
        found = sorted(p for p in top.rglob("*") if p.is_file())
        return [(str(p.parent.relative_to(top)), p.read_bytes()) for p in found]

    def uploads(self):
        """What is half written, below the hidden folder."""
        hidden = self.folder / ".ckptfs"
        halves = [*hidden.glob("tmp/**/*"), *hidden.glob("uploads/**/*")]
        return [str(p) for p in halves if p.is_file()]


class S3Bucket:
    """A fresh bucket of a server, reached past any proxy."""

    kind = "s3"

    def __init__(self, server, name, endpoint=None):
        self.server = server
        self.name = name
        self.s3 = servers.client(server.endpoint, ca=server.ca)
        self.s3.create_bucket(Bucket=name)
        self.source = f"s3://{name}"
        self.options = {
            "endpoint_url": endpoint or server.endpoint,
            "region": servers.REGION,
        }
        if server.ca:
            self.options["ca_bundle"] = server.ca
        self.env = server.env()

    def keys(self, prefix=""):
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=prefix
        )
        found = [o["Key"] for page in pages for o in page.get("Contents", ())]
        return sorted(k for k in found if not k.endswith("/") and ".ckptfs/" not in k)

    def get(self, key):
        return self.s3.get_object(Bucket=self.name, Key=key)["Body"].read()

    def head(self, key):
        head = self.s3.head_object(Bucket=self.name, Key=key)
        text = head["Metadata"].get("mtime")
        return Object(head["ContentLength"], text and seconds_to_ns(text))

    def put(self, key, data):
        self.s3.put_object(Bucket=self.name, Key=key, Body=data)

    def put_many(self, objects):
        """objects: key: data."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.put, objects.keys(), objects.values()))

    def delete(self, key):
        self.s3.delete_object(Bucket=self.name, Key=key)

    def beside(self):
        """Losing sides of conflicts: (path in the mount, bytes)."""
        top = ".ckptfs/conflict/"
        reply = self.s3.list_objects_v2(Bucket=self.name, Prefix=top)
        keys = sorted(o["Key"] for o in reply.get("Contents", ()))
        bodies = [(k, self._get_if_there(k)) for k in keys]
        bodies = [(k, b) for k, b in bodies if b is not None]
        return [(k[len(top) :].rpartition("/")[0], b) for k, b in bodies]

    def _get_if_there(self, key):
        try:
            return self.get(key)
        except self.s3.exceptions.NoSuchKey:
            return None

    def uploads(self):
        """Multipart uploads nobody has finished."""
        reply = self.s3.list_multipart_uploads(Bucket=self.name)
        return [u["Key"] for u in reply.get("Uploads", ())]


class GCSBucket:
    """A fresh bucket of a server of Google's JSON API, reached past any proxy."""

    kind = "gs"

    def __init__(self, server, name, endpoint=None):
        self.server = server
        self.name = name
        server.make_bucket(name)
        self.source = f"gs://{name}"
        self.options = {"endpoint_url": endpoint or server.endpoint, "anonymous": True}
        self.env = server.env()

    def _ask(self, method, path, root="", body=None):
        url = f"{self.server.endpoint}{root}/storage/v1/b/{self.name}/o{path}"
        request = urllib.request.Request(url, body, method=method)
        with urllib.request.urlopen(request) as reply:
            return reply.read()

    def objects(self, prefix=""):
        """What the server tells of each."""
        reply = self._ask("GET", f"?prefix={quote(prefix)}&maxResults=100000")
        return json.loads(reply).get("items", [])

    def keys(self, prefix=""):
        found = [o["name"] for o in self.objects(prefix)]
        return sorted(k for k in found if not k.endswith("/") and ".ckptfs/" not in k)

    def get(self, key):
        return self._ask("GET", f"/{quote(key, safe='')}?alt=media")

    def head(self, key):
        head = json.loads(self._ask("GET", f"/{quote(key, safe='')}"))
        text = head.get("metadata", {}).get("mtime")
        return Object(int(head["size"]), text and seconds_to_ns(text))

    def put(self, key, data):
        query = f"?uploadType=media&name={quote(key, safe='')}"
        self._ask("POST", query, "/upload", data)

    def delete(self, key):
        self._ask("DELETE", f"/{quote(key, safe='')}")

    def hidden(self):
        """Everything of ours beside the objects, wherever it lies."""
        return [o["name"] for o in self.objects() if ".ckptfs/" in o["name"]]

    def uploads(self):
        """Uploads nobody has finished, and parts nobody has deleted."""
        return [k for k in self.hidden() if "/conflict/" not in k]


class AzureBucket:
    """A fresh container of a server of Azure's blobs, reached past any proxy."""

    kind = "az"

    def __init__(self, server, name, endpoint=None):
        self.server = server
        self.name = name
        server.make_bucket(name)
        self.source = f"az://{name}"
        self.options = {"endpoint_url": endpoint or server.endpoint}
        self.env = server.env()

    def _ask(self, method, path, body=None, head=(), **query):
        url = self.server.url(self.name + path, **query)
        head = {"x-ms-version": "2021-12-02", **dict(head)}
        request = urllib.request.Request(url, body, head, method=method)
        return urllib.request.urlopen(request)

    def names(self, prefix=""):
        """Everything, what is hidden too, in one page."""
        query = {"restype": "container", "comp": "list", "prefix": prefix}
        with self._ask("GET", "", **query) as reply:
            page = ET.parse(reply)
        assert not page.findtext("NextMarker")
        return [e.findtext("Name") for e in page.iter("Blob")]

    def keys(self, prefix=""):
        found = self.names(prefix)
        return sorted(k for k in found if not k.endswith("/") and ".ckptfs/" not in k)

    def get(self, key):
        with self._ask("GET", f"/{quote(key)}") as reply:
            return reply.read()

    def head(self, key):
        with self._ask("HEAD", f"/{quote(key)}") as reply:
            text = reply.headers.get("x-ms-meta-mtime")
            size = int(reply.headers["Content-Length"])
        return Object(size, text and seconds_to_ns(text))

    def put(self, key, data, head=()):
        head = {"x-ms-blob-type": "BlockBlob", **dict(head)}
        self._ask("PUT", f"/{quote(key)}", data, head).close()

    def delete(self, key):
        self._ask("DELETE", f"/{quote(key)}").close()

    def lease(self, key):
        head = {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "-1"}
        with self._ask("PUT", f"/{quote(key)}", b"", head, comp="lease") as reply:
            return reply.headers["x-ms-lease-id"]

    def release(self, key, lease):
        head = {"x-ms-lease-action": "release", "x-ms-lease-id": lease}
        self._ask("PUT", f"/{quote(key)}", b"", head, comp="lease").close()

    def hidden(self):
        """Everything of ours beside the objects, wherever it lies."""
        return [k for k in self.names() if ".ckptfs/" in k]

    def beside(self):
        """Losing sides of conflicts: (path in the mount, bytes)."""
        top = ".ckptfs/conflict/"
        found = [k for k in self.names() if k.startswith(top)]
        return [(k[len(top) :].rpartition("/")[0], self.get(k)) for k in sorted(found)]

    def uploads(self):
        """Uploads nobody has finished."""
        return [k for k in self.hidden() if "/conflict/" not in k]


def seconds_to_ns(text):
    whole, _, part = text.partition(".")
    return int(whole) * 10**9 + int(part.ljust(9, "0")[:9] or 0)


def files(root):
    """Relative names of all files and symbolic links below root."""
    root = Path(root)
    return sorted(
        str(Path(top, n).relative_to(root))
        for top, _, names in os.walk(root)
        for n in names
    )


def assert_same(bucket, root, mtime=True):
    """The set of keys is the set of files; bytes, size and mtime are equal,
    and no upload is left."""
    root = Path(root)
    assert bucket.keys() == files(root)
    for name in files(root):
        path = root / name
        if path.is_symlink():
            continue
        head, st = bucket.head(name), path.stat()
        assert head.size == st.st_size, name
        assert bucket.get(name) == path.read_bytes(), name
        if mtime:
            assert head.mtime_ns == st.st_mtime_ns, name
    # what was given up goes after what is waited for
    wait_until(lambda: bucket.uploads() == [], what="no upload is left")
