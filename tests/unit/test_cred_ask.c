/* SPDX-License-Identifier: Apache-2.0 */
/* The ways of the AWS chain that ask a server, against scripted answers: what
 * is sent, and what is made of odd answers.  Whether servers are satisfied is
 * for tests/integration/test_credentials.py. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/http.h"
#include "ckptfs/rng.h"

#include "harness.h"
#include "httpd.h"

#define ROLE                                                                   \
	"{\"Code\":\"Success\",\"AccessKeyId\":\"I\",\"SecretAccessKey\":"     \
	"\"i\",\"Token\":\"t\",\"Expiration\":\"%s\"}"
#define STS                                                                    \
	"<AssumeRole%sResponse><AssumeRole%sResult><Credentials><AccessKeyId>" \
	"S</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t+/" \
	"</SessionToken><Expiration>2013-05-24T01:00:00Z</Expiration>"         \
	"</Credentials></AssumeRole%sResult></AssumeRole%sResponse>"
#define LATER "2013-05-24T01:00:00Z"
#define NOW (INT64_C(1369353600) * NS_PER_S) /* 2013-05-24T00:00:00Z */

static int64_t fake_now(const struct clk *c)
{
	return NOW;
}

static const struct clk clk = { fake_now, fake_now };
static struct httpd *server;
static struct http *http;
static struct cred_chain *chain;
static char dir[200], why[CRED_WHY_MAX];
static struct httpd_reply script[8];
static char texts[8][1024];
static size_t nscript;

static void reply(int status, const char *body)
{
	snprintf(texts[nscript], sizeof(texts[0]),
		 "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n%s", status,
		 strlen(body), body);
	script[nscript] = (struct httpd_reply){ .text = texts[nscript] };
	nscript++;
}

static void write_file(const char *name, const char *text)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static void set_url(const char *name, const char *path)
{
	char url[128];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", httpd_port(server),
		 path);
	setenv(name, url, 1);
}

/* Every service is this server; the profile is default. */
static void begin(const char *config)
{
	static const struct http_opts plain;
	struct cred_aws_opts opts = { .rng = &rng_system };
	char path[300];

	snprintf(dir, sizeof(dir), "%s", harness_tmpdir());
	setenv("HOME", dir, 1);
	setenv("no_proxy", "*", 1);
	unsetenv("AWS_CONFIG_FILE");
	unsetenv("AWS_SHARED_CREDENTIALS_FILE");
	unsetenv("AWS_PROFILE");
	unsetenv("AWS_REGION");
	unsetenv("AWS_DEFAULT_REGION");
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	unsetenv("AWS_EC2_METADATA_DISABLED");
	server = httpd_start(script, nscript);
	set_url("AWS_ENDPOINT_URL", "");
	set_url("AWS_EC2_METADATA_SERVICE_ENDPOINT", "/");
	write_file("config", config);
	snprintf(path, sizeof(path), "%s/config", dir);
	setenv("AWS_CONFIG_FILE", path, 1);
	ck_assert_int_eq(http_new(&plain, &http), 0);
	opts.http = http;
	ck_assert_int_eq(cred_aws_chain(&opts, &clk, &chain), 0);
}

static void finish(void)
{
	cred_chain_free(chain);
	http_free(http);
	httpd_stop(server);
	nscript = 0;
}

static void expect(const char *want, const char *from)
{
	struct cred_info info;
	struct cred *c = NULL;
	char got[64];
	int r = cred_get(chain, why, &c);

	ck_assert_msg(r == 0, "%d %s", r, why);
	snprintf(got, sizeof(got), "%s %s %s", cred_key_id(c), cred_secret(c),
		 cred_token(c));
	ck_assert_str_eq(got, want);
	ck_assert_int_eq(cred_expiry_ns(c), NOW + 3600 * NS_PER_S);
	cred_drop(c);
	cred_look(chain, &info);
	ck_assert_msg(strstr(info.from, from), "no \"%s\" in: %s", from,
		      info.from);
}

static void expect_failure(int err, const char *word)
{
	struct cred *c = NULL;
	int r = cred_get(chain, why, &c);

	ck_assert_msg(r == err, "%d %s", r, why);
	ck_assert_msg(strstr(why, word), "no \"%s\" in: %s", word, why);
	ck_assert_ptr_null(strstr(why, "sekret"));
}

static void expect_sent(unsigned i, const char *word)
{
	const char *text = httpd_request(server, i, NULL);

	ck_assert_msg(strstr(text, word), "no \"%s\" in: %s", word, text);
}

