# SPDX-License-Identifier: Apache-2.0
"""ckptfs probe: what works, what does not, and what is left behind: nothing."""

import json
import os
import subprocess

import pytest

import servers
from buckets import DirBucket
from conftest import over_all_servers
from mount import program
from servers import free_port
from test_faults_daemon import FAKETIME

WRITES = {"put", "condition", "copy", "multipart", "list parts", "abort", "delete"}


class Probe:
    """probe(ARG..., OPTION=VALUE...): its document; text() what people see."""

    def __init__(self, bucket, env=None):
        self.bucket = bucket
        self.env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
        self.env |= bucket.env | (env or {})

    def run(self, *args, status=0, **options):
        options = {**self.bucket.options, **options}
        command = [program(), "probe", self.bucket.source, *args]
        if options:
            command += ["-o", ",".join(f"{k}={v}" for k, v in options.items())]
        done = subprocess.run(
            command, env=self.env, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert servers.SECRET_KEY not in done.stdout + done.stderr
        return done

    def __call__(self, *args, **more):
        doc = json.loads(self.run("--json", *args, **more).stdout)
        assert doc["ok"] == (more.get("status", 0) == 0)
        return doc


@pytest.fixture
def probe(s3_bucket):
    return Probe(s3_bucket)


def states(doc):
    """Of each trial the gravest state there is of that name."""
    order = ["ok", "note", "failed"]
    found = {}
    for t in doc["trials"]:
        before = found.get(t["name"], "ok")
        found[t["name"]] = max(before, t["state"], key=order.index)
    return found


def failed(doc):
    return {name for name, state in states(doc).items() if state == "failed"}


def trial(doc, name):
    return next(t for t in doc["trials"] if t["name"] == name)


def everything(bucket):
    """Keys, the hidden ones too, and uploads."""
    reply = bucket.s3.list_objects_v2(Bucket=bucket.name)
    return [o["Key"] for o in reply.get("Contents", ())] + bucket.uploads()


@over_all_servers
def test_all_is_tried_and_nothing_is_left(probe, s3_bucket):
    doc = probe()
    found = states(doc)
    assert {"credentials", "region", "bucket", "list", "get", "clock"} <= set(found)
    assert set(found) >= WRITES
    assert failed(doc) == set()
    assert doc["credentials"]["from"] == "the environment"
    assert doc["credentials"]["expires"] is None
    assert abs(trial(doc, "clock")["skew_ns"]) < 60e9
    assert 0 < trial(doc, "latency")["latency_ns"] < 60e9
    speeds = [t for t in doc["trials"] if t["name"] in ("upload", "download")]
    assert len(speeds) == 4
    assert all(t["bytes_per_s"] > 1000 for t in speeds)
    assert everything(s3_bucket) == []


def test_people_are_told_that_it_writes(probe, proxy):
    done = probe.run("--no-speed")
    assert "are written below .ckptfs/ and deleted again" in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("ok      credentials  the environment, key (short)")
    assert lines[0].endswith("which does not expire")
    assert all(line.startswith(("ok ", "note ")) for line in lines), lines
    assert sum(r.sent for r in proxy.requests()) < 1 << 20


def test_read_only_writes_nothing(probe, proxy, s3_bucket):
    s3_bucket.put("f", b"x" * 100)
    done = probe.run("--read-only")
    assert "written" not in done.stderr
    assert {r.method for r in proxy.requests()} <= {"GET", "HEAD"}
    assert [r for r in proxy.requests("GET", "/f$") if r.status == 206]
    doc = probe("--read-only")
    assert not WRITES & set(states(doc))
    assert doc["read_only"]


REFUSED = {
    "list": ("GET", "list-type=2", "s3:ListBucket on arn:aws:s3:::"),
    "get": ("GET", r"/\.ckptfs/probe-.*-a$", "s3:GetObject"),
    "put": ("PUT", r"/\.ckptfs/probe-[^?]*$", "s3:PutObject"),
    "multipart": ("POST", r"/\.ckptfs/probe-.*uploads", "s3:PutObject"),
    "list parts": ("GET", "uploadId=", "s3:ListMultipartUploadParts"),
    "abort": ("DELETE", "uploadId=", "s3:AbortMultipartUpload"),
    "delete": ("DELETE", r"/\.ckptfs/probe-[^?]*$", "s3:DeleteObject"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_permission_that_is_missing_is_named(probe, proxy, s3_bucket, what):
    method, path, hint = REFUSED[what]
    proxy.fault("status", method=method, path=path, code=403, count=-1)
    doc = probe(status=1)
    assert failed(doc) - {"bucket"} == {what}, doc
    found = next(t for t in doc["trials"] if t["name"] == what)
    assert "AccessDenied" in found["said"]
    assert hint in found["hint"]
    assert s3_bucket.name in found["hint"]
    assert "upload" not in states(doc)
    if what in ("delete", "abort"):
        # what cannot be removed is named
        assert what == "abort" or "left behind" in states(doc)
    else:
        assert everything(s3_bucket) == []


def test_all_that_is_refused_is_named_at_once(probe, proxy):
    for method, path, _ in REFUSED.values():
        proxy.fault("status", method=method, path=path, code=403, count=-1)
    done = probe.run("--no-speed", status=1)
    for word in ("list", "put", "multipart", "delete"):
        assert f"FAILED  {word}" in done.stdout
    assert "-> allow s3:PutObject on arn:aws:s3:::" in done.stdout


def test_another_region_is_a_note(probe):
    doc = probe("--no-speed", region="eu-west-3")
    assert states(doc)["region"] == "note"
    assert trial(doc, "region")["said"] == f"{servers.REGION}, not eu-west-3"
    assert f"region={servers.REGION}" in trial(doc, "region")["hint"]


def test_what_comes_back_broken_is_told(probe, proxy):
    proxy.fault("flip-reply", method="GET", path=r"/\.ckptfs/probe-.*-a$", count=-1)
    doc = probe("--no-speed", status=1)
    assert "get" in failed(doc)


def test_a_clock_that_is_wrong_is_a_note(probe):
    probe.env |= {"LD_PRELOAD": str(FAKETIME), "FAKETIME": "-2h"}
    doc = probe("--no-speed")
    assert states(doc)["clock"] == "note"
    assert trial(doc, "clock")["skew_ns"] == pytest.approx(-7200e9, abs=60e9)
    assert "behind the server's" in trial(doc, "clock")["said"]
    assert "set the clock" in trial(doc, "clock")["hint"]


def test_no_bucket_no_server_no_key(probe, s3_bucket, proxy):
    doc = probe(endpoint_url=f"http://127.0.0.1:{free_port()}", status=1)
    assert "check the network and endpoint_url" in trial(doc, "bucket")["hint"]
    assert states(doc)["credentials"] == "ok"
    s3_bucket.source = "s3://no-such-bucket-here"
    doc = probe(status=1)
    assert "make the bucket first" in trial(doc, "bucket")["hint"]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del probe.env[name]
    before = len(proxy.requests())
    doc = probe(status=1)
    assert "AWS_ACCESS_KEY_ID is not set" in trial(doc, "credentials")["said"]
    assert "docs/credentials.md" in trial(doc, "credentials")["hint"]
    assert len(proxy.requests()) == before


def test_a_folder(tmp_path):
    bucket = DirBucket(tmp_path / "bucket")
    doc = Probe(bucket)("--no-speed")
    assert set(states(doc)) >= WRITES
    assert "credentials" not in doc
    left = [p for p in bucket.folder.rglob("*") if p.is_file() and p.name != "lock"]
    assert left == []


@pytest.mark.parametrize("args", [[], ["a", "b"], ["s3://b", "--what"], ["x"]])
def test_wrong_usage(args):
    done = subprocess.run(
        [program(), "probe", *args], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2
