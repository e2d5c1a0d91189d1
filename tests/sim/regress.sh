#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Programs that broke a promise once: none does any more.
set -eu
top_srcdir=${top_srcdir:-.}
top_builddir=${top_builddir:-build}
bad=0
for ops in "$top_srcdir"/tests/sim/regress/*.ops; do
	[ -e "$ops" ] || continue
	timeout 300 "$top_builddir/tests/sim/simulate" --replay "$ops" || bad=1
done
exit $bad
