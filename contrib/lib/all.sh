# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Sourced with TOP, the source tree, set.
# shellcheck source-path=SCRIPTDIR
. "$TOP/contrib/lib/common.sh"
. "$TOP/contrib/lib/apt.sh"
. "$TOP/contrib/lib/debsrc.sh"
. "$TOP/contrib/lib/native.sh"
. "$TOP/contrib/lib/tools.sh"
. "$TOP/contrib/lib/uml.sh"
. "$TOP/contrib/lib/build.sh"

# bootstrap: packages, private libraries, build/ckptfs.  What is missing
# without root is named once, and everything else is done all the same.
bootstrap() {
	build_alone bootstrap_alone
}

bootstrap_alone() {
	local rc=0
	apt_need "build" "${BUILD_PACKAGES[@]}" || rc=1
	native_libraries || rc=1
	have_commands "build/ckptfs" autoreconf automake make cc pkg-config ||
		return 1
	build_configure build || return 1
	build_make build "build in build/" || return 1
	return $rc
}
