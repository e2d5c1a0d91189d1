/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole file system without a kernel: database, blobs, line, barrier and a
 * bucket in memory, over the simulated machine.  It can die at any call to the
 * disk, and come back.  Names are short: few files include this.
 */
#ifndef TEST_FS_RIG_H
#define TEST_FS_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "ckptfs/cache.h"
#include "ckptfs/clock.h"
#include "ckptfs/disk.h"
#include "ckptfs/fs.h"
#include "ckptfs/host.h"
#include "ckptfs/meta.h"
#include "ckptfs/store.h"

#include "sim.h"

extern struct sim *sim;
extern struct disk *disk;
extern struct store *bucket; /* store_fault over store_mem */
extern struct meta *meta;
extern struct fs *fs; /* NULL while dead */
extern struct fs_opts rig_opts; /* for the next opening */
extern struct meta_report rig_report;
/* Whether the kernel of this machine offers passthrough. */
extern bool rig_passthrough;
/* Whether the next machine's bucket is one without STORE_CAP_FILE_AND_DIR. */
extern bool rig_tree;

/* A machine with an empty bucket and an empty cache, mounted. */
void rig_begin(uint64_t seed);
/* The same, not mounted yet. */
void rig_machine(uint64_t seed);
void rig_end(void);
/* Mount; the error if it fails. */
int rig_open(void);
/* kill -9: nothing more reaches the disk.  Writers of the kernel's live on. */
void rig_die(void);
/* The power goes, too. */
void rig_cut(unsigned keep);
void rig_unmount(void);

/* An open file, and the process that writes to it. */
struct file {
	uint64_t ino;
	struct fs_opened o;
	int ext; /* its way past the daemon; -1: none */
	bool open;
};

/* 0, or what fs said.  name: in the root. */
int f_create(struct file *f, const char *name, int flags);
int f_create_in(struct file *f, uint64_t dir, const char *name, int flags);
int f_open(struct file *f, const char *name, int flags);
int f_write(struct file *f, const char *text, uint64_t off);
int f_read(struct file *f, char *ret, size_t size);
/* close(2) by the only holder: FLUSH, then RELEASE. */
int f_close(struct file *f);
int f_flush(struct file *f);
void f_release(struct file *f);
/* All of it: create, write, close. */
int put_file(const char *name, const char *text);

/* A path of at most two names; 0: not there. */
uint64_t ino_of(const char *path);
/* The bytes as an application reads them; NULL: no such name. */
const char *text_of(const char *path);
/* got, as text_of() or object_of() gave it, is there and equals want. */
void assert_text(const char *got, const char *want);
/* Another process has the file's blob open for writing. */
int intrude(uint64_t ino);
/* How long it is, whatever its row says. */
uint64_t blob_size_of(uint64_t ino);
/* The blob of what a file shows is gone from the disk. */
void lose_blob(const char *path);
/* A bit of what a file shows is another one, and nothing tells of it. */
void rot_blob(const char *path, uint64_t off);

/* ---- the bucket */

/* The body of an object (its key without the prefix); NULL: not there. */
const char *object_of(const char *key);
int object_head(const char *key, struct store_obj *ret);
/* Until nothing is queued, or for this long. */
bool settle(int64_t ns);
/* Number of the first such call the store saw, from 1; 0: never.  What: a line
 * of store_fault_log() without the prefix of the mount. */
unsigned call_of(const char *what);

/* All names, in order, each with a space before and behind; in the mount's root
 * as it is known, without another listing. */
const char *names_in_bucket(void);
const char *names_in_mount(void);

struct fs_ctx ctx_of(void);
/* State of a path as status tells it. */
const char *state_of(const char *path);

#endif
