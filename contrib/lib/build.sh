# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Configure and build in a folder of their own below the source tree.

# build_configure DIR [ARG...]: DIR/Makefile is there and made with ARG.
# Needs NATIVE_PKG_CONFIG_PATH.
build_configure() {
	local dir=$1 want
	shift
	if [ ! -e "$TOP/configure" ] || [ ! -e "$TOP/Makefile.in" ]; then
		say "autoreconf"
		(
			cd "$TOP" &&
				quietly "$dir/autoreconf.log" autoreconf -fi
		) || return 1
	fi
	want=$(printf '%s\n' "$NATIVE_PKG_CONFIG_PATH" "$@")
	if [ ! -e "$TOP/$dir/config.status" ] ||
		[ "$(cat "$TOP/$dir/.configured-with" 2>/dev/null)" != "$want" ]
	then
		say "configure in $dir/"
		mkdir -p "$TOP/$dir"
		(
			cd "$TOP/$dir" || exit 1
			quietly configure.log ../configure \
				PKG_CONFIG_PATH="$NATIVE_PKG_CONFIG_PATH" "$@" &&
				# make does not see that libraries are others
				quietly make.log make clean
		) || return 1
		printf '%s\n' "$want" >"$TOP/$dir/.configured-with"
	fi
}

# build_make DIR WHAT [ARG...]: make in DIR, silent unless it fails.
build_make() {
	local dir=$1 what=$2
	shift 2
	say "$what"
	quietly "$TOP/$dir/make.log" make -C "$TOP/$dir" -j "$(nproc)" "$@"
}

# build_alone COMMAND...: lanes that run beside each other build one by one.
build_alone() {
	local rc=0 lock
	mkdir -p "$TOP/build"
	exec {lock}>"$TOP/build/.lock"
	flock "$lock"
	"$@" || rc=$?
	exec {lock}>&-
	return $rc
}
