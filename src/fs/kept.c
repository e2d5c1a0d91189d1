/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept, as the rows say it (kept.h). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/text.h"

#include "kept.h"

#define LOG_MODULE "fs"

#define HELD_NS (2 * NS_PER_S)

static const char held_words[] = "closed, but a process still has it mapped or "
				 "open for writing";

/* An operation of the line that matters here: a put, or a parked one. */
struct place {
	uint64_t seq, vid, ino;
	enum meta_op_kind kind;
	bool parked;
	char *key, *why; /* of a parked one; owned */
};

struct gather {
	struct fs *fs;
	const char *under;
	bool all;
	struct meta_version *v; /* all but published ones */
	size_t nv, cap_v;
	struct place *place;
	size_t nplaces, cap_places;
	struct kept_list *ret;
};

/* Room for one more; p is a pointer to the array. */
#define GROW(p, n, cap)                                                        \
	((n) < (cap) || grow((void **)&(p), &(cap), sizeof(*(p))) == 0)

static int grow(void **p, size_t *cap, size_t size)
{
	size_t more = *cap ? *cap * 2 : 16;
	void *q = reallocarray(*p, more, size);

	if (!q)
		return -ENOMEM;
	*p = q;
	*cap = more;
	return 0;
}

static int take_version(void *arg, const struct meta_version *row)
{
	struct gather *g = arg;

	if (row->state == META_PUBLISHED)
		return 0;
	if (!GROW(g->v, g->nv, g->cap_v))
		return -ENOMEM;
	g->v[g->nv++] = *row;
	return 0;
}

static int take_op(void *arg, const struct meta_op *op)
{
	struct gather *g = arg;
	struct place *p;

	if ((op->kind != META_OP_PUT && !op->parked) ||
	    transfer_beside(g->fs->transfer, op->key))
		return 0; /* what lies beside is told of its version */
	if (!GROW(g->place, g->nplaces, g->cap_places))
		return -ENOMEM;
	p = &g->place[g->nplaces++];
	*p = (struct place){ .seq = op->seq,
			     .vid = op->kind == META_OP_PUT ? op->vid : 0,
			     .ino = op->ino,
			     .kind = op->kind,
			     .parked = op->parked };
	if (!op->parked)
		return 0;
	p->key = strdup(meta_op_renames(op->kind) ? op->to : op->key);
	p->why = strdup(op->why);
	return p->key && p->why ? 0 : -ENOMEM;
}

static int by_vid(const void *x, const void *y)
{
	const struct place *a = x, *b = y;

	return a->vid < b->vid ? -1 : a->vid > b->vid;
}

static const struct place *place_of(const struct gather *g, uint64_t vid)
{
	struct place key = { .vid = vid };

	return g->nplaces ? bsearch(&key, g->place, g->nplaces, sizeof(key),
				    by_vid) :
			    NULL;
}

static int path_of(struct fs *fs, const struct meta_inode *row,
		   char ret[META_KEY_MAX + 1])
{
	if (!kept_is_nameless(row))
		return row_path(fs->meta, row, ret);
	(void)snprintf(ret, META_KEY_MAX + 1, "%s", key_path(fs, row->target));
	return 0;
}

static struct kept *add(struct gather *g, const char *path)
{
	struct kept *k;

	if (!GROW(g->ret->p, g->ret->n, g->ret->cap))
		return NULL;
	k = &g->ret->p[g->ret->n];
	memset(k, 0, sizeof(*k));
	k->path = strdup(path);
	if (!k->path)
		return NULL;
	g->ret->n++;
	return k;
}

/* Whether it is open: handles, -1: none, but it is not at rest. */
static int handles_of(struct fs *fs, const struct meta_version *v)
{
	struct inode *in = inode_find(fs, v->ino);
	int n = 0;

	lock_acquire(&fs->ns);
	if (in && in->vid == v->vid && in->live && in->live->writing)
		n = in->live->nopen ? (int)in->live->nopen : -1;
	lock_release(&fs->ns);
	return n;
}

static const char *sealed_state(const struct gather *g,
				const struct meta_version *v,
				const struct place *p, int handles,
				const char **why)
{
	/* Every close leaves one for a moment. */
	if (v->provisional && handles < 0 &&
	    clk_real(g->fs->host->clk) - v->sealed_real_ns > HELD_NS) {
		*why = held_words;
		return "orphan-held";
	}
	if (p && p->parked) {
		*why = *p->why ? p->why : "the store refuses it";
		return "parked";
	}
	if (!g->all || (!p && !v->held))
		return NULL;
	*why = v->held	      ? "kept local (temporary name)" :
	       v->provisional ? "open or mapped" :
				"on its way";
	return v->held ? "temporary" : "queued";
}

