# SPDX-License-Identifier: Apache-2.0
"""kill -9 at every system call of a save, and at random under a mixed load.

Mounted again, nothing that was acknowledged is missing; the bucket's history,
by the log of its server, is a legal order of publication; once drained nothing
is left in it that no name stands for.  A kill leaves the page cache: what is
not synced in time only a power cut finds.
"""

import os
import random
import re
import threading

import pytest

from buckets import S3Bucket
from conftest import fresh_name
from kills import MIB, Job, Killer, Lost, assert_nothing_left
from mount import wait_until
from watch import AccessLog, Order

pytestmark = [pytest.mark.kills, pytest.mark.root]
KILLS = int(os.environ.get("CKPTFS_KILLS", "100"))
SHARES = 4  # of the kills, to run side by side
STEPS_LEFT = 4  # by saves that died before they cleaned
PART = 5 * MIB
TEMPORARY = re.compile(r"\.tmp$|-checkpoint-tmp-")


class Judge:
    """The rules of watch.py for each job's folder, over the server's log."""

    def __init__(self, bucket, folders):
        self.orders = {f: Order() for f in folders}
        self.log = AccessLog(bucket.server.access_log, bucket.name, self)

    def shown(self, key):
        self.orders[key.partition("/")[0]].shown(key)

    def gone(self, key):
        self.orders[key.partition("/")[0]].gone(key)

    def check(self):
        self.log.drain()
        for order in self.orders.values():
            assert not order.violations, order.violations


@pytest.fixture
def s3_bucket(versitygw):
    """Without a proxy, which takes as long as all the rest."""
    return S3Bucket(versitygw, fresh_name())


@pytest.fixture
def killer(s3_bucket, mounts, passthrough, tmp_path):
    m = mounts(s3_bucket, passthrough=passthrough, part_size=PART, upload_delay="1ms")
    k = Killer(m, tmp_path)
    k.mount()
    return k


def step_of(step):
    return f"step-{step:05}"


def save(job, step, rng, big):
    """A step as train.py has it, at times in a folder that gets its name when it
    is whole, as Orbax does; and what Lightning does beside."""
    where = step_of(step)
    if step % 3 == 1:
        where += ".orbax-checkpoint-tmp-1"
    job.mkdir(where)
    for i in range(2):
        size = 2 * PART + 1000 if big and i == 0 else rng.randrange(20_000)
        job.put(f"{where}/shard-{i}-of-2", rng.randbytes(size))
    job.put("last", rng.randbytes(rng.randrange(20_000)))
    job.put(f"{where}/complete.tmp", b"%d" % step)
    job.rename(f"{where}/complete.tmp", f"{where}/complete")
    if step % 3 == 1:
        job.rename_folder(where, step_of(step))
    if "latest" in job.files:
        job.unlink("latest")
    job.symlink(step_of(step), "latest")
    job.put("log", b"step %d\n" % step, os.O_APPEND)
    if "best" in job.files:
        job.rename("best", "best-before")
    job.put("best", rng.randbytes(5000))


def clean(job, step):
    """Steps before this one go, the marker of each first; at times moved aside."""
    steps = {n for n in job.folders if n[:5] == "step-" and n != step_of(step)}
    if step % 4 == 3:
        for where in steps:
            job.rename_folder(where, where.replace("step", "old"))
        steps = {where.replace("step", "old") for where in steps}
    steps |= {n for n in job.folders if n[:4] == "old-"}
    for where in sorted(steps):
        for name in sorted(n for n in job.files if n.startswith(where + "/")):
            job.unlink(name)
        job.rmdir(where)


def first_save(job):
    job.mkdir()
    save(job, 0, random.Random(0), big=False)
    job.mnt.sync()


def after_a_crash(killer, jobs):
    killer.again()
    for job in jobs:
        job.settle()
        # Not renamed: nobody would publish it.
        for name in [n for n in job.files if TEMPORARY.search(n)]:
            job.unlink(name)
        for name in [n for n in job.folders if TEMPORARY.search(n)]:
            job.rmdir(name)


