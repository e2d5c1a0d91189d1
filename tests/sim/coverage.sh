#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Branch coverage of meta, transfer and cache by the simulator alone: what a
# build with --enable-coverage has counted, a line for each folder; for each file
# and each branch that was never taken on request.  Fails if a folder is below
# the limit.
#
#	tests/sim/coverage.sh [--files] [--missed] [--least PERCENT] BUILD-DIR
#
# Not counted: branches inside the macros of uthash and utlist (a switch over the
# length of a key, ...), and of assertions, which no run may take.
set -euo pipefail
export LC_ALL=C

files=0 missed=0 least=85
while [ $# -gt 1 ]; do
	case $1 in
	--files) files=1 ;;
	--missed) missed=1 ;;
	--least)
		least=$2
		shift
		;;
	*) break ;;
	esac
	shift
done
[ $# = 1 ] || {
	echo "usage: coverage.sh [--files] [--missed] [--least PERCENT] DIR" >&2
	exit 2
}
build=$(realpath "$1")
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

for dir in meta transfer cache; do
	for gcda in "$build/src/$dir"/*.gcda; do
		[ -e "$gcda" ] || {
			echo "nothing was counted in $build/src/$dir" >&2
			exit 1
		}
		# from there it finds the sources
		(cd "$build" && gcov -t -b -c "$gcda") >>"$out/gcov" 2>/dev/null
	done
done

# A line of the source, with how often it ran before it; behind it a line for
# each of its branches.
awk -v missed="$missed" '
	/^ *[-#=0-9*]+: *[0-9]+:/ {
		split($0, part, ":")
		line = part[2] + 0
		text = $0
		sub(/^[^:]*:[^:]*:/, "", text)
		if (line == 0 && text ~ /^Source:/) {
			file = text
			sub(/.*src\//, "src/", file)
		}
		skip = file !~ /^src\/(meta|transfer|cache)\/.*\.c$/ ||
			text ~ /HASH_|[DL]L_|assert/
	}
	/^branch/ && !skip {
		all[file]++
		if ($0 ~ /taken [1-9]/)
			hit[file]++
		else if (missed)
			print file ":" line ":" text >"/dev/stderr"
	}
	END {
		for (f in all)
			print f, hit[f] + 0, all[f]
	}' "$out/gcov" | sort >"$out/all"

[ $files = 0 ] || awk '{
	printf "%6.1f %%  %5d of %5d  %s\n", 100 * $2 / $3, $2, $3, $1
}' "$out/all"
awk -v least="$least" '
	{
		split($1, part, "/")
		hit[part[2]] += $2
		all[part[2]] += $3
	}
	END {
		for (d in all) {
			p = 100 * hit[d] / all[d]
			bad += p < least
			printf "%6.1f %%  %5d of %5d branches of src/%s\n", p,
				hit[d], all[d], d
		}
		exit bad > 0
	}' "$out/all"
