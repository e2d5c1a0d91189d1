/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "ckptfs/cache.h"
#include "ckptfs/disk.h"
#include "ckptfs/host.h"

#include "format.h"

/* No .distcp: several archives follow each other there, and its own index
 * tells what belongs to it. */
static const struct {
	const char *suffix;
	int (*check)(struct disk *d, int fd, uint64_t size);
} kinds[] = {
	{ ".ckpt", format_zip }, { ".pt", format_zip },
	{ ".pth", format_zip },	 { ".bin", format_zip },
	{ ".npz", format_zip },	 { ".keras", format_zip },
	{ ".zip", format_zip },	 { ".safetensors", format_safetensors },
};

int format_read(struct disk *d, int fd, void *p, size_t n, uint64_t off)
{
	ssize_t got = disk_pread(d, fd, p, n, off);

	if (got < 0)
		return (int)got;
	return (size_t)got == n ? 0 : -EBADMSG;
}

int cache_format_check(const struct host *host, int fd, const char *name,
		       uint64_t size)
{
	size_t len = strlen(name), suffix_len, i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		suffix_len = strlen(kinds[i].suffix);
		if (len > suffix_len &&
		    strcasecmp(name + len - suffix_len, kinds[i].suffix) == 0)
			return kinds[i].check(host->disk, fd, size);
	}
	return 0;
}
