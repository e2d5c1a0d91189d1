# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Fetch a Debian package, source or binary, of another suite.  Nothing on the system
# changes: an index, a cache and a list of their own; apt itself checks the
# chain from the signed InRelease to the files, and the upstream tarball or the
# package must have the pinned SHA256 on top.

# The mirror the machine uses already; before its first update there are no
# indexes yet, then the first Debian address in its lists counts.
debsrc_mirror() {
	# shellcheck disable=SC2016
	{
		apt-get indextargets --format '$(REPO_URI) $(ORIGIN)' \
			'Created-By: Packages' | awk '$2 == "Debian" { print $1 }'
		cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
			/etc/apt/sources.list.d/*.sources |
			awk '/^(deb|URIs:)[ \t]/ {
				for (i = 2; i <= NF; i++)
					if ($i ~ /^https?:/) print $i }'
	} 2>/dev/null | sed 's,/*$,,' | grep -m 1 '/debian$'
}

# debsrc_index TYPE SUITE WORK: sets opts, with which apt knows that suite alone.
debsrc_index() {
	local type=$1 suite=$2 work=$3 mirror
	local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	mirror=${DEBIAN_MIRROR:-$(debsrc_mirror)}
	[ -n "$mirror" ] || {
		echo "no Debian mirror in apt's lists: set DEBIAN_MIRROR" >&2
		return 1
	}
	[ -r $keyring ] || {
		echo "missing $keyring (package debian-archive-keyring)" >&2
		return 1
	}
	mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
	echo "$type [signed-by=$keyring] $mirror $suite main" \
		>"$work/sources.list"
	opts=(-q
		-o Dir::Etc::SourceList="$work/sources.list"
		-o Dir::Etc::SourceParts=/dev/null
		-o Dir::Etc::Preferences=/dev/null
		-o Dir::Etc::PreferencesParts=/dev/null
		-o Dir::State::Lists="$work/lists"
		-o Dir::State::Status=/dev/null
		-o Dir::Cache="$work/cache"
		-o APT::Sandbox::User="$(id -un)"
		-o Acquire::Languages=none -o Acquire::Retries=3
		-o APT::Get::AllowUnauthenticated=false
		-o Acquire::AllowInsecureRepositories=false)
	apt-get "${opts[@]}" -o APT::Update::Error-Mode=any update
}

# debsrc_pick SUITE PACKAGE VERSION: sets got to that version, or to the
# suite's own if it has moved on: its signature still vouches for the package,
# our own pin cannot.
debsrc_pick() {
	local suite=$1 package=$2 version=$3
	got=$(apt-cache "${opts[@]}" madison "$package" |
		awk -v v="$version" '$3 == v { print $3; exit }')
	[ -z "$got" ] || return 0
	got=$(apt-cache "${opts[@]}" madison "$package" |
		awk 'NR == 1 { print $3 }')
	[ -n "$got" ] || {
		echo "$package is not in $suite" >&2
		return 1
	}
	echo "warning: $suite has $package $got, pinned is $version"
}

# debsrc_deb SUITE WORK {PACKAGE VERSION SHA256}...: unpacked in WORK/root.
debsrc_deb() {
	local suite=$1 work=$2 opts got deb
	shift 2
	debsrc_index deb "$suite" "$work" || return 1
	mkdir -p "$work/tree"
	while [ $# -gt 0 ]; do
		debsrc_pick "$suite" "$1" "$2" || return 1
		(cd "$work" && apt-get "${opts[@]}" download "$1=$got") ||
			return 1
		deb=("$work/$1"_*.deb)
		[ "$got" != "$2" ] ||
			echo "$3  ${deb[0]}" | sha256sum -c --quiet - ||
			return 1
		dpkg-deb -x "${deb[0]}" "$work/tree" || return 1
		shift 3
	done
}

# debsrc_get SUITE SOURCE VERSION ORIG_SHA256 WORK: unpacked and patched in
# WORK/src.
debsrc_get() {
	local suite=$1 source=$2 version=$3 sha=$4 work=$5 opts got patch
	debsrc_index deb-src "$suite" "$work" || return 1
	mkdir -p "$work/src"
	debsrc_pick "$suite" "$source" "$version" || return 1
	[ "$got" = "$version" ] || sha=
	# Not the .dsc, which some mirrors lack: apt takes the tarballs'
	# SHA256 from the signed index.
	(cd "$work" &&
		apt-get "${opts[@]}" --download-only --tar-only \
			source "$source=$got" &&
		apt-get "${opts[@]}" --download-only --diff-only \
			source "$source=$got") || return 1
	local orig=("$work/$source"_*.orig.tar.?z*)
	local debian=("$work/$source"_*.debian.tar.?z)
	[ -z "$sha" ] || echo "$sha  ${orig[0]}" | sha256sum -c --quiet - ||
		return 1
	tar -xf "${orig[0]}" -C "$work/src" --strip-components=1 \
		--no-same-owner || return 1
	tar -xf "${debian[0]}" -C "$work/src" --no-same-owner || return 1
	[ -e "$work/src/debian/patches/series" ] || return 0
	sed -e 's/[ \t]*#.*//' -e '/^$/d' "$work/src/debian/patches/series" |
		while read -r patch _; do
			patch -s -f -d "$work/src" -p1 \
				<"$work/src/debian/patches/$patch" || exit 1
		done
}
