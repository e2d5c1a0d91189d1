#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Rows of docs/fault-matrix.md and tests whose name carries a row's number
# (START_TEST(f07_...) and def test_f07_...) are the same, both ways.
set -eu
cd "${top_srcdir:-.}"
# Rows that have no test yet.  This list only shrinks.
open=''
rc=0
tab=$(printf '\t')
complain() {
	echo "$1"
	rc=1
}

# "17 f17_name", or "17 open": the last column of each row.
rows=$(sed -nE 's/^\| *([0-9]+) \|.*\|([^|]*)\|$/\1\t\2/p' docs/fault-matrix.md)
said=$(echo "$rows" | while IFS=$tab read -r number tests; do
	names=$(echo "$tests" | grep -oE '(test_)?f[0-9]{2}_[a-z0-9_]+|open' |
		sed 's/^test_//' || true)
	for name in ${names:-nothing}; do
		echo "$number $name"
	done
done)
for number in $(seq 70); do
	n=$(echo "$rows" | grep -cE "^$number$tab" || true)
	[ "$n" = 1 ] || complain "docs/fault-matrix.md has row $number $n times"
done

# Of a test in C also that it is added to its case.
there=$(
	for f in tests/unit/test_*.c tests/conformance/*.c; do
		sed -nE 's/^START_TEST\((f[0-9]{2}_[a-z0-9_]+)\).*/\1/p' "$f" |
			while read -r name; do
				[ "$(grep -cw "$name" "$f")" -ge 2 ] &&
					echo "$name" || echo "$f never runs $name" >&2
			done
	done
	sed -nE 's/^def test_(f[0-9]{2}_[a-z0-9_]+)\(.*/\1/p' \
		tests/integration/test_*.py
)

for name in $there; do
	number=$(echo "$name" | sed -E 's/^f0?([0-9]+)_.*/\1/')
	echo "$said" | grep -qx "$number $name" ||
		complain "row $number of docs/fault-matrix.md does not name $name"
done
while read -r number name; do
	case $name in
	open)
		case " $open " in
		*" $number "*) ;;
		*) complain "row $number is open: it needs its test" ;;
		esac
		;;
	*)
		echo "$there" | grep -qx "$name" ||
			complain "row $number names $name, which is no test"
		;;
	esac
done <<END
$said
END
for number in $open; do
	echo "$said" | grep -qx "$number open" ||
		complain "row $number has its test: take it off the list"
done
exit $rc
