/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cache whose files were damaged while nobody looked, opened again: recovery
 * refuses it in words or finds rows that can be lived with.  Where only what no
 * barrier covered was damaged, nothing that one covered is lost, and of the
 * rest a prefix is there.
 *
 * An input says which cache, and what happens to its files, one after another.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "ckptfs/log.h"
#include "meta/internal.h"

#include "../unit/fs_rig.h"
#include "fuzz.h"

#define FILES_MAX 64
#define DEPTH_MAX 8
#define PATH_MOST 96
#define FRAME (24U + META_PAGE)

/* What an input's first byte chooses. */
enum { CHECKPOINTED = 1, POWER_CUT = 2, COVERED_STAYS = 4 };

struct file_image {
	char path[PATH_MOST];
	char *p;
	size_t n;
};

/* A cache as a killed daemon left it. */
struct image {
	struct file_image file[FILES_MAX];
	unsigned nfiles;
	size_t covered; /* bytes of the log */
	uint64_t ino[3]; /* of the names below */
};

static const char *const kept[] = { "published", "sealed", "dir" };
static const char *const later[] = { "later1", "later2", "later3" };
static struct image images[2];

/* ---- the caches */

/* A folder that is being read. */
struct place {
	struct image *im;
	char dir[PATH_MOST];
};

static int read_file(void *arg, const char *name, bool is_dir)
{
	const struct place *at = arg;
	struct image *im = at->im;
	struct file_image *f = &im->file[im->nfiles];
	struct disk_stat st = { .size = 0 };
	int fd;

	FUZZ_REQUIRE(snprintf(f->path, sizeof(f->path), "%s%s%s", at->dir,
			      *at->dir ? "/" : "",
			      name) < (int)sizeof(f->path),
		     "%s", name);
	if (is_dir) {
		struct place deeper = { .im = im };

		memcpy(deeper.dir, f->path, sizeof(deeper.dir));
		return disk_list(disk, deeper.dir, read_file, &deeper);
	}
	FUZZ_REQUIRE(++im->nfiles < FILES_MAX, "too many files");
	fd = disk_open(disk, f->path, O_RDONLY, 0);
	FUZZ_REQUIRE(fd >= 0 && disk_stat(disk, fd, &st) == 0, "%s", f->path);
	f->n = st.size;
	f->p = malloc(f->n + 1);
	FUZZ_REQUIRE(f->p && disk_pread(disk, fd, f->p, f->n, 0) ==
				     (ssize_t)f->n,
		     "%s", f->path);
	disk_close(disk, fd);
	return 0;
}

static struct file_image *image_file(struct image *im, const char *path)
{
	unsigned i;

	for (i = 0; i < im->nfiles; i++)
		if (strcmp(im->file[i].path, path) == 0)
			return &im->file[i];
	return NULL;
}

static void take_image(struct image *im)
{
	struct place top = { .im = im };
	struct slots slots;
	struct wal_info wal;

	FUZZ_REQUIRE(disk_list(disk, "", read_file, &top) == 0, "no image");
	FUZZ_REQUIRE(slots_read(disk, &slots) == 0 &&
			     wal_read(disk, &wal) == 0 && wal.frames > 0,
		     "no log");
	im->covered = 32;
	if (memcmp(wal.salt, slots.newest.salt, sizeof(wal.salt)) == 0)
		im->covered += (size_t)slots.newest.frames * FRAME;
	FUZZ_REQUIRE(im->covered < image_file(im, META_WAL)->n,
		     "all is covered");
}

static void outage(bool on)
{
	static const struct store_fault down = { .err = -ENETUNREACH };

	FUZZ_REQUIRE(store_fault_set(bucket, &down, on) == 0, "no plan");
}

static void checkpoint(void)
{
	struct meta_mark mark;

	(void)sim_run_for(sim, 5 * NS_PER_S);
	FUZZ_REQUIRE(meta_mark(meta, &mark) == 0 &&
			     meta_barrier(meta, &mark) == 0 &&
			     meta_checkpoint(meta) == 0,
		     "no checkpoint");
}

