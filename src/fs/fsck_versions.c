/* SPDX-License-Identifier: Apache-2.0 */
/* What a bucket that keeps versions has beside what its mounts show. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "ckptfs/text.h"

#include "fsck_bucket.h"

/* Who lets a listing name a version, lets a download, too. */
static int on_version(void *arg, const struct store_version *v)
{
	struct fsck_b *b = arg;
	char date[TEXT_DATE_LEN], size[TEXT_QTY_LEN];

	if (v->is_latest && !v->is_mark)
		return 0;
	text_iso_date(v->mtime_ns, 0, date);
	text_size(v->size, size);
	if (v->is_mark && v->is_latest)
		fsck_b_tell(b, FSCK_NOTE, "%s: deleted %s, version %s", v->key,
			    date, v->id);
	else if (!v->is_mark)
		fsck_b_tell(b, FSCK_NOTE,
			    "%s: an old version of %s, %s, version %s", v->key,
			    date, size, v->id);
	b->sums->old_versions += !v->is_mark;
	b->sums->old_bytes += v->size;
	b->sums->marks += v->is_mark;
	return 0;
}

int fsck_versions(struct fsck_b *b)
{
	int r = store_list_versions(b->store, b->opts->prefix, NULL,
				    on_version, b);

	if (r == -EOPNOTSUPP)
		fsck_b_tell(b, FSCK_NOTE, "this store lists no versions");
	return r == -EOPNOTSUPP ? 0 : r;
}
