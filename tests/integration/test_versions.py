# SPDX-License-Identifier: Apache-2.0
"""Buckets that keep versions, and such that let nobody take them away."""

import os
import re

import botocore.exceptions
import pytest

from buckets import assert_same
from mount import wait_until
from test_fsck_bucket import fsck

MIB = 1 << 20
both = pytest.mark.parametrize("s3_server", ["versitygw", "minio"], indirect=True)


def versions(bucket, key):
    """(latest, bytes) of each, the newest first; None: a mark of a delete."""
    reply = bucket.s3.list_object_versions(Bucket=bucket.name, Prefix=key)
    found = [
        (v["LastModified"], v["IsLatest"], v.get("Size"), v["VersionId"])
        for v in reply.get("Versions", []) + reply.get("DeleteMarkers", [])
        if v["Key"] == key
    ]
    return [(latest, size) for _, latest, size, _ in sorted(found, reverse=True)]


@pytest.fixture
def versioned(s3_bucket):
    s3_bucket.s3.put_bucket_versioning(
        Bucket=s3_bucket.name, VersioningConfiguration={"Status": "Enabled"}
    )
    return s3_bucket


@both
def test_a_versioned_bucket(versioned, mounts):
    m = mounts(versioned, upload_delay="0s", part_size="5M").mount()
    big = os.urandom(6 * MIB)
    for name, data in (("f +", b"one"), ("gone", big), ("a", b"moved")):
        (m / name).write_bytes(data)
    m.sync()
    (m / "f +").write_bytes(b"second")
    (m / "gone").unlink()
    (m / "a").rename(m / "b")
    m.sync()
    assert versioned.keys() == ["b", "f +"]
    assert_same(versioned, m.path)
    assert sorted(versions(versioned, "f +")) == [(False, 3), (True, 6)]
    assert sorted(versions(versioned, "gone"), key=str) == [
        (False, 6 * MIB),
        (True, None),
    ]
    # what is gone is gone for whoever comes anew, and can be made again
    other = mounts(versioned, "other").mount()
    assert_same(versioned, other.path)
    (m / "gone").write_bytes(b"again")
    m.sync()
    assert versioned.get("gone") == b"again"
    (m / "gone").unlink()
    m.sync()

    assert "old version" not in fsck(m)
    said = fsck(m, "--versions")
    assert re.search(r"4 old versions, \S+, 3 marks of deletes: all is well$", said)
    assert "note: gone: deleted 20" in said
    assert re.search(r"note: a: an old version of 20\S+, 5, version \S+", said)
    number = re.search(r"note: f \+: an old version of \S+, 3, version (\S+)", said)[1]
    old = versioned.s3.get_object(Bucket=versioned.name, Key="f +", VersionId=number)
    assert old["Body"].read() == b"one"


def test_a_bucket_without_versions(s3_mount, s3_bucket):
    s3_bucket.put("f", b"x")
    said = fsck(s3_mount, "--versions")
    assert said.endswith("0 old versions, 0, 0 marks of deletes: all is well\n")
    assert "note:" not in said


@both
def test_a_bucket_that_locks_objects(s3_bucket, mounts):
    """Puts have a checksum, as such buckets want; what is overwritten or deleted
    stays as an old version, which nobody can take away."""
    s3, name = s3_bucket.s3, s3_bucket.name + "-locked"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    s3.put_object_lock_configuration(
        Bucket=name,
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},
    )
    s3_bucket.name, s3_bucket.source = name, f"s3://{name}"
    m = mounts(s3_bucket, upload_delay="0s", part_size="5M").mount()
    (m / "f").write_bytes(b"one")
    (m / "big").write_bytes(os.urandom(6 * MIB))
    m.sync()
    (m / "f").write_bytes(b"second")
    m.sync()
    assert_same(s3_bucket, m.path)
    (m / "f").rename(m / "g")
    (m / "big").unlink()
    m.sync()
    assert s3_bucket.keys() == ["g"]
    assert s3_bucket.get("g") == b"second"
    said = fsck(m, "--versions")
    number = re.search(r"note: f: an old version of \S+, 3, version (\S+)", said)[1]
    with pytest.raises(botocore.exceptions.ClientError, match=r"AccessDenied|WORM"):
        s3.delete_object(Bucket=name, Key="f", VersionId=number)


def test_a_delete_that_is_refused_is_parked_with_words(s3_mount, s3_bucket, proxy):
    m = s3_mount.mount(upload_delay="0s")
    (m / "f").write_bytes(b"x")
    (m / "g").write_bytes(b"y")
    m.sync()
    proxy.fault(
        "answer",
        method="DELETE",
        path="/f$",
        count=-1,
        code=403,
        body="<Error><Code>AccessDenied</Code><Message>Access Denied because object "
        "protected by object lock.</Message></Error>",
    )
    (m / "f").unlink()
    (m / "g").write_bytes(b"goes on")

    def parked():
        said = m.run("status", m.path).stdout
        return "parked" in said and "protected by object lock" in said

    wait_until(parked, what="words")
    assert not (m / "f").exists()
    assert s3_bucket.get("f") == b"x"
    proxy.heal()
    m.run("recover", "retry", m / "f")
    m.sync()
    assert s3_bucket.keys() == ["g"]