/* NULL: nobody is asked about it. */
static const char *state_words(const struct gather *g,
			       const struct meta_version *v,
			       const struct place *p, int handles,
			       const char **why)
{
	switch (v->state) {
	case META_UNFINISHED:
		*why = handles ? held_words :
				 "it was open when the daemon stopped";
		return handles > 0 ? NULL :
		       handles	   ? "orphan-held" :
				     "unfinished";
	case META_TORN:
		*why = "its writer was killed, or the file is cut short";
		return "torn";
	case META_CONFLICT:
		*why = "another writer changed the object: theirs is in the "
		       "bucket"; /* and ours: beside_of() */
		return "conflict";
	case META_PARKED:
		*why = "the store refused it, and there is a later version";
		return "parked";
	case META_POISONED:
		*why = "the cache disk failed to write it: its bytes may be "
		       "wrong";
		return "poisoned";
	case META_SEALED:
		return sealed_state(g, v, p, handles, why);
	case META_PUBLISHED:
		break;
	}
	return NULL;
}

/* Where the losing side of a conflict is, beside this machine. */
static int beside_of(struct fs *fs, struct kept *k)
{
	struct transfer_beside *b = &k->beside;
	int r = k->row_state == META_CONFLICT ?
			transfer_beside_of(fs->transfer, k->vid, b) :
			-ENOENT;
	size_t n = strlen(k->why);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	(void)snprintf(k->why + n, sizeof(k->why) - n, "%s%s",
		       b->is_there ? ", ours lies beside it" :
		       b->parked   ? ", ours is refused there: " :
				     ", ours is on its way beside it",
		       b->parked ? b->why : "");
	return 0;
}

static int gather_version(struct gather *g, const struct meta_version *v)
{
	const struct place *p = place_of(g, v->vid);
	char path[META_KEY_MAX + 1];
	struct meta_inode row;
	int handles = handles_of(g->fs, v), r;
	const char *state, *why = "";
	struct kept_fall fall;
	struct kept *k;

	state = state_words(g, v, p, handles, &why);
	if (!state)
		return 0;
	r = meta_inode_get(g->fs->meta, v->ino, &row);
	if (r == 0)
		r = path_of(g->fs, &row, path);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (!path[0] || !text_is_under(path, g->under))
		return 0;
	k = add(g, path);
	if (!k)
		return -ENOMEM;
	k->vid = v->vid;
	k->seq = p ? p->seq : 0;
	k->ino = v->ino;
	k->blob = v->blob;
	k->row_state = v->state;
	(void)snprintf(k->id, sizeof(k->id), "v%" PRIu64, v->vid);
	k->state = state;
	(void)snprintf(k->why, sizeof(k->why), "%s", why);
	k->size = v->size;
	k->since_real_ns = v->sealed_real_ns;
	k->shown = row.parent && row.vid == v->vid;
	k->parked = p && p->parked;
	k->held_open = handles != 0;
	k->mode = row.mode;
	k->mtime_ns = v->mtime_ns;
	if (v->blob)
		cache_blob_path(v->blob, k->where);
	r = beside_of(g->fs, k);
	if (r == 0)
		r = kept_find_fall(g->fs, &row, v, &fall);
	if (r < 0)
		return r;
	k->then = kept_fall_words(fall.kind);
	return 0;
}

static const char *verb_of(enum meta_op_kind kind)
{
	switch (kind) {
	case META_OP_PUT:
		return "upload";
	case META_OP_DEL:
		return "delete";
	case META_OP_RENAME:
	case META_OP_RENAME_DIR:
		return "rename";
	case META_OP_SYMLINK:
		return "symbolic link";
	case META_OP_MARKER:
		return "folder marker";
	}
	return "";
}

/* A parked operation that is no version. */
static int gather_op(struct gather *g, const struct place *p)
{
	struct kept *k;

	if (p->vid || !p->parked ||
	    !text_is_under(key_path(g->fs, p->key), g->under))
		return 0;
	k = add(g, key_path(g->fs, p->key));
	if (!k)
		return -ENOMEM;
	k->seq = p->seq;
	k->ino = p->ino;
	(void)snprintf(k->id, sizeof(k->id), "o%" PRIu64, p->seq);
	k->state = "parked";
	(void)snprintf(k->why, sizeof(k->why), "its %s is refused: %s",
		       verb_of(p->kind), p->why);
	k->then = p->kind == META_OP_MARKER ?
			  "the folder goes if it is empty" :
			  "the object stays in the bucket";
	k->shown = k->parked = true;
	return 0;
}

/* What only the blob knows. */
static void look(struct fs *fs, struct kept *k)
{
	struct disk_stat st;
	int fd;

	if (!k->blob)
		return;
	fd = cache_blob_open(fs->cache, k->blob, O_RDONLY);
	if (fd == -ENOENT)
		(void)snprintf(k->why, sizeof(k->why),
			       "its bytes are gone from the cache disk");
	if (fd < 0)
		return;
	/* Nobody has told its row how far it got. */
	if (k->row_state == META_UNFINISHED &&
	    disk_stat(fs->host->disk, fd, &st) == 0) {
		k->size = st.size;
		k->mtime_ns = st.mtime_ns;
	}
	cache_blob_close(fs->cache, fd);
}

