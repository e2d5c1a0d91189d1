/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_UNMOUNT_H
#define CLI_UNMOUNT_H

#include <stdbool.h>

/* 0 or a negative errno; lazy detaches at once, for dead mounts. */
int unmount_now(const char *mountpoint, bool lazy);

#endif
