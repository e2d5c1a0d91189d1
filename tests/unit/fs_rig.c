/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/blob.h"
#include "fs/internal.h"
#include "fs_rig.h"
#include "harness.h"

#define PREFIX "run/"

struct sim *sim;
struct disk *disk;
struct store *bucket;
struct meta *meta;
struct fs *fs;
struct fs_opts rig_opts;
struct meta_report rig_report;
bool rig_passthrough;
bool rig_tree;

static struct cache *cache;
static int backings; /* registered now */

/* ---- the kernel's side */

static int backing_open(void *arg, int fd)
{
	(void)arg;
	(void)fd;
	return rig_passthrough ? 1 + backings++ : -EPERM;
}

static void backing_close(void *arg, int id)
{
	(void)arg;
	(void)id;
	backings--;
}

/* ---- life */

int rig_open(void)
{
	static const struct fs_kernel kernel = { .backing_open = backing_open,
						 .backing_close =
							 backing_close };
	struct meta_opts mo = { .source = "mem://", .check = fs_check_version };
	struct cache *probe = NULL;
	int r = cache_open(sim_host(sim), 0, &probe);

	if (r < 0)
		return r;
	mo.check_arg = probe;
	r = meta_open(sim_host(sim), &mo, &meta, &rig_report);
	cache_close(probe);
	if (r < 0)
		return r;
	r = cache_open(sim_host(sim), rig_report.epoch, &cache);
	if (r == 0) {
		rig_opts.epoch = rig_report.epoch;
		rig_opts.same_boot = rig_report.same_boot;
		memcpy(rig_opts.cache_id, rig_report.cache_id,
		       sizeof(rig_opts.cache_id));
		memcpy(rig_opts.transfer.cache_id, rig_report.cache_id,
		       sizeof(rig_opts.cache_id));
		r = fs_new(sim_host(sim), meta, cache, bucket, &rig_opts, &fs);
	}
	if (r == 0)
		fs_set_kernel(fs, &kernel);
	return r;
}

static void defaults(void)
{
	rig_opts = (struct fs_opts){
		.prefix = PREFIX,
		.uid = 1000,
		.gid = 1000,
		.file_mode = 0644,
		.dir_mode = 0755,
		.remote_timeout_ns = CLK_NEVER,
		.metadata_ttl_ns = 10 * NS_PER_S,
		.negative_ttl_ns = NS_PER_S,
		.held_open_delay_ns = 5 * NS_PER_S,
		.max_downloads = 2,
		.transfer = { .prefix = PREFIX,
			      .max_uploads = 3,
			      .upload_delay_ns = NS_PER_S,
			      .upload_interval_ns = 30 * NS_PER_S,
			      .upload_max_delay_ns = 600 * NS_PER_S },
	};
}

/* What the disk does not hear of any more the bucket does not either. */
static bool is_dead(void *arg)
{
	(void)arg;
	return simdisk_halted(disk);
}

void rig_machine(uint64_t seed)
{
	sim = sim_new(seed);
	disk = sim_host(sim)->disk;
	bucket = store_fault_new(
		rig_tree ? store_mem_tree_new(sim_host(sim)->clk) :
			   store_mem_new(sim_host(sim)->clk));
	ck_assert_ptr_nonnull(bucket);
	store_fault_die_with(bucket, is_dead, NULL);
	ck_assert_int_eq(store_probe(bucket, PREFIX, false), 0);
	rig_passthrough = true;
	defaults();
}

void rig_begin(uint64_t seed)
{
	rig_machine(seed);
	ck_assert_int_eq(rig_open(), 0);
}

static void close_all(void)
{
	fs_free(fs);
	fs = NULL;
	meta_close(meta);
	meta = NULL;
	cache_close(cache);
	cache = NULL;
}

void rig_unmount(void)
{
	close_all();
	ck_assert_uint_eq(simdisk_open_handles(disk), 0);
}

void rig_end(void)
{
	close_all();
	store_free(bucket);
	sim_free(sim);
}

void rig_die(void)
{
	simdisk_halt_after(disk, 0);
	close_all();
	backings = 0;
	simdisk_crash(disk);
}

void rig_cut(unsigned keep)
{
	simdisk_halt_after(disk, 0);
	close_all();
	backings = 0;
	simdisk_power_cut(disk, keep);
}

/* ---- files */

