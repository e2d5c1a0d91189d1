# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The system's packages: apt is called only when one is missing.

# The same names on Debian 12 and 13.  From meson on: what builds libfuse and
# ISA-L where the system's are too old.
# shellcheck disable=SC2034 # for those that source this
BUILD_PACKAGES=(
	gcc libc6-dev make autoconf automake pkg-config
	fuse3 libfuse3-dev libcurl4-openssl-dev libssl-dev libsqlite3-dev
	libexpat1-dev libjansson-dev uthash-dev libisal-dev
	libxxhash-dev check util-linux ca-certificates
	meson ninja-build nasm libtool patch xz-utils debian-archive-keyring
)

# apt_missing PACKAGE...: those not installed, one a line.
apt_missing() {
	dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
		awk '$1 == "installed" { print $2 }' | sort -u |
		comm -13 - <(printf '%s\n' "$@" | sort -u)
}

# apt_need WHAT PACKAGE...: install what is missing; without root, name the
# line to run and fail.
apt_need() {
	local what=$1 missing log
	shift
	mapfile -t missing < <(apt_missing "$@")
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ]; then
		say "$what: missing packages; run as root:"
		say "  apt-get install -y --no-install-recommends ${missing[*]}"
		return 1
	fi
	say "$what: installing ${#missing[@]} packages: ${missing[*]}"
	log=$(mktemp)
	export DEBIAN_FRONTEND=noninteractive
	if ! quietly "$log" apt-get -q -o DPkg::Lock::Timeout=600 \
		-o Acquire::Retries=3 update ||
		! quietly "$log" apt-get -q -y -o DPkg::Lock::Timeout=600 \
			-o Acquire::Retries=3 install \
			--no-install-recommends "${missing[@]}"; then
		rm -f "$log"
		return 1
	fi
	rm -f "$log"
	say "$what: packages done"
}
