/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing out what open files gained, but for the newest 4 GiB, so that the
 * barrier after their seal does not find all of it; what was written past the
 * daemon is seen by the growth of the blob.  A worker's work: the disk takes
 * its time even to begin, and a writer must not wait for that.  The newest are
 * left alone because pages under write slow down who dirties the next: by 10 to
 * 30 % where each 256 MiB were written out at once.
 */
#include "config.h"

#include <fcntl.h>
#include <utlist.h>

#include "internal.h"

#define PIECE (UINT64_C(256) << 20)
#define NEWEST (UINT64_C(4) << 30)
#define LOOK_NS (250 * NS_PER_MS)

/* busy is held. */
void writeout_add(struct fs *fs, struct inode *in)
{
	bool wake;

	in->live->written_out = in->live->clean_size;
	lock_acquire(&fs->ns);
	wake = !fs->writers_watched;
	fs->writers_came = fs->writers_watched = true;
	DL_APPEND2(fs->writers, in, prev_writer, next_writer);
	lock_release(&fs->ns);
	if (wake)
		thr_kick(fs->writeout);
}

void writeout_del(struct fs *fs, struct inode *in)
{
	lock_acquire(&fs->ns);
	DL_DELETE2(fs->writers, in, prev_writer, next_writer);
	lock_release(&fs->ns);
}

/* The writer that was looked at longest ago, pinned; NULL: there is none. */
static struct inode *next_writer(struct fs *fs)
{
	struct inode *in;

	lock_acquire(&fs->ns);
	in = fs->writers;
	if (in) {
		DL_DELETE2(fs->writers, in, prev_writer, next_writer);
		DL_APPEND2(fs->writers, in, prev_writer, next_writer);
		in->pins++;
	}
	lock_release(&fs->ns);
	return in;
}

/* A descriptor of its own, for the file may be closed meanwhile, and how much
 * to write out; -1: nothing yet. */
static int due(struct fs *fs, struct inode *in, uint64_t *ret_off,
	       uint64_t *ret_len)
{
	struct live *l = in->live;
	struct disk_stat st;
	int fd;

	if (!l || !l->nwrite || live_stat(fs, in, &st) < 0)
		return -1;
	if (l->written_out > st.size)
		l->written_out = 0; /* it was cut */
	if (st.size - l->written_out < NEWEST + PIECE)
		return -1;
	fd = cache_blob_open(fs->cache, l->ver.blob, O_RDONLY);
	if (fd < 0)
		return -1; /* nothing is lost but time */
	*ret_off = l->written_out;
	*ret_len = (st.size - l->written_out - NEWEST) / PIECE * PIECE;
	l->written_out += *ret_len;
	return fd;
}

static void look_at(struct fs *fs, struct inode *in)
{
	uint64_t off = 0, len = 0;
	int fd = -1;

	if (busy_try(fs, in)) {
		fd = due(fs, in, &off, &len);
		busy_end(fs, in);
	}
	if (fd < 0)
		return;
	(void)disk_writeback(fs->host->disk, fd, off, len);
	cache_blob_close(fs->cache, fd);
}

int64_t writeout_step(void *arg)
{
	struct fs *fs = arg;
	struct inode *in;
	size_t n;
	bool came, more;

	lock_acquire(&fs->ns);
	came = fs->writers_came;
	fs->writers_came = false;
	DL_COUNT2(fs->writers, in, n, next_writer);
	lock_release(&fs->ns);
	for (; n && (in = next_writer(fs)) != NULL; n--) {
		look_at(fs, in);
		inode_put(fs, in);
	}
	/* Where one came and went there will be another: no wake for each. */
	lock_acquire(&fs->ns);
	more = fs->writers || came || fs->writers_came;
	fs->writers_watched = more;
	lock_release(&fs->ns);
	return more ? LOOK_NS : CLK_NEVER;
}
