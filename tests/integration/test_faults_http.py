# SPDX-License-Identifier: Apache-2.0
"""Each thing that can go wrong between a mount and its server, by the kind of
request it hits: the job is never disturbed, status tells, what is in the bucket
in the end is right, and nothing was made visible twice."""

import contextlib
import json
import os
import socket
import threading
import time

import pytest

from buckets import assert_same
from mount import wait_until

MIB = 1 << 20
BIG = os.urandom(9 * MIB)  # two parts
SMALL = b"small" * 200
# kinds of requests that a save makes: (method, what its target has)
SENDS = {
    "put": ("PUT", r"/latest$"),
    "begin": ("POST", r"\?uploads"),
    "part": ("PUT", "partNumber="),
    "commit": ("POST", "uploadId="),
    "delete": ("DELETE", r"/old$"),
}
OBJECT = ("GET", r"/f$")
LIST = ("GET", "list-type")


@pytest.fixture
def mnt(s3_bucket, mounts):
    m = mounts(
        s3_bucket,
        part_size="8M",
        upload_delay="0s",
        metadata_ttl="1h",
        http_timeout="1s",
    ).mount()
    (m / "old").write_bytes(b"old")
    m.sync()
    return m


def save(mnt):
    """A checkpoint, the marker that names it, and the one before deleted."""
    began = time.monotonic()
    (mnt / "step").mkdir()
    (mnt / "step/shard").write_bytes(BIG)
    (mnt / "latest.tmp").write_bytes(SMALL)
    (mnt / "latest.tmp").rename(mnt / "latest")
    (mnt / "old").unlink()
    assert time.monotonic() - began < 5, "the job was disturbed"


def sent(proxy, kind):
    """Requests of that kind, but for those of the probe."""
    return [r for r in proxy.requests(*SENDS[kind]) if ".ckptfs/" not in r.target]


def last_error(mnt):
    return mnt.status()["last_error"]


def check(mnt, s3_bucket, proxy):
    """All of the save is there, each of its commits done once, in order."""
    mnt.sync()
    assert s3_bucket.keys() == ["latest", "step/shard"]
    assert_same(s3_bucket, mnt.path)
    done = proxy.commits(r"/(latest|shard|old)$|/shard\?")
    assert done[1:] == [
        ("complete", "step/shard"),
        ("put", "latest"),
        ("delete", "old"),
    ]


def strike(mnt, proxy, kind, act, hits=3, **how):
    """That fault, until it hit so often and status has told; then no more."""
    method, path = SENDS[kind]
    fault = proxy.fault(act, method=method, path=path, count=-1, **how)
    save(mnt)
    wait_until(lambda: fault.hits >= hits, what=f"{hits} hits")
    told = wait_until(lambda: last_error(mnt), what="status tells")
    assert (mnt / "step/shard").read_bytes() == BIG
    proxy.heal()
    return fault, json.dumps(told)


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("kind", sorted(SENDS))
def test_a_burst_of_errors(mnt, s3_bucket, proxy, kind, code):
    fault, told = strike(mnt, proxy, kind, "status", code=code)
    assert str(code) in told
    assert fault.hits <= 12
    check(mnt, s3_bucket, proxy)


def test_who_is_told_to_wait_waits(mnt, s3_bucket, proxy):
    fault = proxy.fault(
        "status", method="PUT", path="/latest$", code=503, retry_after=2
    )
    save(mnt)
    check(mnt, s3_bucket, proxy)
    first, second = proxy.requests("PUT", "/latest$")
    assert fault.hits == 1
    assert second.start - first.end >= 2


@pytest.mark.parametrize("act", ["reset", "hang"])
@pytest.mark.parametrize("kind", sorted(SENDS))
def test_a_request_that_never_arrives(mnt, s3_bucket, proxy, kind, act):
    strike(mnt, proxy, kind, act, hits=2)
    check(mnt, s3_bucket, proxy)