struct fs_ctx ctx_of(void)
{
	return (struct fs_ctx){
		.pid = 77, .uid = 1000, .gid = 1000, .umask = 022
	};
}

static uint64_t blob_of(uint64_t ino)
{
	struct meta_inode in = { 0 };
	struct meta_version v = { 0 };

	if (meta_begin(meta) < 0)
		return 0;
	if (meta_inode_get(meta, ino, &in) == 0)
		(void)!meta_version_get(meta, in.vid, &v);
	meta_end(meta);
	return v.blob;
}

static const char *blob_path(uint64_t ino)
{
	static char path[64];
	uint64_t blob = blob_of(ino);

	(void)snprintf(path, sizeof(path), BLOB_ROOT "/%02x/%016" PRIx64,
		       (unsigned)((blob >> 8) % BLOB_DIRS), blob);
	return path;
}

int intrude(uint64_t ino)
{
	return simdisk_external_open(disk, blob_path(ino));
}

void lose_blob(const char *path)
{
	ck_assert_int_eq(disk_unlink(disk, blob_path(ino_of(path))), 0);
}

void rot_blob(const char *path, uint64_t off)
{
	simdisk_rot(disk, blob_path(ino_of(path)), off);
}

uint64_t blob_size_of(uint64_t ino)
{
	struct disk_stat st;
	int fd = disk_open(disk, blob_path(ino), O_RDONLY, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(disk_stat(disk, fd, &st), 0);
	disk_close(disk, fd);
	return st.size;
}

static void opened(struct file *f, int flags)
{
	f->open = true;
	if ((flags & O_ACCMODE) != O_RDONLY && f->o.io == FS_IO_PASSTHROUGH)
		f->ext = intrude(f->ino);
}

int f_create_in(struct file *f, uint64_t dir, const char *name, int flags)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;
	int r;

	memset(f, 0, sizeof(*f));
	f->ext = -1;
	r = fs_create(fs, &ctx, dir, name, 0666, flags | O_CREAT, &e, &f->o);
	if (r < 0)
		return r;
	f->ino = e.attr.ino;
	opened(f, flags);
	return 0;
}

int f_create(struct file *f, const char *name, int flags)
{
	return f_create_in(f, FS_ROOT_INO, name, flags);
}

int f_open(struct file *f, const char *name, int flags)
{
	struct fs_ctx ctx = ctx_of();
	int r;

	memset(f, 0, sizeof(*f));
	f->ext = -1;
	f->ino = ino_of(name);
	if (!f->ino)
		return -ENOENT;
	r = fs_open(fs, &ctx, f->ino, flags, &f->o);
	if (r == 0)
		opened(f, flags);
	return r;
}

int f_write(struct file *f, const char *text, uint64_t off)
{
	int r, fd;

	if (f->o.io == FS_IO_PASSTHROUGH)
		return f->ext < 0 ? -EIO
				  : simdisk_external_write(disk, f->ext, text,
							   strlen(text), off);
	r = fs_write_to(fs, f->o.file, &off, strlen(text), &fd);
	if (r < 0)
		return r;
	return disk_pwrite(disk, fd, text, strlen(text), off);
}

int f_read(struct file *f, char *ret, size_t size)
{
	size_t n;
	int fd, r = fs_read_from(fs, f->o.file, 0, size - 1, &fd, &n);

	if (r < 0)
		return r;
	if (disk_pread(disk, fd, ret, n, 0) != (ssize_t)n)
		return -EIO;
	ret[n] = '\0';
	return (int)n;
}

int f_flush(struct file *f)
{
	struct fs_ctx ctx = ctx_of();

	return fs_flush(fs, &ctx, f->o.file);
}

/* The kernel lets go of the backing file before it says RELEASE. */
void f_release(struct file *f)
{
	if (f->ext >= 0)
		simdisk_external_close(disk, f->ext);
	f->ext = -1;
	f->open = false;
	fs_release(fs, f->o.file);
}

int f_close(struct file *f)
{
	int r = f_flush(f);

	f_release(f);
	return r;
}

int put_file(const char *name, const char *text)
{
	struct file f;
	int r = f_create(&f, name, O_WRONLY | O_TRUNC), e;

	if (r < 0)
		return r;
	r = f_write(&f, text, 0);
	e = f_close(&f);
	return r < 0 ? r : e;
}

