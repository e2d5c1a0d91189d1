/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging.  One line, one write(2), no lock; safe from any thread.
 * Each file that logs says #define LOG_MODULE "x" before its first use.
 *
 * Text:  ckptfs: <module>: message: strerror
 *        (in a file with the time before it, in syslog without "ckptfs: ")
 * JSON:  {"ts":"…","level":"err","module":"x","msg":"…","err":"…"}
 *
 * Control bytes and bytes that are not UTF-8 are escaped; a line is cut at
 * 4 KiB.  errno is kept.  Secrets never reach here.
 */
#ifndef CKPTFS_LOG_H
#define CKPTFS_LOG_H

#include <stdbool.h>

#include "ckptfs/compiler.h"

enum log_level { LOG_LV_ERR, LOG_LV_WARN, LOG_LV_INFO, LOG_LV_DEBUG };
enum log_sink { LOG_TO_STDERR, LOG_TO_SYSLOG, LOG_TO_FILE };

struct log_opts {
	enum log_level level; /* print this and what is graver */
	enum log_sink sink;
	const char *path; /* of the file, appended to (0640); borrowed */
	bool json;
};

/*
 * Until this is called: info, text, stderr.  Not while other threads log.
 * 0, or what open(2) gives; on failure nothing changed.
 */
int log_init(const struct log_opts *o) NONNULL(1) MUST_USE;

/* "err" "warn" "info" "debug"; -EINVAL. */
int log_level_parse(const char *s, enum log_level *ret) NONNULL(1, 2) MUST_USE;

/* err: a negative errno whose text is added, or 0. */
void log_line(enum log_level lv, const char *mod, int err, const char *fmt, ...)
	NONNULL(2, 4) PRINTF_LIKE(4, 5);

#define log_warn(...) log_line(LOG_LV_WARN, LOG_MODULE, 0, __VA_ARGS__)
#define log_info(...) log_line(LOG_LV_INFO, LOG_MODULE, 0, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LV_DEBUG, LOG_MODULE, 0, __VA_ARGS__)

/* Log err (a negative errno) and evaluate to it: return log_err(r, "open %s",
 * path); */
#define log_err(err, ...)                                                      \
	__extension__({                                                        \
		int e_ = (err);                                                \
		log_line(LOG_LV_ERR, LOG_MODULE, e_, __VA_ARGS__);             \
		e_;                                                            \
	})

#endif
