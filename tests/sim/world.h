/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole ckptfs without a kernel on a simulated machine: database, blobs,
 * line, barrier; and a bucket in memory behind a network that misbehaves
 * (chaos.h).  One machine has one mount, which dies and comes back.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ckptfs/clock.h"
#include "ckptfs/disk.h"
#include "ckptfs/fs.h"
#include "ckptfs/host.h"
#include "ckptfs/meta.h"
#include "ckptfs/store.h"

#include "sim.h"

#define WORLD_PREFIX "run/"
#define WORLD_PART 8192u /* bytes of a part */

struct cache;

/* What another mount may have than the usual; the values are world.c's. */
enum world_option {
	OPTION_ORDER, /* strict, open, none */
	OPTION_CLOSE, /* async, local, remote */
	OPTION_FSYNC, /* local, remote */
	OPTION_FULL, /* wait, enospc */
	OPTION_OVERWRITE, /* no, yes */
	OPTION_PART, /* bytes; 0: as they grow by themselves */
	OPTION_CHUNK, /* the same of downloads */
	OPTION_UP, /* KiB a second; 0: no limit */
	OPTION_DOWN,
	OPTION_CACHE, /* KiB kept; 0: no limit */
	OPTION_HELD, /* seconds until a temporary name is sent all the same */
	OPTION_WORKERS, /* of uploads and of downloads, each */
	OPTION_DISK, /* what the cache's file system lacks: SIM_NO_... */
	OPTION_STORE, /* what the store cannot do: STORE_CAP_... */
	OPTION_CONDITIONS, /* those it does not know: STORE_CAP_..._COND */
	OPTION_SUMS, /* 1: parts go with their CRC-32C */
	OPTION_TREE, /* 1: no file and folder of one name; before the first
			mount alone */
	OPTION_COUNT
};

struct world {
	struct clk store_clk; /* nobody sets it */
	struct sim *sim;
	struct disk *disk;
	struct store *bucket; /* the truth, asked without faults */
	struct store
		*net; /* what the daemon talks to: retry > chaos > bucket */
	struct store *chaos;
	struct meta *meta;
	struct cache *cache;
	struct fs *fs; /* NULL while dead */
	struct fs_opts opts; /* of the next mount */
	struct meta_report report;
	uint64_t looked_up; /* the last one was, and is not forgotten; 0: none */
	uint64_t log_limit; /* of the database, before a checkpoint */
	bool passthrough; /* the kernel offers it */
	/* of the disk and of the store's capabilities, from the next mount on
	 */
	unsigned disk_lacks, store_lacks, no_cond, more;
	struct fs_opts in_force; /* of this mount */
	uint64_t ballast; /* bytes kept back for the database */
	uint64_t random; /* for whoever drives */
	unsigned turns; /* percent that are lost */
	unsigned stall; /* the so manieth from now on, for */
	int64_t stall_ns;
	unsigned looks; /* somebody does from outside, and loses no turn */
	uint64_t turns_random;
};

/* Told of each change of an object that others can see. */
typedef void world_change_fn(void *arg, const char *key);

/* A machine with an empty cache and an empty bucket, not mounted.  Out of
 * memory: aborts, as all of this folder. */
void world_init(struct world *w, uint64_t seed, world_change_fn *changed,
		void *arg);
void world_fini(struct world *w);

/* From the next mount on. */
void world_set_option(struct world *w, enum world_option o, int value);
/* 0, or why the mount failed; then it is dead. */
int world_mount(struct world *w);
void world_unmount(struct world *w);
/* kill -9: nothing more reaches the disk or the bucket. */
void world_kill(struct world *w);
/* The power goes: see simdisk_power_cut(). */
void world_cut(struct world *w, unsigned keep);
/* The process reached its last call to the disk. */
bool world_is_halted(const struct world *w);

uint64_t world_draw(struct world *w, uint64_t n); /* 0 .. n-1 */

/* Whoever takes a lock and holds none loses his turn before, so often of a
 * hundred times: as threads do. */
void world_set_turns(struct world *w, unsigned percent);
/* The n-th of them does, for so long. */
void world_stall(struct world *w, unsigned n, int64_t ns);

/* ---- what a process does */

struct fs_ctx world_ctx(void);

struct wfile {
	uint64_t ino;
	struct fs_opened o;
	int ext; /* its way past the daemon; -1: none */
	bool open;
};

/* 0: no such name, or *err says what else. */
uint64_t world_ino(struct world *w, const char *path, int *err);
/* flags with O_CREAT make the name if it is not there. */
int world_open(struct world *w, const char *path, int flags, struct wfile *ret);
int world_write(struct world *w, struct wfile *f, const void *p, size_t n,
		uint64_t off);
/* There is such a folder. */
bool world_is_dir(struct world *w, const char *path, int *err);
/* The bytes, at most n of them: how many, or a negative errno. */
ssize_t world_read(struct world *w, struct wfile *f, void *p, size_t n);
int world_flush(struct world *w, struct wfile *f);
void world_release(struct world *w, struct wfile *f);
/* The process goes with the machine or the daemon. */
void world_abandon(struct world *w, struct wfile *f);
/* Folder and last component of a path of at most two. */
uint64_t world_parent(struct world *w, const char *path, const char **ret_last,
		      int *err);

/* Until nothing is queued, or for so long: whether nothing is. */
bool world_settle(struct world *w, int64_t ns);
/* State of a path as status tells it; "gone". */
const char *world_state(struct world *w, const char *path);

#endif
