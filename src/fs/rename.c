/* SPDX-License-Identifier: Apache-2.0 */
/* rename(2): rows at once, whatever lies below. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rename.h"

#define LOG_MODULE "fs"

struct move {
	struct inode *from, *to; /* folders */
	const char *name, *newname;
	struct inode *in, *over; /* what moves; what it replaces, or NULL */
	char key[META_KEY_MAX + 1], newkey[META_KEY_MAX + 1];
	uint64_t seq; /* the place that being renamed gave it; 0: none */
	struct held below; /* the same of what is below a folder */
	int64_t now;
};

bool rename_is_below(struct fs *fs, const struct inode *dir, uint64_t ino)
{
	while (dir && dir->ino != FS_ROOT_INO) {
		if (dir->ino == ino)
			return true;
		dir = inode_find(fs, dir->parent);
	}
	return false;
}

/* Everything below a folder has a key if it is given so many bytes more. */
static int check_room(struct fs *fs, struct inode *dir, size_t room)
{
	struct dentry *d, *tmp;
	int r = dir_load(fs, dir);

	HASH_ITER(hh, dir->children, d, tmp) {
		struct inode *in = inode_find(fs, d->ino);
		size_t n = 1 + strlen(d->name);
		bool is_dir = in && in->kind == META_DIR;

		if (r == 0 && n + is_dir > room) /* its marker's slash */
			r = -ENAMETOOLONG;
		if (r == 0 && is_dir)
			r = check_room(fs, in, room - n);
		if (r < 0)
			break;
	}
	return r;
}

int rename_check_keys(struct fs *fs, struct inode *in, const char *key,
		      const char *newkey)
{
	size_t n = strlen(newkey);

	if (in->kind != META_DIR || n <= strlen(key))
		return 0;
	return n + 1 > META_KEY_MAX ? -ENAMETOOLONG :
				      check_room(fs, in, META_KEY_MAX - n);
}

