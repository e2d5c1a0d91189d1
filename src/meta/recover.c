/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a power cut left.
 *
 * The file "barrier" has two slots, written in turn; the good one with the
 * greater counter is the last barrier.  Its salts name the log it speaks of: a
 * checkpoint restarts the log with others, and only when the log was as long
 * as the mark, so then the database file alone is the state of the mark.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "ckptfs/hash.h"

#include "internal.h"

#define LOG_MODULE "meta"
#define SLOT_SPACING 512

static const char magic[8] = "ckptbar1";

static uint64_t slot_crc(const struct meta_slot *s)
{
	return crc64nvme(0, s, offsetof(struct meta_slot, crc));
}

int slots_read(struct meta *m, bool *ret_any, bool *ret_file)
{
	struct meta_slot s;
	int i;

	*ret_any = false;
	m->barrier_fd = disk_open(m->host->disk, "barrier", O_RDWR, 0);
	*ret_file = m->barrier_fd >= 0;
	if (m->barrier_fd == -ENOENT) {
		m->barrier_fd = disk_open(m->host->disk, "barrier",
					  O_RDWR | O_CREAT, 0600);
		if (m->barrier_fd >= 0)
			return disk_sync_dir(m->host->disk, "");
	}
	if (m->barrier_fd < 0)
		return m->barrier_fd;
	for (i = 0; i < 2; i++) {
		if (disk_pread(m->host->disk, m->barrier_fd, &s, sizeof(s),
			       (uint64_t)i * SLOT_SPACING) !=
			    (ssize_t)sizeof(s) ||
		    memcmp(s.magic, magic, sizeof(magic)) != 0 ||
		    s.crc != slot_crc(&s))
			continue;
		if (!*ret_any || s.counter > m->slot.counter)
			m->slot = s;
		*ret_any = true;
	}
	return 0;
}

int slot_write(struct meta *m, const struct meta_slot *slot)
{
	struct meta_slot s;
	int r;

	memset(&s, 0, sizeof(s)); /* the padding too */
	memcpy(s.magic, magic, sizeof(magic));
	s.counter = slot->counter;
	s.stamp = slot->stamp;
	s.frames = slot->frames;
	memcpy(s.salt, slot->salt, sizeof(s.salt));
	memcpy(s.boot, slot->boot, sizeof(s.boot));
	s.crc = slot_crc(&s);
	r = disk_pwrite(m->host->disk, m->barrier_fd, &s, sizeof(s),
			(s.counter & 1) * SLOT_SPACING);
	return r < 0 ? r : disk_fdatasync(m->host->disk, m->barrier_fd);
}

/* The salts in the log's header; zeros where there is no log. */
int wal_salt(struct meta *m, int fd, unsigned char ret[8])
{
	ssize_t n;

	memset(ret, 0, 8);
	n = disk_pread(m->host->disk, fd, ret, 8, 16);
	if (n >= 0 && n < 8)
		memset(ret, 0, 8);
	return n < 0 ? (int)n : 0;
}

/* Cut the log back to the last barrier: to the recorded frame if it is the
 * log the slot speaks of, to nothing if a checkpoint has begun another. */
int log_cut(struct meta *m, bool have_slot, uint64_t *ret_dropped)
{
	uint64_t keep = 0;
	unsigned char salt[8];
	struct disk_stat st;
	int r, fd = disk_open(m->host->disk, "db-wal", O_RDWR, 0);

	*ret_dropped = 0;
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	r = disk_stat(m->host->disk, fd, &st);
	if (r == 0)
		r = wal_salt(m, fd, salt);
	if (r == 0 && have_slot && m->slot.frames &&
	    memcmp(salt, m->slot.salt, sizeof(salt)) == 0)
		keep = WAL_HEADER + (uint64_t)m->slot.frames * WAL_FRAME;
	if (r == 0 && st.size > keep) {
		*ret_dropped = (st.size - keep) / WAL_FRAME;
		r = disk_truncate(m->host->disk, fd, keep);
	} else if (r == 0 && st.size < keep) {
		r = log_err(-EIO, "the database's log is shorter than its last "
			    "barrier says: the cache disk lost what it had "
			    "confirmed");
	}
	if (r == 0)
		r = disk_fdatasync(m->host->disk, fd);
	disk_close(m->host->disk, fd);
	return r;
}
