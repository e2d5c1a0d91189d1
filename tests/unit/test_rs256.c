/* SPDX-License-Identifier: Apache-2.0 */
/* Signed web tokens, against RFC 7515, appendix A.2. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "ckptfs/buf.h"
#include "ckptfs/sign.h"

#include "harness.h"

static const char header[] = "{\"alg\":\"RS256\"}";
static const char claims[] = "{\"iss\":\"joe\",\r\n"
			     " \"exp\":1300819380,\r\n"
			     " \"http://example.com/is_root\":true}";
static const char token[] =
	"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzO"
	"DAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPo"
	"j9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm"
	"4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAyn"
	"RFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0G"
	"arZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv"
	"hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtV"
	"rBp0igcN_IoypGlUPQGe77Rw";
static const char rsa[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCh+BYK4uPJtGXO\n"
	"jS1lYmM2K5J9vinh8CR3/BYlzJChNuOL2TSXxbbqY913EeZ8dCn5VrD7io8ImtxL\n"
	"aYk8wTM/U+3QGbh3hCUv7JFP5IV3aVlL6kKA0ywPVb9ilE8TA5a8bpvfbr3SvaNn\n"
	"juygxmj3AbONv/s4yDQs4v5tJ/reSlpIdJed1LnPmt7Ex1sFhSwsD174pcF1A5L5\n"
	"ROjtZMEQxrZHYJqkeDrrnGya11UxMFBji4NmXG9veoKjlnAqH2QbgtPr8jkiGUkf\n"
	"toaHLFcW9Qr4NY2ai50Xw0Byj3+H2JoY2PyrZ62EWQwuz3WTOTY8BwNNb2BvniHg\n"
	"VFbK5emhAgMBAAECggEAEq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyW\n"
	"PEAeP88vLNO97IjlA7/GQ5sLKMgvfTeXZx9SE+7YwVol2NXOoAJe46sui395IW/G\n"
	"O+pWJ1O0BkTGoVEn2bKVRUCgu+GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzj\n"
	"kn439X0M/V51gfpRLI9JYanrC4D4qAdGcopV/0ZHHzQlBjudU2QvXt4ehNYTCBr6\n"
	"XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl/x/jTj3ccPDVZFD9pIuhLhBOneufuBiB\n"
	"4cS98l2SR/RQyGWSeWjnczT0QU91p1DhOVRuOopznQKBgQDgHMQQ60imZV1URk0K\n"
	"pLttoLhyt3SmqdEf/kgHePDdtzEafpAu+cS191R2JiuoF2yzWXnwFDcqGigp5BNr\n"
	"0AHQfD8/Lk8l1Mk09jxxCfui5nYooNyac8YFjm3vItzVCVDnEd3BbVWG8qf6deqE\n"
	"lMGAg+C2V0L4oNXnP7LZcPAZRwKBgQC5A8R+CZW2MvRTLLHzwZkUXV866cff7tx6\n"
	"kqa0finGG0KgeqlaZPxgCZnFp7AeAcCMtiynVlJ7vMVgePsLq6XtON4tB5kP9jAP\n"
	"rq3rbAOal78eUH5OcED6eNuCV8ixEu1eWcPNCS/l1OW1EnXUEoEHKl54Xrrz2uNw\n"
	"kgMTP1FZ1wKBgAcCn1dwJKufzBWQxWQp1vsM5fggqPN1qGb5y0MAk3g7/Ls5bkUp\n"
	"5u9SN0Ai3Ya6hNnvWJMb7sXQX6U/zyO2M/hTip7tUeh7CXgwo59dkpN75gJLVds2\n"
	"9+DAncu3KXU4f2Fa+7bLNrur53k8KwPOq2bbuTG69QtV7Jr5MR0AHWKNAoGBAIf/\n"
	"evpitUf+4JYbLpvNXWcY052Mpz22aR84mY3nh3F2LF2mjMJDpTg7FmuyPcVw6EcG\n"
	"yoAe9fa65iNqCq+jdw6PVNGo2hxfjSiZ8IIzHdsPXI89//pMjZcQK9r+CCoRjaZj\n"
	"OYiIDktVWZzmevJuv6WywUqd57LE3Zar3dLSIkx1AoGAIYd7DHOhrWvxkwPQsRM2\n"
	"tOgrjbcrfvtQJipd+DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd/QJQ3\n"
	"ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp/gh6A56\n"
	"03k2+ZQwVK0JKSHuLFkuQ3U=\n"
	"-----END PRIVATE KEY-----\n";
/* Of another kind, and one that wants a passphrase. */
static const char ec[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg0ri7MRr9FYXzSeZu\n"
	"v+CWA2tT+wmAI6SZcaHiVp54hB+hRANCAAT4sv+oZQAuhrKRcXDY/PDsdijmfgBp\n"
	"lfMTkmkEV+9tmDFQfMZ8pLVFDuatVWMaaOQqX8b8dQqB/nuKgWwRRxmy\n"
	"-----END PRIVATE KEY-----\n";
static const char locked[] =
	"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
	"MIIFNTBfBgkqhkiG9w0BBQ0wUjAxBgkqhkiG9w0BBQwwJAQQYACUpgIY68P038ca\n"
	"J4S/2QICCAAwDAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEFGgT4sxW0cF+1t6\n"
	"zjJUt6oEggTQuOre5K9vX7Ld5xU5ZLRczQFpiE0yd9B/mU/VnNIYJoLYt/BCieQv\n"
	"gmsJnGVST8PjkOyibIkkAMpMAwWrhZC/WnlvxRUrHQ8pSbkDHqz2Dq4kK3uCCTEp\n"
	"RyBqoaTGttav5B9jIfSfCb4nrmKyBw57C3KDiCo0KLaKqxa7KTVa/DD8kzVA2liH\n"
	"TN0xjXNmdBKZlYVl4r7jS9F3BFdCxn/JgwmY0k0Irq0BKt77Qo+bSTccStnJvped\n"
	"ppVThYuIm34ohNyJKqL1f/fKAcbQvEfp7DHqJo9VvdhFRZRKwdNUS+HScDKJ3v4q\n"
	"Pp6or/nh53QEpruHU+J6RtpjWc6KdxgGLdh+RFQJV71j8zFpkqHsrbKXAwKr8F3N\n"
	"PJZHmQt1J57THgwkM7HGOiL0vd6cgpaA9/QD0uzAIXPiIbX3bXoJuhNqCViET4Ri\n"
	"uAGZfrJesoWwP/0taSe2upH+pOm93Vb2z11gNxLsVmcxobLKKvGYxq1XsDJLNEYG\n"
	"OQu1n36erYQwMIXGK7mlKXR0tDWBuBsNuqA0KWe02ldqEvm38QtCKWVTs3I73Q96\n"
	"Y/oPqK8Hh00DhuILc1cMwtCY2T3jL0DEN7IuToSmnPxuWZNJEnnuUVtVyFWcCSXI\n"
	"nDyiTzejTyVrX4c/ayxN/HE5oFS3m2Zes+JSJYmXZTyN10/BdfdwICAetVhCJabZ\n"
	"vgNR+CJzVD6FepLWdKhxEgZFqh7ZXoO/fzDFFjbbA1PMTnVvSdpxh8IcedlR1Sv+\n"
	"33jtXtzE+Fj0tMohUEnJX4iq60YRPUkEr8Jv+y8F20rm7b20g0inw5FGUcyJTlWd\n"
	"CoBesPuEroMYX8w+JCLDmHE7CvDa+8SjZBBRgd4F/yQ8atB+RgE6x4ry42ry+g6D\n"
	"3suOVY3jLF9OFb7z2Gv0wSdZZPuB3yHtS5Vhcpn7KPMOSSFItLjr+Ok4DwW226l7\n"
	"Q+y7qYVfb51AMVaXu5ynpXm45d2QR4NYIPmNo/FScX5nDpwj1kkdUUuD02GTr5s2\n"
	"do4ITbWZhle75L3ss1XIPBufQVfw7ePvfT22Fn55/Qy7GVIsmzLNZWovCCZz2rO5\n"
	"ERRRFzvItIo/+RhTXU8pUL3Cc8qDl1KcszYisciL13OSSVRsnHlbc46iRedYn5RM\n"
	"kYtNCKcgxxzhxmv3O7T0XV84c/JfRpUO1VIEtnSbmyAGptU94YJXHg3GiuPV6sOq\n"
	"JQGYuG4NdQyNerVj4PlL6RK4Q7VUXoL5Zi/tUO8/QlPdHf8MICa6vHZocdZUVPdZ\n"
	"X7mLafuf9TP+wQ0gZtuVsTA2fi/cDK7gX1u2L3Zva75rKIyxYwSuE9A2sIR4M9Bl\n"
	"3ps7CofJ3aOE0fmGdzncqo9oM4owr0mxLrJgqt6Al9PH7+kZI1Ydl9o1RiXNRqSp\n"
	"THO0KXf75YGhgian5RkVzq9E0cQLT6QN3A3C6Pywb5JUiHZ40H483SESZRLmXN3c\n"
	"wPJDQwVORxYnybbba08OXRlT6KL761aihVYD5kSShgiDkE7zrQ3CL9p2dkPBC1R5\n"
	"UdT7hb7KiGyS2kYj7IQ/MqpqSofkM0ZwrZS7n7kEupd3eWFgP7kY6nd4Q/Y4yUNn\n"
	"GhD7fhUV/PwSEg4SlvfKqvtapYJ++zWggiqpdQmMRS8LMtN9DYfol38=\n"
	"-----END ENCRYPTED PRIVATE KEY-----\n";

START_TEST(a_token_is_that_of_the_rfc)
{
	struct buf b = BUF_INIT(SIGN_JWT_MAX);

	ck_assert_int_eq(buf_addf(&b, "assertion="), 0);
	ck_assert_int_eq(sign_jwt_rs256(header, claims, rsa, &b), 0);
	ck_assert_int_eq(strncmp(b.p, "assertion=", 10), 0);
	ck_assert_str_eq(b.p + 10, token);
	buf_clear(&b);
}
END_TEST

START_TEST(what_is_no_rsa_key_is_refused)
{
	static const char *const wrong[] = {
		"", "x", "-----BEGIN PRIVATE KEY-----\nx\n", ec, locked,
	};
	struct buf b = BUF_INIT(SIGN_JWT_MAX);

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		ck_assert_int_eq(sign_jwt_rs256(header, claims, wrong[i], &b),
				 -EINVAL);
	ck_assert_uint_eq(b.len, 0);
	buf_clear(&b);
}
END_TEST

START_TEST(what_is_too_long_is_refused_whole)
{
	static char large[SIGN_JWT_MAX];
	struct buf b = BUF_INIT(SIGN_JWT_MAX);

	memset(large, 'x', sizeof(large) - 1);
	ck_assert_int_eq(sign_jwt_rs256(header, large, rsa, &b), -EMSGSIZE);
	ck_assert_uint_eq(b.len, 0);
	buf_clear(&b);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, a_token_is_that_of_the_rfc);
	tcase_add_test(c, what_is_no_rsa_key_is_refused);
	tcase_add_test(c, what_is_too_long_is_refused_whole);
}

int main(void)
{
	return harness_run("rs256", add);
}
