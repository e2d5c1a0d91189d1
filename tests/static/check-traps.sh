#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each test that docs/traps.md names exists and is run, and each row names one.
set -eu
cd "${top_srcdir:-.}"
rc=0
complain() {
	echo "$1"
	rc=1
}

# Of a test in C also that it is added to its case.
there=$(
	for f in tests/unit/test_*.c tests/model/test_*.c; do
		sed -nE 's/^START_TEST\(([a-z0-9_]+)\).*/\1/p' "$f" |
			while read -r name; do
				[ "$(grep -cw "$name" "$f")" -lt 2 ] ||
					echo "$name"
			done
	done
	sed -nE 's/^def (test_[a-z0-9_]+)\(.*/\1/p' tests/integration/test_*.py
)
rows=$(grep -E '^\| [0-9]+ \|' docs/traps.md)
for number in $(seq 34); do
	row=$(echo "$rows" | grep -E "^\| $number \|" || true)
	[ "$(echo "$row" | grep -c .)" = 1 ] || {
		complain "docs/traps.md has not one row $number"
		continue
	}
	tests=$(echo "$row" | sed -E 's/.*\|([^|]*)\|$/\1/')
	# shellcheck disable=SC2016 # Markdown's
	names=$(echo "$tests" | grep -oE '`[a-z0-9_]+`' | tr -d '`' || true)
	case $tests in
	*'not built'*) ;;
	*) [ -n "$names" ] || complain "trap $number names no test" ;;
	esac
	for name in $names; do
		echo "$there" | grep -qx "$name" ||
			complain "trap $number names $name, which is no test"
	done
done
exit $rc
