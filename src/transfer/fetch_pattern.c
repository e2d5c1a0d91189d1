/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <string.h>

#include "fetch_pattern.h"

#define PIECES 8 /* requests that a window is cut into, at least */

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* His last one. */
static const struct fetch_stream *latest(const struct fetch_pattern *p,
					 uint64_t who)
{
	const struct fetch_stream *last = NULL;

	for (size_t i = 0; i < FETCH_STREAMS; i++) {
		const struct fetch_stream *s = &p->s[i];

		if (s->who == who && (!last || s->used > last->used))
			last = s;
	}
	return last;
}

/* The one that this read goes on with. */
static struct fetch_stream *match(struct fetch_pattern *p, uint64_t who,
				  uint64_t off, uint64_t end)
{
	struct fetch_stream *found = NULL;

	for (size_t i = 0; i < FETCH_STREAMS; i++) {
		struct fetch_stream *s = &p->s[i];

		if (s->who == who && off <= s->to + FETCH_NEAR &&
		    end + FETCH_NEAR >= s->from &&
		    (!found || s->used > found->used))
			found = s;
	}
	return found;
}

static struct fetch_stream *free_slot(struct fetch_pattern *p)
{
	struct fetch_stream *oldest = &p->s[0];

	for (size_t i = 0; i < FETCH_STREAMS; i++) {
		if (!p->s[i].who)
			return &p->s[i];
		if (p->s[i].used < oldest->used)
			oldest = &p->s[i];
	}
	return oldest;
}

/* A jump: what his last stream says of this one. */
static struct fetch_stream *begin(struct fetch_pattern *p, uint64_t who,
				  uint64_t off)
{
	const struct fetch_stream *last = latest(p, who);
	struct fetch_stream n = { .who = who,
				  .from = off,
				  .to = off,
				  .lo = off,
				  .hi = off,
				  .start = off };
	struct fetch_stream *slot;

	if (last) {
		n.expect = last->to - last->from;
		n.stride = (int64_t)(off - last->start);
		n.hits = n.stride == last->stride ? last->hits + 1 : 0;
		n.strides = n.hits < 4 ? (1U << n.hits) - 1 : FETCH_STRIDES;
	}
	slot = free_slot(p);
	*slot = n;
	return slot;
}

/* How much ahead of a stream of that length. */
static uint64_t window(const struct fetch_stream *s, uint64_t most)
{
	uint64_t run = s->to - s->from;

	if (s->expect && run <= s->expect)
		return min64(s->expect - run, most);
	return min64(s->expect ? run : 2 * run, most);
}

bool fetch_pattern_read(struct fetch_pattern *p, uint64_t who, uint64_t off,
			uint64_t len, uint64_t size, uint64_t most)
{
	uint64_t end = off + len, n;
	struct fetch_stream *s = match(p, who, off, end);
	bool more, fresh = !s;

	if (fresh)
		s = begin(p, who, off);
	more = fresh && s->strides;
	s->used = ++p->clock;
	if (end > s->to) {
		s->to = end;
		n = window(s, most);
		if (less(s->hi, s->to) <= n / 2 && s->hi < s->to + n) {
			s->hi = min64(s->to + n, size);
			more |= s->hi > s->to;
		}
	}
	if (off < s->from) {
		s->from = off;
		n = window(s, most);
		if (less(s->from, s->lo) <= n / 2 && s->lo > less(off, n)) {
			s->lo = less(off, n);
			more |= s->lo < off;
		}
	}
	return more;
}

void fetch_pattern_leave(struct fetch_pattern *p, uint64_t who)
{
	for (size_t i = 0; i < FETCH_STREAMS; i++)
		if (p->s[i].who == who)
			memset(&p->s[i], 0, sizeof(p->s[i]));
}

bool fetch_pattern_any(const struct fetch_pattern *p)
{
	for (size_t i = 0; i < FETCH_STREAMS; i++)
		if (p->s[i].who)
			return true;
	return false;
}

static uint64_t piece_of(uint64_t n, uint64_t least, uint64_t most)
{
	return min64(max64(n / PIECES, least), most);
}

/* Both sides of one stream. */
static size_t around(const struct fetch_stream *s, uint64_t least,
		     uint64_t most, struct fetch_ahead *ret)
{
	size_t n = 0;

	if (s->hi > s->to)
		ret[n++] = (struct fetch_ahead){
			s->to, s->hi, piece_of(s->hi - s->to, least, most),
			false
		};
	if (s->lo < s->from)
		ret[n++] = (struct fetch_ahead){
			s->lo, s->from, piece_of(s->from - s->lo, least, most),
			true
		};
	return n;
}

/* Where the next ones are likely to be. */
static size_t beyond(const struct fetch_stream *s, uint64_t size, uint64_t most,
		     struct fetch_ahead *ret)
{
	uint64_t at = s->start;
	size_t n = 0;

	while (n < s->strides && s->expect) {
		at += (uint64_t)s->stride;
		if (at >= size) /* or before its begin */
			break;
		ret[n++] = (struct fetch_ahead){
			at, min64(at + s->expect, size), most, false
		};
	}
	return n;
}

size_t fetch_pattern_ahead(const struct fetch_pattern *p, uint64_t size,
			   uint64_t least, uint64_t most,
			   struct fetch_ahead ret[FETCH_AHEAD_MAX])
{
	const struct fetch_stream *first = NULL;
	size_t n;

	for (size_t i = 0; i < FETCH_STREAMS; i++)
		if (p->s[i].who && (!first || p->s[i].used > first->used))
			first = &p->s[i];
	if (!first)
		return 0;
	n = around(first, least, most, ret);
	n += beyond(first, size, most, ret + n);
	for (size_t i = 0; i < FETCH_STREAMS; i++)
		if (p->s[i].who && &p->s[i] != first)
			n += around(&p->s[i], least, most, ret + n);
	return n;
}
