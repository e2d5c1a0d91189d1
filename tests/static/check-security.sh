#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each rule of docs/security.md names tests, and each test it names is there.
set -eu
cd "${top_srcdir:-.}"
doc=docs/security.md
rc=0
rules='1 5 6 7 8 10 12 13 14 16 17 18 20 21 22 28'
for n in $rules; do
	row=$(grep "^| S$n |" $doc) || row=
	# shellcheck disable=SC2016 # backticks are what is looked for
	tests=$(printf '%s\n' "$row" | grep -o '`tests/[^`]*:[A-Za-z0-9_]*`' |
		tr -d '`')
	[ -n "$tests" ] || {
		echo "$doc names no test for S$n"
		rc=1
	}
	for t in $tests; do
		grep -qsw "${t##*:}" "${t%:*}" || {
			echo "$doc names $t, which does not exist"
			rc=1
		}
	done
done
exit $rc
