# SPDX-License-Identifier: Apache-2.0
"""Objects that the server encrypts: by its own keys, by one of the user's at a
key service, by one that goes with each request; on a MinIO over https."""

import base64
import os
import shutil

import botocore.exceptions
import pytest

from buckets import S3Bucket, assert_same
from conftest import fresh_name
from servers import MinIO
from test_security import make_certificate

MIB = 1 << 20
KEY = bytes(range(32))


class SafeMinIO(MinIO):
    """Over https, and with a key service of its own."""

    folders = ("data", "certs")

    def start(self):
        certs = self.folder / "certs"
        certs.mkdir(parents=True)
        cert, key = make_certificate(self.folder)
        shutil.copy(cert, certs / "public.crt")
        shutil.copy(key, certs / "private.key")
        self.ca = str(cert)
        self.args = ("--certs-dir", str(certs))
        return super().start()

    def more_env(self):
        key = "ours:" + base64.b64encode(KEY).decode()
        return super().more_env() | {"MINIO_KMS_SECRET_KEY": key}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = SafeMinIO(tmp_path_factory.mktemp("safe")).start()
    yield made
    made.stop()


def work(m):
    """Each kind of request that makes an object or reads one."""
    big = os.urandom(9 * MIB)
    (m / "small").write_bytes(b"small and plain")
    (m / "big").write_bytes(big)
    (m / "log").write_bytes(big)
    m.sync()
    (m / "small").rename(m / "moved")
    (m / "big").write_bytes(big[::-1])
    with (m / "log").open("ab") as f:
        f.write(b"more")
    m.sync()
    m.run("evict", m.path)
    assert (m / "moved").read_bytes() == b"small and plain"
    assert (m / "big").read_bytes() == big[::-1]
    assert (m / "log").read_bytes() == big + b"more"
    return big


@pytest.mark.option("sse", "sse_kms_key_id")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sse": "AES256"}, "AES256"),
        ({"sse": "aws:kms"}, "aws:kms"),
        ({"sse": "aws:kms", "sse_kms_key_id": "ours"}, "aws:kms"),
    ],
)
def test_by_the_servers_keys(server, mounts, options, said):
    bucket = S3Bucket(server, fresh_name())
    m = mounts(bucket, upload_delay="0s", part_size="5M", **options).mount()
    work(m)
    assert_same(bucket, m.path)
    names = bucket.keys()
    for key in names:
        head = bucket.s3.head_object(Bucket=bucket.name, Key=key)
        assert head["ServerSideEncryption"] == said, key
        assert head.get("SSEKMSKeyId", "ours").endswith("ours")


@pytest.mark.option("sse_c_key_file")
def test_by_a_key_of_each_request(server, mounts, tmp_path):
    bucket = S3Bucket(server, fresh_name())
    (tmp_path / "key").write_bytes(KEY)
    options = {"part_size": "5M", "sse_c_key_file": tmp_path / "key"}
    m = mounts(bucket, upload_delay="0s", **options).mount()
    big = work(m)
    customer = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY}
    for key, data in (("moved", b"small and plain"), ("log", big + b"more")):
        got = bucket.s3.get_object(Bucket=bucket.name, Key=key, **customer)
        assert got["Body"].read() == data
        with pytest.raises(botocore.exceptions.ClientError):
            bucket.s3.get_object(Bucket=bucket.name, Key=key)
    other = mounts(bucket, "other", **options).mount()
    assert (other / "log").read_bytes() == big + b"more"
