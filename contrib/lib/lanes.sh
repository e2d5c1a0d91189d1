# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The lanes of contrib/check: lane_NAME runs one, adds what it counted to
# $RESULTS ("pass N", "fail NAME", "skip NAME") and fails if a step of its
# own, rather than a test, went wrong.

# shellcheck disable=SC2034 # for those that source this
# In the order in which they run; LANE_NAME says what each is.
LANES=(unit asan tsan valgrind fuzz lint dist mount kills lightning store
	diff powercut suites user)
# Those that wait for disks and servers half of their time: where several are
# wanted, two of them run beside each other, each shown as a whole at its end.
# shellcheck disable=SC2034
BESIDE=(store suites diff user powercut)
# shellcheck disable=SC2034
declare -A LANE=(
	[unit]="make check: unit tests, conformance over mem and dir, static checks"
	[asan]="make check under AddressSanitizer and UBSan"
	[tsan]="threads under ThreadSanitizer: unit tests and real mounts"
	[valgrind]="unit tests under valgrind"
	[fuzz]="libFuzzer over tests/fuzz, each for CKPTFS_FUZZ_SECONDS (20)"
	[lint]="clang-tidy, cppcheck, gcc -fanalyzer, shellcheck, ruff"
	[dist]="make distcheck, of its tests those that read files of the tarball"
	[store]="signatures against botocore's, the stores against versitygw, MinIO, fake-gcs-server and Azurite"
	[mount]="real mounts of a directory, of versitygw and of MinIO"
	[diff]="random programs on a mount and on a local folder (--programs N, --seconds N, --seed N)"
	[user]="unit tests and real mounts as an ordinary user"
	[suites]="Python's own tests of files, on mounts and beside the cache"
	[tools]="fio, stress-ng, git, tar, rsync, cp, SQLite and HDF5 on mounts"
	[sim]="seeded crashes of the core on simulated machines (--seconds N)"
	[sim-coverage]="branches of meta, transfer and cache that the simulator takes"
	[mutations]="the simulator finds each damage done to the core (--seconds N for each)"
	[kills]="kill -9 at every system call of a save, and at random"
	[lightning]="real Lightning, torch and fsspec on a mount of versitygw"
	[powercut]="power cuts of a machine with a daemon (--cuts N)"
	[logwrites]="the same, each write to the disk recorded and cut off anywhere"
	[flakey]="the same, and before it each write to the disk fails"
	[shutdown]="the cache's ext4 and XFS shut down under the daemon (--cuts N)"
)

