/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ckptfs/cache.h"
#include "ckptfs/lock.h"

#include "cache/blob.h"
#include "chaos.h"
#include "memory.h"
#include "rows.h"
#include "simdisk_impl.h"
#include "world.h"

uint64_t world_draw(struct world *w, uint64_t n)
{
	return sim_random(&w->random) % n;
}

/* ---- the kernel's side */

static int backing_open(void *arg, int fd)
{
	const struct world *w = arg;

	(void)fd;
	return w->passthrough ? 1 : -EPERM;
}

static void backing_close(void *arg, int id)
{
	(void)arg;
	(void)id;
}

/* ---- whose turn it is: lock_acquire() is linked to __wrap_lock_acquire() */

static struct world *running; /* one machine a process */

void __real_lock_acquire(struct lock *l);
void __wrap_lock_acquire(struct lock *l);

NO_TSA void __wrap_lock_acquire(struct lock *l)
{
	struct world *w = running;
	uint64_t draw, ms;

	if (w && w->looks)
		w = NULL;
	if (w && w->stall && lock_holds_none() && --w->stall == 0)
		sim_yield(w->sim, w->stall_ns);
	if (w && w->turns && lock_holds_none()) {
		draw = sim_random(&w->turns_random);
		ms = draw >> 48; /* mostly none, sometimes some, seldom many */
		ms = draw >> 32 & 7 ? 0 : draw >> 40 & 7 ? ms & 15 : ms & 511;
		if (draw % 100 < w->turns)
			sim_yield(w->sim, (int64_t)ms * NS_PER_MS);
	}
	__real_lock_acquire(l);
}

void world_set_turns(struct world *w, unsigned percent)
{
	running = w;
	w->turns = percent;
}

void world_stall(struct world *w, unsigned n, int64_t ns)
{
	running = w;
	w->stall = n;
	w->stall_ns = ns;
}

/* ---- the store's clock */

static int64_t store_mono(const struct clk *c)
{
	const struct world *w =
		(const struct world *)(const void *)((const char *)c -
						     offsetof(struct world,
							      store_clk));

	return sim_now(w->sim);
}

static int64_t store_real(const struct clk *c)
{
	return store_mono(c) + (INT64_C(1700000000) - 1000) * NS_PER_S;
}

/* ---- life */

static void close_all(struct world *w)
{
	fs_free(w->fs);
	w->fs = NULL;
	meta_close(w->meta);
	w->meta = NULL;
	cache_close(w->cache);
	w->cache = NULL;
}

static int start(struct world *w)
{
	const struct host *host = sim_host(w->sim);
	struct meta_opts mo = { .source = "mem://", .check = fs_check_version };
	struct fs_kernel kernel = { .backing_open = backing_open,
				    .backing_close = backing_close,
				    .arg = w };
	struct cache *probe = NULL;
	int r = cache_open(host, 0, &probe);

	if (r < 0)
		return r;
	mo.check_arg = probe;
	mo.log_limit = w->log_limit;
	mo.ballast = w->ballast;
	w->report.cut = false;
	w->looked_up = 0;
	r = meta_open(host, &mo, &w->meta, &w->report);
	cache_close(probe);
	if (r < 0)
		return r;
	r = cache_open(host, w->report.epoch, &w->cache);
	if (r < 0)
		return r;
	w->opts.epoch = w->report.epoch;
	w->opts.same_boot = w->report.same_boot;
	memcpy(w->opts.cache_id, w->report.cache_id, sizeof(w->opts.cache_id));
	memcpy(w->opts.transfer.cache_id, w->report.cache_id,
	       sizeof(w->opts.cache_id));
	r = fs_new(host, w->meta, w->cache, w->net, &w->opts, &w->fs);
	if (r == 0)
		fs_set_kernel(w->fs, &kernel);
	return r;
}

