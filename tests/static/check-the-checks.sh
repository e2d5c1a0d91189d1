#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each static check accepts the tree and reports a breach planted in a copy.
set -eu
top=$(cd "${top_srcdir:-.}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rc=0

# reports CHECK WORD: in $work/tree, CHECK fails and names WORD.
reports() {
	if top_srcdir=$work/tree sh "$top/tests/static/$1" \
		>"$work/out" 2>&1; then
		echo "$1 accepts a planted breach: $2"
		rc=1
	elif ! grep -q "$2" "$work/out"; then
		echo "$1 fails without naming $2:"
		cat "$work/out"
		rc=1
	fi
}

# plant CHECK FILE TEXT [WORD]: TEXT at the end of FILE, or as a new file, is a
# breach, reported with WORD (FILE).
plant() {
	saved=
	[ ! -e "$work/tree/$2" ] || {
		saved=$work/saved
		cp "$work/tree/$2" "$saved"
	}
	printf '%b' "$3" >>"$work/tree/$2"
	reports "$1" "${4:-$2}"
	if [ -n "$saved" ]; then cp "$saved" "$work/tree/$2"; else
		rm "$work/tree/$2"
	fi
}

lines() {
	awk -v n="$1" 'BEGIN { while (n-- > 0) printf "\\tx++;\\n" }'
}

mkdir "$work/tree"
cd "$top"
cp -R src include tests contrib ./*.md "$work/tree"
for f in docs m4 .ci configure.ac Makefile.am; do
	[ ! -e $f ] || cp -R $f "$work/tree"
done
chmod -R u+w "$work/tree"
for check in layers size headers docs faults seams security semantics traps \
	mutations; do
	top_srcdir=$work/tree sh "$top/tests/static/check-$check.sh" || {
		echo "check-$check does not accept the tree as it is"
		exit 1
	}
done

plant check-layers.sh src/cache/breach.c '#include "ckptfs/fs.h"\n' 'src/cache must not'
plant check-layers.sh src/fs/breach.c '#include <sqlite3.h>\n'
plant check-layers.sh src/transfer/breach.c 'int f(void)\n{\n\treturn is_s3();\n}\n'
plant check-layers.sh src/fs/breach.c '/* As Google does. */\n'
plant check-layers.sh src/http/breach.c '#include <fuse_lowlevel.h>\n'
plant check-size.sh src/fs/breach.c "int f(int x)\\n{\\n$(lines 81)}\\n"
plant check-size.sh include/ckptfs/breach.h "$(lines 601)"
plant check-headers.sh include/ckptfs/breach.h 'struct a { size_t n; };\n'
plant check-headers.sh include/ckptfs/breach.h 'struct a { int n; };\n'
# shellcheck disable=SC2016 # a path in backticks
plant check-docs.sh README.md '\nSee `src/no/such.c` here.\n'
# shellcheck disable=SC2016 # a name in backticks
plant check-faults.sh docs/fault-matrix.md '| 71 | a | b | c | `f71_no_such` in |\n' f71_no_such
plant check-faults.sh docs/fault-matrix.md '| 9 | a | b | c | open |\n' 'row 9'
plant check-faults.sh tests/unit/test_breach.c 'START_TEST(f07_nobody)\n{\n\tf07_nobody;\n' f07_nobody
plant check-faults.sh tests/integration/test_breach.py 'def test_f07_nobody(mnt):\n' f07_nobody
# shellcheck disable=SC2016 # a name in backticks
plant check-traps.sh docs/traps.md '| 34 | a | b | `no_such` |\n' 'not one row 34'
plant check-seams.sh src/fs/breach.c 'int f(void)\n{\n\treturn time(0);\n}\n'
plant check-seams.sh src/meta/breach.c '\tfd = open(path, 0);\n'
plant check-seams.sh src/cache/breach.c '\tn = (int)pread(fd, p, 1, 0);\n'
plant check-seams.sh src/transfer/breach.c '\tif (!pthread_create(&t, 0, f, 0))\n'
plant check-mutations.sh tests/mutations/breach.patch 'Breaks: a; promised: b\n--- a/src/fs/fs.c\n+++ b/src/fs/fs.c\n@@ -1,1 +1,1 @@\n-not there\n+x\n'
plant check-mutations.sh tests/mutations/breach.patch '--- a/src/fs/fs.c\n'
# A rule that is not in the table, and a test that is not there.
sed '/^| S8 |/d; s/:test_s22_no_port/:test_s22_none/' docs/security.md \
	>"$work/tree/docs/security.md"
reports check-security.sh 'no test for S8'
reports check-security.sh 'test_s22_none'
sed 's/:test_direct_io/:test_no_io/; s/^| devices .*/| devices | | EPERM | |/' \
	docs/semantics.md >"$work/tree/docs/semantics.md"
reports check-semantics.sh 'test_no_io'
reports check-semantics.sh 'names no test in: | devices'
# shellcheck disable=SC2016 # Markdown's
sed 's/`what_was_open_first[a-z_]*`//; s/`test_f70_a/`test_none_a/' \
	docs/traps.md >"$work/tree/docs/traps.md"
reports check-traps.sh 'trap 6 names no test'
reports check-traps.sh 'test_none_a'
exit $rc