static void reply_sts(const char *web)
{
	char body[600];

	snprintf(body, sizeof(body), STS, web, web, web, web);
	reply(200, body);
}

static const char roles[] = "[default]\nrole_arn = arn:aws:iam::1:role/top\n"
			    "source_profile = mid\nregion = eu-west-1\n"
			    "external_id = a+b/c\nduration_seconds = 900\n"
			    "role_session_name = me\n"
			    "[profile mid]\nrole_arn = arn:aws:iam::1:role/mid\n"
			    "source_profile = base\n"
			    "[profile base]\naws_access_key_id = B\n"
			    "aws_secret_access_key = sekret\n";

START_TEST(roles_are_assumed_one_by_the_other)
{
	reply_sts("");
	reply_sts("");
	begin(roles);
	expect("S s t+/", "role/top of profile \"default\", by role "
			  "arn:aws:iam::1:role/mid");
	expect_sent(0, "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fmid&"
		       "RoleSessionName=ckptfs-1369353600");
	expect_sent(0, "Credential=B/20130524/eu-west-1/sts/aws4_request");
	expect_sent(1, "RoleSessionName=me&ExternalId=a%2Bb%2Fc&"
		       "DurationSeconds=900");
	expect_sent(1, "x-amz-security-token: t+/\r\n");
	finish();
}
END_TEST

START_TEST(what_sts_refuses_is_told)
{
	reply(403, "<ErrorResponse><Error><Code>AccessDenied</Code><Message>"
		   "not you</Message></Error></ErrorResponse>");
	begin(roles);
	expect_failure(-EACCES, "role/mid: AccessDenied: not you");
	finish();
	reply(400, "hello");
	begin(roles);
	expect_failure(-EACCES, "HTTP 400");
	finish();
	reply(200, "hello");
	begin(roles);
	expect_failure(-EACCES, "no XML");
	finish();
	reply(200, "<AssumeRoleResponse/>");
	begin(roles);
	expect_failure(-EACCES, "no credentials in its answer");
	finish();
}
END_TEST

START_TEST(a_server_in_trouble_is_asked_again_and_then_later)
{
	reply(503, "");
	reply(500, "");
	reply_sts("");
	reply_sts("");
	begin(roles);
	expect("S s t+/", "role/top");
	finish();
	reply(503, "");
	reply(503, "");
	reply(429, "");
	begin(roles);
	expect_failure(-EAGAIN, "STS answered HTTP 429");
	finish();
}
END_TEST

START_TEST(a_web_identity_is_sent_without_a_signature)
{
	reply_sts("WithWebIdentity");
	begin("[default]\nregion = x\n");
	write_file("token", "a.b-c\n");
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "~/token", 1);
	setenv("AWS_ROLE_ARN", "r", 1);
	setenv("AWS_ROLE_SESSION_NAME", "pod", 1);
	expect("S s t+/", "role r, by the web identity in ~/token");
	expect_sent(0, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&"
		       "RoleArn=r&RoleSessionName=pod&WebIdentityToken=a.b-c");
	ck_assert_ptr_null(
		strstr(httpd_request(server, 0, NULL), "Authorization"));
	unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
	unsetenv("AWS_ROLE_ARN");
	unsetenv("AWS_ROLE_SESSION_NAME");
	finish();
}
END_TEST

START_TEST(an_instance_has_a_role)
{
	char body[400];

	snprintf(body, sizeof(body), ROLE, LATER);
	reply(200, "TOKEN");
	reply(200, "my-role");
	reply(200, body);
	begin("");
	expect("I i t", "role my-role of this instance");
	expect_sent(0, "PUT /latest/api/token HTTP/1.1\r\n");
	expect_sent(0, "x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n");
	expect_sent(2, "GET /latest/meta-data/iam/security-credentials/my-role "
		       "HTTP/1.1\r\n");
	expect_sent(2, "x-aws-ec2-metadata-token: TOKEN\r\n");
	finish();
}
END_TEST

static void expect_no_role(const char *word)
{
	begin("");
	expect_failure(-ENOENT, word);
	finish();
}