int world_mount(struct world *w)
{
	int r;

	chaos_revive(w->chaos);
	chaos_set_late(w->chaos, !w->opts.transfer.overwrite && !w->no_cond);
	w->net->caps = (w->bucket->caps & ~(w->store_lacks | w->no_cond)) |
		       w->more;
	/* The model takes no delete before an earlier one. */
	w->net->caps &= ~(unsigned)STORE_CAP_DEL_MANY;
	simdisk_set_lacks(w->disk, w->disk_lacks);
	w->in_force = w->opts;
	r = start(w);
	if (r < 0)
		close_all(w);
	return r;
}

void world_unmount(struct world *w)
{
	close_all(w);
}

void world_kill(struct world *w)
{
	chaos_kill(w->chaos);
	simdisk_halt_after(w->disk, 0);
	close_all(w);
	simdisk_crash(w->disk);
}

void world_cut(struct world *w, unsigned keep)
{
	chaos_kill(w->chaos);
	simdisk_halt_after(w->disk, 0);
	close_all(w);
	simdisk_power_cut(w->disk, keep);
}

bool world_is_halted(const struct world *w)
{
	return simdisk_halted(w->disk);
}

static void default_opts(struct world *w)
{
	w->opts = (struct fs_opts){
		.prefix = WORLD_PREFIX,
		.uid = 1000,
		.gid = 1000,
		.file_mode = 0644,
		.dir_mode = 0755,
		/* troubles of the network end before */
		.remote_timeout_ns = 1200 * NS_PER_S,
		.metadata_ttl_ns = 10 * NS_PER_S,
		.negative_ttl_ns = NS_PER_S,
		.names_max = 4, /* so that names leave the memory */
		.held_open_delay_ns = 5 * NS_PER_S,
		.max_downloads = 2,
		.transfer = { .prefix = WORLD_PREFIX,
			      .max_uploads = 3,
			      .part_size = WORLD_PART,
			      .upload_delay_ns = NS_PER_S,
			      .upload_interval_ns = 30 * NS_PER_S,
			      .upload_max_delay_ns = 86400 * NS_PER_S },
	};
}

void world_set_option(struct world *w, enum world_option o, int value)
{
	static const enum transfer_order orders[] = { TRANSFER_STRICT,
						      TRANSFER_OPEN,
						      TRANSFER_NONE };
	static const enum fs_durability closes[] = { FS_ASYNC, FS_LOCAL,
						     FS_REMOTE };
	struct fs_opts *fo = &w->opts;
	uint64_t v = (uint64_t)value;

	switch (o) {
	case OPTION_ORDER:
		fo->transfer.order = orders[v % 3];
		break;
	case OPTION_CLOSE:
		fo->close_mode = closes[v % 3];
		break;
	case OPTION_FSYNC:
		fo->fsync_remote = v;
		break;
	case OPTION_FULL:
		fo->full_enospc = v;
		break;
	case OPTION_OVERWRITE:
		fo->transfer.overwrite = v;
		break;
	case OPTION_PART:
		fo->transfer.part_size = v;
		break;
	case OPTION_CHUNK:
		fo->download_chunk = v;
		break;
	case OPTION_UP:
		fo->transfer.upload_limit = v << 10;
		break;
	case OPTION_DOWN:
		fo->download_limit = v << 10;
		break;
	case OPTION_CACHE:
		fo->cache_size = v << 10;
		break;
	case OPTION_HELD:
		fo->transfer.upload_max_delay_ns = value * NS_PER_S;
		break;
	case OPTION_WORKERS:
		fo->transfer.max_uploads = (unsigned)v;
		fo->max_downloads = (unsigned)v;
		break;
	case OPTION_DISK:
		w->disk_lacks = (unsigned)v;
		break;
	case OPTION_STORE:
		w->store_lacks = (unsigned)v;
		break;
	case OPTION_CONDITIONS:
		w->no_cond = (unsigned)v & (STORE_CAP_PUT_COND |
					    STORE_CAP_DEL_COND);
		break;
	case OPTION_SUMS:
		w->more = v ? STORE_CAP_PARTS_CRC32C : 0;
		break;
	case OPTION_TREE:
		if (v && !w->report.epoch) {
			w->bucket->caps &= ~(unsigned)STORE_CAP_FILE_AND_DIR;
			w->chaos->caps = w->net->caps = w->bucket->caps;
		}
		break;
	case OPTION_COUNT:
		break;
	}
}

