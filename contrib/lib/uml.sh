# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# User-mode-linux: a machine in a process, whose power can be cut.

# A kernel of 6.9 or later has passthrough; Debian 12's is 6.1.
UML_VERSION=6.12um1+b22
UML_LIBC_VERSION=2.41-12+deb13u5
UML_SHA256=6930e97133531bab93f83b6d691a94f5872505d8f5d88c1f3f1296da0820a3a0
UML_LIBC_SHA256=b59b0625cd1a791375d40dab23a4d5d3d0641e3d0a773501becdc3725b7f99cf
UML_TOOL=uml-$UML_VERSION-r3

# need_uml: the system's kernel is $UML, its modules lie in $UML_MODULES.
need_uml() {
	apt_need "power cuts" user-mode-linux e2fsprogs busybox-static ||
		return 1
	UML=/usr/bin/linux.uml
	UML_MODULES=/usr/lib/uml/modules/$("$UML" --version)
}

# The kernel wants a newer C library than the system may have: that one's
# goes with it.
build_uml() {
	local stage=$1 work=$2 prefix=$3 libc=usr/lib/x86_64-linux-gnu
	quietly "$work/get.log" debsrc_deb trixie "$work" \
		user-mode-linux "$UML_VERSION" "$UML_SHA256" \
		libc6 "$UML_LIBC_VERSION" "$UML_LIBC_SHA256" || return 1
	mkdir "$stage/lib" || return 1
	cp "$work/tree/$libc"/{ld-linux-x86-64.so.2,libc.so.6} "$stage/lib" ||
		return 1
	(cd "$work/tree/usr/lib/uml" &&
		cp --parents modules/*/kernel/fs/fuse/fuse.ko \
			modules/*/kernel/drivers/md/dm-{mod,log-writes,flakey}.ko \
			"$stage") || return 1
	cp "$work/tree/usr/bin/linux.uml" "$stage/linux.uml" || return 1
	quietly "$work/elf.log" patchelf \
		--set-interpreter "$prefix/lib/ld-linux-x86-64.so.2" \
		--set-rpath "$prefix/lib" "$stage/linux.uml"
}

# need_new_uml: one with passthrough: $UML and $UML_MODULES.
need_new_uml() {
	need_uml || return 1
	! "$UML" --showconfig | grep -q '^CONFIG_FUSE_PASSTHROUGH=y' ||
		return 0
	tool_is_ready "$UML_TOOL" ||
		apt_need "user-mode-linux $UML_VERSION" patchelf || return 1
	tool_install "$UML_TOOL" "user-mode-linux $UML_VERSION" build_uml ||
		return 1
	UML=$CKPTFS_TOOLS/$UML_TOOL/linux.uml
	# shellcheck disable=SC2034 # the lanes of power cuts
	UML_MODULES=$CKPTFS_TOOLS/$UML_TOOL/modules/$("$UML" --version)
}