@pytest.mark.parametrize("act", ["drop", "hang-reply"])
@pytest.mark.parametrize("kind", sorted(SENDS))
def test_an_answer_that_never_arrives(mnt, s3_bucket, proxy, kind, act):
    """Done, and nobody was told: it is looked for, and not sent again."""
    method, path = SENDS[kind]
    fault = proxy.fault(act, method=method, path=path)
    save(mnt)
    check(mnt, s3_bucket, proxy)
    assert fault.hits == 1
    assert len(sent(proxy, kind)) == {"begin": 2, "part": 3}.get(kind, 1)


@pytest.mark.parametrize("act", ["cut", "flip"])
@pytest.mark.parametrize("kind", ["put", "part", "commit"])
def test_a_body_that_arrives_broken(mnt, s3_bucket, proxy, kind, act):
    strike(mnt, proxy, kind, act, hits=2, bytes=100)
    check(mnt, s3_bucket, proxy)


@pytest.mark.parametrize("act", ["cut-reply", "flip-reply", "loris"])
@pytest.mark.parametrize("kind", ["begin", "commit"])
def test_an_answer_that_comes_back_broken(mnt, s3_bucket, proxy, kind, act):
    method, path = SENDS[kind]
    fault = proxy.fault(act, method=method, path=path, count=1, bytes=60, seconds=0.3)
    save(mnt)
    check(mnt, s3_bucket, proxy)
    assert fault.hits == 1


BROKEN = [
    "",
    " ",
    "<",
    "not XML",
    "<?xml version='1.0'?>",
    "<Wrong/>",
    "<Result><Unclosed></Result>",
    "<a>" * 500,
    "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
    "\x00\x01",
    "<html><body>Welcome to our hotel</body></html>",
    '{"json": true}',
]


@pytest.mark.parametrize("kind", ["begin", "commit"])
def test_answers_that_are_no_xml(mnt, s3_bucket, proxy, kind):
    """200, and nothing behind it: never taken for success."""
    method, path = SENDS[kind]
    faults = [
        proxy.fault("answer", method=method, path=path, code=200, body=b)
        for b in BROKEN
    ]
    save(mnt)
    wait_until(lambda: sum(f.hits for f in faults) >= 4, what="hits")
    assert s3_bucket.keys("step/shard") == []
    assert wait_until(lambda: last_error(mnt), what="status tells")
    proxy.heal()
    check(mnt, s3_bucket, proxy)


@pytest.mark.parametrize("kind", ["put", "part", "commit"])
@pytest.mark.parametrize("etag", [None, '""', '"wrong"', '"' + "x" * 300 + '"'])
def test_an_answer_with_another_etag(mnt, s3_bucket, proxy, kind, etag):
    method, path = SENDS[kind]
    fault = proxy.fault("headers", method=method, path=path, headers={"etag": etag})
    save(mnt)
    mnt.sync()  # a part of another name is looked for among those of the store
    assert fault.hits == 1
    assert s3_bucket.get("step/shard") == BIG
    # what was recorded does not make enemies of us
    (mnt / "latest").write_bytes(b"next")
    (mnt / "step/shard").write_bytes(BIG[::-1])
    mnt.sync()
    assert s3_bucket.get("latest") == b"next"
    assert s3_bucket.get("step/shard") == BIG[::-1]
    assert s3_bucket.beside() == []