void world_init(struct world *w, uint64_t seed, world_change_fn *changed,
		void *arg)
{
	/* as the daemon's own */
	static const struct store_retry_policy policy = {
		.base_ns = 50 * NS_PER_MS,
		.cap_ns = 2 * NS_PER_S,
		.attempts = 3
	};
	const struct host *host;

	memset(w, 0, sizeof(*w));
	w->sim = sim_new(seed);
	host = sim_host(w->sim);
	w->disk = host->disk;
	w->random = seed ^ UINT64_C(0x5851f42d4c957f2d);
	w->turns_random = w->random;
	w->store_clk = (struct clk){ .mono_ns = store_mono,
				    .real_ns = store_real };
	w->bucket = store_mem_new(&w->store_clk);
	if (!w->bucket)
		abort();
	w->chaos = chaos_new(w->bucket, host, w->disk, seed, changed, arg);
	w->net = store_retry_new(w->chaos, host->clk, host->rng, host->thr,
				 &policy);
	if (!w->net || store_probe(w->net, WORLD_PREFIX, false) < 0)
		abort();
	w->passthrough = world_draw(w, 2);
	default_opts(w);
	w->log_limit = UINT64_C(1024) << (seed / 2 % 2 ? 8 : 4);
	if (seed % 2)
		w->opts.held_open_delay_ns = 200 * NS_PER_MS;
	if (world_draw(w, 2)) { /* a store without a rename of its own */
		w->bucket->caps &= ~(unsigned)STORE_CAP_RENAME;
		w->chaos->caps = w->net->caps = w->bucket->caps;
	}
}

void world_fini(struct world *w)
{
	if (w->fs || w->meta)
		close_all(w);
	running = NULL;
	store_free(w->net);
	sim_free(w->sim);
}

/* ---- names */

struct fs_ctx world_ctx(void)
{
	return (struct fs_ctx){
		.pid = 77, .uid = 1000, .gid = 1000, .umask = 022
	};
}

uint64_t world_parent(struct world *w, const char *path, const char **ret_last,
		      int *err)
{
	const char *slash = strchr(path, '/');
	char dir[64];

	*ret_last = slash ? slash + 1 : path;
	if (!slash)
		return FS_ROOT_INO;
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	return world_ino(w, dir, err);
}

uint64_t world_ino(struct world *w, const char *path, int *err)
{
	struct fs_entry e;
	const char *last;
	uint64_t dir, before;

	if (!path[0])
		return FS_ROOT_INO;
	dir = world_parent(w, path, &last, err);
	if (!dir)
		return 0;
	*err = fs_lookup(w->fs, dir, last, &e);
	if (*err < 0)
		return 0;
	/* The kernel knows it as long as it is being used. */
	before = w->looked_up;
	w->looked_up = e.attr.ino;
	if (before)
		fs_forget(w->fs, before, 1);
	return e.attr.ino;
}

bool world_is_dir(struct world *w, const char *path, int *err)
{
	uint64_t ino = world_ino(w, path, err);
	struct fs_attr a;

	if (ino)
		*err = fs_getattr(w->fs, ino, NULL, &a);
	return ino && *err == 0 && S_ISDIR(a.mode);
}

/* ---- files */

static uint64_t blob_of(struct world *w, uint64_t ino)
{
	struct meta_inode in = { 0 };
	struct meta_version v = { 0 };

	if (meta_begin(w->meta) < 0)
		return 0;
	if (meta_inode_get(w->meta, ino, &in) == 0)
		(void)!meta_version_get(w->meta, in.vid, &v);
	meta_end(w->meta);
	return v.blob;
}