static int by_path(const void *x, const void *y)
{
	const struct kept *a = x, *b = y;
	int c = strcmp(a->path, b->path);

	return c ? c : strcmp(a->id, b->id);
}

int kept_gather(struct fs *fs, const char *path, bool all,
		struct kept_list *ret)
{
	struct gather g = { .fs = fs, .under = path, .all = all, .ret = ret };
	size_t i;
	int r = tx_begin(fs);

	if (r < 0)
		return r;
	r = meta_version_each(fs->meta, take_version, &g);
	if (r == 0)
		r = meta_op_each(fs->meta, 0, take_op, &g);
	if (g.nplaces)
		qsort(g.place, g.nplaces, sizeof(*g.place), by_vid);
	for (i = 0; r == 0 && i < g.nv; i++)
		r = gather_version(&g, &g.v[i]);
	for (i = 0; r == 0 && i < g.nplaces; i++)
		r = gather_op(&g, &g.place[i]);
	r = tx_end(fs, r, 0, false);
	for (i = 0; i < ret->n; i++)
		look(fs, &ret->p[i]);
	if (ret->n)
		qsort(ret->p, ret->n, sizeof(*ret->p), by_path);
	for (i = 0; i < g.nplaces; i++) {
		free(g.place[i].key);
		free(g.place[i].why);
	}
	free(g.place);
	free(g.v);
	return r;
}

void kept_release(struct kept_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->p[i].path);
	free(l->p);
	memset(l, 0, sizeof(*l));
}

/* ---- one thing done to each that is selected */

struct choice {
	struct fs *fs;
	enum fs_recover act;
	const struct fs_recover_what *what;
	const char *path;
	struct kept_list list;
};

/* Whom the act is about; of a folder, those it can be done to. */
static bool is_chosen(const struct choice *c, const struct kept *k)
{
	if (c->what->id)
		return strcmp(k->id, c->what->id) == 0;
	if (c->act == FS_RECOVER_EXPORT) /* one file to one file */
		return strcmp(k->path, c->path) == 0;
	if (c->act == FS_RECOVER_RETRY && strcmp(k->path, c->path) != 0)
		return k->parked;
	return true;
}

/* How many of that name are chosen. */
static unsigned namesakes(const struct choice *c, const struct kept *k)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < c->list.n; i++)
		n += strcmp(c->list.p[i].path, k->path) == 0 &&
		     is_chosen(c, &c->list.p[i]);
	return n;
}

static int do_one(const struct choice *c, const struct kept *k,
		  const char **why)
{
	if (c->act != FS_RECOVER_LIST && !c->what->id &&
	    namesakes(c, k) > 1) {
		*why = "several versions of this name are kept: say which, by "
		       "--id as 'ckptfs recover list' has it";
		return -ENOTUNIQ;
	}
	switch (c->act) {
	case FS_RECOVER_PUBLISH:
		return kept_publish(c->fs, k, why);
	case FS_RECOVER_RETRY:
		return kept_retry(c->fs, k, why);
	case FS_RECOVER_DISCARD:
		return kept_discard(c->fs, k, why);
	case FS_RECOVER_EXPORT:
		if (k->where[0])
			return 0;
		*why = "it has no bytes";
		return -ENODATA;
	case FS_RECOVER_LIST:
		break;
	}
	return 0;
}

static void tell(const struct kept *k, int err, const char *why,
		 fs_kept_fn *fn, void *arg)
{
	struct fs_kept out = { .id = k->id,
			       .path = k->path,
			       .state = k->state,
			       .why = k->why,
			       .size = k->size,
			       .since_real_ns = k->since_real_ns,
			       .shown = k->shown,
			       .then = k->then,
			       .where = k->where,
			       .beside = k->beside.key,
			       .mode = k->mode & 0777,
			       .mtime_ns = k->mtime_ns };

	fn(arg, &out, err, err == 0 ? "" : why ? why : strerror(-err));
}

int fs_recover(struct fs *fs, enum fs_recover act,
	       const struct fs_recover_what *what, fs_kept_fn *fn, void *arg)
{
	struct choice c = { .fs = fs, .act = act, .what = what };
	const char *why;
	size_t i, done = 0;
	int r, err;

	c.path = what->path + strspn(what->path, "/");
	r = kept_gather(fs, c.path,
			what->all || what->id || act == FS_RECOVER_EXPORT,
			&c.list);
	for (i = 0; r == 0 && i < c.list.n; i++) {
		const struct kept *k = &c.list.p[i];

		if (!is_chosen(&c, k))
			continue;
		why = NULL;
		err = do_one(&c, k, &why);
		tell(k, err, why, fn, arg);
		done++;
	}
	kept_release(&c.list);
	return r < 0 ? r : done ? 0 : -ENOENT;
}
