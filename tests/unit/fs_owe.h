/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A published file is rewritten, closed and renamed, and its bytes go on
 * moving: its seal is withdrawn, and with it the rename.  The object under the
 * old name is owed its delete.  Names are short: few files include this.
 */
#ifndef TEST_FS_OWE_H
#define TEST_FS_OWE_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs_rig.h"

#define TRUNCATED (O_WRONLY | O_TRUNC)

bool is(const char *got, const char *want);
int rename_to(const char *from, const char *to);
void run(int64_t seconds);
void publish(const char *name, const char *text);

/* "two", flushed by one of two that have it open, renamed, and "three" written
 * by the other.  The error of whatever failed. */
int move_on(struct file *f, const char *from, const char *to, int flags);
/* A machine with "a" ("one") in the bucket, which the mount has as "b", open;
 * withdrawn and durable. */
void owe(struct file *f);
/* The process dies (0), or the power goes (1 to 3: what stays); mounted again,
 * the writer gone. */
void crash(struct file *f, int how);

/* Mount and bucket have these names, in order, and nothing else. */
void assert_names(const char *want);
void assert_both(const char *name, const char *text);

#endif
