/* SPDX-License-Identifier: Apache-2.0 */
/* One disk of each kind, and another process beside it, for tests of what
 * holds for all of them.  Their names are short: few files include this. */
#ifndef TEST_DISKS_H
#define TEST_DISKS_H

#include <stdint.h>

#include "ckptfs/disk.h"

enum disks_kind {
	KIND_SYSTEM,
	KIND_NO_OPENAT2, /* the system's, on a kernel before 5.6 */
	KIND_SIM,
	DISKS_KINDS,
};

extern enum disks_kind disks_kind;
extern struct disk *d;
extern char disks_folder[128]; /* of the system's */

void disks_begin(int kind);
void disks_end(void);

int disks_external_open(const char *path);
void disks_external_write(int ext, const char *s, uint64_t off);
void disks_external_close(int ext);

/* A file with these bytes, open for reading and writing. */
int disks_make(const char *path, const char *bytes);
void disks_assert_bytes(int fd, const char *want);
void disks_assert_file(const char *path, const char *want);
uint64_t disks_size_of(int fd);

#endif
