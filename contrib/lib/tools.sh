# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What tests and demos run beside the program: servers of S3, GCS and Azure, Python.

VERSITYGW_VERSION=1.7.0
VERSITYGW_TOOL=versitygw-$VERSITYGW_VERSION
# The last state of its sources; later ones are sold, not published.
MINIO_VERSION=0.0.0-20260212201848-7aac2a2c5b7c
MINIO_TOOL=minio-$MINIO_VERSION
FAKE_GCS_VERSION=1.56.1
FAKE_GCS_TOOL=fake-gcs-server-$FAKE_GCS_VERSION
AZURITE_VERSION=3.37.0
AZURITE_TOOL=azurite-$AZURITE_VERSION
# What it depends on is of that day, whatever has come out since.
AZURITE_DAY=2026-11-15
NODE_NEEDED=20
NODE_VERSION=22.22.0
# Go for building them, where the machine's is older; a module like any other.
GO_NEEDED=1.25
GO_VERSION=1.26.8
GO_SUM=h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM=

# go_is_new_enough: whether the machine's own Go can build the servers.
go_is_new_enough() {
	local have
	have=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) || return 1
	have=${have#go}
	[ "$(printf '%s\n%s\n' "$GO_NEEDED" "$have" | sort -V | head -1)" = \
		"$GO_NEEDED" ]
}

# go_toolchain WORK: sets GO to a Go that is new enough.
go_toolchain() {
	local work=$1 answer root sum
	GO=go
	go_is_new_enough && return 0
	answer=$(cd "$work" && go mod download -json \
		"golang.org/toolchain@v0.0.1-go$GO_VERSION.linux-amd64") || {
		printf 'Go %s:\n%s\n' "$GO_VERSION" "$answer" >&2
		return 1
	}
	root=$(sed -n 's/.*"Dir": "\(.*\)".*/\1/p' <<<"$answer")
	sum=$(sed -n 's/.*"Sum": "\(.*\)".*/\1/p' <<<"$answer")
	[ "$sum" = "$GO_SUM" ] || {
		echo "Go $GO_VERSION has the checksum $sum, not $GO_SUM" >&2
		return 1
	}
	chmod -R u+w "$root"
	chmod +x "$root"/bin/* "$root"/pkg/tool/*/*
	export GOROOT=$root
	GO=$root/bin/go
}

# build_go_program STAGE WORK PREFIX PACKAGE@VERSION
build_go_program() {
	local stage=$1 work=$2 package=$4 GO GOROOT
	export GOPATH=$work/go GOCACHE=$work/cache GOFLAGS=-modcacherw
	export GOBIN=$stage/bin CGO_ENABLED=0 XDG_CONFIG_HOME=$work/config
	go_toolchain "$work" || return 1
	[ -n "${GOROOT:-}" ] || unset GOROOT
	GOTOOLCHAIN=local GOFLAGS='-modcacherw -buildvcs=false' \
		quietly "$work/go.log" "$GO" install "$package"
}

# need_go_program TOOL WHAT PACKAGE@VERSION
need_go_program() {
	local tool=$1 what=$2 package=$3 packages=(ca-certificates)
	tool_is_ready "$tool" && return 0
	command -v go >/dev/null || packages+=(golang-go)
	apt_need "$what" "${packages[@]}" &&
		tool_install "$tool" "$what" build_go_program "$package"
}

# need_versitygw: the server's program is then $VERSITYGW.
need_versitygw() {
	export VERSITYGW=$CKPTFS_TOOLS/$VERSITYGW_TOOL/bin/versitygw
	need_go_program "$VERSITYGW_TOOL" "versitygw $VERSITYGW_VERSION" \
		"github.com/versity/versitygw/cmd/versitygw@v$VERSITYGW_VERSION"
}

# need_minio: the server's program is then $MINIO.
need_minio() {
	export MINIO=$CKPTFS_TOOLS/$MINIO_TOOL/bin/minio
	need_go_program "$MINIO_TOOL" "MinIO (5 minutes, 1.6 GB of memory)" \
		"github.com/minio/minio@v$MINIO_VERSION"
}

# need_fake_gcs: the server's program is then $FAKE_GCS_SERVER.
need_fake_gcs() {
	export FAKE_GCS_SERVER=$CKPTFS_TOOLS/$FAKE_GCS_TOOL/bin/fake-gcs-server
	need_go_program "$FAKE_GCS_TOOL" "fake-gcs-server $FAKE_GCS_VERSION" \
		"github.com/fsouza/fake-gcs-server@v$FAKE_GCS_VERSION"
}