class Elsewhere:
    """Another host, which nobody should speak to."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(16)
        self.calls = 0
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()
        self.url = f"http://elsewhere.localhost:{self.socket.getsockname()[1]}/"

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                self.socket.accept()[0].close()
                self.calls += 1

    def stop(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(5)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("kind", ["put", "commit", "delete"])
def test_a_redirect_to_another_host(mnt, proxy, kind, code):
    elsewhere = Elsewhere()
    try:
        method, path = SENDS[kind]
        target = elsewhere.url + "bucket/key"
        fault = proxy.fault(
            "answer",
            method=method,
            path=path,
            code=code,
            count=2,
            headers={"Location": target},
        )
        save(mnt)
        wait_until(lambda: fault.hits, what="the redirect")
        done = mnt.sync(status=None)
        if done.returncode:  # refused for good: a word from the user
            assert "parked" in done.stderr
            mnt.run("recover", "retry", mnt.path, status=None)
        assert elsewhere.calls == 0
        assert (mnt / "step/shard").read_bytes() == BIG
    finally:
        elsewhere.stop()


@pytest.mark.parametrize("name", ["ExpiredToken", "InvalidToken", "InvalidAccessKeyId"])
@pytest.mark.parametrize("kind", ["put", "part", "commit"])
def test_a_credential_that_expires(mnt, s3_bucket, proxy, kind, name):
    _, told = strike(mnt, proxy, kind, "status", code=403, name=name)
    assert name in told
    check(mnt, s3_bucket, proxy)
    assert len(sent(proxy, "begin")) == 1


# ---- reading


@pytest.fixture
def cold(mnt):
    """A mount with a file f that is only in the bucket."""
    (mnt / "f").write_bytes(BIG)
    mnt.sync()
    mnt.run("evict", mnt / "f")
    return mnt


READ_FAULTS = {
    "500": {"act": "status", "code": 500},
    "503": {"act": "status", "code": 503},
    "429": {"act": "status", "code": 429},
    "reset": {"act": "reset"},
    "hang": {"act": "hang"},
    "hang-reply": {"act": "hang-reply"},
    "drop": {"act": "drop"},
    "cut": {"act": "cut-reply", "bytes": 300_000},
    "flip": {"act": "flip-reply"},
    "loris": {"act": "loris", "seconds": 0.3},
    "etag": {"act": "headers", "headers": {"etag": '"another"'}},
    "no-etag": {"act": "headers", "headers": {"etag": None}},
    "longer": {"act": "headers", "headers": {"content-length": str(20 * MIB)}},
    "shorter": {"act": "headers", "headers": {"content-length": "1000"}},
    "range": {"act": "headers", "headers": {"content-range": "bytes 5-9/10"}},
    "no-range": {"act": "headers", "headers": {"content-range": None}},
    "expired": {"act": "status", "code": 403, "name": "ExpiredToken"},
    "html": {"act": "answer", "code": 200, "body": BROKEN[-2]},
}


@pytest.mark.parametrize("fault", sorted(READ_FAULTS))
def test_a_download_in_trouble(cold, proxy, fault):
    """Right bytes or an error, in time, never others; and later right bytes."""
    method, path = OBJECT
    proxy.fault(method=method, path=path, count=1, **READ_FAULTS[fault])
    began = time.monotonic()
    with contextlib.suppress(OSError):
        assert (cold / "f").read_bytes() == BIG
    assert time.monotonic() - began < 10
    wait_until(lambda: reads(cold / "f"), timeout=10, what="the file")


def reads(path):
    try:
        data = path.read_bytes()
    except OSError:
        return False
    assert data == BIG
    return True


PAGE = (
    "<ListBucketResult><IsTruncated>true</IsTruncated>"
    "<NextContinuationToken>again</NextContinuationToken></ListBucketResult>"
)


@pytest.mark.parametrize(
    "body",
    [*BROKEN, PAGE],
    ids=[f"broken-{i}" for i in range(len(BROKEN))] + ["endless"],
)
def test_a_listing_in_trouble(s3_bucket, mounts, proxy, body):
    """No name goes, none comes, and it is asked a few times only."""
    s3_bucket.put("d/theirs", b"t")
    m = mounts(s3_bucket, metadata_ttl="100ms", http_timeout="1s").mount()
    assert os.listdir(m / "d") == ["theirs"]
    method, path = LIST
    fault = proxy.fault(
        "answer", method=method, path=path, code=200, body=body, count=-1
    )
    before = len(proxy.requests())
    began = time.monotonic()
    while fault.hits < 3 and time.monotonic() - began < 10:
        assert os.listdir(m / "d") == ["theirs"]
    assert fault.hits >= 3
    assert time.monotonic() - began < 10
    assert len(proxy.requests()) - before < 40 * (1 + time.monotonic() - began)
    (m / "d/ours").write_bytes(b"o")
    proxy.heal()
    m.sync()
    wait_until(lambda: sorted(os.listdir(m / "d")) == ["ours", "theirs"], what="both")
