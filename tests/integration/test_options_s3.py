# SPDX-License-Identifier: Apache-2.0
"""Options that say where an S3 server is and how it is spoken to, read off
the requests that arrive there."""

import contextlib
import hashlib
import json
import os
import socket
import ssl
import subprocess
import time

import pytest

import servers
from buckets import S3Bucket
from conftest import fresh_name
from mount import wait_until
from proxy import Proxy
from servers import VersityGW, free_port

DOMAIN = "s3.localhost"


def signed_region(request):
    """The region in the scope of a request's signature."""
    scope = request.headers["authorization"].partition("Credential=")[2]
    return scope.partition(",")[0].split("/")[2]


@pytest.mark.option("endpoint_url")
def test_endpoint_url_wins_over_the_environment(s3_mount, proxy):
    endpoint = s3_mount.options.pop("endpoint_url")
    s3_mount.env["AWS_ENDPOINT_URL_S3"] = f"http://127.0.0.1:{free_port()}"
    s3_mount.mount(status=1)
    assert "endpoint_url" in s3_mount.said
    assert proxy.requests() == []
    s3_mount.mount(endpoint_url=endpoint)
    assert proxy.requests()


@pytest.mark.option("region")
def test_requests_are_signed_for_the_region(s3_mount, proxy):
    s3_mount.env["AWS_REGION"] = "eu-central-1"
    s3_mount.options["region"] = "eu-west-3"
    s3_mount.mount()  # the server refuses it, and names its own
    regions = [signed_region(r) for r in proxy.requests()]
    assert regions[0] == "eu-west-3"
    assert set(regions) == {"eu-west-3", servers.REGION}


@pytest.mark.option("profile")
def test_profile_chooses_the_credentials(s3_mount, tmp_path):
    good, bad = servers.SECRET_KEY, "wrong"
    shared = tmp_path / "credentials"
    shared.write_text(
        "".join(
            f"[{name}]\naws_access_key_id = {servers.ACCESS_KEY}\n"
            f"aws_secret_access_key = {secret}\n"
            for name, secret in (("default", bad), ("train", good))
        )
    )
    s3_mount.env["AWS_SHARED_CREDENTIALS_FILE"] = str(shared)
    s3_mount.env["AWS_SECRET_ACCESS_KEY"] = bad
    s3_mount.mount(status=1)
    s3_mount.mount(profile="train")
    (s3_mount / "f").write_bytes(b"x")
    s3_mount.umount()
    s3_mount.mount(status=1, profile="default")
    s3_mount.mount(status=1, profile="missing")
    assert "missing" in s3_mount.said


@pytest.mark.option("anonymous")
def test_anonymous_sends_no_credentials(s3_mount, s3_bucket, proxy):
    name = s3_bucket.name
    arn = f"arn:aws:s3:::{name}"
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": "*",
                "Action": ["s3:GetObject", "s3:ListBucket"],
                "Resource": [arn, f"{arn}/*"],
            }
        ],
    }
    s3_bucket.s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    s3_bucket.put("f", b"public")
    s3_mount.mount(ro=True, anonymous=True)
    assert (s3_mount / "f").read_bytes() == b"public"
    requests = proxy.requests()
    assert requests
    assert not [r for r in requests if "authorization" in r.headers]
    s3_mount.remount(ro=True)
    assert (s3_mount / "f").read_bytes() == b"public"
    assert all("authorization" in r.headers for r in proxy.requests()[len(requests) :])


@pytest.mark.option("payload")
@pytest.mark.parametrize("payload", ["auto", "signed"])
def test_bodies_are_signed_if_payload_says_so(s3_mount, proxy, payload):
    s3_mount.mount(payload=payload)
    (s3_mount / "f").write_bytes(b"x" * 5000)
    s3_mount.umount()
    (put,) = proxy.requests("PUT", "/f$")
    digest = put.headers["x-amz-content-sha256"]
    # sha256 of the body; the checksum of the object is there in both cases
    signed = hashlib.sha256(b"x" * 5000).hexdigest()
    assert digest == (signed if payload == "signed" else "UNSIGNED-PAYLOAD")


