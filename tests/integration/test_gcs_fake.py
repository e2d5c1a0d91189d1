# SPDX-License-Identifier: Apache-2.0
"""fake_gcs.py is what Google's own client takes it for, and refuses the rest."""

import io
import json
import urllib.error
import urllib.request

import pytest
import requests
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from servers import StrictGCS


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = StrictGCS(tmp_path_factory.mktemp("strict")).start()
    s.make_bucket("b")
    yield s
    s.stop()


@pytest.fixture
def bucket(server):
    client = storage.Client(
        project="p",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": server.endpoint},
    )
    yield client.bucket("b")
    said = [line for line in server.log.read_text().splitlines() if "Unknown" in line]
    assert said == []


def put(bucket, name, data, **how):
    blob = bucket.blob(name)
    blob.metadata = {"mode": "1"}
    blob.upload_from_string(data, checksum="crc32c", **how)
    return blob


def test_an_object_is_written_read_and_deleted_by_generation(bucket):
    blob = put(bucket, "a b/ü+%", b"one", if_generation_match=0)
    first = blob.generation
    with pytest.raises(exceptions.PreconditionFailed):
        put(bucket, "a b/ü+%", b"two", if_generation_match=0)
    assert put(bucket, "a b/ü+%", b"two", if_generation_match=first).size == 3
    blob = bucket.get_blob("a b/ü+%")
    second = blob.generation
    assert second > first
    assert (blob.metadata, blob.metageneration) == ({"mode": "1"}, 1)
    assert blob.download_as_bytes(start=1, end=9, if_generation_match=second) == b"wo"
    with pytest.raises(exceptions.PreconditionFailed):
        blob.download_as_bytes(if_generation_match=first)
    with pytest.raises(exceptions.NotFound):
        bucket.blob("a b/ü+%", generation=first).reload()
    blob.metadata = {"mode": None, "mtime": "2"}
    blob.patch(if_metageneration_match=1)
    assert (blob.metadata, blob.generation) == ({"mtime": "2"}, second)
    blob.metadata = {"mtime": "3"}
    with pytest.raises(exceptions.PreconditionFailed):
        blob.patch(if_metageneration_match=1)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.delete(if_generation_match=first)
    blob.delete(if_generation_match=second)
    with pytest.raises(exceptions.NotFound):
        blob.delete()


def test_listings_fold_and_go_on(bucket):
    names = [f"l/{i:03}" for i in range(150)] + [f"l/d{i:03}/x" for i in range(150)]
    for name in names:
        put(bucket, name, b"")
    pages = bucket.client.list_blobs(bucket, prefix="l/", delimiter="/")
    assert [b.name for b in pages] == names[:150]
    assert sorted(pages.prefixes) == [f"l/d{i:03}/" for i in range(150)]
    assert pages.page_number == 3
    left = bucket.client.list_blobs(bucket, prefix="l/", start_offset="l/d149")
    assert [b.name for b in left] == ["l/d149/x"]


