# SPDX-License-Identifier: Apache-2.0
"""Completion in bash: what it offers is what the program takes."""

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from mount import TOP, program
from test_options import options_of_help

SCRIPT = TOP / "contrib" / "completion" / "ckptfs"


class Shell:
    """An interactive bash in a terminal of its own, in which a completed line
    is not run: its words are printed."""

    def __init__(self, folder):
        (folder / "ckptfs").symlink_to(program())
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            env = {
                "PATH": f"{folder}:{os.environ['PATH']}",
                "TERM": "dumb",
                "INPUTRC": "/dev/null",
                "HISTFILE": "",
                "PS1": "",
            }
            os.chdir(folder)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], env)
        self.send("bind 'set bell-style none'; bind 'set enable-bracketed-paste off'\n")
        self.send("stty -echo; ckptfs() { printf '<%s>' \"$@\"; }\n")
        self.send(f"source {SCRIPT}\n")
        self.words("ckptfs")

    def send(self, text):
        os.write(self.terminal, text.encode())

    def words(self, line):
        """The words of a line, as bash runs it."""
        self.send(f"{line}; echo $((6 * 7)) words\n")
        said = ""
        while "42 words" not in said:  # its echo is another
            said += os.read(self.terminal, 4096).decode()
        return re.findall("<(.*?)>", said)

    def end(self):
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


@pytest.fixture
def shell(tmp_path):
    made = Shell(tmp_path)
    yield made
    made.end()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("sta\t", ["status"]),
        ("mount file:///us\t", ["mount", "file:///usr/"]),
        ("mount s3\tbucket /us\t", ["mount", "s3://bucket", "/usr/"]),
        ("mount a b -o clo\tloc\t", ["mount", "a", "b", "-o", "close=local"]),
        ("mount a b -o ro,ord\tst\t", ["mount", "a", "b", "-o", "ro,order=strict"]),
        ("mount a b -o anonym\t", ["mount", "a", "b", "-o", "anonymous"]),
        ("mount -o cache_di\t/us\t", ["mount", "-o", "cache_dir=/usr/"]),
        ("mount -o cache_dir=\t", ["mount", "-o", "cache_dir=only/"]),
        ("mount s3:\tbucket", ["mount", "s3://bucket"]),
        ("mount --full\tw\t", ["mount", "--full=wait"]),
        ("sync a\\ na\t", ["sync", "a name"]),
        ("sync --time\t", ["sync", "--timeout"]),
        ("recover pub\ta\\ na\t", ["recover", "publish", "a name"]),
        ("limit nowhere up\t1M", ["limit", "nowhere", "upload=1M"]),
        ("umount nothing-like-it\t", ["umount", "nothing-like-it"]),
    ],
)
def test_what_a_user_types(shell, tmp_path, typed, words):
    (tmp_path / "a name").touch()
    (tmp_path / "only").mkdir()
    found = shell.words(f"ckptfs {typed}")
    assert found == words


def complete(line):
    """What the completion offers for the end of a line, as bash calls it."""
    call = """
    source "$1"
    compopt() { :; }
    COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDS=("${@:3}")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _ckptfs ckptfs
    printf '%s\\n' "${COMPREPLY[@]}"
    """
    words = re.findall(r"[=:]+|[^\s=:]+", line) + ([""] if line[-1] == " " else [])
    env = dict(os.environ, PATH=f"{Path(program()).parent}:{os.environ['PATH']}")
    done = subprocess.run(
        ["bash", "-c", call, "bash", SCRIPT, line, *words],
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def run(*args):
    return subprocess.run([program(), *args], capture_output=True, text=True)


def test_the_commands_are_those_there_are():
    commands = complete("ckptfs ")
    text = run("--help").stdout
    listed = text.partition("\n  ")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed] == commands[:-2]
    assert len(commands) > 5
    for command in commands[:-2]:
        assert run(command, "--help").returncode == 0, command
        for flag in complete(f"ckptfs {command} -"):
            if flag not in (
                "--timeout",
                "-o",
                "-f",
                "--watch",
                "--id",
                "--source",
                "--cache",
                "--fix",
                "--older-than",
            ):
                done = run(command, flag)
                # Known, if it only wants to be told what it is for.
                assert done.returncode != 2 or "which SOURCE" in done.stderr, (
                    command,
                    flag,
                )
    assert complete("ckptfs s") == [c for c in commands if c.startswith("s")]
    assert complete("ckptfs sync -") == ["--timeout", "--help"]


def test_the_options_are_those_of_the_table():
    offered = complete("ckptfs mount s3://b /mnt -o ")
    assert [o.rstrip("=") for o in offered] == options_of_help()
    flags = [o for o in offered if not o.endswith("=")]
    for name in options_of_help():
        # what needs a value says so without one
        said = run("mount", "x", "y", "-o", name).stderr
        assert ("needs a value" in said) == (name not in flags), name
    dashed = complete("ckptfs mount s3://b /mnt --")
    assert dashed == [f"--{o}" for o in offered]


@pytest.mark.parametrize("name", options_of_help())
def test_the_values_are_the_good_ones(name):
    said = run("mount", "x", "y", "-o", f"{name}=@").stderr
    good = re.search(r"no good: give (\S+\|\S+)\n", said)
    if name not in complete("ckptfs mount s3://b /mnt -o "):  # no flag
        want = good[1].split("|") if good else []
        if not name.endswith(("_dir", "_file", "_bundle")):
            assert complete(f"ckptfs mount -o {name}=") == want
    else:
        assert good[1] == "yes|no"


def test_an_option_is_offered_once():
    offered = complete("ckptfs mount s3://b /mnt -o close=local,ro,")
    assert "close=local,ro,fsync=" not in offered  # bash has cut it at =
    assert "local,ro,fsync=" in offered
    assert not {"local,ro,ro", "local,ro,close="} & set(offered)


def test_mount_points_are_offered(folder_mount):
    folder_mount.mount()
    for command in ("status", "sync", "limit", "umount"):
        assert str(folder_mount.path) in complete(f"ckptfs {command} ")
    folder_mount.umount()
    assert str(folder_mount.path) not in complete("ckptfs umount ")