node_is_new_enough() {
	local have
	have=$(node --version 2>/dev/null) || return 1
	have=${have#v}
	[ "${have%%.*}" -ge "$NODE_NEEDED" ]
}

# The program is a script, since Node may lie beside what it runs.
build_azurite() {
	local stage=$1 work=$2 packages=("azurite@$AZURITE_VERSION")
	node_is_new_enough || packages+=("node@$NODE_VERSION")
	quietly "$work/npm.log" npm install --prefix "$stage" \
		--cache "$work/npm" --before "$AZURITE_DAY" --omit dev \
		--no-audit --no-fund "${packages[@]}" || return 1
	mkdir "$stage/bin"
	cat >"$stage/bin/azurite" <<-'END'
		#!/bin/sh
		top=${0%/bin/*}
		PATH=$top/node_modules/.bin:$PATH
		exec node "$top/node_modules/azurite/dist/src/blob/main.js" "$@"
	END
	chmod +x "$stage/bin/azurite"
}

# need_azurite: the server's program is then $AZURITE.
need_azurite() {
	local packages=()
	export AZURITE=$CKPTFS_TOOLS/$AZURITE_TOOL/bin/azurite
	tool_is_ready "$AZURITE_TOOL" && return 0
	command -v npm >/dev/null || packages+=(npm)
	apt_need "Azurite" ca-certificates "${packages[@]}" &&
		tool_install "$AZURITE_TOOL" \
			"Azurite $AZURITE_VERSION (1 minute, 400 MB)" \
			build_azurite
}

# find_python: sets PYTHON, one that can make environments.
find_python() {
	for PYTHON in python3 /usr/bin/python3; do
		! "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null || return 0
	done
	return 1
}

build_venv() {
	local stage=$1 work=$2 requirements=$4 after=${5:-}
	# After the rename only bin/'s scripts name the old place: nothing here
	# runs them, it is python -m everywhere.
	quietly "$work/venv.log" "$PYTHON" -m venv "$stage" &&
		quietly "$work/pip.log" "$stage/bin/python" -m pip install \
			--disable-pip-version-check --no-cache-dir --no-deps \
			-r "$requirements" || return 1
	[ -z "$after" ] ||
		quietly "$work/after.log" "$stage/bin/python" "$after"
}

# need_venv NAME WHAT REQUIREMENTS [SCRIPT]: sets VENV_PYTHON.  The folder is
# named after the Python and what the requirements say.
need_venv() {
	local name=$1 what=$2 requirements=$3 after=${4:-} sum version
	find_python || apt_need "$what" python3 python3-venv || return 1
	find_python || {
		echo "no python3 that can make environments (venv, ensurepip)" >&2
		return 1
	}
	version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
	sum=$(cat "$requirements" ${after:+"$after"} | sha256sum | cut -c1-12)
	name=$name-py$version-$sum
	VENV_PYTHON=$CKPTFS_TOOLS/$name/bin/python
	tool_is_ready "$name" && [ -x "$VENV_PYTHON" ] && return 0
	[ -z "$after" ] || apt_need "$what" gcc libc6-dev binutils || return 1
	rm -f "$CKPTFS_TOOLS/$name/.complete"
	tool_install "$name" "$what" build_venv "$requirements" ${after:+"$after"}
}

# need_test_python: sets TEST_PYTHON; need_lightning: LIGHTNING_PYTHON.
need_test_python() {
	need_venv test "Python for the tests" \
		"$TOP/tests/integration/requirements.txt" || return 1
	export TEST_PYTHON=$VENV_PYTHON
}

# The other clients that contrib/bench measures: BENCH_PYTHON.
need_bench_python() {
	need_venv bench "boto3 with its native client, for measurements" \
		"$TOP/tests/integration/requirements-bench.txt" || return 1
	export BENCH_PYTHON=$VENV_PYTHON
}

need_lightning() {
	need_venv lightning "torch and Lightning (800 MB, 3 minutes)" \
		"$TOP/tests/integration/requirements-lightning.txt" \
		"$TOP/tests/integration/cuda_stubs.py" || return 1
	export LIGHTNING_PYTHON=$VENV_PYTHON
}

# What the lane tools puts on a mount; TOOLS_PYTHON has HDF5.
need_public_tools() {
	apt_need "tools" fio stress-ng git rsync sqlite3 || return 1
	need_venv tools "HDF5 for Python" \
		"$TOP/tests/integration/requirements-tools.txt" || return 1
	export TOOLS_PYTHON=$VENV_PYTHON
}

# The tests that the system's own Python comes with; the package is named after
# its version.
need_python_suites() {
	local version
	apt_need "Python" python3 || return 1
	version=$(/usr/bin/python3 -c \
		'import sys; print("%d.%d" % sys.version_info[:2])')
	apt_need "Python's tests" "libpython$version-testsuite"
}
