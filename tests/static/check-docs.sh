#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every path of the tree that the documents name in backticks exists.
# `src/store/` and `contrib/demo --s3` count, patterns with < or { do not.
# shellcheck disable=SC2016 # backticks are what is looked for
set -eu
cd "${top_srcdir:-.}"
rc=0
roots='src|include|tests|contrib|docs|m4|\.ci'
names=$(for doc in ./*.md docs/*.md; do
	[ -e "$doc" ] || continue
	# Blocks of code are not prose.
	sed '/^[ \t]*```/,/^[ \t]*```/d' "$doc" | grep -o '`[^`]*`' |
		sed 's/^`//; s/`$//; s/[ :,].*//; s/()$//' |
		grep -E "^(($roots)/[^<>{}\$]*|[A-Za-z._-]+\.(md|ac|am))\$" |
		sed "s,^,$doc ,"
done | sort -u)
while read -r doc path; do
	[ -n "$path" ] || continue
	found=no
	# A pattern such as tests/unit/test_*.c stands for at least one file.
	for f in $path; do
		[ ! -e "$f" ] || found=yes
	done
	[ $found = yes ] || {
		echo "$doc names $path, which does not exist"
		rc=1
	}
done <<END
$names
END
exit $rc
