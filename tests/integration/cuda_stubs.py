#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Let PyPI's torch, a CUDA build, import without 2 GB of nvidia wheels.

Its libraries are linked to CUDA libraries that are never called while
torch.cuda.is_available() is False.  For each that is not installed a stub is
compiled into torch/lib, which is on torch's RPATH; every function of a stub
returns 1, an error in each of these APIs.  nvidia-cuda-runtime must be the
real one: torch calls it while it loads.  Safe to run again.
"""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

# The driver may be missing: torch copes.
NOT_STUBBED = {"libcuda.so.1"}
CUDA_NAME = re.compile(r"(cu|nv|nccl|cusolver|__cuda|__nv)")


def output_of(*cmd):
    return subprocess.run(cmd, check=True, capture_output=True, text=True).stdout


def missing_libraries(libs):
    found = set()
    for lib in libs:
        found |= set(re.findall(r"(\S+) => not found", output_of("ldd", lib)))
    return found - NOT_STUBBED


def wanted_versions(libs, missing):
    """{soname: {version, ...}}, as the libraries' version needs name them."""
    want = {soname: set() for soname in missing}
    for lib in libs:
        soname = None
        for line in output_of("readelf", "-W", "-V", lib).splitlines():
            if m := re.search(r"File: (\S+)", line):
                soname = m[1]
            elif (m := re.search(r"Name: (\S+)\s+Flags:", line)) and soname in want:
                want[soname].add(m[1])
    return want


def wanted_symbols(libs):
    """{version: {symbol, ...}}; version '' holds those without one."""
    want, defined = {"": set()}, set()
    for lib in libs:
        for line in output_of("nm", "-D", lib).splitlines():
            kind, name = line.split()[-2:]
            symbol, _, version = name.replace("@@", "@").partition("@")
            if kind != "U":
                defined.add(symbol)
            else:
                want.setdefault(version, set()).add(symbol)
    want[""] = {s for s in want[""] - defined if CUDA_NAME.match(s)}
    return want


def write_stub(folder, soname, versions):
    """versions: {version: {symbol, ...}}"""
    names = sorted(set().union(*versions.values()))
    source, script = folder / f"{soname}.c", folder / f"{soname}.map"
    source.write_text("".join(f"int {n}(void){{return 1;}}\n" for n in names))
    script.write_text(
        "".join(
            f"{v} {{ global: {' '.join(s + ';' for s in sorted(symbols))} }};\n"
            for v, symbols in versions.items()
            if v
        )
    )
    cmd = ["gcc", "-w", "-shared", "-fPIC", "-O0", "-fno-builtin", "-nostdlib"]
    cmd += ["-o", folder / soname, source, f"-Wl,-soname,{soname}", "-lc"]
    if script.stat().st_size:
        cmd.append(f"-Wl,--version-script={script}")
    subprocess.run(cmd, check=True)
    source.unlink()
    script.unlink()
    print(f"{soname}: {len(names)} symbols")


def main():
    spec = importlib.util.find_spec("torch")
    folder = Path(spec.submodule_search_locations[0]) / "lib"
    libs = sorted(p for p in folder.glob("lib*.so") if p.is_file())
    libs = [p for p in libs if re.match(r"lib(torch|c10|shm|caffe2)", p.name)]
    missing = sorted(missing_libraries(libs))
    symbols = wanted_symbols(libs)
    for i, (soname, versions) in enumerate(
        sorted(wanted_versions(libs, missing).items())
    ):
        parts = {v: symbols.get(v, set()) for v in sorted(versions)}
        if i == 0:
            parts[""] = symbols[""]
        write_stub(folder, soname, parts)
    check = (
        "import torch; assert not torch.cuda.is_available();"
        "print(torch.__version__, 'imports on the CPU')"
    )
    return subprocess.run([sys.executable, "-W", "ignore", "-c", check]).returncode


if __name__ == "__main__":
    sys.exit(main())
