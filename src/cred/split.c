/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cred_priv.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One word from *s on to *out, which a NUL ends.  -EINVAL: not closed. */
static int take_word(const char **s, char **out)
{
	const char *p = *s;
	char *o = *out, quote = 0;

	for (; *p && (quote || !is_blank(*p)); p++) {
		if (quote ? *p == quote : (*p == '\'' || *p == '"')) {
			quote = quote ? 0 : *p;
			continue;
		}
		if (*p == '\\' && quote != '\'') {
			if (!p[1])
				return -EINVAL;
			if (!quote || p[1] == '"' || p[1] == '\\')
				p++;
		}
		*o++ = *p;
	}
	if (quote)
		return -EINVAL;
	*o++ = '\0';
	*s = p;
	*out = o;
	return 0;
}

int cred_split(const char *line, char ***ret)
{
	size_t n = strlen(line), most = n / 2 + 2, i = 0;
	/* The words' addresses, then the words. */
	char **words = calloc(1, most * sizeof(*words) + n + 2), *text;
	int r = 0;

	if (!words)
		return -ENOMEM;
	text = (char *)(words + most);
	while (r == 0) {
		for (; is_blank(*line); line++)
			;
		if (!*line)
			break;
		words[i++] = text;
		r = take_word(&line, &text);
	}
	if (r == 0 && i == 0)
		r = -EINVAL;
	if (r) {
		free(words);
		return r;
	}
	*ret = words;
	return 0;
}