uint64_t ino_of(const char *path)
{
	char part[256];
	struct fs_entry e;
	uint64_t ino = FS_ROOT_INO;

	while (*path) {
		size_t n = strcspn(path, "/");

		memcpy(part, path, n);
		part[n] = '\0';
		if (fs_lookup(fs, ino, part, &e) < 0)
			return 0;
		ino = e.attr.ino;
		fs_forget(fs, ino, 1);
		path += n + (path[n] == '/');
	}
	return ino;
}

const char *text_of(const char *path)
{
	static char text[4096];
	struct file f;
	const char *ret = NULL;

	if (f_open(&f, path, O_RDONLY) < 0)
		return NULL;
	if (f_read(&f, text, sizeof(text)) >= 0)
		ret = text;
	(void)!f_close(&f);
	return ret;
}

void assert_text(const char *got, const char *want)
{
	ck_assert_msg(got, "nothing there, not \"%s\"", want);
	ck_assert_str_eq(got, want);
}

/* ---- the bucket */

struct body {
	char p[4096];
	size_t n;
};

static int sink(void *arg, const void *p, size_t n)
{
	struct body *b = arg;

	ck_assert_uint_lt(b->n + n, sizeof(b->p));
	memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = '\0';
	return 0;
}

int object_head(const char *key, struct store_obj *ret)
{
	char full[META_KEY_MAX + 1];

	(void)snprintf(full, sizeof(full), PREFIX "%s", key);
	return store_head(bucket, full, ret);
}

const char *object_of(const char *key)
{
	static struct body b;
	struct store_obj o;
	char full[1024];
	int r = object_head(key, &o);

	if (r == -ENOENT)
		return NULL;
	ck_assert_int_eq(r, 0);
	(void)snprintf(full, sizeof(full), PREFIX "%s", key);
	b.n = 0;
	b.p[0] = '\0';
	if (o.size)
		ck_assert_int_eq(store_get(bucket, full, NULL, 0, o.size, sink,
					   &b, NULL),
				 0);
	return b.p;
}

static bool all_sent(void *arg)
{
	struct transfer_stats st;

	(void)arg;
	/* Asked all the time: fs_stats() looks at each inode. */
	transfer_stats(fs->transfer, &st);
	return st.queued_ops == 0;
}

bool settle(int64_t ns)
{
	(void)sim_run(sim); /* what was just queued is seen */
	return sim_run_until(sim, all_sent, NULL, ns);
}

unsigned call_of(const char *what)
{
	const char *space = strchr(what, ' ');
	char *log = store_fault_log(bucket), *line, *save = NULL;
	char want[1024];
	unsigned n = 0, found = 0;

	(void)snprintf(want, sizeof(want), "%.*s " PREFIX "%s",
		       (int)(space - what), what, space + 1);
	ck_assert_ptr_nonnull(log);
	for (line = strtok_r(log, "\n", &save); line && !found;
	     line = strtok_r(NULL, "\n", &save)) {
		n++;
		if (strcmp(line, want) == 0)
			found = n;
	}
	free(log);
	return found;
}

const char *state_of(const char *path)
{
	static struct fs_file_info info;

	return fs_path_info(fs, path, &info) < 0 ? "gone" : info.state;
}

/* ---- names */

static char names[512];

static int add_name(const char *name)
{
	size_t n = strlen(names);

	(void)snprintf(names + n, sizeof(names) - n, "%s ", name);
	return 0;
}

static int on_object(void *arg, const char *key, const struct store_obj *o)
{
	(void)arg;
	(void)o;
	return add_name(key + strlen(PREFIX));
}

const char *names_in_bucket(void)
{
	(void)snprintf(names, sizeof(names), " ");
	ck_assert_int_eq(store_list(bucket, PREFIX, NULL, false, on_object,
				    NULL),
			 0);
	return names;
}

static int on_entry(void *arg, const char *name, const struct fs_attr *a,
		    uint64_t next)
{
	(void)arg;
	(void)a;
	(void)next;
	return name[0] == '.' ? 0 : add_name(name);
}

const char *names_in_mount(void)
{
	struct fs_dir *d;

	(void)snprintf(names, sizeof(names), " ");
	ck_assert_int_eq(fs_opendir(fs, FS_ROOT_INO, &d), 0);
	ck_assert_int_eq(fs_readdir(fs, d, 0, on_entry, NULL), 0);
	fs_closedir(fs, d);
	return names;
}
