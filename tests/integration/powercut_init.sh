#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first process of the machine that loses its power (powercut.py starts it):
# root is the host's file system, read-only; the one folder of the host that can
# be written to is /media; the disk of the cache is at /mnt, that of the bucket at
# /run/bucket (the host's file system tells a file's times now so and now so).
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
export TMPDIR=/run HOME=/run
word() {
	sed -n "s/.*cut_$1=\\([^ ]*\\).*/\\1/p" /proc/cmdline
}
mount -t hostfs -o "$(word work)" none /media || exec poweroff -f
module=$(word modules)/kernel/fs/fuse/fuse.ko
[ ! -e "$module" ] || busybox insmod "$module"
[ -c /dev/fuse ] || mount -t devtmpfs dev /dev
mkdir /run/bucket
# own: cache and bucket have a disk each; flaky: that of the cache can be told to
# fail (flakey.py).  both: one for both; logged: and all that is written to it goes
# into a record on the second (logwrites.py).
target() {
	for name in dm-mod "dm-$1"; do
		busybox insmod "$(word modules)/kernel/drivers/md/$name.ko"
	done
	shift
	echo "0 $(cat /sys/block/ubda/size) $*" |
		dmsetup --noudevsync --noudevrules create cut &&
		mount -t ext4 /dev/dm-0 /mnt
}
case $(word disk) in
own)
	mount -t ext4 /dev/ubda /mnt && mount -t ext4 /dev/ubdb /run/bucket
	;;
both)
	mount -t ext4 /dev/ubda /mnt
	;;
logged)
	CUT_MARKS="cut"
	export CUT_MARKS
	target log-writes log-writes /dev/ubda /dev/ubdb
	;;
flaky)
	CUT_FLAKY="cut"
	export CUT_FLAKY
	target flakey flakey /dev/ubda 0 1000000 0 &&
		mount -t ext4 /dev/ubdb /run/bucket
	;;
esac || echo '"no disk"' >"/media/broken.$(word boot)"
case $(word disk) in
both | logged)
	mkdir -p /mnt/bucket && mount --bind /mnt/bucket /run/bucket
	;;
esac
CKPTFS=$(word program)
export CKPTFS
"$(word python)" -S -B "$(word job)" "$(word boot)" "$(word options)" \
	>"/media/job.$(word boot).out" 2>&1
echo "\"ended: see job.$(word boot).out\"" >"/media/ended.$(word boot)"
# The first process must not end: the machine would stop as by a panic.
exec sleep 1000
