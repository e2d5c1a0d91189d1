/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_WAIT_H
#define CLI_WAIT_H

#include <stdint.h>

/* Ask the daemon ("sync" or "drain") and show how it goes; what is missing in
 * the end is listed.  timeout_ns < 0: none.  An exit status. */
int wait_for_bucket(const char *mountpoint, const char *what, const char *path,
		    int64_t timeout_ns);

#endif
