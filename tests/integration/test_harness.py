# SPDX-License-Identifier: Apache-2.0
"""The harness itself: what the proxy says it did is what happened, and a name
space takes all with it."""

import os
import subprocess
import time

import botocore.exceptions
import pytest

import servers
from mount import TOP, wait_until

NAMESPACE = TOP / "contrib" / "lib" / "namespace"
CLIENT_ERRORS = (
    botocore.exceptions.ClientError,
    botocore.exceptions.HTTPClientError,
)


@pytest.fixture
def through(proxy):
    """A client that does not retry, through the proxy."""
    return servers.client(proxy.endpoint, attempts=1)


@pytest.fixture
def put(through, s3_bucket):
    def put(key, body):
        return through.put_object(Bucket=s3_bucket.name, Key=key, Body=body)

    return put


def test_a_put_is_logged_and_arrives(put, s3_bucket, proxy):
    put("a b/c", b"x" * 300_000)
    (request,) = proxy.requests("PUT", "a b/c")
    assert (request.status, request.sent, request.key) == (200, 300_000, "a b/c")
    assert request.end >= request.start
    assert proxy.commits() == [("put", "a b/c")]
    assert s3_bucket.get("a b/c") == b"x" * 300_000


def test_parts_are_no_commit_and_complete_is(through, s3_bucket, proxy):
    where = {"Bucket": s3_bucket.name, "Key": "big"}
    upload = through.create_multipart_upload(**where)["UploadId"]
    part = through.upload_part(
        **where, UploadId=upload, PartNumber=1, Body=b"y" * (5 << 20)
    )
    assert s3_bucket.uploads() == ["big"]
    assert proxy.commits() == []
    done = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    through.complete_multipart_upload(**where, UploadId=upload, MultipartUpload=done)
    through.delete_object(**where)
    assert proxy.commits() == [("complete", "big"), ("delete", "big")]
    assert proxy.body_bytes("big") == 5 << 20


def test_an_injected_status_keeps_the_request_from_the_server(put, s3_bucket, proxy):
    fault = proxy.fault("status", method="PUT", code=503, path="k$", count=-1)
    with pytest.raises(CLIENT_ERRORS):
        put("k", b"1")
    assert fault.hits >= 1
    assert s3_bucket.keys() == []
    proxy.heal()
    put("k", b"1")
    assert s3_bucket.keys() == ["k"]


@pytest.mark.parametrize(("act", "arrives"), [("reset", False), ("drop", True)])
def test_a_broken_connection(put, s3_bucket, proxy, act, arrives):
    proxy.fault(act, method="PUT", count=-1)
    with pytest.raises(CLIENT_ERRORS):
        put("k", b"1")
    assert s3_bucket.keys() == (["k"] if arrives else [])


def test_a_body_is_cut(put, s3_bucket, proxy):
    proxy.fault("cut", method="PUT", count=-1, bytes=1000)
    with pytest.raises(CLIENT_ERRORS):
        put("k", b"1" * 100_000)
    assert s3_bucket.keys() == []
    assert proxy.requests("PUT", "k")[0].sent == 1000


def test_the_rate_holds_in_both_directions(put, through, s3_bucket, proxy):
    body = b"z" * (1 << 20)
    proxy.limit(up=4 << 20, down=4 << 20)
    began = time.monotonic()
    put("k", body)
    sent = time.monotonic() - began
    got = through.get_object(Bucket=s3_bucket.name, Key="k")["Body"].read()
    read = time.monotonic() - began - sent
    assert got == body
    assert 0.2 < sent < 1.5
    assert 0.2 < read < 1.5


def test_a_delay_is_one(put, proxy):
    proxy.fault("delay", seconds=0.3)
    put("k", b"1")
    (request,) = proxy.requests("PUT", "k")
    # The client has its answer a moment before the proxy has written it down.
    wait_until(lambda: request.end, what="the proxy's record")
    assert request.end - request.start >= 0.3


def test_a_daemon_that_died_before_it_was_looked_at_is_not_waited_for(folder_mount):
    with subprocess.Popen(["true"]) as gone:
        pass
    folder_mount.saw(gone.pid)
    assert folder_mount.alive() == []
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as there:
        folder_mount.saw(there.pid)
        assert folder_mount.alive() == [there.pid]
    assert folder_mount.alive() == []


@pytest.mark.root
def test_a_name_space_ends_with_all_in_it(tmp_path, folder_mount):
    folder_mount.mount()
    script = 'mount -t tmpfs tmpfs "$1"; sleep 1000 & echo ready; cat; exit 7'
    with subprocess.Popen(
        [NAMESPACE, tmp_path, "sh", "-c", script, "sh", tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as inside:
        assert inside.stdout.readline() == b"ready\n"
        assert not os.path.ismount(tmp_path)
        folder_mount.umount()  # its daemon ends: there is no copy of the mount
        inside.communicate(timeout=30)  # once nobody has the pipe
    assert inside.returncode == 7


# Where / is no mount, and what is mounted would be seen outside.
CHROOT = """
set -e
mkdir "$1/c"
cd "$1/c"
mkdir dev etc proc tmp top usr
for name in bin sbin lib lib64; do
    cp -P "/$name" .
done
mount --make-rshared /
mount --rbind /dev dev
mount --bind /usr usr
mount -t proc proc proc
mount --bind "$2" top
chroot . /top/contrib/lib/namespace /tmp sh -c 'mount -t tmpfs tmpfs /etc; echo in'
! grep " $1/c/etc " /proc/self/mountinfo
"""


@pytest.mark.root
def test_a_name_space_within_a_chroot(tmp_path):
    done = subprocess.run(
        [NAMESPACE, tmp_path, "sh", "-c", CHROOT, "sh", tmp_path, TOP],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (0, "in\n"), done
