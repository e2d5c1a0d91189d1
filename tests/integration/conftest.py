# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a server, a proxy before it, a fresh bucket, mounts that end."""

import os
import signal
from pathlib import Path

import pytest

from buckets import AzureBucket, DirBucket, GCSBucket, S3Bucket
from mount import Mount
from proxy import Proxy
from servers import S3_SERVERS, Azurite, FakeGCS, MinIO, StrictGCS, VersityGW


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than ten seconds")
    # The jobs of a shell in the background ignore it, and all that they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config, items):
    """Root's tests for root, an ordinary user's for him, all others for both."""
    other = "user" if os.geteuid() == 0 else "root"
    left = [i for i in items if not i.get_closest_marker(other)]
    config.hook.pytest_deselected(
        items=[i for i in items if i.get_closest_marker(other)]
    )
    items[:] = left


def pytest_terminal_summary(terminalreporter):
    """Counts and names for contrib/check, which sums up over all lanes."""
    path = os.environ.get("CKPTFS_RESULTS")
    # Under xdist each worker comes here, too, with its share.
    if not path or "PYTEST_XDIST_WORKER" in os.environ:
        return
    stats = terminalreporter.stats
    # A test that passed and whose teardown failed counts once, as failed.
    bad = {r.nodeid for kind in ("failed", "error") for r in stats.get(kind, ())}
    good = {r.nodeid for r in stats.get("passed", ())} - bad
    lane = os.environ.get("CKPTFS_LANE", "pytest")
    lines = [f"pass {len(good)}"]
    lines += [f"fail {lane}/{name}" for name in sorted(bad)]
    skipped = {r.nodeid for r in stats.get("skipped", ())}
    lines += [f"skip {lane}/{name}" for name in sorted(skipped)]
    # Of a test with parameters all that were to run; docs/semantics.md names some.
    whole = {name.partition("[")[0] for name in good}
    whole -= {name.partition("[")[0] for name in bad | skipped}
    lines += [f"ran {name}" for name in sorted(whole)]
    with Path(path).open("a") as f:
        f.write("\n".join(lines) + "\n")


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, f"report_{call.when}", outcome.get_result())


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory):
    server = VersityGW(tmp_path_factory.mktemp("versitygw")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def minio(tmp_path_factory):
    server = MinIO(tmp_path_factory.mktemp("minio")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def fake_gcs_server(tmp_path_factory):
    server = FakeGCS(tmp_path_factory.mktemp("gcs")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def strict_gcs(tmp_path_factory):
    server = StrictGCS(tmp_path_factory.mktemp("strict-gcs")).start()
    yield server
    server.stop()


@pytest.fixture
def gcs_server(request):
    """fake-gcs-server; another one where a test is parametrized, indirectly."""
    return request.getfixturevalue(getattr(request, "param", "fake_gcs_server"))


@pytest.fixture
def gcs_proxy(gcs_server):
    p = Proxy(gcs_server.endpoint).start()
    yield p
    p.stop()


@pytest.fixture
def gcs_bucket(gcs_server, gcs_proxy):
    """A bucket whose mounts go through the proxy."""
    return GCSBucket(gcs_server, fresh_name(), gcs_proxy.endpoint)


@pytest.fixture(scope="session")
def azurite(tmp_path_factory):
    server = Azurite(tmp_path_factory.mktemp("azurite")).start()
    yield server
    server.stop()


@pytest.fixture
def azure_proxy(azurite):
    p = Proxy(azurite.endpoint).start()
    yield p
    p.stop()


@pytest.fixture
def azure_bucket(azurite, azure_proxy):
    """A container whose mounts go through the proxy."""
    return AzureBucket(azurite, fresh_name(), azure_proxy.endpoint)


@pytest.fixture
def s3_server(request):
    """versitygw; another one where a test is parametrized, indirectly."""
    return request.getfixturevalue(getattr(request, "param", "versitygw"))


@pytest.fixture
def proxy(s3_server):
    p = Proxy(s3_server.endpoint).start()
    yield p
    p.stop()


class Names:
    """Bucket names nobody else in this session has."""

    count = 0


def fresh_name():
    Names.count += 1
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return f"test-{worker}-{os.getpid()}-{Names.count}"


@pytest.fixture
def s3_bucket(s3_server, proxy):
    """A bucket whose mounts go through the proxy."""
    return S3Bucket(s3_server, fresh_name(), proxy.endpoint)


@pytest.fixture(params=["file", "s3"])
def bucket(request, tmp_path):
    if request.param == "s3":
        return request.getfixturevalue("s3_bucket")
    if request.param == "minio":
        return S3Bucket(request.getfixturevalue("minio"), fresh_name())
    return DirBucket(tmp_path / "bucket")


ROOT = os.geteuid() == 0
# For tests of what a mount is for: over MinIO, too, where one I/O path is enough.
over_all_buckets = pytest.mark.parametrize(
    ("passthrough", "bucket"),
    [("auto", "file"), ("auto", "s3")]
    + [("off", "file"), ("off", "s3"), ("auto", "minio")] * ROOT,
    indirect=True,
)
# For tests that want an S3 server and its proxy.
over_all_servers = pytest.mark.parametrize(
    "s3_server", sorted(S3_SERVERS) if ROOT else ["versitygw"], indirect=True
)


@pytest.fixture(params=["auto", "off"] if ROOT else ["auto"])
def passthrough(request):
    """The I/O paths there are; the kernel gives passthrough to root alone."""
    return request.param


@pytest.fixture
def mounts(request, tmp_path):
    """mounts(bucket, NAME, OPTION=VALUE...): a mount of its own, with its own
    cache unless cache_dir says otherwise; not yet mounted."""
    made = []

    def make(bucket, name="a", **options):
        env = dict(bucket.env, HOME=str(tmp_path / "home"))
        cache = options.pop("cache_dir", tmp_path / f"{name}.cache")
        options = {**bucket.options, "log_level": "debug", **options}
        m = Mount(bucket.source, tmp_path / f"{name}.mnt", cache, env, **options)
        made.append(m)
        return m

    yield make
    problems = []
    for m in made:
        failed = getattr(request.node, "report_call", None)
        if failed is not None and failed.failed:
            print(f"{m.path.name}{m.log_tail(60)}")
            m.discard()  # what it has to say is known already
        elif problem := m.end():
            problems.append(problem + m.log_tail(60))
    assert not problems, problems


@pytest.fixture
def mnt(bucket, passthrough, mounts):
    """A mount of `bucket` over both I/O paths, mounted."""
    return mounts(bucket, passthrough=passthrough).mount()


@pytest.fixture
def folder_mount(tmp_path, mounts):
    """A mount of a folder, not yet mounted; s3_mount: of an S3 server."""
    return mounts(DirBucket(tmp_path / "bucket"))


@pytest.fixture
def s3_mount(s3_bucket, mounts):
    return mounts(s3_bucket)
