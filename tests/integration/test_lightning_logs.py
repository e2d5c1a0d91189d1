# SPDX-License-Identifier: Apache-2.0
"""Real loggers, kept open for long: what they wrote is in the bucket soon, and
nothing waits for them."""

import subprocess

import pytest

from buckets import assert_same
from mount import wait_until
from trainer import Program

pytestmark = [pytest.mark.timeout(400), pytest.mark.lightning]


def test_open_logs_show_and_other_open_files_do_not(
    s3_bucket, mounts, proxy, passthrough
):
    """TensorBoard's events, CSVLogger's table and tee's output grow in the bucket
    while they are open; a model that is being written does not show, and a
    checkpoint closed meanwhile waits for none of them."""
    options = {"passthrough": passthrough, "upload_interval": "500ms"}
    m = mounts(s3_bucket, upload_delay="0s", **options).mount()
    user = Program("lightning_logs.py")
    tee = subprocess.Popen(
        ["tee", m / "out.log"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    model = (m / "model.ckpt").open("wb", buffering=0)

    def is_there(key):
        return key in set(s3_bucket.keys())

    def logs():
        keys = s3_bucket.keys()
        return {k: s3_bucket.get(k) for k in keys if not k.endswith(".ckpt")}

    def local(name):
        return (m / name).read_bytes()

    try:
        user.next("ready")
        user.call("open", root=m.path)
        for n in range(1, 5):
            user.call("step", n=n)
            tee.stdin.write(b"step %d\n" % n)
            tee.stdin.flush()
            model.write(b"half of it")
            (m / f"step{n}.ckpt").write_bytes(b"whole")
            wait_until(lambda n=n: is_there(f"step{n}.ckpt"), 20, f"step {n}")

            def is_shown(n=n):
                shown = logs()
                return (
                    len(shown) >= 3
                    and shown.get("out.log", b"").endswith(b"step %d\n" % n)
                    and all(v == local(k) for k, v in shown.items())
                )

            wait_until(is_shown, 30, f"the logs of step {n}")
        assert any("tfevents" in k for k in logs())
        assert "csv/version_0/metrics.csv" in logs()
        assert not is_there("model.ckpt")
        model.close()
        user.call("close")
    finally:
        user.end()
        tee.communicate()
        model.close()
    m.sync()
    assert_same(s3_bucket, m.path)
    puts = [key for _, key in proxy.commits()]
    assert max(puts.count(key) for key in logs()) <= 20
