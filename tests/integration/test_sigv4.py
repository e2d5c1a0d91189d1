# SPDX-License-Identifier: Apache-2.0
"""Our signature against botocore's, for hostile requests drawn from a seed."""

import datetime
import json
import os
import random
import subprocess
from unittest import mock
from urllib.parse import quote

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from mount import TOP

COUNT = int(os.environ.get("SIGV4_COUNT", "10000"))
SEED = int(os.environ.get("SIGV4_SEED", "1"))
BITS = [
    " ",
    "  ",
    "+",
    "%",
    "%2F",
    "%20",
    "/",
    "//",
    ".",
    "..",
    "/./",
    "/../",
    "~",
    "-",
    "_",
    "=",
    "&",
    "?",
    "#",
    ";",
    ":",
    ",",
    "'",
    '"',
    "\\",
    "*",
    "(",
    ")",
    "!",
    "$",
    "@",
    "<",
    ">",
    "|",
    "[",
    "]",
    "{",
    "}",
    "^",
    "`",
    "\x01",
    "\x1f",
    "\x7f",
    "\t",
    "\n",
    "\r",
    "\u00e9",
    "e\u0301",
    "\u20ac",
    "\U0001f600",
    "\u202e",
    "\ufeff",
    "a",
    "Z",
    "0",
    "checkpoint",
    "x" * 40,
]
NAMES = [
    "uploads",
    "uploadId",
    "partNumber",
    "prefix",
    "list-type",
    "a",
    "a-b",
    "a.b",
    "A",
    "delete",
    "encoding-type",
    "\u00e9",
    "+",
    "%",
    "a b",
]
HEADERS = [
    "x-amz-meta-a",
    "X-Amz-Meta-A-B",
    "x-amz-meta-ab",
    "x-amz-acl",
    "Range",
    "If-Match",
    "If-None-Match",
    "x-amz-copy-source",
    "x-amz-checksum-crc64nvme",
    "Content-Type",
    "x-amz-meta-mtime",
]
WORDS = ["bytes=0-9", '"abc"', "*", "a", "b,c", "=", "/b/k%20x", "REPLACE"]


def text(rng, most):
    return "".join(rng.choice(BITS) for _ in range(rng.randint(0, most)))


def header_value(rng):
    runs = ["", " ", "  ", "   ", "\t", " \t "]
    out = rng.choice(runs)
    for _ in range(rng.randint(0, 4)):
        out += rng.choice(WORDS) + rng.choice(runs)
    return out


def request(rng):
    query = [
        [rng.choice(NAMES), None if rng.random() < 0.3 else text(rng, 4)]
        for _ in range(rng.randint(0, 6))
    ]
    port = rng.choice(["", "", ":9000", ":65535"])
    return {
        "method": rng.choice(["GET", "PUT", "POST", "HEAD", "DELETE"]),
        "host": rng.choice(["127.0.0.1", "b.s3.eu-west-1.example", "h"]) + port,
        "path": "/" + text(rng, 12),
        "query": query,
        "headers": [
            [rng.choice(HEADERS), header_value(rng)] for _ in range(rng.randint(0, 6))
        ],
        "payload": rng.choice(["UNSIGNED-PAYLOAD", f"{rng.getrandbits(256):064x}"]),
        "region": rng.choice(["us-east-1", "auto", "eu-central-1"]),
        "key": f"AKID{rng.getrandbits(32)}",
        "secret": f"{rng.getrandbits(160):x}/+=",
        "token": "" if rng.random() < 0.5 else f"tok/+={rng.getrandbits(99):x}",
        "time": rng.randint(1, 4102444799),
    }


def theirs(req):
    query = "&".join(
        quote(n, safe="-_.~") + ("" if v is None else "=" + quote(v, safe="-_.~"))
        for n, v in req["query"]
    )
    url = "http://" + req["host"] + quote(req["path"], safe="/-_.~")
    aws = AWSRequest(method=req["method"], url=url + ("?" + query if query else ""))
    for name, value in req["headers"]:
        aws.headers.add_header(name, value)
    cred = Credentials(req["key"], req["secret"], req["token"] or None)
    auth = botocore.auth.S3SigV4Auth(cred, "s3", req["region"])
    when = datetime.datetime.fromtimestamp(req["time"], datetime.UTC)
    with (
        mock.patch.object(auth, "payload", return_value=req["payload"]),
        mock.patch(
            "botocore.auth.get_current_datetime", return_value=when.replace(tzinfo=None)
        ),
    ):
        auth.add_auth(aws)
    return aws.headers["Authorization"]


def test_our_signatures_equal_botocores():
    rng = random.Random(SEED)
    reqs = [request(rng) for _ in range(COUNT)]
    dump = os.environ.get("SIGV4_DUMP", TOP / "build/tests/unit/sigv4_dump")
    done = subprocess.run(
        [dump],
        input="".join(json.dumps(r) + "\n" for r in reqs).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    lines = done.stdout.decode().splitlines()
    assert len(lines) == COUNT
    for i, (req, line) in enumerate(zip(reqs, lines, strict=True)):
        path, _, auth = line.split("\t")
        seen = f"request {i} (seed {SEED}): {json.dumps(req)}"
        assert path == quote(req["path"], safe="/-_.~"), seen
        assert auth == theirs(req), seen
