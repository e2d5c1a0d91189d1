/* SPDX-License-Identifier: Apache-2.0 */
/* Containers of Azure: every spelling that fsspec's adlfs takes. */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "source_priv.h"

#define NAME_LEAST 3
#define NAME_MOST 63

static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";

static bool is_container(const char *s, size_t n)
{
	if (n > 1 && *s == '$') /* $root, $web, $logs */
		s++, n--;
	if (n < NAME_LEAST || n > NAME_MOST)
		return false;
	while (n && (strchr(letters, *s) || *s == '-'))
		s++, n--;
	return n == 0;
}

/* "account.dfs.core.windows.net", or blob for dfs; false: it is not. */
static bool split_host(const char *s, size_t n, size_t *ret_account,
		       const char **ret_suffix)
{
	const size_t at = strspn(s, letters);

	if (at < NAME_LEAST || at + 5 >= n ||
	    (strncmp(s + at, ".dfs.", 5) != 0 &&
	     strncmp(s + at, ".blob.", 6) != 0))
		return false;
	*ret_account = at;
	*ret_suffix = strchr(s + at + 1, '.') + 1;
	return *ret_suffix < s + n;
}

/* Take the n bytes at s for the account's host; 1: they are none. */
static int take_host(const char *s, size_t n, struct source *ret)
{
	const char *suffix;
	size_t account;

	if (!split_host(s, n, &account, &suffix))
		return 1;
	ret->account = strndup(s, account);
	ret->suffix = strndup(suffix, (size_t)(s + n - suffix));
	return ret->account && ret->suffix ? 0 : -ENOMEM;
}

int source_parse_azure(const char *text, const char *rest, char *err,
		       struct source *s)
{
	size_t n = strcspn(rest, "/");
	const char *at = memchr(rest, '@', n);
	int r = 0;

	if (at) {
		r = take_host(at + 1, (size_t)(rest + n - at - 1), s);
		if (r > 0)
			return source_bad(err,
					  "behind @ stands the account's host, "
					  "account.dfs.core.windows.net",
					  text);
		s->prefix = source_tidy_prefix(rest + n);
		n = (size_t)(at - rest);
	} else {
		r = take_host(rest, n, s);
		if (r == 0) {
			rest += n + strspn(rest + n, "/");
			n = strcspn(rest, "/");
		}
		s->prefix = source_tidy_prefix(rest + n);
	}
	if (r < 0)
		return r;
	if (!s->prefix)
		return errno == EINVAL ?
			       source_bad(err, "no such path can be mounted",
					  text) :
			       -ENOMEM;
	if (!is_container(rest, n))
		return source_bad(err,
				  "a container's name has 3 to 63 of a-z, 0-9 "
				  "and '-'",
				  text);
	s->where = strndup(rest, n);
	return s->where ? 0 : -ENOMEM;
}

int source_set_account(struct source *s, const char *account)
{
	char *p = strdup(account);

	if (!p)
		return -ENOMEM;
	free(s->account);
	s->account = p;
	return 0;
}
