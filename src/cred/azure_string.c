/* SPDX-License-Identifier: Apache-2.0 */
/* Connection strings: Name=value;Name=value, as the portal shows them. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "azure_priv.h"

/* Of Azurite, and of no use elsewhere. */
#define DEV_ACCOUNT "devstoreaccount1"
#define DEV_KEY                                                                \
	"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/"      \
	"K1SZFPTOtr/KBHBeksoGMGw=="
#define DEV_ENDPOINT "http://127.0.0.1:10000/" DEV_ACCOUNT

void azure_string_clear(struct azure_string *s)
{
	cred_wipe(s->key);
	cred_wipe(s->sas);
	free(s->account);
	free(s->blob_endpoint);
	free(s->suffix);
	free(s->protocol);
	memset(s, 0, sizeof(*s));
}

static int set(char **to, const char *text, size_t n)
{
	char *p = strndup(text, n);

	if (!p)
		return -ENOMEM;
	free(*to);
	*to = p;
	return 0;
}

static int set_emulator(struct azure_string *s)
{
	int r = set(&s->account, DEV_ACCOUNT, strlen(DEV_ACCOUNT));

	if (r == 0)
		r = set(&s->key, DEV_KEY, strlen(DEV_KEY));
	if (r == 0)
		r = set(&s->blob_endpoint, DEV_ENDPOINT, strlen(DEV_ENDPOINT));
	return r;
}

/* One Name=value of it; a key ends in '=' itself. */
static int take(struct azure_string *s, const char *item, size_t n)
{
	const struct {
		const char *name;
		char **to;
	} fields[] = {
		{ "AccountName", &s->account },
		{ "AccountKey", &s->key },
		{ "SharedAccessSignature", &s->sas },
		{ "BlobEndpoint", &s->blob_endpoint },
		{ "EndpointSuffix", &s->suffix },
		{ "DefaultEndpointsProtocol", &s->protocol },
	};
	const char *eq = memchr(item, '=', n), *value;
	size_t name_len, len;

	if (!eq)
		return -EINVAL;
	name_len = (size_t)(eq - item);
	value = eq + 1;
	len = n - name_len - 1;
	if (name_len == 21 && strncasecmp(item, "UseDevelopmentStorage", 21) == 0)
		return len == 4 && strncasecmp(value, "true", 4) == 0 ?
			       set_emulator(s) :
			       -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (strlen(fields[i].name) == name_len &&
		    strncasecmp(fields[i].name, item, name_len) == 0)
			return set(fields[i].to, value, len);
	return 0; /* other services' endpoints */
}

int azure_string_parse(const char *text, char why[CRED_WHY_MAX],
		       struct azure_string *ret)
{
	struct azure_string s = { .account = NULL };
	int r = 0;

	while (r == 0 && *text) {
		const size_t n = strcspn(text, ";");

		if (n > 0)
			r = take(&s, text, n);
		text += n + (text[n] == ';');
	}
	if (r == -EINVAL)
		r = cred_why(why, "AZURE_STORAGE_CONNECTION_STRING is not "
				  "Name=value;Name=value as the portal shows it");
	if (r)
		azure_string_clear(&s);
	else
		*ret = s;
	return r;
}