START_TEST(an_instance_without_a_role_has_none)
{
	reply(200, "TOKEN");
	reply(404, "");
	expect_no_role("has no role for this machine: HTTP 404");
	reply(200, "TOKEN");
	reply(200, "../../x");
	expect_no_role("names no role");
	reply(200, "TOKEN");
	reply(200, "r");
	reply(200, "{\"Code\":\"Failed\"}");
	expect_no_role("no AccessKeyId");
	reply(200, "TOKEN");
	reply(200, "r");
	reply(200, "{");
	expect_no_role("is no JSON");
	reply(500, "");
	expect_no_role("answered HTTP 500");
	/* No IMDSv2 at all: without, unless that is forbidden. */
	setenv("AWS_EC2_METADATA_V1_DISABLED", "true", 1);
	reply(404, "");
	expect_no_role("gave no token: HTTP 404");
	unsetenv("AWS_EC2_METADATA_V1_DISABLED");
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
}
END_TEST

START_TEST(an_instance_may_know_the_first_version_alone)
{
	char body[400];

	snprintf(body, sizeof(body), ROLE, LATER);
	reply(405, "");
	reply(200, "r");
	reply(200, body);
	begin("");
	expect("I i t", "role r of this instance");
	ck_assert_ptr_null(
		strstr(httpd_request(server, 1, NULL), "metadata-token"));
	finish();
}
END_TEST

/* What the service hands out while it has trouble is good all the same. */
START_TEST(an_instances_credentials_past_their_end_are_used)
{
	struct cred *c = NULL;
	char body[400];

	snprintf(body, sizeof(body), ROLE, "2013-05-23T23:00:00Z");
	reply(200, "TOKEN");
	reply(200, "r");
	reply(200, body);
	begin("");
	ck_assert_int_eq(cred_get(chain, why, &c), 0);
	ck_assert_int_ge(cred_expiry_ns(c), NOW + 17 * 60 * NS_PER_S);
	ck_assert_int_le(cred_expiry_ns(c), NOW + 25 * 60 * NS_PER_S);
	cred_drop(c);
	finish();
}
END_TEST

START_TEST(a_containers_agent_is_asked_with_its_token)
{
	char body[400];

	snprintf(body, sizeof(body), ROLE, LATER);
	reply(200, body);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "TOK", 1);
	begin("");
	cred_env_wipe();
	set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/v1/x?y");
	expect("I i t", "agent at http://127.0.0.1");
	expect_sent(0, "GET /v1/x?y HTTP/1.1\r\n");
	expect_sent(0, "Accept: application/json\r\n");
	expect_sent(0, "Authorization: TOK\r\n");
	ck_assert_ptr_null(getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN"));
	finish();
}
END_TEST

START_TEST(a_containers_token_file_is_read_each_time)
{
	char path[300], body[400];
	struct cred *c = NULL;

	snprintf(body, sizeof(body), ROLE, LATER);
	reply(200, body);
	reply(200, body);
	begin("");
	snprintf(path, sizeof(path), "%s/token", dir);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path, 1);
	set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/");
	write_file("token", "ONE");
	ck_assert_int_eq(cred_get(chain, why, &c), 0);
	write_file("token", "TWO");
	cred_refuse(chain, c);
	cred_drop(c);
	expect("I i t", "agent");
	expect_sent(0, "Authorization: ONE\r\n");
	expect_sent(1, "Authorization: TWO\r\n");
	finish();
	begin("");
	snprintf(path, sizeof(path), "%s/token", dir);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path, 1);
	write_file("token", "ONE\r\nX: y");
	expect_failure(-EACCES, "end of line");
	finish();
	begin("");
	set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "@example.com/");
	expect_failure(-EACCES, "neither https nor this machine");
	setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", ".example.com/", 1);
	finish();
	begin("");
	expect_failure(-EACCES, "does not begin with /");
	finish();
}
END_TEST

static const char sso[] = "[default]\nsso_session = my\nsso_account_id = 12\n"
			  "sso_role_name = a b\n"
			  "[sso-session my]\nsso_region = eu-west-1\n"
			  "sso_start_url = https://x\n";
#define SSO_CACHE "/.aws/sso/cache/3ece1471f44f63177cbc35ba0b904e0c096b6783.json"
#define SSO_ROLE                                                               \
	"{\"roleCredentials\":{\"accessKeyId\":\"O\",\"secretAccessKey\":"     \
	"\"o\",\"sessionToken\":\"t\",\"expiration\":1369357200000}}"

static void make_cache_folder(void)
{
	static const char *const names[] = { "/.aws", "/.aws/sso",
					     "/.aws/sso/cache" };
	char path[300];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s%s", dir, names[i]);
		(void)mkdir(path, 0700);
	}
}

