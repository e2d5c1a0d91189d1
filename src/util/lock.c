/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "ckptfs/lock.h"

#define MAX_HELD 8

/* The locks this thread holds, in the order taken. */
static _Thread_local const struct lock *held[MAX_HELD];
static _Thread_local unsigned nheld;

static const char *name_of(const struct lock *l)
{
	return l ? l->name : "nothing";
}

static void breach(const char *what, const struct lock *have,
		   const struct lock *want)
{
	fprintf(stderr, "ckptfs: lock: %s: holds %s, wants %s\n", what,
		name_of(have), name_of(want));
	abort();
}

static const struct lock *top(void)
{
	return nheld ? held[nheld - 1] : NULL;
}

void lock_note_acquire(const struct lock *l)
{
	unsigned i;

	/* A lock let go of out of order can leave a lower rank on top. */
	for (i = 0; i < nheld; i++)
		if (held[i]->rank >= l->rank)
			breach("rank", held[i], l);
	if (nheld == MAX_HELD)
		breach("too many", top(), l);
	held[nheld++] = l;
}

void lock_note_release(const struct lock *l)
{
	unsigned i = nheld;

	while (i > 0 && held[i - 1] != l)
		i--;
	if (i == 0)
		breach("release of a lock not held", top(), l);
	for (; i < nheld; i++)
		held[i - 1] = held[i];
	nheld--;
}

void lock_init(struct lock *l, enum lock_rank rank, const char *name)
{
	if (pthread_mutex_init(&l->m, NULL) != 0)
		abort();
	l->rank = rank;
	l->name = name;
}

void lock_fini(struct lock *l)
{
	unsigned i;

	for (i = 0; i < nheld; i++)
		if (held[i] == l)
			breach("destroyed while held", l, NULL);
	if (pthread_mutex_destroy(&l->m) != 0)
		abort();
}

NO_TSA void lock_acquire(struct lock *l)
{
	lock_note_acquire(l);
	if (pthread_mutex_lock(&l->m) != 0)
		abort();
}

NO_TSA void lock_release(struct lock *l)
{
	lock_note_release(l);
	if (pthread_mutex_unlock(&l->m) != 0)
		abort();
}

bool lock_holds_none(void)
{
	return nheld == 0;
}

void lock_assert_none(const char *what)
{
	if (!lock_holds_none())
		breach(what, top(), NULL);
}

void lock_assert_upto(enum lock_rank rank, const char *what)
{
	unsigned i;

	for (i = 0; i < nheld; i++)
		if (held[i]->rank > rank)
			breach(what, held[i], NULL);
}

bool lock_is_held(const struct lock *l)
{
	unsigned i;

	for (i = 0; i < nheld; i++)
		if (held[i] == l)
			return true;
	return false;
}

void lock_assert_held(const struct lock *l)
{
	if (!lock_is_held(l))
		breach("must be held", top(), l);
}
