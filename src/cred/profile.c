/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/ini.h"

#include "profile.h"

#define PASSWD_MAX 4096

/* One file as it is read. */
struct walk {
	struct profile *p;
	bool is_config;
	/* Keys count from the file that has one of them. */
	char *key_id, *secret, *token;
};

static int set(char **to, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	/* The token may be a secret's part. */
	if (*to)
		explicit_bzero(*to, strlen(*to));
	free(*to);
	*to = copy;
	return 0;
}

static void wipe(char **s)
{
	if (*s)
		explicit_bzero(*s, strlen(*s));
	free(*s);
	*s = NULL;
}

/* "[x]" in the credentials file; "[default]", "[profile x]" in the other. */
static bool is_section(const struct walk *w, const char *section)
{
	const char *name = w->p->name;

	if (!w->is_config || strcmp(section, "default") == 0)
		return strcmp(section, name) == 0;
	if (strncmp(section, "profile", 7) != 0 ||
	    (section[7] != ' ' && section[7] != '\t'))
		return false;
	section += 7;
	section += strspn(section, " \t");
	return strcmp(section, name) == 0;
}

static int on_pair(void *arg, const char *section, const char *key,
		   const char *value)
{
	static const char *const other_ways[] = {
		"role_arn",    "web_identity_token_file", "sso_start_url",
		"sso_session", "login_session",		  "credential_process",
	};
	struct walk *w = arg;
	size_t i;

	if (!is_section(w, section))
		return 0;
	w->p->is_found = true;
	if (strcmp(key, "aws_access_key_id") == 0)
		return set(&w->key_id, value);
	if (strcmp(key, "aws_secret_access_key") == 0)
		return set(&w->secret, value);
	if (strcmp(key, "aws_session_token") == 0)
		return set(&w->token, value);
	if (strcmp(key, "region") == 0)
		return set(&w->p->region, value);
	if (strcmp(key, "endpoint_url") == 0)
		return set(&w->p->endpoint_url, value);
	for (i = 0; i < ARRAY_SIZE(other_ways); i++)
		if (strcmp(key, other_ways[i]) == 0)
			return set(&w->p->elsewhere, other_ways[i]);
	return 0;
}

static int read_file(struct profile *p, const char *path, bool is_config,
		     char why[CRED_WHY_MAX])
{
	struct walk w = { .p = p, .is_config = is_config };
	mode_t mode = 0;
	int r = path ? ini_read_secret(path, on_pair, &w, &mode) : 0;

	/* What the file has of good lines counts; the bad one was logged. */
	if (r == -ENOENT || r == -ENOTDIR || r == -EBADMSG)
		r = 0;
	else if (r == -EPERM)
		r = cred_why(why,
			     "%s is another user's, or everybody may write to "
			     "it: chown and chmod 600 it if what it says is "
			     "true",
			     path);
	else if (r && r != -ENOMEM)
		r = cred_why(why, "%s: %s", path, strerror(-r));
	if (r == 0 && !p->key_id && !p->secret && (w.key_id || w.secret)) {
		p->key_id = w.key_id;
		p->secret = w.secret;
		p->token = w.token;
		p->is_shared = (mode & 077) != 0;
		p->keys_path = path;
		return 0;
	}
	wipe(&w.key_id);
	wipe(&w.secret);
	wipe(&w.token);
	return r;
}

/* The file of that variable, else ~/.aws/name; NULL without a home. */
static int path_of(const char *env, const char *name, char **ret)
{
	const char *path = cred_getenv(env), *home = cred_getenv("HOME");
	struct passwd pwd, *pw = NULL;
	char buf[PASSWD_MAX];
	int n = 0;

	*ret = NULL;
	/* What is mounted at boot has no environment. */
	if (!home && getpwuid_r(geteuid(), &pwd, buf, sizeof(buf), &pw) == 0 &&
	    pw)
		home = pw->pw_dir;
	if (path && strncmp(path, "~/", 2) == 0 && home)
		n = asprintf(ret, "%s%s", home, path + 1);
	else if (path)
		n = asprintf(ret, "%s", path);
	else if (home)
		n = asprintf(ret, "%s/.aws/%s", home, name);
	if (n >= 0)
		return 0;
	*ret = NULL;
	return -ENOMEM;
}

int profile_read(const char *name, char why[CRED_WHY_MAX], struct profile *ret)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	if (!name)
		name = cred_getenv("AWS_PROFILE");
	ret->name = strdup(name ? name : "default");
	if (!ret->name)
		return -ENOMEM;
	r = path_of("AWS_SHARED_CREDENTIALS_FILE", "credentials",
		    &ret->credentials_path);
	if (r == 0)
		r = path_of("AWS_CONFIG_FILE", "config", &ret->config_path);
	if (r == 0)
		r = read_file(ret, ret->credentials_path, false, why);
	if (r == 0)
		r = read_file(ret, ret->config_path, true, why);
	return r;
}

void profile_clear(struct profile *p)
{
	free(p->name);
	free(p->credentials_path);
	free(p->config_path);
	wipe(&p->key_id);
	wipe(&p->secret);
	wipe(&p->token);
	free(p->region);
	free(p->endpoint_url);
	free(p->elsewhere);
	memset(p, 0, sizeof(*p));
}
