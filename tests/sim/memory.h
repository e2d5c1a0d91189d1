/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that cannot be had.  The simulator is linked to libnth.a, the library
 * with the allocator's names replaced (src/fs/Makemodule.am), so that what the
 * simulated machine itself allocates is left alone.
 *
 * Where it cannot be had the library may end its process (a table in memory
 * would no longer be what the database says): so does the simulator, with
 * MEMORY_GAVE_UP, and the run is over.  What a process leaves that ends
 * anywhere is what crashes are for.
 */
#ifndef SIM_MEMORY_H
#define SIM_MEMORY_H

#include <stdbool.h>

#define MEMORY_GAVE_UP 77

enum memory_whose { MEMORY_LIBRARY, MEMORY_SQLITE };

/* Before SQLite is used: its allocations can be made to fail, too. */
void memory_init(void);
/* The n-th allocation from now on fails, or all from that one on. */
void memory_fail(enum memory_whose whose, unsigned long n, bool for_ever);
void memory_heal(void);
/* Meanwhile none fails, nor is counted; nests. */
void memory_hold(void);
void memory_go_on(void);

#endif
