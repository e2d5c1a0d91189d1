# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# libfuse with passthrough (3.17) and ISA-L with CRC64-NVME (2.31): the
# system's where they are new enough, else private static ones.

LIBFUSE_VERSION=3.17.2-3
LIBFUSE_SHA256=3d932431ad94e86179e5265cddde1d67aa3bb2fb09a5bd35c641f86f2b5ed06f
LIBFUSE_TOOL=libfuse-$LIBFUSE_VERSION-r1
# Never 2.32.0, whose x86 CRC dispatcher clobbers registers.
ISAL_VERSION=2.31.1-1.1
ISAL_SHA256=e1d5573a4019738243b568ab1e1422e6ab7557c5cae33cc8686944d327ad6bb4
ISAL_TOOL=isal-$ISAL_VERSION-r1

system_has() {
	PKG_CONFIG_PATH='' pkg-config --atleast-version="$2" "$1" 2>/dev/null
}

build_libfuse() {
	local stage=$1 work=$2 prefix=$3
	quietly "$work/get.log" debsrc_get trixie fuse3 "$LIBFUSE_VERSION" \
		"$LIBFUSE_SHA256" "$work" || return 1
	# bindir: libfuse compiles in where the system's setuid fusermount3 is.
	quietly "$work/setup.log" meson setup "$work/build" "$work/src" \
		--prefix="$prefix" --libdir=lib --bindir=/usr/bin \
		--buildtype=release -Ddefault_library=static -Dexamples=false \
		-Dutils=false -Dtests=false &&
		quietly "$work/ninja.log" ninja -C "$work/build" &&
		quietly "$work/install.log" meson install -C "$work/build" \
			--quiet --no-rebuild --destdir "$work/tree" || return 1
	cp -a "$work/tree$prefix/." "$stage"
}

build_isal() {
	local stage=$1 work=$2 prefix=$3
	quietly "$work/get.log" debsrc_get trixie libisal "$ISAL_VERSION" \
		"$ISAL_SHA256" "$work" || return 1
	(
		cd "$work/src" || exit 1
		quietly "$work/reconf.log" autoreconf -fi &&
			quietly "$work/configure.log" ./configure \
				--prefix="$prefix" --libdir="$prefix/lib" \
				--disable-shared CFLAGS=-O2 &&
			quietly "$work/make.log" make -j "$(nproc)" &&
			quietly "$work/install.log" make install \
				DESTDIR="$work/tree"
	) || return 1
	cp -a "$work/tree$prefix/." "$stage"
	rm -rf "${stage:?}/bin" "$stage/share"
}

# native_install TOOL WHAT FUNCTION COMMAND...: a private library, if the
# commands that its building needs are there.
native_install() {
	local tool=$1 what=$2 make=$3
	shift 3
	tool_is_ready "$tool" || have_commands "$what" "$@" || return 1
	tool_install "$tool" "$what" "$make"
}

# native_libraries: sets NATIVE_PKG_CONFIG_PATH to the private libraries that
# this system needs; empty where it needs none.
native_libraries() {
	local rc=0
	NATIVE_PKG_CONFIG_PATH=
	if ! system_has fuse3 3.17; then
		native_install "$LIBFUSE_TOOL" "libfuse $LIBFUSE_VERSION" \
			build_libfuse xz patch cc pkg-config meson ninja || rc=1
		NATIVE_PKG_CONFIG_PATH=$CKPTFS_TOOLS/$LIBFUSE_TOOL/lib/pkgconfig
	fi
	if ! system_has libisal 2.31; then
		native_install "$ISAL_TOOL" "ISA-L $ISAL_VERSION" \
			build_isal xz patch cc pkg-config make nasm \
			autoreconf libtoolize || rc=1
		NATIVE_PKG_CONFIG_PATH+=${NATIVE_PKG_CONFIG_PATH:+:}
		NATIVE_PKG_CONFIG_PATH+=$CKPTFS_TOOLS/$ISAL_TOOL/lib/pkgconfig
	fi
	return $rc
}