static void make_image(struct image *im, bool checkpointed)
{
	struct fs_ctx ctx = ctx_of();
	struct fs_entry e;
	struct file open;
	unsigned i;

	rig_begin(1);
	FUZZ_REQUIRE(put_file("published", "one") == 0 &&
			     put_file("gone", "two") == 0 &&
			     settle(60 * NS_PER_S),
		     "not published");
	outage(true);
	FUZZ_REQUIRE(put_file("name", "three") == 0 &&
			     fs_rename(fs, FS_ROOT_INO, "name", FS_ROOT_INO,
				       "sealed", 0) == 0 &&
			     fs_unlink(fs, FS_ROOT_INO, "gone") == 0 &&
			     fs_mkdir(fs, &ctx, FS_ROOT_INO, "dir", 0777, &e) ==
				     0 &&
			     fs_symlink(fs, &ctx, "sealed", e.attr.ino, "link",
					&e) == 0 &&
			     f_create(&open, "open", O_WRONLY) == 0 &&
			     f_write(&open, "half", 0) == 0 &&
			     fs_fsyncdir(fs, FS_ROOT_INO) == 0,
		     "not made");
	if (checkpointed)
		checkpoint();
	for (i = 0; i < ARRAY_SIZE(kept); i++)
		im->ino[i] = ino_of(kept[i]);
	for (i = 0; i < ARRAY_SIZE(later); i++)
		FUZZ_REQUIRE(put_file(later[i], "four") == 0, "not made");
	rig_die();
	take_image(im);
	rig_end();
}

/* ---- what happens to one */

/* The machine again, with these files and a bucket of its own. */
static void lay_out(const struct image *im)
{
	char dir[PATH_MOST];
	unsigned i;

	rig_machine(1);
	for (i = 0; i < im->nfiles; i++) {
		const struct file_image *f = &im->file[i];
		const char *at = f->path;
		int fd;

		while ((at = strchr(at, '/')) != NULL) {
			(void)snprintf(dir, sizeof(dir), "%.*s",
				       (int)(at++ - f->path), f->path);
			(void)!disk_mkdir(disk, dir, 0700);
		}
		fd = disk_open(disk, f->path, O_RDWR | O_CREAT, 0600);
		FUZZ_REQUIRE(fd >= 0 && disk_pwrite(disk, fd, f->p, f->n, 0) == 0,
			     "%s", f->path);
		disk_close(disk, fd);
	}
	FUZZ_REQUIRE(disk_syncfs(disk) == 0, "sync");
}

/* One damage of a file from byte `from` on. */
static void damage(struct fuzz_in *in, const char *path, size_t from)
{
	enum { WRITE, FLIP, CUT, ZERO, COPY_PAGE, KINDS };
	char page[META_PAGE] = { 0 };
	struct disk_stat st = { .size = 0 };
	int fd = disk_open(disk, path, O_RDWR, 0), kind = fuzz_u8(in) % KINDS;
	uint64_t off = fuzz_u32(in), to = fuzz_u8(in);
	size_t n = 1 + to % 32, i;

	if (fd < 0)
		return;
	(void)!disk_stat(disk, fd, &st);
	if (st.size <= from)
		goto out;
	off = from + off % (st.size - from);
	(void)!disk_pread(disk, fd, page, sizeof(page), off);
	switch (kind) {
	case WRITE:
		for (i = 0; i < n; i++)
			page[i] = (char)fuzz_u8(in);
		break;
	case FLIP:
		n = 1;
		page[0] ^= (char)to;
		break;
	case CUT:
		(void)!disk_truncate(disk, fd, off);
		goto out;
	case ZERO:
		memset(page, 0, n * 16);
		n *= 16;
		break;
	default:
		off = from + to * META_PAGE;
		n = sizeof(page);
	}
	if (off + n <= st.size)
		(void)!disk_pwrite(disk, fd, page, n, off);
out:
	disk_close(disk, fd);
	(void)!disk_syncfs(disk);
}

