# SPDX-License-Identifier: Apache-2.0
"""Directory buckets: each request as boto3 has it, to hosts that are played, and
signed as the service would want it."""

import hashlib
import re
import ssl
import subprocess
from types import SimpleNamespace
from urllib.parse import unquote

import pytest

import servers
from fake_aws import sigv4
from proxy import Proxy
from test_amazon import REGION, boto
from test_amazon import Bucket as AmazonBucket

BUCKET = "ours--use1-az4--x-s3"
SESSION = {"ASIASESSION": "session-secret"}
ANSWERS = {
    "/?session": "<CreateSessionResult><Credentials><SessionToken>to+ken/=="
    "</SessionToken><SecretAccessKey>session-secret</SecretAccessKey>"
    "<AccessKeyId>ASIASESSION</AccessKeyId><Expiration>2090-01-01T00:00:00Z"
    "</Expiration></Credentials></CreateSessionResult>",
    "/?.*list-type": "<ListBucketResult><IsTruncated>false</IsTruncated><Contents>"
    "<Key>run/f</Key><Size>1</Size><ETag>&quot;e&quot;</ETag>"
    "<LastModified>2026-01-01T00:00:00Z</LastModified></Contents></ListBucketResult>",
}
HOSTS = [
    f"s3express{fips}-use1-az4{dual}.{REGION}.amazonaws.com"
    for fips in ("", "-fips")
    for dual in ("", ".dualstack")
]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = folder / "cert.pem", folder / "key.pem"
    names = [f"DNS:*.{host}" for host in HOSTS]
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=test"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-addext", "subjectAltName=" + ",".join(names)]
    command += ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.fixture
def web(versitygw, certificate):
    """The proxy of the web; whoever is asked for, it answers itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    proxy = Proxy(versitygw.endpoint, context)
    proxy.tunnels = True
    for path, body in ANSWERS.items():
        proxy.fault(
            "answer",
            path=re.escape(path).replace(r"\.\*", ".*"),
            code=200,
            body=body,
            count=-1,
        )
    proxy.fault("answer", code=200, body="x", count=-1, headers={"ETag": '"e"'})
    proxy.start()
    yield proxy
    proxy.stop()


def is_signed_well(request):
    """By whom, for what; that it is right is checked."""
    head = request.headers["authorization"]
    key, scope, signed, signature = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/([^,]+), ?SignedHeaders=([^,]+), ?"
        r"Signature=([0-9a-f]{64})",
        head,
    ).groups()
    secret = SESSION.get(key, servers.SECRET_KEY)
    asked = SimpleNamespace(
        method=request.method,
        path=request.path,
        query={k: v[0] for k, v in request.query.items()},
        headers=request.headers,
        body=b"",
    )
    assert request.headers["x-amz-content-sha256"] == hashlib.sha256(b"").hexdigest()
    assert sigv4(secret, asked, scope, signed.split(";")) == signature
    return key, scope.split("/")[1:], {n for n in signed.split(";") if "token" in n}


def spot(request):
    tokens = {n: v for n, v in request.headers.items() if "token" in n}
    target = unquote(request.target).partition("&x-id")[0].partition("?x-id")[0]
    target = target.removesuffix("=")  # the same to whoever signs
    query = re.sub(r"list-type=2.*(prefix=[^&]*).*", r"\1", target)
    return (
        request.method,
        request.headers["host"],
        query,
        tokens,
        is_signed_well(request),
    )


@pytest.mark.parametrize("fips", [False, True])
@pytest.mark.parametrize("dual_stack", [False, True])
def test_requests_are_those_of_boto3(
    versitygw, web, certificate, mounts, fips, dual_stack
):
    b = AmazonBucket(versitygw, f"{BUCKET}/run", web, certificate)
    options = {"fips": fips or None, "dual_stack": dual_stack or None}
    m = mounts(b, **options)
    m.run(
        "probe",
        b.source,
        "--read-only",
        "--no-speed",
        "-o",
        m.option_string(log_file=None),
        status=None,
    )
    ours = [spot(r) for r in web.requests()]
    begun = len(web.requests())
    s3 = boto(web, certificate, fips, dual_stack)
    s3.list_objects_v2(Bucket=BUCKET, Prefix="run/")
    s3.get_object(Bucket=BUCKET, Key="run/f")
    theirs = [spot(r) for r in web.requests()[begun:]]
    assert theirs[0][2] == "/?session"
    assert len(theirs) == 3
    for request in theirs:
        assert request in ours, (request, ours)
    assert [r for r in ours if "session" in r[2]] == theirs[:1]
    for _, host, target, tokens, (key, _, _) in ours[1:]:
        assert host == theirs[0][1]
        assert "start-after" not in target
        assert (key, list(tokens)) == ("ASIASESSION", ["x-amz-s3session-token"])
