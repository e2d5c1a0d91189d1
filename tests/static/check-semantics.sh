#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each line of docs/semantics.md names tests that are there and run: one in C is
# added to its case, one in Python is of the lane mount.  That they ran is seen by
# the lanes unit and mount themselves (page_ran in contrib/lib/lanes.sh).
set -eu
cd "${top_srcdir:-.}"
doc=docs/semantics.md
rc=0
complain() {
	echo "$1"
	rc=1
}

rows=$(sed -n '/^|---/,$p' $doc | sed 1d | grep '^|')
[ -n "$rows" ] || complain "$doc has no table"
while read -r row; do
	# shellcheck disable=SC2016 # backticks are what is looked for
	printf '%s\n' "$row" | grep -q '`tests/' ||
		complain "$doc names no test in: $row"
done <<END
$rows
END
# shellcheck disable=SC2016
for t in $(printf '%s\n' "$rows" | grep -o '`tests/[^`]*:[A-Za-z0-9_]*`' |
	tr -d '`'); do
	file=${t%:*} name=${t##*:}
	case $file in
	tests/unit/*.c)
		grep -qs "^START_TEST($name)" "$file" ||
			complain "$doc names $t, which does not exist"
		[ "$(grep -csw "$name" "$file")" -ge 2 ] ||
			complain "$doc names $t, which does not run"
		;;
	tests/integration/*.py)
		grep -qs "^def $name(" "$file" ||
			complain "$doc names $t, which does not exist"
		! grep -qs '^pytestmark = .*\(kills\|lightning\|suites\|tools\)' \
			"$file" || complain "$doc names $t, of another lane"
		;;
	*) complain "$doc names $t, of another lane" ;;
	esac
done
exit $rc
