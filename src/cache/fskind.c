/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ckptfs/cache.h"

/* Numbers as statfs(2) and the kernel's file systems give them. */
static const struct {
	unsigned long magic;
	const char *name;
	enum cache_fs_kind kind;
} kinds[] = {
	{ 0xef53, "ext4", CACHE_FS_GOOD },
	{ 0x58465342, "xfs", CACHE_FS_GOOD },
	{ 0x9123683e, "btrfs", CACHE_FS_GOOD },
	{ 0x2fc12fc1, "zfs", CACHE_FS_GOOD },
	{ 0xf2f52010, "f2fs", CACHE_FS_GOOD },
	{ 0xca451a4e, "bcachefs", CACHE_FS_GOOD },
	{ 0x794c7630, "overlayfs", CACHE_FS_OVERLAY },
	{ 0x61756673, "aufs", CACHE_FS_OVERLAY },
	{ 0x01021994, "tmpfs", CACHE_FS_VOLATILE },
	{ 0x858458f6, "ramfs", CACHE_FS_VOLATILE },
	{ 0x958458f6, "hugetlbfs", CACHE_FS_VOLATILE },
	{ 0x6969, "nfs", CACHE_FS_REMOTE },
	{ 0x517b, "smb", CACHE_FS_REMOTE },
	{ 0xff534d42, "cifs", CACHE_FS_REMOTE },
	{ 0xfe534d42, "smb2", CACHE_FS_REMOTE },
	{ 0x0bd00bd0, "lustre", CACHE_FS_REMOTE },
	{ 0x65735546, "fuse", CACHE_FS_REMOTE },
	{ 0x00c36400, "ceph", CACHE_FS_REMOTE },
	{ 0x47504653, "gpfs", CACHE_FS_REMOTE },
	{ 0x19830326, "beegfs", CACHE_FS_REMOTE },
	{ 0x20030528, "orangefs", CACHE_FS_REMOTE },
	{ 0xaad7aaea, "panfs", CACHE_FS_REMOTE },
	{ 0x01021997, "9p", CACHE_FS_REMOTE },
	{ 0x5346414f, "afs", CACHE_FS_REMOTE },
	{ 0x6b414653, "kafs", CACHE_FS_REMOTE },
	{ 0x73757245, "coda", CACHE_FS_REMOTE },
	{ 0x7461636f, "ocfs2", CACHE_FS_REMOTE },
	{ 0x01161970, "gfs2", CACHE_FS_REMOTE },
	{ 0x786f4256, "vboxsf", CACHE_FS_REMOTE },
	{ 0xbacbacbc, "vmhgfs", CACHE_FS_REMOTE },
};

enum cache_fs_kind cache_fs_kind(unsigned long magic, const char **ret_name)
{
	size_t i;

	/* On some machines f_type is a signed 32-bit number. */
	magic &= 0xffffffff;
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].magic == magic) {
			*ret_name = kinds[i].name;
			return kinds[i].kind;
		}
	}
	*ret_name = "unknown";
	return CACHE_FS_GOOD;
}
