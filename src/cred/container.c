/* SPDX-License-Identifier: Apache-2.0 */
/* The agent of a container: ECS, EKS Pod Identity, Greengrass. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "aws_priv.h"

#define ECS_AGENT "http://169.254.170.2"
#define TIMEOUT_MS 2000
#define HOST_MAX 256

static bool is_agent_host(const char *host)
{
	static const char *const known[] = { "localhost", "169.254.170.2",
					     "169.254.170.23" };
	struct in6_addr v6, eks;
	struct in_addr v4;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(known); i++)
		if (strcasecmp(host, known[i]) == 0)
			return true;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &v6) != 1)
		return false;
	return IN6_IS_ADDR_LOOPBACK(&v6) ||
	       (inet_pton(AF_INET6, "fd00:ec2::23", &eks) == 1 &&
		memcmp(&v6, &eks, sizeof(v6)) == 0);
}

bool cred_is_agent_url(const char *url)
{
	char host[HOST_MAX];
	size_t n;

	if (strncasecmp(url, "https://", 8) == 0)
		return true;
	if (strncasecmp(url, "http://", 7) != 0)
		return false;
	url += 7;
	n = strcspn(url, "/?#");
	/* Nobody shall read another host out of it than we. */
	if (n >= sizeof(host) ||
	    strspn(url, "0123456789abcdefghijklmnopqrstuvwxyz"
			"ABCDEFGHIJKLMNOPQRSTUVWXYZ.-:[]") < n)
		return false;
	memcpy(host, url, n);
	host[n] = '\0';
	if (*host == '[') {
		n = strcspn(host, "]");
		if (!host[n])
			return false;
		host[n] = '\0';
		return (!host[n + 1] || host[n + 1] == ':') &&
		       is_agent_host(host + 1);
	}
	host[strcspn(host, ":")] = '\0';
	return is_agent_host(host);
}

/* The token's file is read anew each time: agents replace it. */
static int find_token(const struct search *s, char why[CRED_WHY_MAX],
		      char **ret)
{
	const char *path = cred_getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	int r;

	*ret = NULL;
	if (path) {
		r = cred_read_file(path, why, ret);
	} else {
		if (s->aws->container_token)
			*ret = strdup(s->aws->container_token);
		r = s->aws->container_token && !*ret ? -ENOMEM : 0;
	}
	if (r || !*ret || !strpbrk(*ret, "\r\n"))
		return r;
	cred_wipe(*ret);
	*ret = NULL;
	return cred_why(why, "the container's authorization token%s%s has an "
			     "end of line in it",
			path ? " in " : "", path ? path : "");
}

static int find_url(const char *relative, const char *full,
		    char why[CRED_WHY_MAX], char **ret)
{
	int n;

	if (relative && *relative != '/')
		return cred_why(why,
				"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does "
				"not begin with /");
	if (!relative && !cred_is_agent_url(full))
		return cred_why(why,
				"AWS_CONTAINER_CREDENTIALS_FULL_URI: %.300s is "
				"neither https nor this machine, nor where "
				"agents of containers are",
				full);
	n = asprintf(ret, "%s%s", relative ? ECS_AGENT : "",
		     relative ? relative : full);
	return n < 0 ? -ENOMEM : 0;
}

static int get(const struct search *s, const char *url, const char *token,
	       char why[CRED_WHY_MAX], struct cred **ret)
{
	const struct http_header headers[2] = { { "Accept",
						  "application/json" },
						{ "Authorization", token } };
	const struct ask q = { .who = "the container's agent",
			       .method = "GET",
			       .url = url,
			       .headers = headers,
			       .nheaders = token ? 2 : 1,
			       .timeout_ms = TIMEOUT_MS,
			       .tries = 3,
			       .is_direct = true };
	struct http_resp resp;
	int r = ask(s->aws->http, &q, &resp, why);

	if (r == 0 && resp.status != 200)
		r = cred_why(why, "%s at %s answered HTTP %d", q.who, url,
			     resp.status);
	if (r == 0)
		r = cred_parse_json(resp.body.p, resp.body.len, "Token", q.who,
				    why, ret);
	ask_done(&resp);
	return r;
}

int aws_container(const struct search *s, char say[CRED_WHY_MAX],
		  struct cred **ret)
{
	const char *relative =
		cred_getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = cred_getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	char *url = NULL, *token = NULL;
	int r;

	if (!relative && !full)
		return -ENOENT;
	r = find_url(relative, full, say, &url);
	if (r == 0)
		r = find_token(s, say, &token);
	if (r == 0)
		r = get(s, url, token, say, ret);
	if (r == 0)
		snprintf(say, CRED_WHY_MAX, "the container's agent at %.400s",
			 url);
	cred_wipe(token);
	free(url);
	return r;
}