# A lane is there once what it tests is.
lane_drop() {
	unset "LANE[$1]"
	mapfile -t LANES < <(printf '%s\n' "${LANES[@]}" | grep -vx "$1")
}
[ -e "$TOP/tests/conformance/test_store_s3.c" ] || lane_drop store
if ! grep -q '"mount"' "$TOP/src/main.c" "$TOP"/src/cli/*; then
	lane_drop mount
	lane_drop suites
	lane_drop diff
	lane_drop user
	lane_drop kills
	lane_drop lightning
	lane_drop powercut
	lane_drop logwrites
	lane_drop flakey
	lane_drop shutdown
fi

passed() { echo "pass $1" >>"$RESULTS"; }
failed() { echo "fail $1" >>"$RESULTS"; }
skipped() { echo "skip $1" >>"$RESULTS"; }

# count_program NAME STATUS LOG: a test program: by Check's closing line if
# there is one, else as one test.
count_program() {
	local name=$1 status=$2 log=$3 sums checks bad
	sums=$(awk '/^[0-9]+%: Checks: / {
			gsub(/[^0-9 ]/, ""); n += $2; bad += $3 + $4
		} END { if (n) print n, bad + 0 }' "$log")
	read -r checks bad <<<"${sums:-1 0}"
	case $status in
	PASS)
		grep -E '^[0-9]+%: Checks: ' "$log" || true
		passed "$checks"
		;;
	SKIP) skipped "$name" ;;
	*)
		echo "--- $name: $status"
		grep -v ':P:.*: Passed$' "$log" | tail -n 80
		# A program may die after its checks: then it failed as a whole.
		[ "$bad" -gt 0 ] || bad=1
		for _ in $(seq "$bad"); do failed "$name"; done
		[ "$checks" -le "$bad" ] || passed $((checks - bad))
		;;
	esac
}

# automake_check LANE DIR TARGET [ARG...]: make TARGET in build/ runs the
# test programs of DIR; count them.
automake_check() {
	local lane=$1 dir=$2 target=$3 rc=0 trs status n=0
	shift 3
	[ ! -d "$dir" ] || find "$dir" -name '*.trs' -delete
	make -C "$TOP/build" -k -j "$(nproc)" "$target" "$@" \
		>"$TOP/build/$target.log" 2>&1 </dev/null || rc=$?
	while read -r trs; do
		n=$((n + 1))
		status=$(sed -n 's/^:global-test-result: //p' "$trs")
		count_program "$lane/${trs#"$dir"/}" "$status" \
			"${trs%.trs}.log"
	done < <(find "$dir" -name '*.trs' | sort)
	sed -nE 's/^# (TOTAL|PASS|SKIP|FAIL|ERROR): +/\1 /p' \
		"$TOP/build/$target.log" | paste -s -d ' '
	# What did not get as far as a test is the lane's own failure.
	[ $rc = 0 ] || grep -q '^fail ' "$RESULTS" || n=0
	[ $n -gt 0 ] || {
		grep -E -B2 -A6 'error|\*\*\*' "$TOP/build/$target.log" |
			tail -n 60
		return 1
	}
}

# page_ran LANE FOLDER: what docs/semantics.md names of the tests in FOLDER ran
# and passed, as standard input says in lines of FILE:NAME.
page_ran() {
	local lane=$1 folder=$2 name ran named
	ran=$(sort -u)
	# shellcheck disable=SC2016 # backticks are what is looked for
	named=$(grep -o "\`$folder/[^\`]*:[A-Za-z0-9_]*\`" \
		"$TOP/docs/semantics.md" | tr -d '`' | sort -u)
	while read -r name; do
		echo "docs/semantics.md names $name, which did not run"
		failed "$lane/$name"
	done < <(comm -23 <(echo "$named") <(echo "$ran"))
}

lane_unit() {
	export CK_VERBOSITY=verbose
	bootstrap && automake_check unit "$TOP/build" check || return 1
	# ../tests/unit/test_line.c:15:P:line:NAME:0: Passed
	find "$TOP/build/tests/unit" -name '*.log' -exec sed -nE \
		's,^[./]*(tests/[^:]*):[0-9]+:P:[^:]*:([^:]*):.*,\1:\2,p' {} + |
		page_ran unit tests/unit
}

# The seed is another each time, and told.
lane_sim() {
	bootstrap && make -C "$TOP/build" -j "$(nproc)" tests/sim/simulate \
		>"$TOP/build/sim.log" 2>&1 || return 1
	if "$TOP/build/tests/sim/simulate" --seconds "${SIM_SECONDS:-60}"; then
		passed 1
	else
		failed sim/simulate
	fi
}

# Programs kept, all troubles together, then each by itself.
lane_sim-coverage() {
	local dir=$TOP/build-coverage seconds=${SIM_SECONDS:-60} only ops
	local sim=$dir/tests/sim/simulate
	bootstrap && apt_need sim-coverage gcc || return 1
	build_configure build-coverage --enable-coverage &&
		build_make build-coverage "build in build-coverage/" \
			tests/sim/simulate || return 1
	find "$dir" -name '*.gcda' -delete
	say "sim-coverage: $((2 * seconds)) s"
	for ops in "$TOP"/tests/sim/regress/*.ops; do
		"$sim" --replay "$ops" >/dev/null 2>&1 || failed "$ops"
	done
	# What breaks a promise is the lane sim's to tell.
	"$sim" --seconds "$seconds" --go-on >/dev/null 2>&1
	for only in 1 2 8 64 128 256 512 1023; do
		"$sim" --seconds $((seconds / 8 + 1)) --only $only \
			--go-on >/dev/null 2>&1
	done
	if "$TOP/tests/sim/coverage.sh" --files "$dir"; then
		passed 1
	else
		failed sim-coverage
	fi
}

# By name: a mutation takes up to a minute, and its build.
lane_mutations() {
	local verdict name
	bootstrap || return 1
	while read -r verdict name; do
		case $verdict in
		caught) passed 1 ;;
		missed | broken) failed "mutations/${name%%[: ]*}" ;;
		esac
	done < <(make -s -C "$TOP/build" check-mutations \
		MUTATIONS="--seconds ${SIM_SECONDS:-60}" 2>&1 </dev/null |
		tee >(cat >&2))
	grep -q . "$RESULTS"
}

lane_asan() {
	bootstrap && automake_check asan "$TOP/build/asan" check-asan
}

# The mounts of the lane tsan: those in which most threads meet.  Not S6, whose
# reader cannot keep up with what replaces its file by so slow a daemon.
TSAN_MOUNTS=(
	--deselect
	test_scenarios.py::test_s6_last_is_overwritten_faster_than_the_network
	test_races.py test_resume.py test_scenarios.py
	test_basic.py::test_a_directory_of_many_files
	test_basic.py::test_another_mount_shows_the_same_tree
	test_basic.py::test_an_object_replaced_since_it_was_listed
	test_basic.py::test_mmap_read_and_write
	test_basic.py::test_opens_take_the_passthrough_path_where_there_is_one
	test_basic.py::test_reading_and_writing_what_only_the_bucket_has
	test_basic.py::test_readers_see_what_a_writer_beside_them_writes
	test_basic.py::test_unlink_of_an_open_file
	test_basic.py::test_what_goes_right_after_its_close_leaves_the_cache
	test_cli.py::test_a_termination_drains
	test_cli.py::test_eviction_keeps_to_the_cache_size
	test_options_transfer.py::test_max_downloads_go_side_by_side
	test_options_transfer.py::test_max_uploads_go_side_by_side
)

# A report is a failure of the lane whatever the tests say of it: a daemon
# goes on after it, and one that is killed tells nobody.
count_reports() {
	local lane=$1 dir=$2 report n=0
	for report in "$dir"/*; do
		[ -e "$report" ] || continue
		n=$((n + 1))
		failed "$lane/${report##*/}"
		[ $n -gt 5 ] || head -n 60 "$report"
	done
	[ $n -gt 0 ] || passed 1
}

