/* SPDX-License-Identifier: Apache-2.0 */
/* A put that a later life takes up: its row is that of an upload without parts. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "internal.h"

static int save(struct store_session *s)
{
	const struct session *ses = (struct session *)s;
	struct transfer *t = ses->t;
	struct meta_upload up = { .vid = ses->it->vid,
				  .begun_real_ns = clk_real(t->host->clk) };
	int r = meta_begin(t->meta);

	if (r < 0)
		return r;
	memcpy(up.key, ses->it->key, strlen(ses->it->key));
	memcpy(up.id, s->id, sizeof(s->id));
	r = s->id[0] ? meta_upload_set(t->meta, &up) :
		       meta_upload_del(t->meta, up.vid);
	if (r == 0 || r == -ENOENT)
		r = meta_commit(t->meta);
	meta_end(t->meta);
	if (r == 0)
		ses->it->has_session = s->id[0];
	return r;
}

int session_load(struct transfer *t, struct titem *it, struct session *ret)
{
	struct meta_upload up;
	int r = meta_begin(t->meta);

	if (r < 0)
		return r;
	r = meta_upload_get(t->meta, it->vid, &up);
	meta_end(t->meta);
	if (r < 0 && r != -ENOENT)
		return r;
	memset(ret, 0, sizeof(*ret));
	ret->s.save = save;
	ret->t = t;
	ret->it = it;
	it->has_session = r == 0 && strcmp(up.key, it->key) == 0;
	if (it->has_session)
		memcpy(ret->s.id, up.id, sizeof(ret->s.id));
	return 0;
}
