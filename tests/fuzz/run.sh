#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh BUILD [TARGET...]: libFuzzer over the targets that `make build-fuzz`
# left in BUILD (all of them), each for CKPTFS_FUZZ_SECONDS, from its corpus on.
# What it finds on the way is kept in BUILD/corpus for the next run; an input
# that breaks something in BUILD/broken, and shown.  One line for each target:
# "pass TARGET" or "fail TARGET".
set -uo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$1" && pwd)
shift
seconds=${CKPTFS_FUZZ_SECONDS:-20}
targets=("$@")
[ $# -gt 0 ] || for source in "$top"/tests/fuzz/fuzz_*.c; do
	source=${source##*/fuzz_}
	targets+=("${source%.c}")
done

# The seed is given, so that two runs of as many inputs are one.
fuzz() {
	local name=$1 found=$build/corpus/$1 broken=$build/broken/$1 log
	log=$build/$name.log
	mkdir -p "$found" "$broken"
	# Slow ones would do nothing but read a corpus that has grown.
	if ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1 \
		UBSAN_OPTIONS=print_stacktrace=1 \
		"$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" \
		-timeout=20 -rss_limit_mb=2048 -seed=1 -print_final_stats=1 \
		-artifact_prefix="$broken/" "$found" \
		"$top/tests/fuzz/corpus/$name" >"$log" 2>&1 </dev/null; then
		sed -n "s/^stat::number_of_executed_units: */$name: inputs /p" \
			"$log"
		echo "pass $name"
	else
		grep -vE '^#[0-9]+\s+(NEW|REDUCE|pulse|INITED|RELOAD)' "$log" |
			tail -n 60
		echo "fail $name"
	fi
}

export -f fuzz
export build top seconds
# shellcheck disable=SC2016 # $1 is the inner shell's
printf '%s\n' "${targets[@]}" |
	xargs -P "$(nproc)" -I {} bash -c 'fuzz "$1"' fuzz {}