lane_tsan() {
	local reports=$TOP/build/tsan-reports
	bootstrap && need_fuse && need_versitygw && need_minio &&
		need_test_python || return 1
	rm -rf "$reports"
	mkdir -p "$reports"
	automake_check tsan "$TOP/build/tsan" check-tsan || return 1
	build_make build/tsan "build in build/tsan/" ckptfs || return 1
	# Each command would wait a second for races at its end.
	export TSAN_OPTIONS="suppressions=$TOP/tests/tsan.supp"
	TSAN_OPTIONS+=":log_path=$reports/race:atexit_sleep_ms=0"
	(
		cd "$TOP/tests/integration" &&
			CKPTFS=$TOP/build/tsan/ckptfs run_pytest tsan -n 3 \
				--dist worksteal "${TSAN_MOUNTS[@]}"
	) || return 1
	count_reports tsan "$reports"
}

lane_valgrind() {
	bootstrap && apt_need valgrind valgrind libc6-dbg || return 1
	automake_check valgrind "$TOP/build" check-valgrind
}

lane_fuzz() {
	local name verdict
	bootstrap && apt_need fuzz clang libclang-rt-dev || return 1
	build_make build "build in build/fuzz/" build-fuzz || return 1
	while read -r verdict name; do
		case $verdict in
		pass) passed 1 ;;
		*) failed "fuzz/$name" ;;
		esac
	done < <("$TOP/tests/fuzz/run.sh" "$TOP/build/fuzz" |
		tee >(cat >&2) | grep -E '^(pass|fail) ')
}

lane_lint() {
	local tool
	bootstrap || return 1
	apt_need lint clang clang-tidy cppcheck shellcheck || return 1
	need_test_python || return 1
	for tool in tidy cppcheck analyzer shell python; do
		say "lint: $tool"
		if quietly "$TOP/build/lint-$tool.log" make -C "$TOP/build" \
			-j "$(nproc)" "lint-$tool" RUFF="$TEST_PYTHON -m ruff"; then
			passed 1
		else
			failed "lint/$tool"
		fi
	done
}

lane_dist() {
	bootstrap || return 1
	if quietly "$TOP/build/distcheck.log" make -C "$TOP/build" \
		-j "$(nproc)" check-dist; then
		tail -n 4 "$TOP/build/distcheck.log"
		passed 1
	else
		failed dist/distcheck
	fi
}

# run_pytest LANE ARG...: the tests of tests/integration, whose conftest adds
# what it counted to $RESULTS; run by "${RUN_AS[@]}".
RUN_AS=()
run_pytest() {
	local lane=$1 rc=0
	shift
	PYTHONDONTWRITEBYTECODE=1 CKPTFS_RESULTS=$RESULTS CKPTFS_LANE=$lane \
		"${RUN_AS[@]}" "$TEST_PYTHON" -m pytest -q \
		--rootdir "$TOP/tests/integration" \
		-c "$TOP/tests/integration/pytest.ini" "$@" </dev/null || rc=$?
	# 1: some tests failed, which is counted; 5: there was none.
	[ $rc -le 1 ]
}

