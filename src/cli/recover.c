/* SPDX-License-Identifier: Apache-2.0 */
/* Question and answer of recover (recover.h). */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "ckptfs/buf.h"
#include "ckptfs/cli.h"
#include "ckptfs/clock.h"
#include "ckptfs/json.h"

#include "recover.h"

static const char *const names[] = {
	[FS_RECOVER_LIST] = "list",
	[FS_RECOVER_PUBLISH] = "publish",
	[FS_RECOVER_RETRY] = "retry",
	[FS_RECOVER_DISCARD] = "discard",
	[FS_RECOVER_EXPORT] = "export",
};

bool recover_act(const char *name, enum fs_recover *ret)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(name, names[i]) != 0)
			continue;
		*ret = (enum fs_recover)i;
		return true;
	}
	return false;
}

const char *recover_name(enum fs_recover act)
{
	return names[act];
}

int recover_ask(struct buf *b, enum fs_recover act,
		const struct fs_recover_what *what)
{
	struct json_w w = JSON_W_INIT(b);

	json_w_object(&w, NULL);
	json_w_str(&w, "op", "recover");
	json_w_str(&w, "act", names[act]);
	json_w_str(&w, "path", what->path);
	if (what->id)
		json_w_str(&w, "id", what->id);
	json_w_bool(&w, "all", what->all);
	json_w_close(&w);
	return json_w_end(&w);
}

bool recover_has_namesakes(const struct json *kept)
{
	size_t n = json_len(kept), i;
	const char *a, *b;

	/* They are in order of the path. */
	for (i = 1; i < n; i++) {
		a = json_get_str(json_at(kept, i - 1), "path");
		b = json_get_str(json_at(kept, i), "path");
		if (a && b && strcmp(a, b) == 0)
			return true;
	}
	return false;
}

struct answer {
	struct json_w w;
	int64_t now_real_ns;
	unsigned failed;
};

static void write_kept(void *arg, const struct fs_kept *k, int err,
		       const char *words)
{
	struct answer *a = arg;
	int64_t age = a->now_real_ns - k->since_real_ns;

	json_w_object(&a->w, NULL);
	json_w_str(&a->w, "id", k->id);
	json_w_str(&a->w, "path", k->path);
	json_w_str(&a->w, "state", k->state);
	json_w_str(&a->w, "why", k->why);
	json_w_bool(&a->w, "shown", k->shown);
	json_w_u64(&a->w, "size", k->size);
	json_w_int(&a->w, "age_s",
		   k->since_real_ns > 0 && age > 0 ? age / NS_PER_S : 0);
	json_w_str(&a->w, "then", k->then);
	json_w_str(&a->w, "where", k->where);
	if (*k->beside)
		json_w_str(&a->w, "beside", k->beside);
	json_w_u64(&a->w, "mode", k->mode);
	json_w_int(&a->w, "mtime_ns", k->mtime_ns);
	if (err < 0)
		json_w_str(&a->w, "error", words);
	json_w_close(&a->w);
	a->failed += err < 0;
}

static const char *words_of(enum fs_recover act, int r, unsigned failed)
{
	if (r == -ENOENT)
		return act == FS_RECOVER_LIST ?
			       NULL :
			       "nothing is kept there that waits for a word; "
			       "'ckptfs status PATH' tells where a file stands";
	if (r < 0)
		return strerror(-r);
	return failed ? "not everything could be done" : NULL;
}

int recover_answer(struct fs *fs, const struct recover_place *place,
		   const struct json *req, struct buf *b)
{
	const char *name = json_get_str(req, "act");
	struct fs_recover_what what = { .path = json_get_str(req, "path"),
					.id = json_get_str(req, "id") };
	struct answer a = { .w = JSON_W_INIT(b),
			    .now_real_ns = clk_real(&clk_system) };
	enum fs_recover act = FS_RECOVER_LIST;
	const char *words;
	int r = -EINVAL;

	what.path = what.path ? what.path : "";
	if (json_get_bool(req, "all", &what.all) < 0)
		what.all = false;
	json_w_object(&a.w, NULL);
	json_w_str(&a.w, "mountpoint", place->mountpoint);
	json_w_str(&a.w, "source", place->source);
	json_w_str(&a.w, "cache_dir", place->cache_dir);
	json_w_array(&a.w, "kept");
	if (name && recover_act(name, &act))
		r = fs_recover(fs, act, &what, write_kept, &a);
	json_w_close(&a.w);
	words = words_of(act, r, a.failed);
	json_w_int(&a.w, "status", words ? CLI_FAILED : CLI_DONE);
	if (words)
		json_w_str(&a.w, "error", words);
	json_w_close(&a.w);
	return json_w_end(&a.w);
}