@pytest.fixture
def proxies():
    """proxies(UPSTREAM...): a proxy more, which ends with the test."""
    made = []

    def make(*args):
        made.append(Proxy(*args).start())
        return made[-1]

    yield make
    for p in made:
        p.stop()


@pytest.fixture
def named_server(tmp_path):
    """A server that looks for buckets in the names of hosts, too."""
    server = VersityGW(tmp_path / "server", "--virtual-domain", DOMAIN).start()
    yield server
    server.stop()


@pytest.mark.option("addressing_style")
@pytest.mark.parametrize("style", ["auto", "path", "virtual"])
def test_where_the_bucket_is_named(named_server, proxies, mounts, style):
    """Names that end in localhost are this machine's, without any DNS."""
    proxy = proxies(named_server.endpoint)
    bucket = S3Bucket(named_server, fresh_name(), f"http://{DOMAIN}:{proxy.port}")
    m = mounts(bucket, addressing_style=style).mount()
    (m / "f").write_bytes(b"x")
    m.umount()
    (put,) = proxy.requests("PUT", "/f$")
    found = (put.headers["host"], put.target)
    virtual = (f"{bucket.name}.{DOMAIN}:{proxy.port}", "/f")
    path = (f"{DOMAIN}:{proxy.port}", f"/{bucket.name}/f")
    assert found == (virtual if style == "virtual" else path)
    assert bucket.get("f") == b"x"


@pytest.fixture
def certificate(tmp_path):
    """One of 127.0.0.1 that nobody trusts: its file, and that of its key."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=test"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.mark.option("ca_bundle")
def test_f46_ca_bundle_is_whom_to_trust(versitygw, proxies, mounts, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    proxy = proxies(versitygw.endpoint, context)
    bucket = S3Bucket(versitygw, fresh_name(), proxy.endpoint)
    assert proxy.endpoint.startswith("https://")
    m = mounts(bucket)
    m.mount(status=1)
    assert "certificate" in m.said
    assert proxy.requests() == []
    m.mount(ca_bundle=certificate[0])
    (m / "f").write_bytes(b"x")
    m.umount()
    assert bucket.get("f") == b"x"


@pytest.mark.option("no_verify_ssl")
def test_s13_who_trusts_anybody_is_warned_each_time(
    versitygw, proxies, mounts, certificate
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    bucket = S3Bucket(
        versitygw, fresh_name(), proxies(versitygw.endpoint, context).endpoint
    )
    m = mounts(bucket)
    for _ in range(2):
        m.mount(no_verify_ssl=True)
        assert "warning: no_verify_ssl" in m.said
        warnings = json.dumps(m.status())
        assert "no_verify_ssl: whoever is on the way" in warnings
        m.umount()
    m.mount(status=1)
    assert "certificate" in m.said


@pytest.mark.option("http_timeout")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", r"/f$"),
        ("PUT", "partNumber="),
        ("POST", "uploadId="),
        ("GET", "list-type"),
    ],
)
def test_a_silent_server_is_given_up_on(s3_mount, s3_bucket, proxy, method, path):
    """Of each kind of request, those that may take longest, too."""
    s3_mount.mount(http_timeout="1s", part_size="8M", metadata_ttl="100ms")
    silent = proxy.fault("hang", method=method, path=path, count=1)
    began = time.monotonic()
    (s3_mount / "f").write_bytes(b"x")
    (s3_mount / "big").write_bytes(b"b" * (9 << 20))
    wait_until(lambda: os.listdir(s3_mount.path) and silent.hits, what="the silence")
    s3_mount.sync()
    assert time.monotonic() - began < 20
    assert s3_bucket.get("f") == b"x"
    assert s3_bucket.get("big") == b"b" * (9 << 20)


@pytest.mark.option("connect_timeout")
def test_who_cannot_be_connected_to_is_given_up_on(s3_mount, proxy):
    """The queue of a listener is full: the kernel drops what comes."""
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        url = f"http://127.0.0.1:{address[1]}"
        began = time.monotonic()
        s3_mount.mount(status=1, endpoint_url=url, connect_timeout="200ms")
        assert time.monotonic() - began < 8  # three tries
        assert (
            "timed out" in s3_mount.said.lower() or "timeout" in s3_mount.said.lower()
        )
    assert proxy.requests() == []
