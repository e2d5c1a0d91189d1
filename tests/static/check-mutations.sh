#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every patch of tests/mutations says what it breaks, is a small one, and still
# applies to the tree.
set -eu
cd "${top_srcdir:-.}"
rc=0
n=0
complain() {
	echo "$1"
	rc=1
}

for patch in tests/mutations/*.patch; do
	[ -e "$patch" ] || continue
	n=$((n + 1))
	head -n 1 "$patch" | grep -qE '^Breaks: .+; promised: .+' ||
		complain "$patch: its first line is not 'Breaks: WHAT; promised: WHAT'"
	for sign in + -; do
		lines=$(grep -c "^$sign" "$patch" || true)
		files=$(grep -c "^$sign$sign$sign " "$patch" || true)
		[ $((lines - files)) -le 3 ] ||
			complain "$patch: more than three lines ($sign)"
	done
	why=$(patch -p1 -f -F0 --dry-run <"$patch" 2>&1) || {
		complain "$patch does not apply to the tree any more: make the same change anew"
		echo "$why" | sed 's/^/  /'
	}
done
[ $n -ge 20 ] || complain "tests/mutations has $n patches, not 20"
exit $rc
