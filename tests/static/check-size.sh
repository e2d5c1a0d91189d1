#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A C file has at most 600 lines, a function at most 80 between its braces.
# (In this layout a function's braces, and no others, stand in column 0.)
set -eu
cd "${top_srcdir:-.}"
max_file=600
max_function=80
# shellcheck disable=SC2016 # $ is awk's
find src include tests -name '*.[ch]' | LC_ALL=C sort | xargs awk -v maxfile=$max_file \
	-v maxfn=$max_function '
	FNR == 1 {
		begin = 0
		file_size()
		name = FILENAME
	}
	{ lines = FNR }
	/^[A-Za-z_].*\(/ { head = $0 }
	/^\{/ { begin = FNR }
	/^\}/ && begin {
		if (FNR - begin - 1 > maxfn) {
			printf "%s:%d: function of %d lines, at most %d: %s\n",
				FILENAME, begin, FNR - begin - 1, maxfn, head
			bad = 1
		}
		begin = 0
	}
	function file_size() {
		if (name != "" && lines > maxfile) {
			printf "%s: %d lines, at most %d\n", name, lines, maxfile
			bad = 1
		}
	}
	END {
		file_size()
		exit bad
	}'
