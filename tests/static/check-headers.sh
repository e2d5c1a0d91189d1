#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each contract header compiles alone, and twice in one file.
set -eu
cd "${top_srcdir:-.}"
rc=0
for h in include/ckptfs/*.h; do
	name=ckptfs/${h##*/}
	printf '#include "%s"\n#include "%s"\nextern int x;\n' "$name" "$name" |
		${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror \
			-Wno-unused-parameter -Iinclude -fsyntax-only -x c - || {
		echo "$h does not compile alone and twice"
		rc=1
	}
done
exit $rc