lane_store() {
	local server log status program
	bootstrap && need_versitygw && need_minio && need_fake_gcs &&
		need_azurite && need_test_python || return 1
	build_alone build_make build "test programs" tests/unit/sigv4_dump \
		tests/conformance/test_store_az \
		tests/conformance/test_store_gcs \
		tests/conformance/test_store_s3 || return 1
	run_pytest store "$TOP/tests/integration/test_sigv4.py" \
		"$TOP/tests/integration/test_gcs_fake.py" || return 1
	for server in versitygw minio fake-gcs-server strict-gcs azurite; do
		say "store: $server"
		program=test_store_s3
		[[ $server != *gcs* ]] || program=test_store_gcs
		[ $server != azurite ] || program=test_store_az
		log=$TOP/build/store-$server.log
		status=PASS
		"$TEST_PYTHON" "$TOP/tests/integration/servers.py" run $server \
			"$(mktemp -d)" \
			"$TOP/build/tests/conformance/$program" \
			>"$log" 2>&1 </dev/null || status=FAIL
		count_program store/$server $status "$log"
	done
}

need_fuse() {
	apt_need "mount" fuse3 rsync faketime e2fsprogs xfsprogs || return 1
	[ -c /dev/fuse ] || {
		echo "no /dev/fuse: real mounts cannot be tested here" >&2
		return 1
	}
}

# Two to a core: with three, tests that wait for seconds failed now and then.
lane_mount() {
	bootstrap && need_fuse && need_versitygw && need_minio &&
		need_fake_gcs && need_azurite && need_test_python || return 1
	run_pytest mount -n "$((2 * $(nproc)))" --dist worksteal \
		-m 'not lightning and not kills and not tools and not suites' \
		"$TOP/tests/integration" \
		--ignore "$TOP/tests/integration/test_gcs_fake.py" \
		--ignore "$TOP/tests/integration/test_sigv4.py" || return 1
	sed -n 's,^ran \(.*\)::\(.*\),tests/integration/\1:\2,p' "$RESULTS" |
		page_ran mount tests/integration
}

# Those of tests/integration/programs, then others, always the same: of those of
# another seed one in some 1,000 still finds a difference.
lane_diff() {
	local how=()
	bootstrap && need_fuse && need_versitygw && need_test_python || return 1
	[ -z "${SIM_SECONDS:-}" ] || how+=(--seconds "$SIM_SECONDS")
	[ -z "${PROGRAMS:-}" ] || how+=(--programs "$PROGRAMS")
	how+=(--seed "${SEED:-3000}")
	# It says itself what passed and failed; a failure is no broken lane.
	PYTHONDONTWRITEBYTECODE=1 CKPTFS_RESULTS=$RESULTS \
		CKPTFS=$TOP/build/ckptfs "$TEST_PYTHON" \
		"$TOP/tests/integration/diff.py" "${how[@]}" </dev/null ||
		grep -q '^fail ' "$RESULTS"
}

# Root may do what others may not: what it hides is found here.  Of the unit
# tests those that touch the system: the others cannot tell who runs them.
lane_user() {
	local scratch python list tests=() rc=0
	bootstrap && need_fuse && need_versitygw && need_test_python || return 1
	scratch=$(mktemp -d)
	# shellcheck disable=SC2064 # now: it is local
	trap "rm -rf '$scratch'" EXIT
	RUN_AS=("$TOP/contrib/lib/namespace" --user nobody)
	list=$(cd "$TOP" && grep -lE 'harness_tmpdir|"(disks|httpd)\.h"|/proc/' \
		tests/unit/test_*.c tests/conformance/test_store.c)
	mapfile -t tests <<<"${list//.c/}"
	build_alone build_make build "test programs" check TESTS= || return 1
	automake_check user "$TOP/build" check-TESTS TESTS="${tests[*]}" \
		LOG_COMPILER="${RUN_AS[*]}" LOG_FLAGS="$scratch" || return 1
	python=$("$TEST_PYTHON" -c 'import sys; print(sys.base_prefix)')
	RUN_AS+=(--reach "$CKPTFS_TOOLS" --reach "$python" "$scratch")
	: >"$scratch/results"
	chmod 666 "$scratch/results"
	RESULTS=$scratch/results run_pytest user -n 4 --dist worksteal \
		"$TOP"/tests/integration/test_{user,basic,cli,options,resume}.py ||
		rc=1
	cat "$scratch/results" >>"$RESULTS"
	return $rc
}

