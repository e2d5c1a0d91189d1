# SPDX-License-Identifier: Apache-2.0
"""ckptfs fsck SOURCE: of buckets with what mounts, others and disks left."""

import os

import pytest

MIB = 1 << 20


def fsck(mnt, *args, status=0, source=None):
    options = ["-o", mnt.option_string(log_file=None)]
    source = source or mnt.source
    return mnt.run("fsck", source, *args, *options, status=status).stdout


def test_what_mounts_wrote_is_well(mnt, bucket):
    (mnt / "d/e").mkdir(parents=True)
    (mnt / "d/small").write_bytes(b"x" * 1000)
    (mnt / "d/large").write_bytes(os.urandom(20 * MIB))
    (mnt / "last").symlink_to("d/large")
    (mnt / "empty").touch()
    mnt.sync()
    said = fsck(mnt, "--read-data")
    assert said.endswith(": all is well\n")
    assert "0 without a checksum" in said or bucket.kind == "file"
    assert fsck(mnt, "--read-data", "--fix") == said
    assert (mnt / "d/small").read_bytes() == b"x" * 1000


@pytest.mark.parametrize("s3_server", ["versitygw", "minio"], indirect=True)
def test_names_and_uploads_of_others(s3_mount, s3_bucket):
    mnt, s3 = s3_mount, s3_bucket.s3
    s3_bucket.put("run/fine", b"1")
    s3_bucket.put("run/theirs/", b"")
    key = "run/never-ended"
    s3.create_multipart_upload(Bucket=s3_bucket.name, Key=key)
    s3.create_multipart_upload(Bucket=s3_bucket.name, Key="elsewhere")
    # MinIO lists uploads by whole keys alone, and it is said.
    lists = s3_bucket.server.name != "minio"
    source = f"{mnt.source}/run"
    said = fsck(mnt, source=source)
    assert f"note: {key}: an upload in parts, begun" in said or not lists
    assert "note: run/theirs/: a folder that another program made" in said
    assert said.endswith(f"2 objects, 1, {lists:d} uploads in parts: all is well\n")
    if lists:
        said = fsck(mnt, "--older-than", "0s", source=source, status=1)
        assert f"found: {key}: an upload in parts" in said
        fsck(mnt, "--fix", source=source)
        assert sorted(s3_bucket.uploads()) == ["elsewhere", key]
        said = fsck(mnt, "--fix", "--older-than", "0s", source=source)
        assert f"mended: {key}" in said
        assert s3_bucket.uploads() == ["elsewhere"]
    else:
        said = fsck(mnt, "--fix", "--older-than", "0s", source=source)
        assert "lists uploads in parts by whole keys alone" in said


def test_bytes_that_the_server_s_disk_changed(s3_mount, s3_bucket):
    """What the server keeps of the file's checksum is what ckptfs sent."""
    mnt = s3_mount.mount()
    for name in ("good", "bad"):
        (mnt / name).write_bytes(os.urandom(3 * MIB))
    mnt.sync()
    with (s3_bucket.server.data / s3_bucket.name / "bad").open("r+b") as f:
        f.seek(2 * MIB)
        f.write(b"another megabyte")
    assert fsck(mnt).endswith(": all is well\n")
    said = fsck(mnt, "--read-data", status=1)
    assert "found: bad: " in said
    assert "good" not in said
    assert said.endswith("1 found, 0 mended\n")


def test_a_bucket_that_is_not_there(s3_mount):
    done = s3_mount.run(
        "fsck",
        "s3://no-such-bucket-here",
        "-o",
        s3_mount.option_string(log_file=None),
        status=1,
    )
    assert "make the bucket first" in done.stderr
    assert done.stdout == ""


def test_what_is_asked_wrongly_is_said(folder_mount):
    mnt = folder_mount
    for args, words in (
        (["--older-than", "soon", mnt.source], "--older-than soon is no good"),
        (["--cache", "--read-data", mnt.source], "for buckets"),
        ([mnt.source, "x"], "what is x"),
    ):
        done = mnt.run("fsck", *args, status=2)
        assert words in done.stderr
