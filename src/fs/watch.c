/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "bulk.h"

void watch_add(struct fs *fs, struct watch *w)
{
	lock_acquire(&fs->busy_lock);
	w->next = fs->watches;
	fs->watches = w;
	lock_release(&fs->busy_lock);
}

void watch_del(struct fs *fs, struct watch *w)
{
	struct watch **p = &fs->watches;

	lock_acquire(&fs->busy_lock);
	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	lock_release(&fs->busy_lock);
}

bool is_watched(struct fs *fs, uint64_t ino)
{
	const struct watch *w;

	lock_acquire(&fs->busy_lock);
	for (w = fs->watches; w && w->ino != ino; w = w->next)
		;
	lock_release(&fs->busy_lock);
	return w != NULL;
}

void watch_tell(struct fs *fs, uint64_t ino, int err)
{
	struct watch *w;

	lock_acquire(&fs->busy_lock);
	for (w = fs->watches; w; w = w->next) {
		if (w->ino != ino || w->ended)
			continue;
		w->ended = true;
		w->err = err;
		thr_wake(&fs->busy_cond);
	}
	lock_release(&fs->busy_lock);
}
