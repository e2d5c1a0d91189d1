/* SPDX-License-Identifier: Apache-2.0 */
/* Stacks to switch between, in a way that sanitizers and valgrind follow. */
#ifndef TEST_FIBER_H
#define TEST_FIBER_H

#include <stddef.h>
#include <ucontext.h>

struct fiber {
	ucontext_t context;
	void *stack; /* NULL: the thread's own */
	const void *bottom; /* of the stack, as AddressSanitizer knows it */
	size_t size;
	void *tsan;
	unsigned valgrind;
};

/* The thread's own stack. */
void fiber_init_main(struct fiber *f);
/* Run entry(arg), which never returns, at the first switch. */
void fiber_init(struct fiber *f, void (*entry)(void *), void *arg);
void fiber_fini(struct fiber *f);
/* main is the one of fiber_init_main(). */
void fiber_switch(struct fiber *from, struct fiber *to, struct fiber *main);

#endif
