#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh BUILD [--seconds N] [--seed N] [NAME...]: whether the simulator finds
# the core broken on purpose.  Each patch beside this script (NAME.patch; all of
# them) is applied to a copy of the tree in BUILD/mutations, the simulator built
# there and run for N seconds (60) at most.  One line for each, and then the
# sum:
#
#	caught NAME in N s (seed N)
#	missed NAME in N s
#	broken NAME: why it could not be tried
#
# A seed counts only if the simulator of the tree as it is finds nothing wrong
# with it.  A patch may have a line "Only: SET": what is drawn beside crashes
# (tests/sim/main.c); else power cuts.
set -uo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$1" && pwd) || exit 2
shift
work=$build/mutations
seconds=60
seed=$(date +%s)000000
names=()
while [ $# -gt 0 ]; do
	case $1 in
	--seconds) seconds=$2 && shift ;;
	--seed) seed=$2 && shift ;;
	*) names+=("$1") ;;
	esac
	shift
done
if [ ${#names[@]} = 0 ]; then
	for f in "$top"/tests/mutations/*.patch; do
		f=${f##*/}
		names+=("${f%.patch}")
	done
fi

# What a patch changed has another time than its original: else the object of
# the one would be taken for that of the other.
refresh() {
	local f
	[ ! -e "$work/touched" ] || while read -r f; do
		touch "$work/tree/$f"
	done <"$work/touched"
}

make_simulator() {
	make -C "$work/build" -j "$(nproc)" tests/sim/simulate \
		>"$work/make.log" 2>&1 </dev/null
}

# The simulator of the tree as it is, in $work/simulate.
prepare() {
	local libs
	mkdir -p "$work/build"
	rm -rf "$work/tree"
	make -s -C "$build" distdir distdir=mutations/tree \
		>"$work/make.log" 2>&1 </dev/null || return 1
	refresh
	libs=$(sed -n 's/^PKG_CONFIG_PATH = //p' "$build/Makefile")
	[ -e "$work/build/Makefile" ] || (
		cd "$work/build" &&
			../tree/configure --quiet --disable-werror \
				PKG_CONFIG_PATH="$libs" CFLAGS='-g -O2'
	) >"$work/make.log" 2>&1 || return 1
	make_simulator || return 1
	rm -f "$work/touched"
	cp "$work/build/tests/sim/simulate" "$work/simulate"
}

# apply PATCH: the copy is the tree with it alone.
apply() {
	sed -n 's,^+++ b/,,p' "$1" >>"$work/touched"
	patch -d "$work/tree" -p1 -s -f -F0 <"$1" >"$work/patch.log" 2>&1
}

restore() {
	patch -d "$work/tree" -p1 -s -f -F0 -R <"$1" >"$work/patch.log" 2>&1
	refresh
}

# try NAME SET: runs until something is found that the tree itself does not
# show, or the time is over.
try() {
	local name=$1 only=$2 began=$SECONDS left=$seconds from=$seed found
	while [ "$left" -gt 0 ]; do
		if timeout $((left + 60)) "$work/build/tests/sim/simulate" \
			--no-shrink --only "$only" --seed "$from" \
			--seconds "$left" >"$work/$name.log" 2>&1; then
			break
		fi
		found=$(sed -n 's/^seed \([0-9]*\) breaks a promise.*/\1/p' \
			"$work/$name.log")
		if [ -z "$found" ]; then
			echo "broken $name: the simulator does not end"
			return 1
		fi
		if "$work/simulate" --no-shrink --only "$only" --seed "$found" \
			--runs 1 --jobs 1 >/dev/null 2>&1; then
			echo "caught $name in $((SECONDS - began)) s" \
				"(seed $found, --only $only)"
			sed -n 's/^seed [0-9]*: /  /p' "$work/$name.log" |
				head -n 1
			return 0
		fi
		echo "seed $found (--only $only) breaks the tree as it is, too"
		from=$((found + 1))
		left=$((seconds - (SECONDS - began)))
	done
	echo "missed $name in $((SECONDS - began)) s (--only $only)"
	return 1
}

mutate() {
	local name=$1 patch=$top/tests/mutations/$1.patch only rc=0
	only=$(sed -n 's/^Only: //p' "$patch")
	if ! apply "$patch"; then
		echo "broken $name: it does not apply"
		return 1
	fi
	if make_simulator; then
		try "$name" "${only:-4}" || rc=1
	else
		cp "$work/make.log" "$work/$name.log"
		echo "broken $name: it does not build (see $work/$name.log)"
		rc=1
	fi
	restore "$patch"
	return $rc
}

prepare || {
	tail -n 40 "$work/make.log" >&2
	echo "the simulator could not be built" >&2
	exit 1
}
bad=0
for name in "${names[@]}"; do
	mutate "$name" || bad=$((bad + 1))
done
echo "$((${#names[@]} - bad)) of ${#names[@]} mutations caught"
[ $bad = 0 ]