/* The kernel writes to the blob by itself. */
static void go_around(struct world *w, struct wfile *f)
{
	uint64_t blob;
	char path[64];

	memory_hold();
	rows_hold();
	blob = blob_of(w, f->ino);
	rows_go_on();
	memory_go_on();

	(void)snprintf(path, sizeof(path), BLOB_ROOT "/%02x/%016" PRIx64,
		       (unsigned)((blob >> 8) % BLOB_DIRS), blob);
	f->ext = simdisk_external_open(w->disk, path);
}

int world_open(struct world *w, const char *path, int flags, struct wfile *ret)
{
	struct fs_ctx ctx = world_ctx();
	struct fs_entry e;
	const char *last;
	uint64_t dir;
	int r = 0;

	memset(ret, 0, sizeof(*ret));
	ret->ext = -1;
	dir = world_parent(w, path, &last, &r);
	if (!dir)
		return r;
	if (flags & O_CREAT) {
		r = fs_create(w->fs, &ctx, dir, last, 0666, flags, &e, &ret->o);
		if (r < 0)
			return r;
		ret->ino = e.attr.ino;
		fs_forget(w->fs, ret->ino, 1);
	} else {
		ret->ino = world_ino(w, path, &r);
		if (!ret->ino)
			return r;
		r = fs_open(w->fs, &ctx, ret->ino, flags, &ret->o);
		if (r == -ESTALE) { /* the kernel looks it up once more */
			ret->ino = world_ino(w, path, &r);
			if (ret->ino)
				r = fs_open(w->fs, &ctx, ret->ino, flags,
					    &ret->o);
		}
		if (r < 0)
			return r;
	}
	ret->open = true;
	if ((flags & O_ACCMODE) != O_RDONLY && ret->o.io == FS_IO_PASSTHROUGH)
		go_around(w, ret);
	return 0;
}

int world_write(struct world *w, struct wfile *f, const void *p, size_t n,
		uint64_t off)
{
	int r, fd;

	if (f->o.io == FS_IO_PASSTHROUGH)
		return f->ext < 0 ? -EIO
				  : simdisk_external_write(w->disk, f->ext, p, n,
							   off);
	r = fs_write_to(w->fs, f->o.file, &off, n, &fd);
	return r < 0 ? r : disk_pwrite(w->disk, fd, p, n, off);
}

ssize_t world_read(struct world *w, struct wfile *f, void *p, size_t n)
{
	size_t got;
	int fd, r = fs_read_from(w->fs, f->o.file, 0, n, &fd, &got);

	return r < 0 ? r : disk_pread(w->disk, fd, p, got, 0);
}

int world_flush(struct world *w, struct wfile *f)
{
	struct fs_ctx ctx = world_ctx();

	return fs_flush(w->fs, &ctx, f->o.file);
}

void world_abandon(struct world *w, struct wfile *f)
{
	if (f->ext >= 0)
		simdisk_external_close(w->disk, f->ext);
	f->ext = -1;
	f->open = false;
}

/* The kernel lets go of the backing file before it says RELEASE. */
void world_release(struct world *w, struct wfile *f)
{
	world_abandon(w, f);
	fs_release(w->fs, f->o.file);
}

/* ---- waiting */

static bool all_sent(void *arg)
{
	struct world *w = arg;
	struct fs_stats st;

	running = NULL; /* whoever chooses the next one asks */
	fs_stats(w->fs, &st);
	running = w;
	return st.transfer.queued_ops == 0;
}

/* What was withdrawn is sealed again a moment later, once it is at rest. */
#define AT_REST_NS (200 * NS_PER_MS)

bool world_settle(struct world *w, int64_t ns)
{
	int64_t end = sim_now(w->sim) + ns;

	(void)sim_run(w->sim); /* what was just queued is seen */
	do {
		if (!sim_run_until(w->sim, all_sent, w,
				   end - sim_now(w->sim)))
			return false;
		(void)sim_run_for(w->sim, AT_REST_NS);
	} while (!all_sent(w) && sim_now(w->sim) < end);
	return all_sent(w);
}

const char *world_state(struct world *w, const char *path)
{
	static struct fs_file_info info;

	return fs_path_info(w->fs, path, &info) < 0 ? "gone" : info.state;
}