lane_suites() {
	bootstrap && need_fuse && need_test_python && need_python_suites ||
		return 1
	run_pytest suites -n 2 --dist worksteal -m suites \
		"$TOP/tests/integration"
}

# CKPTFS_TOOLS_SECONDS: how long each stressor runs; by default 1.
lane_tools() {
	bootstrap && need_fuse && need_versitygw && need_test_python &&
		need_public_tools || return 1
	run_pytest tools -n 3 --dist worksteal -m tools "$TOP/tests/integration"
}

# CKPTFS_KILLS: how many at random; by default 100.  With more of them a save dies
# at every call on both paths, too.
lane_kills() {
	bootstrap && need_fuse && need_versitygw && need_test_python ||
		return 1
	build_alone build_make build "what kills" tests/crash/kill.so || return 1
	run_pytest kills -n 3 --dist worksteal -m kills "$TOP/tests/integration"
}

lane_lightning() {
	bootstrap && need_fuse && need_versitygw && need_test_python &&
		need_lightning || return 1
	# The tests of a file share a process that took long to start.
	run_pytest lightning -n 2 --dist loadfile -m lightning \
		"$TOP/tests/integration"
}

# cut_power LANE NAME CUTS WORK PROGRAM ARG...: one of the programs that cut the
# power; counts its cuts.
cut_power() {
	local lane=$1 name=$2 cuts=$3 work=$4 log=$4.log program=$5 rc=0
	shift 5
	PYTHONDONTWRITEBYTECODE=1 CKPTFS=$TOP/build/ckptfs \
		"$TEST_PYTHON" "$TOP/tests/integration/$program" \
		--cuts "$cuts" "$@" "$work" >"$log" 2>&1 </dev/null || rc=1
	if [ $rc = 0 ]; then
		passed "$cuts"
		rm -rf "${work:?}"
	else
		failed "$lane/$name"
	fi
	sed "s/^/$lane, $name: /" "$log"
	return $rc
}

# Half of the cuts with the system's kernel and the ordinary path, half with a
# newer one and passthrough; two machines of each side by side, for a machine
# waits half of its time.
CUTS=50
MACHINES=4
# cut_machines LANE PROGRAM
cut_machines() {
	local lane=$1 program=$2 work i p cuts rc=0 path=(off on)
	local kernel=() modules=() pids=()
	bootstrap && need_fuse && need_test_python || return 1
	need_uml || return 1
	kernel+=("$UML") modules+=("$UML_MODULES")
	need_new_uml || return 1
	kernel+=("$UML") modules+=("$UML_MODULES")
	work=$(mktemp -d)
	for ((i = 0; i < MACHINES; i++)); do
		p=$((i % 2))
		cuts=$(((CUTS + i) / MACHINES))
		[ $cuts -gt 0 ] || continue
		cut_power "$lane" "passthrough=${path[p]}, $((i / 2 + 1))" \
			"$cuts" "$work/$i" "$program" --kernel "${kernel[p]}" \
			--modules "${modules[p]}" \
			--option "passthrough=${path[p]}" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i" || rc=1
	done
	[ $rc = 1 ] || rm -rf "$work"
}

lane_powercut() {
	cut_machines powercut powercut.py
}

lane_logwrites() {
	apt_need "recorded writes" dmsetup || return 1
	cut_machines logwrites logwrites.py
}

lane_flakey() {
	apt_need "disks that fail" dmsetup || return 1
	cut_machines flakey flakey.py
}

# On this machine's kernel, one after the other: each waits for the disk.
lane_shutdown() {
	local work fs path rc=0
	bootstrap && need_fuse && need_test_python || return 1
	apt_need "file systems" e2fsprogs xfsprogs || return 1
	work=$(mktemp -d)
	for fs in ext4 xfs; do
		for path in off on; do
			cut_power shutdown "$fs, passthrough=$path" \
				$((CUTS / 4)) "$work/$fs-$path" shutdown.py \
				--fs "$fs" --option "passthrough=$path" || rc=1
		done
	done
	[ $rc = 1 ] || rm -rf "$work"
}
