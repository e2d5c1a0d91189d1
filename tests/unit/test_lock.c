/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdlib.h>

#include "ckptfs/lock.h"

#include "harness.h"

static struct lock meta, ns, inode, leaf, leaf2;

static void setup(void)
{
	lock_init(&meta, LOCK_META, "meta");
	lock_init(&ns, LOCK_NS, "ns");
	lock_init(&inode, LOCK_INODE, "inode");
	lock_init(&leaf, LOCK_LEAF, "leaf");
	lock_init(&leaf2, LOCK_LEAF, "leaf2");
}

START_TEST(rising_order_is_allowed)
{
	lock_acquire(&meta);
	lock_acquire(&ns);
	lock_acquire(&inode);
	lock_acquire(&leaf);
	lock_assert_held(&ns);
	lock_release(&ns);
	lock_release(&leaf);
	lock_release(&inode);
	lock_release(&meta);
	lock_assert_none("test");
	lock_fini(&meta);
}
END_TEST

START_TEST(a_noted_release_lets_a_wait_begin)
{
	lock_acquire(&leaf);
	lock_note_release(&leaf);
	lock_assert_none("test");
	lock_note_acquire(&leaf);
	lock_assert_held(&leaf);
	lock_release(&leaf);
}
END_TEST

NO_TSA static void falling(void)
{
	lock_acquire(&leaf);
	lock_acquire(&ns);
}

NO_TSA static void two_leaves(void)
{
	lock_acquire(&leaf);
	lock_acquire(&leaf2);
}

/* The top of the stack is then the inode, but the leaf is still held. */
NO_TSA static void hidden_rank(void)
{
	lock_acquire(&ns);
	lock_acquire(&leaf);
	lock_release(&ns);
	lock_acquire(&inode);
}

NO_TSA static void twice(void)
{
	lock_acquire(&ns);
	lock_acquire(&ns);
}

NO_TSA static void release_unheld(void)
{
	lock_release(&ns);
}

NO_TSA static void block_with_lock(void)
{
	lock_acquire(&ns);
	lock_assert_none("network");
}

NO_TSA static void sync_with_inode(void)
{
	lock_acquire(&meta);
	lock_assert_upto(LOCK_META, "fsync");
	lock_acquire(&inode);
	lock_assert_upto(LOCK_META, "fsync");
}

NO_TSA static void not_held(void)
{
	lock_acquire(&ns);
	lock_assert_held(&leaf);
}

NO_TSA static void fini_held(void)
{
	lock_acquire(&ns);
	lock_fini(&ns);
}

static void (*const breaches[])(void) = {
	falling,	 two_leaves,	 hidden_rank,
	twice,		 release_unheld, block_with_lock,
	sync_with_inode, not_held,	 fini_held,
};

START_TEST(a_breach_aborts)
{
	breaches[_i]();
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, NULL);
	tcase_add_test(c, rising_order_is_allowed);
	tcase_add_test(c, a_noted_release_lets_a_wait_begin);
	harness_add_abort(c, a_breach_aborts, 0, ARRAY_SIZE(breaches));
}

int main(void)
{
	return harness_run("lock", add);
}
