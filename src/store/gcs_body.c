/* SPDX-License-Identifier: Apache-2.0 */
/* A body that is put together of text and of bytes from a source. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/rng.h"

#include "gcs.h"

void gcs_boundary(char ret[GCS_BOUNDARY_LEN])
{
	snprintf(ret, GCS_BOUNDARY_LEN, "ckptfs-%016" PRIx64 "%016" PRIx64,
		 rng_u64(&rng_system), rng_u64(&rng_system));
}

/* Copy what of [off, off + n) lies in the len bytes that begin at `at`. */
static size_t cut(const struct buf *b, uint64_t at, uint64_t off, char *p,
		  size_t n)
{
	size_t skip;

	if (off < at || off >= at + b->len || n == 0)
		return 0;
	skip = (size_t)(off - at);
	if (n > b->len - skip)
		n = b->len - skip;
	memcpy(p, b->p + skip, n);
	return n;
}

static ssize_t read_body(void *arg, uint64_t off, void *p, size_t n)
{
	const struct gcs_body *b = arg;
	const uint64_t mid = b->mid ? b->mid->len : 0;
	char *c = p;
	size_t done = cut(&b->head, 0, off, c, n);

	if (done < n && off + done < b->head.len + mid) {
		const uint64_t at = off + done - b->head.len;
		size_t want = n - done;
		ssize_t got;

		if (want > mid - at)
			want = (size_t)(mid - at);
		got = b->mid->read(b->mid->arg, at, c + done, want);
		if (got != (ssize_t)want)
			return got;
		done += want;
	}
	done += cut(&b->tail, b->head.len + mid, off + done, c + done,
		    n - done);
	return (ssize_t)done;
}

void gcs_body_seal(struct gcs_body *b)
{
	b->src = (struct store_src){ .read = read_body, .arg = b };
	b->src.len = b->head.len + b->tail.len + (b->mid ? b->mid->len : 0);
}

void gcs_body_clear(struct gcs_body *b)
{
	buf_clear(&b->head);
	buf_clear(&b->tail);
}
