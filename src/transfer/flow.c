/* SPDX-License-Identifier: Apache-2.0 */
/* How many requests at once: functions of values. */
#include "config.h"

#include "ckptfs/clock.h"

#include "flow.h"

#define MEASURE NS_PER_S
#define IN_VAIN (10 * NS_PER_S) /* after a growth that brought nothing */
#define WORTH 20 /* a growth brings a part of so many more, at least */

void flow_init(struct flow *f, unsigned most)
{
	*f = (struct flow){ .most = most ? most : 1, .now = most ? most : 1 };
}

void flow_begins(struct flow *f, unsigned going)
{
	f->full |= going + 1 >= f->now;
}

static void measure_anew(struct flow *f, int64_t now_ns, uint64_t work)
{
	f->since = now_ns;
	f->work_then = work;
	f->full = false;
}

/* All that are under way are told so; only the first of them counts. */
static void cut(struct flow *f, int64_t began_ns, int64_t now_ns, uint64_t work)
{
	if (f->cut_at && began_ns < f->cut_at)
		return;
	f->now = f->now > 1 ? f->now / 2 : 1;
	f->cut_at = now_ns;
	f->grow_at = now_ns;
	f->rate = 0;
	measure_anew(f, now_ns, work);
}

bool flow_ends(struct flow *f, int64_t began_ns, int64_t now_ns, uint64_t work,
	       bool throttled)
{
	uint64_t rate;
	bool full = f->full;

	if (throttled) {
		cut(f, began_ns, now_ns, work);
		return false;
	}
	if (f->now >= f->most || now_ns - f->since < MEASURE)
		return false;
	rate = (uint64_t)((double)(work - f->work_then) * (double)NS_PER_S /
			  (double)(now_ns - f->since));
	measure_anew(f, now_ns, work);
	if (!full || now_ns < f->grow_at)
		return false;
	if (f->rate && rate < f->rate + f->rate / WORTH) {
		f->grow_at = now_ns + IN_VAIN;
		f->rate = 0;
		return false;
	}
	f->rate = rate;
	f->now++;
	return true;
}
