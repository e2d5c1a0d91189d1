# SPDX-License-Identifier: Apache-2.0
"""Options that say how objects are stored, and by whose key: the headers are
those that boto3 sends for the same, request by request."""

import base64
import hashlib
import os
import re
from pathlib import Path

import pytest

from mount import Failed, wait_until

MIB = 1 << 20
OURS = re.compile(
    r"content-type$|x-amz-(copy-source-)?server-side-encryption|"
    r"x-amz-(storage-class|acl$|tagging|request-payer)"
)
# name of the option: (its value, boto3's name for it, boto3's value)
STORED = {
    "sse": ("aws:kms", "ServerSideEncryption", "aws:kms"),
    "sse_kms_key_id": ("key-1", "SSEKMSKeyId", "key-1"),
    "storage_class": ("STANDARD", "StorageClass", "STANDARD"),
    "acl": ("private", "ACL", "private"),
    "tags": ("run=7&team=a%2Fb", "Tagging", "run=7&team=a%2Fb"),
    "content_type": ("text/x-test", "ContentType", "text/x-test"),
}
PAYER = {"RequestPayer": "requester"}


def kind(request):
    """put, copy (replace: with other metadata), begin, part, part-copy, commit,
    parts, get, head, delete, list"""
    query, headers = request.query, request.headers
    upload, part = "uploadId" in query, "partNumber" in query
    if not request.key:
        return "list" if "list-type" in query else "other"
    if headers.get("x-amz-metadata-directive") == "REPLACE":
        return "replace"
    if request.method == "PUT" and "x-amz-copy-source" in headers:
        return "part-copy" if part else "copy"
    names = {"PUT": ("put", "part"), "POST": ("begin", "commit")}
    names |= {"GET": ("get", "parts"), "DELETE": ("delete", "abort")}
    return names.get(request.method, ("head",) * 2)[upload]


def by_kind(requests):
    """{kind: the headers of its requests that options add}, the same for all of
    a kind."""
    found = {}
    for r in requests:
        mine = {n: v for n, v in r.headers.items() if OURS.match(n)}
        assert found.setdefault(kind(r), mine) == mine, (r.method, r.target)
    return found


def encoded(args):
    """A customer's key as it is sent."""
    if key := args.get("SSECustomerKey"):
        digest = base64.b64encode(hashlib.md5(key).digest()).decode()
        args = dict(args, SSECustomerKeyMD5=digest)
        args["SSECustomerKey"] = base64.b64encode(key).decode()
    return args


def boto_requests(bucket, proxy, stored, reading):
    """The same through boto3: what it adds to each kind of request."""
    import servers  # noqa: PLC0415

    begun = len(proxy.requests())
    s3 = servers.client(proxy.endpoint, attempts=1)
    name = bucket.name

    def quietly(call, **args):
        # What this server does not know is told after it was sent.
        try:
            return call(Bucket=name, **args)
        except s3.exceptions.ClientError:
            return None

    quietly(s3.put_object, Key="b", Body=b"x", **stored, **reading)
    quietly(s3.get_object, Key="b", **reading)
    quietly(s3.head_object, Key="b", **reading)
    copied = {f"CopySource{k}": v for k, v in reading.items() if k.startswith("SSE")}
    retag = {"TaggingDirective": "REPLACE"} if "Tagging" in stored else {}
    source = f"{name}/b"
    for directive in ("COPY", "REPLACE"):
        # the type is metadata, which COPY takes from the source
        kept = {k for k in stored if directive == "REPLACE" or k != "ContentType"}
        args = {k: stored[k] for k in kept} | reading | copied | retag
        quietly(
            s3.copy_object,
            Key="c",
            CopySource=source,
            MetadataDirective=directive,
            **args,
        )
    upload = quietly(s3.create_multipart_upload, Key="m", **stored, **reading)
    upload = {"Key": "m", "UploadId": upload["UploadId"] if upload else "none"}
    part = quietly(s3.upload_part, Body=b"x", PartNumber=1, **upload, **reading)
    quietly(
        s3.upload_part_copy,
        CopySource=source,
        PartNumber=2,
        **upload,
        **reading,
        **copied,
    )
    plain = encoded(reading)  # not by itself in what follows
    quietly(s3.list_parts, **upload, **plain)
    parts = [{"PartNumber": 1, "ETag": part["ETag"] if part else "none"}]
    parts = {"Parts": parts}
    quietly(s3.complete_multipart_upload, MultipartUpload=parts, **upload, **plain)
    payer = {k: v for k, v in reading.items() if k == "RequestPayer"}
    quietly(s3.list_objects_v2, **payer)
    quietly(s3.delete_object, Key="b", **payer)
    quietly(s3.abort_multipart_upload, **upload, **payer)
    return by_kind(proxy.requests()[begun:])