static void damage_all(struct fuzz_in *in, const struct image *im, bool covered)
{
	while (in->n > 0) {
		uint8_t which = fuzz_u8(in);
		const char *path = im->file[which % im->nfiles].path;

		if (covered)
			damage(in, META_WAL, im->covered);
		else if (which == 255)
			(void)!disk_unlink(disk, META_WAL);
		else
			/* Mostly the database. */
			damage(in, which < 96  ? META_DB :
				   which < 160 ? META_WAL :
				   which < 192 ? META_BARRIER :
						 path,
			       0);
	}
}

/* ---- what is found */

static void require_rows(const struct image *im)
{
	static const struct meta_opts opts = { .source = "mem://" };
	struct meta_report report;
	struct meta *m = NULL;
	bool before = true;
	uint64_t ino;
	unsigned i;
	int r = meta_open(sim_host(sim), &opts, &m, &report);

	FUZZ_REQUIRE(r == 0 && meta_begin(m) == 0, "refused: %d", r);
	for (i = 0; i < ARRAY_SIZE(kept); i++) {
		r = meta_name_get(m, FS_ROOT_INO, kept[i], &ino);
		FUZZ_REQUIRE(r == 0 && ino == im->ino[i], "%s: %d", kept[i], r);
	}
	for (i = 0; i < ARRAY_SIZE(later); i++) {
		r = meta_name_get(m, FS_ROOT_INO, later[i], &ino);
		FUZZ_REQUIRE(r == -ENOENT || (r == 0 && before), "%s: %d",
			     later[i], r);
		before = r == 0;
	}
	meta_end(m);
	meta_close(m);
}

struct walk {
	uint64_t ino[64];
	unsigned n;
};

static int on_entry(void *arg, const char *name, const struct fs_attr *a,
		    uint64_t next)
{
	struct walk *w = arg;

	if (name[0] != '.' && w->n < ARRAY_SIZE(w->ino))
		w->ino[w->n++] = a->ino;
	return 0;
}

static void look(uint64_t ino, unsigned depth)
{
	struct walk w = { .n = 0 };
	struct fs_attr a;
	struct fs_dir *d;
	char target[1025];
	unsigned i;

	if (fs_getattr(fs, ino, NULL, &a) < 0 || depth > DEPTH_MAX)
		return;
	if (S_ISLNK(a.mode))
		(void)!fs_readlink(fs, ino, target);
	if (!S_ISDIR(a.mode) || fs_opendir(fs, ino, &d) < 0)
		return;
	(void)!fs_readdir(fs, d, 0, on_entry, &w);
	fs_closedir(fs, d);
	for (i = 0; i < w.n; i++)
		look(w.ino[i], depth + 1);
}

static int on_pending(void *arg, const struct fs_pending *p)
{
	FUZZ_REQUIRE(p->path && p->state && p->why, "no words");
	return 0;
}

/* A mount that lives with what it found. */
static void use(void)
{
	struct fs_stats st;

	look(FS_ROOT_INO, 0);
	(void)!fs_each_pending(fs, "", on_pending, NULL);
	fs_stats(fs, &st);
	(void)!put_file("new", "five");
	(void)sim_run_for(sim, 20 * NS_PER_S);
	look(FS_ROOT_INO, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct log_opts quiet = { .sink = LOG_TO_FILE,
					       .path = "/dev/null" };
	struct fuzz_in in = { data, n };
	uint8_t how = fuzz_u8(&in);
	const struct image *im = &images[how & CHECKPOINTED];
	int r;

	if (im->nfiles == 0) {
		FUZZ_REQUIRE(log_init(&quiet) == 0, "no log");
		make_image(&images[how & CHECKPOINTED], how & CHECKPOINTED);
	}
	lay_out(im);
	damage_all(&in, im, how & COVERED_STAYS);
	if (how & POWER_CUT)
		simdisk_power_cut(disk, 100);
	if (how & COVERED_STAYS)
		require_rows(im);
	r = rig_open();
	FUZZ_REQUIRE(r <= 0, "it is %d", r);
	FUZZ_REQUIRE(r == 0 || !(how & COVERED_STAYS), "refused: %d", r);
	if (r == 0)
		use();
	rig_end();
	return 0;
}