def dies_in_a_save(killer, job, step, n):
    """One that dies before its n-th call; whether it came to that."""
    killer.arm(n)
    try:
        save(job, step, random.Random(step), big=True)
        clean(job, step)
        job.mnt.run("sync", job.mnt.path, "--timeout", 60, status=None)
    except Lost:
        wait_until(killer.died, what="the end of the daemon")
    died = killer.died()
    killer.arm(0)
    if died:
        print(f"call {n}: {killer.where}")
        after_a_crash(killer, [job])
    return died


# One of both paths is enough for CI: the random kills take both.
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "passthrough", ["auto", "off"] if KILLS > 100 else ["auto"], indirect=True
)
@pytest.mark.parametrize("share", range(SHARES))
def test_a_save_dies_at_every_call(killer, s3_bucket, share):
    job, judge = Job(killer.mnt, "job"), Judge(s3_bucket, ["job"])
    first_save(job)
    n, step = 1 + share, 1
    while dies_in_a_save(killer, job, step, n):
        assert_nothing_left(killer.mnt, s3_bucket)
        judge.check()
        n, step = n + SHARES, step + 1
        # One that lives now and then: else what was saved would never be less.
        if len(job.folders) > STEPS_LEFT:
            save(job, step, random.Random(step), big=False)
            clean(job, step)
            job.mnt.sync()
            step += 1
    assert n > 50


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("passthrough", ["auto"], indirect=True)
@pytest.mark.parametrize("share", range(SHARES))
def test_a_mount_dies_at_every_call(killer, s3_bucket, share):
    """One that finds what a crash left; in CI at each third call."""
    job, judge = Job(killer.mnt, "job"), Judge(s3_bucket, ["job"])
    first_save(job)
    n, step, died = 1 + share, 0, True
    while died:
        step += 1
        save(job, step, random.Random(step), big=step % 8 == 0)
        clean(job, step)
        killer.mnt.kill9()
        killer.mnt.detach()
        died = killer.mount(n)
        print(f"call {n}: {killer.where}")
        after_a_crash(killer, [job])
        assert_nothing_left(killer.mnt, s3_bucket)
        judge.check()
        n += SHARES if KILLS > 100 else 3 * SHARES
    assert n > 50


class Load(threading.Thread):
    """A job that saves until its daemon dies."""

    def __init__(self, job, seed):
        super().__init__()
        self.job, self.rng, self.step = job, random.Random(seed), 0
        self.wrong = None

    def run(self):
        try:
            while True:
                self.step += 1
                save(self.job, self.step, self.rng, big=self.rng.random() < 0.1)
                clean(self.job, self.step)
        except Lost:
            pass
        except Exception as e:
            self.wrong = e


def kill_at_random(killer, jobs, steps, rng):
    loads = []
    killer.arm(rng.randrange(1, 3000))
    for i, job in enumerate(jobs):
        load = Load(job, rng.random())
        load.step = steps[i]
        loads.append(load)
        load.start()
    try:
        wait_until(killer.died, 60, what="the end of the daemon")
    finally:
        killer.mnt.kill9()
        for i, load in enumerate(loads):
            load.join()
            steps[i] = load.step
    for load in loads:
        if load.wrong:
            raise load.wrong
    print(f"died at {killer.where}")
    after_a_crash(killer, jobs)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", range(SHARES))
def test_kills_at_random_under_a_mixed_load(killer, s3_bucket, share):
    names = [f"job{i}" for i in range(3)]
    jobs = [Job(killer.mnt, name) for name in names]
    judge, rng = Judge(s3_bucket, names), random.Random(share)
    steps = [0] * len(jobs)
    for job in jobs:
        job.mkdir()
    for i in range(KILLS // (2 * SHARES) + 1):
        kill_at_random(killer, jobs, steps, rng)
        if i % 4 == 3:
            assert_nothing_left(killer.mnt, s3_bucket)
            judge.check()
    assert_nothing_left(killer.mnt, s3_bucket)
    judge.check()
