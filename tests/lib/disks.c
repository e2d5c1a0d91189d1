/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ckptfs/clock.h"

#include "disks.h"
#include "harness.h"
#include "sim.h"

enum disks_kind disks_kind;
struct disk *d;
char disks_folder[128];

/* As on an old kernel, for the rest of this process. */
static void refuse_openat2(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = ARRAY_SIZE(code), .filter = code };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
}

void disks_begin(int i)
{
	const char *fork = getenv("CK_FORK");

	disks_kind = (enum disks_kind)i;
	if (disks_kind == KIND_NO_OPENAT2 && fork && strcmp(fork, "no") == 0)
		disks_kind = KIND_SYSTEM; /* it could not be undone */
	if (disks_kind == KIND_SIM) {
		d = simdisk_new(&clk_system, 1);
		return;
	}
	snprintf(disks_folder, sizeof(disks_folder), "%s", harness_tmpdir());
	if (disks_kind == KIND_NO_OPENAT2)
		refuse_openat2();
	ck_assert_int_eq(disk_system_open(disks_folder, &d), 0);
}

void disks_end(void)
{
	disk_free(d);
	d = NULL;
}

/* Another process with the file open for writing. */
int disks_external_open(const char *path)
{
	char full[256];

	if (disks_kind == KIND_SIM)
		return simdisk_external_open(d, path);
	snprintf(full, sizeof(full), "%s/%s", disks_folder, path);
	return open(full, O_RDWR | O_CLOEXEC);
}

void disks_external_write(int ext, const char *s, uint64_t off)
{
	if (disks_kind == KIND_SIM)
		ck_assert_int_eq(
			simdisk_external_write(d, ext, s, strlen(s), off), 0);
	else
		ck_assert_int_eq(pwrite(ext, s, strlen(s), (off_t)off),
				 (int)strlen(s));
}

void disks_external_close(int ext)
{
	if (disks_kind == KIND_SIM)
		simdisk_external_close(d, ext);
	else
		close(ext);
}

int disks_make(const char *path, const char *bytes)
{
	int fd = disk_open(d, path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(disk_pwrite(d, fd, bytes, strlen(bytes), 0), 0);
	return fd;
}

void disks_assert_bytes(int fd, const char *want)
{
	char got[256];
	ssize_t n = disk_pread(d, fd, got, sizeof(got), 0);

	ck_assert_int_eq(n, (int)strlen(want));
	ck_assert_mem_eq(got, want, strlen(want));
}

void disks_assert_file(const char *path, const char *want)
{
	int fd = disk_open(d, path, O_RDONLY, 0);

	ck_assert_int_ge(fd, 0);
	disks_assert_bytes(fd, want);
	disk_close(d, fd);
}

uint64_t disks_size_of(int fd)
{
	struct disk_stat st;

	ck_assert_int_eq(disk_stat(d, fd, &st), 0);
	return st.size;
}
