/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fiber.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define WITH_TSAN 1
#endif

#if defined(WITH_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(WITH_TSAN)
#include <sanitizer/tsan_interface.h>
#endif
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_NOACCESS(p, n) (void)(p)
#define VALGRIND_MAKE_MEM_UNDEFINED(p, n) (void)(p)
#define VALGRIND_STACK_REGISTER(a, b) 0
#define VALGRIND_STACK_DEREGISTER(id) (void)(id)
#endif

#define STACK_BYTES (1U << 20)
#define GUARD_BYTES 4096U

/* What a fiber needs when it first runs. */
static void (*start_entry)(void *);
static void *start_arg;
static struct fiber *start_main;

/* After a switch; fake is what the switch away left behind. */
static void arrived(void *fake, struct fiber *main)
{
#if defined(WITH_ASAN)
	/* The very first arrival is from main and tells where its stack is. */
	if (main->bottom)
		__sanitizer_finish_switch_fiber(fake, NULL, NULL);
	else
		__sanitizer_finish_switch_fiber(fake, &main->bottom,
						&main->size);
#endif
}

static void trampoline(void)
{
	void (*entry)(void *) = start_entry;
	void *arg = start_arg;

	arrived(NULL, start_main);
	entry(arg);
	abort();
}

void fiber_init_main(struct fiber *f)
{
	*f = (struct fiber){ 0 };
#if defined(WITH_TSAN)
	f->tsan = __tsan_get_current_fiber();
#endif
}

/* Stacks that wait for another fiber: a machine has a dozen, and a walk through
 * all moments makes thousands of machines.  Nobody's leaks are to hide there. */
#define SPARE_MOST 32
static void *spare[SPARE_MOST];
static unsigned nspare;

static void *stack_take(void)
{
	char *p;

	if (nspare > 0) {
		p = spare[--nspare];
		VALGRIND_MAKE_MEM_UNDEFINED(p + GUARD_BYTES,
					    STACK_BYTES - GUARD_BYTES);
		return p;
	}
	p = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
		 /* cppcheck-suppress invalidFunctionArg; no file is -1 */
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED || mprotect(p, GUARD_BYTES, PROT_NONE) != 0)
		abort();
	return p;
}

static void stack_give(void *stack)
{
	if (nspare < SPARE_MOST) {
		VALGRIND_MAKE_MEM_NOACCESS((char *)stack + GUARD_BYTES,
					   STACK_BYTES - GUARD_BYTES);
		spare[nspare++] = stack;
	} else if (munmap(stack, STACK_BYTES) != 0) {
		abort();
	}
}

/* Each fiber keeps its entry at the top of its stack until it starts. */
struct start {
	void (*entry)(void *);
	void *arg;
};

void fiber_init(struct fiber *f, void (*entry)(void *), void *arg)
{
	struct start *at;

	*f = (struct fiber){ .size = STACK_BYTES - sizeof(*at) };
	f->stack = stack_take();
	/* cppcheck-suppress getcontextCalled; threads would not be repeatable
	 */
	if (getcontext(&f->context) != 0)
		abort();
	f->bottom = f->stack;
	at = (struct start *)(void *)((char *)f->stack + f->size);
	*at = (struct start){ entry, arg };
	f->context.uc_stack.ss_sp = f->stack;
	f->context.uc_stack.ss_size = f->size;
	/* cppcheck-suppress makecontextCalled; threads would not be repeatable
	 */
	makecontext(&f->context, trampoline, 0);
#if defined(WITH_TSAN)
	f->tsan = __tsan_create_fiber(0);
#endif
	f->valgrind = VALGRIND_STACK_REGISTER(f->stack,
					      (char *)f->stack + STACK_BYTES);
}

void fiber_fini(struct fiber *f)
{
	VALGRIND_STACK_DEREGISTER(f->valgrind);
#if defined(WITH_ASAN)
	/* Its frames never ended: the next user of the memory is not to pay. */
	__asan_unpoison_memory_region((char *)f->stack + GUARD_BYTES,
				      STACK_BYTES - GUARD_BYTES);
#endif
#if defined(WITH_TSAN)
	__tsan_destroy_fiber(f->tsan);
#endif
	stack_give(f->stack);
}

void fiber_switch(struct fiber *from, struct fiber *to, struct fiber *main)
{
	void *fake = NULL;

	if (to->stack) {
		struct start *at =
			(struct start *)(void *)((char *)to->stack + to->size);

		start_entry = at->entry;
		start_arg = at->arg;
		start_main = main;
	}
#if defined(WITH_ASAN)
	__sanitizer_start_switch_fiber(&fake, to->bottom, to->size);
#endif
#if defined(WITH_TSAN)
	__tsan_switch_to_fiber(to->tsan, 0);
#endif
	/* cppcheck-suppress swapcontextCalled; threads would not be repeatable
	 */
	if (swapcontext(&from->context, &to->context) != 0)
		abort();
	arrived(fake, main);
}
