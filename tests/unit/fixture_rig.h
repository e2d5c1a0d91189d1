/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Caches that earlier programs left: database and blobs of a daemon that was
 * killed without a network, with something in each state there is.
 */
#ifndef TEST_FIXTURE_RIG_H
#define TEST_FIXTURE_RIG_H

#define FIXTURE_BIG "0123456789abcdefghijklmnopqrstuv" /* four parts */
#define FIXTURE_TORN "PK\003\004 and no end"

/* Leave one in this real folder. */
void fixture_make(const char *dir);
/* A machine whose cache is that of the folder, and its bucket; not mounted. */
void fixture_load(const char *dir);

#endif