def test_objects_are_joined_and_copied_on_conditions(bucket):
    parts = [put(bucket, f"p{i}", b"x" * i, if_generation_match=0) for i in (1, 2)]
    whole = bucket.blob("whole")
    whole.compose(parts, if_generation_match=0)
    assert whole.download_as_bytes() == b"xxx"
    with pytest.raises(exceptions.PreconditionFailed):
        whole.compose(parts, if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        whole.compose(parts, if_source_generation_match=[parts[0].generation, 1])
    with pytest.raises(exceptions.BadRequest):
        whole.compose(parts * 17)
    large = put(bucket, "large", b"y" * 250_000)
    copy = bucket.blob("copy")
    steps, token = 1, copy.rewrite(large, if_generation_match=0)[0]
    while token:
        token = copy.rewrite(large, token=token, if_generation_match=0)[0]
        steps += 1
    assert steps == 3
    assert copy.download_as_bytes() == b"y" * 250_000
    with pytest.raises(exceptions.PreconditionFailed):
        copy.rewrite(large, if_source_generation_match=1)


KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k"


def test_class_and_key_are_kept(bucket):
    blob = bucket.blob("kept", kms_key_name=KEY)
    blob.storage_class = "NEARLINE"
    blob.upload_from_string(b"x")
    found = bucket.get_blob("kept")
    assert (found.storage_class, found.kms_key_name) == ("NEARLINE", KEY)
    copy = bucket.blob("copy", kms_key_name=KEY)
    copy.rewrite(found)
    assert bucket.get_blob("copy").kms_key_name == KEY
    blob.storage_class = "FAST"
    with pytest.raises(exceptions.BadRequest):
        blob.upload_from_string(b"x")


def test_a_bucket_tells_how_it_is_set_up(bucket, server):
    server.make_bucket(
        "kept",
        softDeletePolicy={"retentionDurationSeconds": "604800"},
        retentionPolicy={"retentionPeriod": "60"},
        hierarchicalNamespace={"enabled": True},
    )
    kept = bucket.client.get_bucket("kept")
    assert kept.soft_delete_policy.retention_duration_seconds == 604800
    assert kept.retention_period == 60
    assert kept.hierarchical_namespace_enabled
    assert bucket.client.get_bucket("b").retention_period is None


def test_a_resumable_upload_goes_on_where_it_was(bucket):
    data = bytes(range(256)) * 3000
    blob = bucket.blob("resumed", chunk_size=256 << 10)
    blob.metadata = {"mode": "1"}
    blob.upload_from_file(io.BytesIO(data), checksum="crc32c", if_generation_match=0)
    assert bucket.get_blob("resumed").metadata == {"mode": "1"}
    assert bucket.get_blob("resumed").download_as_bytes() == data
    url = bucket.blob("other").create_resumable_upload_session(size=len(data))
    session = requests.Session()
    half = 512 << 10
    head = {"Content-Range": f"bytes 0-{half - 1}/{len(data)}"}
    assert session.put(url, data[:half], headers=head).status_code == 308
    ask = {"Content-Range": f"bytes */{len(data)}"}
    assert session.put(url, headers=ask).headers["Range"] == f"bytes=0-{half - 1}"
    head = {"Content-Range": f"bytes {half}-{len(data) - 1}/{len(data)}"}
    assert session.put(url, data[half:], headers=head).status_code == 200
    assert session.put(url, headers=ask).status_code == 200
    assert bucket.get_blob("other").download_as_bytes() == data
    url = bucket.blob("gone").create_resumable_upload_session()
    assert session.delete(url).status_code == 499
    assert session.put(url, headers=ask).status_code == 404


def test_many_are_deleted_by_one_request(bucket):
    left = put(bucket, "many/a", b"a")
    put(bucket, "many/ü+%", b"b")
    blobs = [bucket.blob(f"many/{n}") for n in ("ü+%", "none", "a")]
    gone = blobs[0]
    with pytest.raises(exceptions.NotFound), bucket.client.batch():
        for blob in blobs[:2]:
            blob.delete()
    assert not gone.exists()
    with pytest.raises(exceptions.PreconditionFailed), bucket.client.batch():
        left.delete(if_generation_match=1)
    assert left.exists()
    with bucket.client.batch():
        left.delete(if_generation_match=left.generation)
    assert not left.exists()


WRONG = {
    "parameter": ("GET", "/storage/v1/b/b/o?ifGenerationMatch=0", {}),
    "header": ("GET", "/storage/v1/b/b/o", {"X-Goog-If-Generation-Match": "0"}),
    "upload": ("POST", "/upload/storage/v1/b/b/o?uploadType=media&name=x", {}),
    "name": ("POST", "/storage/v1/b/b/o/a%0Ab/compose", {}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_not_documented_is_refused(wrong, server):
    method, path, headers = WRONG[wrong]
    body = None
    if method == "POST":
        body = json.dumps({"sourceObjects": []}).encode()
        headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(server.endpoint + path, body, headers)
    with pytest.raises(urllib.error.HTTPError) as e:
        urllib.request.urlopen(request)
    assert e.value.code == 400