/* POSIX's rules, given both names. */
static int check_move(struct fs *fs, struct move *m, unsigned flags)
{
	int r = 0;

	if (!m->in)
		return -ENOENT;
	if (m->over && (flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (m->in->kind == META_DIR && rename_is_below(fs, m->to, m->in->ino))
		return -EINVAL;
	if (!m->over || m->over == m->in)
		return 0;
	if (m->in->kind == META_DIR && m->over->kind != META_DIR)
		return -ENOTDIR;
	if (m->in->kind != META_DIR && m->over->kind == META_DIR)
		return -EISDIR;
	if (m->over->kind == META_DIR) {
		r = dir_load(fs, m->over);
		if (r == 0)
			r = dir_is_empty(m->over) ? marker_check(fs, m->over) :
						    -ENOTEMPTY;
	}
	return r;
}

bool rename_in_line(struct fs *fs, const struct inode *in, const char *key)
{
	return in->seal_seq || (in->key && strcmp(in->key, key) == 0) ||
	       transfer_queued(fs->transfer, key);
}

int rename_later(struct fs *fs, const struct inode *in, const char *key)
{
	struct meta_object o;
	int r = meta_object_get(fs->meta, key, &o);

	if (r == -ENOENT)
		r = transfer_queued(fs->transfer, key) ? 0 : -ENOENT;
	if (r == 0)
		r = transfer_owe(fs->transfer, in->ino, key);
	return r == -ENOENT ? 0 : r;
}

/* The bucket hears only of what went for it. */
static int move_local(struct fs *fs, struct move *m)
{
	int r = 0;

	if (!m->over || is_local_kind(m->over->kind))
		return 0;
	if (needs_delete(fs, m->over, m->newkey))
		r = op_add(fs, META_OP_DEL, m->over->ino, 0, m->newkey, NULL,
			   true, NULL);
	return r < 0 ? r : marker_due(fs, m->to);
}

/* The operation a rename is in the line: see the header comment of line.h. */
static int move_op(struct fs *fs, struct move *m)
{
	struct inode *in = m->in;
	bool temp = transfer_name_is_temporary(key_path(fs, m->newkey));
	struct meta_version v;
	int r;

	if (is_local_kind(in->kind))
		return move_local(fs, m);
	if (in->kind == META_DIR) {
		r = transfer_make_room(fs->transfer, m->newkey, true, 0);
		if (r == 0)
			r = op_add(fs, META_OP_RENAME_DIR, in->ino, 0, m->key,
				   m->newkey, true, NULL);
		/* now: what comes along is in nobody's way */
		if (r == 0)
			r = transfer_owed_moved(fs->transfer, m->key,
						m->newkey);
		return r < 0 ? r : held_place(fs, m->key, m->newkey, &m->below);
	}
	if (in->kind == META_FILE && in->held) {
		r = rename_later(fs, in, m->key);
		if (temp || r < 0)
			return r;
		r = meta_version_get(fs->meta, in->vid, &v);
		if (r == 0) {
			v.held = false;
			r = meta_version_set(fs->meta, &v);
		}
		if (r == 0)
			r = op_put(fs, in, &v, m->newkey, 0, &m->seq);
		return r;
	}
	if (!rename_in_line(fs, in, m->key))
		return rename_later(fs, in, m->key);
	return op_add(fs, META_OP_RENAME, in->ino,
		      in->kind == META_FILE && in->seal_seq ? in->vid : 0,
		      m->key, m->newkey, true, NULL);
}

static int move_rows(struct fs *fs, struct move *m)
{
	struct meta_inode row;
	int r = 0;

	if (m->over)
		r = unlink_rows(fs, m->to, m->over, true);
	if (r == 0)
		r = meta_name_del(fs->meta, m->from->ino, m->name);
	if (r == 0)
		r = meta_name_add(fs->meta, m->to->ino, m->newname,
				  m->in->ino);
	if (r == 0 && m->over)
		r = transfer_settle(fs->transfer, m->over->ino, 0);
	if (r == 0 && !is_local_kind(m->in->kind))
		r = marker_due(fs, m->from);
	if (r == 0)
		r = dir_touch(fs, m->from);
	if (r == 0 && m->to != m->from)
		r = dir_touch(fs, m->to);
	if (r == 0) {
		inode_to_row(m->in, &row);
		row.parent = m->to->ino;
		memset(row.name, 0, sizeof(row.name));
		memcpy(row.name, m->newname, strlen(m->newname));
		row.ctime_ns = m->now;
		r = meta_inode_set(fs->meta, &row);
	}
	return r;
}

static void move_memory(struct fs *fs, struct move *m, struct dentry *d,
			char *name)
{
	if (m->over) {
		m->over->replaced = true;
		unlink_done(fs, m->to, m->over);
	}
	dentry_del(fs, m->from, m->name);
	lock_acquire(&fs->ns);
	dentry_link(m->to, d);
	free(m->in->name);
	m->in->name = name;
	m->in->parent = m->to->ino;
	m->in->ctime_ns = m->now;
	if (m->seq)
		inode_let_go(m->in, m->seq);
	held_let_go(&m->below);
	lock_release(&fs->ns);
}

static struct inode *child(struct fs *fs, struct inode *dir, const char *name)
{
	struct dentry *d = dentry_find(dir, name);

	return d ? inode_get(fs, d->ino) : NULL;
}

/* Inside the transaction; both folders are loaded. */
static int move(struct fs *fs, struct move *m, unsigned flags)
{
	struct dentry *d = NULL;
	char *name = NULL;
	int r;

	m->now = clk_real(fs->host->clk);
	m->in = child(fs, m->from, m->name);
	m->over = child(fs, m->to, m->newname);
	r = check_move(fs, m, flags);
	if (r == 0 && m->in == m->over)
		return tx_end(fs, 0, 0, false);
	if (r == 0)
		r = key_of(fs, m->from, m->name, m->key);
	if (r == 0)
		r = key_of(fs, m->to, m->newname, m->newkey);
	if (r == 0)
		r = rename_check_keys(fs, m->in, m->key, m->newkey);
	if (r == 0) { /* memory now: it cannot fail once committed */
		name = strdup(m->newname);
		d = dentry_new(m->newname, m->in->ino);
		r = name && d ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = move_op(fs, m);
	if (r == 0)
		r = move_rows(fs, m);
	if (r == 0 && m->seq)
		r = transfer_settle(fs->transfer, m->in->ino, m->in->vid);
	if (r == 0)
		r = held_settle(fs, &m->below);
	r = tx_commit(fs, r);
	if (r == 0) {
		move_memory(fs, m, d, name);
		d = NULL;
		name = NULL;
	}
	r = tx_close(fs, r, 0, true);
	held_release(&m->below);
	free(d);
	free(name);
	return r;
}

int fs_rename(struct fs *fs, uint64_t parent, const char *name,
	      uint64_t newparent, const char *newname, unsigned flags)
{
	struct move m = { .name = name, .newname = newname };
	struct inode *to;
	int r;

	if (flags && flags != RENAME_NOREPLACE && flags != RENAME_EXCHANGE)
		return -EINVAL;
	to = inode_get(fs, newparent);
	if (!to)
		return -ENOENT;
	r = to->kind == META_DIR ? 0 : -ENOTDIR;
	if (r == 0)
		r = name_check_new(fs, to, newname);
	if (r == 0)
		r = dir_begin(fs, parent, name, &m.from);
	if (r < 0) {
		inode_put(fs, to);
		return r;
	}
	m.to = to;
	r = to->parent || to->ino == FS_ROOT_INO ? dir_load(fs, to) : -ENOENT;
	if (r < 0)
		(void)tx_end(fs, r, 0, false);
	else if (flags == RENAME_EXCHANGE)
		r = exchange(fs, m.from, name, to, newname);
	else
		r = move(fs, &m, flags);
	inode_put(fs, m.over);
	inode_put(fs, m.in);
	inode_put(fs, m.from);
	inode_put(fs, to);
	return r;
}