def work(m):
    """A mount that makes requests of each kind."""
    (m / "f").write_bytes(b"x")
    (m / "big").write_bytes(b"b" * (9 * MIB))
    m.sync()
    m.run("evict", m.path)
    assert (m / "f").read_bytes() == b"x"
    (m / "f").rename(m / "g")
    m.sync()
    (m / "g").unlink()
    m.umount()


@pytest.mark.option(
    "sse", "sse_kms_key_id", "storage_class", "acl", "tags", "content_type"
)
@pytest.mark.option("requester_pays")
def test_each_request_has_the_headers_that_boto3_sends(s3_bucket, s3_mount, proxy):
    options = {name: value for name, (value, _, _) in STORED.items()}
    s3_mount.mount(part_size="8M", requester_pays=True, **options)
    work(s3_mount)
    ours = by_kind(proxy.requests())
    stored = {name: value for _, name, value in STORED.values()}
    theirs = boto_requests(s3_bucket, proxy, stored, PAYER)
    assert {"put", "begin", "part", "commit", "get", "head", "copy"} < set(ours)
    assert ours["put"]["x-amz-tagging"] == STORED["tags"][0]
    for what, headers in ours.items():
        if what in theirs:
            assert headers == theirs[what], what
    assert s3_bucket.s3.get_object_tagging(Bucket=s3_bucket.name, Key="big")["TagSet"]
    head = s3_bucket.s3.head_object(Bucket=s3_bucket.name, Key="big")
    assert head["ContentType"] == "text/x-test"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sse": "AES128"}, "give AES256|aws:kms|aws:kms:dsse"),
        ({"sse_kms_key_id": "k"}, "wants sse=aws:kms"),
        ({"sse": "AES256", "sse_kms_key_id": "k"}, "wants sse=aws:kms"),
        ({"acl": "everybody"}, "private|public-read|"),
        ({"tags": "a=b c"}, "name=value&name=value"),
        ({"sse_c_key_file": "/nowhere/at/all"}, "No such file"),
    ],
)
def test_what_does_not_go_together_is_refused(s3_mount, proxy, options, said):
    with pytest.raises(Failed):
        s3_mount.mount(**options)
    assert said in s3_mount.said
    assert proxy.requests() == []


def test_a_content_type_by_the_name(s3_mount, s3_bucket):
    s3_mount.mount(content_type="auto")
    wanted = {
        "config.json": "application/json",
        "a/train.LOG": "text/plain",
        "model.ckpt": "application/octet-stream",
        "json": "application/octet-stream",
    }
    (s3_mount / "a").mkdir()
    for name in wanted:
        (s3_mount / name).write_bytes(b"x")
    s3_mount.sync()
    s3 = s3_bucket.s3
    found = {
        name: s3.head_object(Bucket=s3_bucket.name, Key=name)["ContentType"]
        for name in wanted
    }
    assert found == wanted


@pytest.mark.option("sse_c_key_file")
@pytest.mark.parametrize("form", ["bytes", "base64"])
def test_a_customers_key_goes_with_each_request(
    s3_bucket, s3_mount, proxy, tmp_path, form
):
    """Whatever the server makes of it: some ignore it."""
    key = os.urandom(32)
    path = tmp_path / "key"
    path.write_bytes(key if form == "bytes" else base64.b64encode(key) + b"\n")
    s3_mount.mount(part_size="8M", sse_c_key_file=path)
    pid = s3_mount.pid()
    argv = Path(f"/proc/{pid}/cmdline").read_bytes()
    assert base64.b64encode(key) not in argv
    work(s3_mount)
    ours = by_kind(proxy.requests())
    customer = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}
    theirs = boto_requests(s3_bucket, proxy, {}, customer)
    for what, headers in ours.items():
        if what in theirs:
            assert headers == theirs[what], what
    assert ours["get"]["x-amz-server-side-encryption-customer-algorithm"] == "AES256"
    assert base64.b64encode(key).decode() not in s3_mount.log.read_text()


def test_a_customers_key_of_another_length_is_refused(s3_mount, proxy, tmp_path):
    path = tmp_path / "key"
    for text in (b"", b"k" * 31, b"k" * 33, base64.b64encode(b"k" * 31)):
        path.write_bytes(text)
        s3_mount.mount(status=2, sse_c_key_file=path)
        assert "a key is 32 bytes" in s3_mount.said
    assert proxy.requests() == []
    wait_until(lambda: not s3_mount.alive(), what="no daemon")