static void write_login(const char *token_end, const char *client_end)
{
	char text[500];

	make_cache_folder();
	snprintf(text, sizeof(text),
		 "{\"accessToken\":\"sekret\",\"expiresAt\":\"%s\","
		 "\"refreshToken\":\"r\",\"clientId\":\"c\","
		 "\"clientSecret\":\"cs\",\"registrationExpiresAt\":\"%s\"}",
		 token_end, client_end);
	write_file(SSO_CACHE + 1, text);
}

START_TEST(a_login_has_a_role)
{
	reply(200, SSO_ROLE);
	begin(sso);
	write_login(LATER, LATER);
	expect("O o t", "SSO role a b of account 12");
	expect_sent(0, "GET /federation/credentials?account_id=12&role_name="
		       "a%20b HTTP/1.1\r\n");
	expect_sent(0, "x-amz-sso_bearer_token: sekret\r\n");
	finish();
}
END_TEST

START_TEST(a_login_is_renewed_ahead_of_its_end)
{
	char path[400], text[1000] = "";
	struct stat st;
	FILE *f;

	reply(200, "{\"accessToken\":\"fresh\",\"expiresIn\":28800,"
		   "\"refreshToken\":\"r2\"}");
	reply(200, SSO_ROLE);
	begin(sso);
	write_login("2013-05-24T00:14:00Z", LATER);
	expect("O o t", "SSO role");
	expect_sent(0, "POST /token HTTP/1.1\r\n");
	expect_sent(0, "Content-Type: application/json\r\n");
	expect_sent(0, "{\"clientId\":\"c\",\"clientSecret\":\"cs\","
		       "\"grantType\":\"refresh_token\",\"refreshToken\":"
		       "\"r\"}");
	expect_sent(1, "x-amz-sso_bearer_token: fresh\r\n");
	snprintf(path, sizeof(path), "%s" SSO_CACHE, dir);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_gt(fread(text, 1, sizeof(text) - 1, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_ptr_nonnull(strstr(text, "\"accessToken\":\"fresh\""));
	ck_assert_ptr_nonnull(
		strstr(text, "\"expiresAt\":\"2013-05-24T08:00:00Z\""));
	ck_assert_ptr_nonnull(strstr(text, "\"refreshToken\":\"r2\""));
	ck_assert_ptr_nonnull(strstr(text, "\"clientSecret\":\"cs\""));
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	finish();
}
END_TEST

START_TEST(a_login_that_cannot_be_renewed_is_used_to_its_end)
{
	reply(400, "{\"error\":\"invalid_grant\"}");
	reply(200, SSO_ROLE);
	begin(sso);
	write_login("2013-05-24T00:14:00Z", LATER);
	expect("O o t", "SSO role");
	finish();
	reply(400, "{\"error\":\"invalid_grant\"}");
	begin(sso);
	write_login("2013-05-23T23:59:59Z", LATER);
	expect_failure(-EACCES, "has expired: aws sso login --profile default");
	finish();
	/* The client's registration is over: nobody is asked. */
	begin(sso);
	write_login("2013-05-23T23:59:59Z", "2013-05-23T23:59:59Z");
	expect_failure(-EACCES, "has expired: aws sso login");
	finish();
	reply(401, "{\"message\":\"no\"}");
	begin(sso);
	write_login(LATER, LATER);
	expect_failure(-EACCES, "does not take the token of this login");
	finish();
	begin(sso);
	make_cache_folder();
	write_file(SSO_CACHE + 1, "{");
	expect_failure(-EACCES, "is broken");
	finish();
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, roles_are_assumed_one_by_the_other);
	tcase_add_test(c, what_sts_refuses_is_told);
	tcase_add_test(c, a_server_in_trouble_is_asked_again_and_then_later);
	tcase_add_test(c, a_web_identity_is_sent_without_a_signature);
	tcase_add_test(c, an_instance_has_a_role);
	tcase_add_test(c, an_instance_without_a_role_has_none);
	tcase_add_test(c, an_instance_may_know_the_first_version_alone);
	tcase_add_test(c, an_instances_credentials_past_their_end_are_used);
	tcase_add_test(c, a_containers_agent_is_asked_with_its_token);
	tcase_add_test(c, a_containers_token_file_is_read_each_time);
	tcase_add_test(c, a_login_has_a_role);
	tcase_add_test(c, a_login_is_renewed_ahead_of_its_end);
	tcase_add_test(c, a_login_that_cannot_be_renewed_is_used_to_its_end);
}

int main(void)
{
	return harness_run("cred_ask", add);
}
