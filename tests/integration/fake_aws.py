# SPDX-License-Identifier: Apache-2.0
"""Fakes of AWS's STS, SSO portal and OIDC, instance metadata and a container's
agent: none of the real ones runs outside of AWS.

They are strict: a path, header or parameter that is not known, or is not of its
form, is answered 400 and kept in `problems`.  Before the program under test each
has to satisfy botocore (test_credentials.py).

Credentials are those of the S3 server of the tests, so that it checks what is
signed with them; the session token tells where they are from.
"""

import datetime
import hashlib
import hmac
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, urlsplit

from servers import ACCESS_KEY, SECRET_KEY

# What clients send of themselves.
USUAL = {
    *("host", "user-agent", "accept", "accept-encoding", "connection"),
    *("content-length", "content-type", "x-amz-user-agent"),
    *("amz-sdk-invocation-id", "amz-sdk-request"),
}
SIGNED = {
    *("authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"),
}


class Refused(Exception):
    """An answer that is no success: status, code."""


@dataclass
class Asked:
    method: str
    path: str
    query: dict
    headers: dict
    body: bytes


def text_date(when):
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def now():
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def sigv4(secret, asked, scope, signed):
    """The signature that a request must have (path and query are simple)."""

    def mac(key, text):
        return hmac.new(key, text.encode(), hashlib.sha256).digest()

    query = "&".join(
        f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}"
        for k, v in sorted(asked.query.items())
    )
    lines = [asked.method, asked.path, query]
    lines += [f"{name}:{' '.join(asked.headers[name].split())}" for name in signed]
    lines += ["", ";".join(signed), hashlib.sha256(asked.body).hexdigest()]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    day, region, service, last = scope.split("/")
    key = mac(mac(mac(mac(b"AWS4" + secret.encode(), day), region), service), last)
    text = ["AWS4-HMAC-SHA256", asked.headers["x-amz-date"], scope, digest]
    return mac(key, "\n".join(text)).hex()


class Fake:
    """start(), stop(); url; asked (what came), problems (what was wrong with it).

    fail: answer each request with this status instead (None: as usual).
    """

    def __init__(self, address=("127.0.0.1", 0)):
        self.asked = []
        self.problems = []
        self.fail = None
        self.seconds = 3600  # that credentials live
        self.lock = threading.Lock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                fake.handle(self)

            do_PUT = do_POST = do_DELETE = do_HEAD = do_GET

        self.server = ThreadingHTTPServer(address, Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def handle(self, h):
        length = int(h.headers.get("content-length") or 0)
        url = urlsplit(h.path)
        pairs = parse_qsl(url.query, keep_blank_values=True, strict_parsing=False)
        headers = {k.lower(): v for k, v in h.headers.items()}
        asked = Asked(h.command, url.path, dict(pairs), headers, h.rfile.read(length))
        with self.lock:
            self.asked.append(asked)
        try:
            if self.fail:
                raise Refused(self.fail, "Fault")
            self.want(len(pairs) == len(asked.query), "a parameter twice")
            status, body = 200, self.answer(asked)
        except Refused as e:
            status, body = e.args[0], self.error(*e.args)
        body = body.encode()
        h.send_response(status)
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        h.wfile.write(body)

    def want(self, ok, what):
        if not ok:
            with self.lock:
                self.problems.append(what)
            raise Refused(400, what)

    def want_headers(self, asked, *more):
        for name in asked.headers:
            self.want(name in USUAL or name in more, f"header {name}")

    def error(self, status, code):
        return json.dumps({"message": code, "status": status})

    def end(self):
        return now() + datetime.timedelta(seconds=self.seconds)


@dataclass
class Role:
    """by: access keys that may assume it; or web: the token that may."""

    by: set = field(default_factory=set)
    web: str | None = None
    external_id: str | None = None
    seconds: int | None = None


class Sts(Fake):
    """keys: access key: secret, of who may sign; roles: arn: Role.  What it
    gives out may sign, too, with its token."""

    FORMS = {  # noqa: RUF012
        "RoleArn": r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]+",
        "RoleSessionName": r"[\w+=,.@-]{2,64}",
        "ExternalId": r"[\w+=,.@:/-]{2,1224}",
        "DurationSeconds": r"\d{3,5}",
        "WebIdentityToken": r"[\w.-]{4,20000}",
    }
    SHARED = {"Action", "Version", "RoleArn", "RoleSessionName"}  # noqa: RUF012

    def __init__(self, keys=None, roles=None, **more):
        super().__init__(**more)
        self.keys = keys or {}
        self.roles = roles or {}
        self.tokens = {}  # token: (key, secret)

    def error(self, _, code):
        return (
            '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
            f"<Type>Sender</Type><Code>{code}</Code><Message>refused: {code}"
            "</Message></Error><RequestId>1</RequestId></ErrorResponse>"
        )

    def answer(self, asked):
        self.want((asked.method, asked.path) == ("POST", "/"), "method or path")
        self.want(not asked.query, "a query")
        kind = asked.headers.get("content-type", "")
        self.want(kind.startswith("application/x-www-form-urlencoded"), "its type")
        pairs = parse_qsl(asked.body.decode(), keep_blank_values=True)
        form = dict(pairs)
        self.want(len(pairs) == len(form), "a parameter twice")
        self.want(form.get("Version") == "2011-06-15", "its version")
        for name, value in form.items():
            if name in self.FORMS:
                self.want(re.fullmatch(self.FORMS[name], value), f"form of {name}")
        if form.get("Action") == "AssumeRole":
            return self.assume(asked, form)
        self.want(form.get("Action") == "AssumeRoleWithWebIdentity", "its action")
        return self.identify(asked, form)

    def assume(self, asked, form):
        more = {"ExternalId", "DurationSeconds"}
        self.want(self.SHARED <= set(form) <= self.SHARED | more, f"{set(form)}")
        self.want_headers(asked, *SIGNED)
        who = self.signer(asked)
        role = self.roles.get(form["RoleArn"])
        if not role or who not in role.by or role.external_id != form.get("ExternalId"):
            raise Refused(403, "AccessDenied")
        seconds = int(form.get("DurationSeconds", 3600))
        self.want(900 <= seconds <= 43200, "its duration")
        if role.seconds and role.seconds != seconds:
            raise Refused(403, "AccessDenied")
        return self.give("", form)

    def identify(self, asked, form):
        want = self.SHARED | {"WebIdentityToken"}
        self.want(set(form) == want, f"{set(form)}")
        self.want_headers(asked)
        role = self.roles.get(form["RoleArn"])
        if not role or role.web is None:
            raise Refused(403, "AccessDenied")
        if role.web != form["WebIdentityToken"]:
            raise Refused(400, "ExpiredTokenException")
        return self.give("WithWebIdentity", form)

    def signer(self, asked):
        """Whose signature it is: the access key, or the token's role."""
        form = r"AWS4-HMAC-SHA256 Credential=([^/]+)/([^,]+), ?SignedHeaders=([^,]+)"
        match = re.fullmatch(
            form + r", ?Signature=([0-9a-f]{64})",
            asked.headers.get("authorization", ""),
        )
        self.want(match, "no signature")
        key, scope, signed, signature = match.groups()
        signed = signed.split(";")
        self.want(signed == sorted(signed), "order of signed headers")
        self.want({"host", "x-amz-date", "content-type"} <= set(signed), "not signed")
        self.want(re.fullmatch(r"\d{8}/[a-z0-9-]+/sts/aws4_request", scope), "scope")
        at = datetime.datetime.strptime(asked.headers["x-amz-date"], "%Y%m%dT%H%M%S%z")
        self.want(abs((at - now()).total_seconds()) < 900, "its date")
        token = asked.headers.get("x-amz-security-token")
        if token is not None:
            self.want("x-amz-security-token" in signed, "token not signed")
            known, secret = self.tokens.get(token, (None, ""))
            if known != key:
                raise Refused(403, "InvalidClientTokenId")
        elif key not in self.keys:
            raise Refused(403, "InvalidClientTokenId")
        else:
            secret = self.keys[key]
        if sigv4(secret, asked, scope, signed) != signature:
            raise Refused(403, "SignatureDoesNotMatch")
        return token.partition("!")[0] if token else key

    def give(self, what, form):
        arn = form["RoleArn"]
        token = f"{arn}!+/="
        self.tokens[token] = (ACCESS_KEY, SECRET_KEY)
        account, name = arn.split(":")[4], arn.rpartition("/")[2]
        user = f"arn:aws:sts::{account}:assumed-role/{name}/{form['RoleSessionName']}"
        return (
            f"<AssumeRole{what}Response "
            'xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            f"<AssumeRole{what}Result><AssumedRoleUser><AssumedRoleId>AROA:x"
            f"</AssumedRoleId><Arn>{user}</Arn></AssumedRoleUser><Credentials>"
            f"<AccessKeyId>{ACCESS_KEY}</AccessKeyId><SecretAccessKey>{SECRET_KEY}"
            f"</SecretAccessKey><SessionToken>{token}</SessionToken>"
            f"<Expiration>{text_date(self.end())}</Expiration></Credentials>"
            f"</AssumeRole{what}Result><ResponseMetadata><RequestId>1</RequestId>"
            f"</ResponseMetadata></AssumeRole{what}Response>"
        )


class Sso(Fake):
    """The portal.  token: of who is logged in."""

    def __init__(self, **more):
        super().__init__(**more)
        self.token = "access-1"

    def error(self, _, code):
        return json.dumps({"__type": code, "message": code})

    def answer(self, asked):
        where = (asked.method, asked.path)
        self.want(where == ("GET", "/federation/credentials"), "method or path")
        self.want(set(asked.query) == {"role_name", "account_id"}, "its parameters")
        self.want(re.fullmatch(r"\d{12}", asked.query["account_id"]), "its account")
        self.want_headers(asked, "x-amz-sso_bearer_token")
        if asked.headers.get("x-amz-sso_bearer_token") != self.token:
            raise Refused(401, "UnauthorizedException")
        return json.dumps(
            {
                "roleCredentials": {
                    "accessKeyId": ACCESS_KEY,
                    "secretAccessKey": SECRET_KEY,
                    "sessionToken": f"sso!{asked.query['role_name']}",
                    "expiration": int(self.end().timestamp() * 1000),
                }
            }
        )


class Oidc(Fake):
    """CreateToken; a refresh token is good once.  sso: gets the new token."""

    def __init__(self, sso, **more):
        super().__init__(**more)
        self.sso = sso
        self.refresh = "refresh-1"
        self.count = 1

    def error(self, status, code):
        return json.dumps({"error": code, "error_description": f"{status} {code}"})

    def answer(self, asked):
        self.want((asked.method, asked.path) == ("POST", "/token"), "method or path")
        self.want(not asked.query, "a query")
        kind = asked.headers.get("content-type", "")
        self.want(kind.startswith("application/"), "its type")
        self.want_headers(asked)
        body = json.loads(asked.body)
        keys = {"clientId", "clientSecret", "grantType", "refreshToken"}
        self.want(set(body) == keys, f"{set(body)}")
        self.want(body["grantType"] == "refresh_token", "its grant")
        if (body["clientId"], body["clientSecret"]) != ("client", "client-secret"):
            raise Refused(401, "invalid_client")
        if body["refreshToken"] != self.refresh:
            raise Refused(400, "invalid_grant")
        self.count += 1
        self.refresh = f"refresh-{self.count}"
        self.sso.token = f"access-{self.count}"
        return json.dumps(
            {
                "accessToken": self.sso.token,
                "expiresIn": 28800,
                "refreshToken": self.refresh,
                "tokenType": "Bearer",
            }
        )


class Given(Fake):
    """What gives credentials as JSON; number: of how many it has given, which
    their token ends in."""

    number = 0

    def credentials(self, name, **more):
        self.number += 1
        return json.dumps(
            {
                **more,
                "AccessKeyId": ACCESS_KEY,
                "SecretAccessKey": SECRET_KEY,
                "Token": f"{name}!{self.number}",
                "Expiration": text_date(self.end()),
            }
        )


class Imds(Given):
    """Instance metadata, version 2; v1: without tokens."""

    role = "instance-role"
    path = "/latest/meta-data/iam/security-credentials/"

    def __init__(self, v1=False, **more):
        super().__init__(**more)
        self.v1 = v1

    def answer(self, asked):
        self.want(not asked.query, "a query")
        if asked.path == "/latest/api/token":
            if self.v1:
                raise Refused(404, "NotFound")
            ttl = "x-aws-ec2-metadata-token-ttl-seconds"
            self.want(asked.method == "PUT", "its method")
            self.want_headers(asked, ttl)
            self.want(asked.headers.get(ttl) == "21600" and not asked.body, "its ttl")
            return "TOKEN=="
        token = "x-aws-ec2-metadata-token"
        self.want(asked.method == "GET", "its method")
        self.want_headers(asked, token)
        if asked.headers.get(token) != (None if self.v1 else "TOKEN=="):
            raise Refused(401, "Unauthorized")
        if asked.path == self.path:
            return self.role
        self.want(asked.path == self.path + self.role, "its path")
        return self.credentials(
            "imds", Code="Success", Type="AWS-HMAC", LastUpdated=text_date(now())
        )


class Container(Given):
    """A container's agent at /creds?id=1; token: that has to be shown."""

    token = None

    def answer(self, asked):
        where = (asked.method, asked.path, asked.query)
        self.want(where == ("GET", "/creds", {"id": "1"}), "method or path")
        self.want_headers(asked, *({"authorization"} if self.token else ()))
        self.want(asked.headers.get("accept") == "application/json", "its accept")
        if self.token and asked.headers.get("authorization") != self.token:
            raise Refused(401, "Unauthorized")
        return self.credentials("container", RoleArn="arn:aws:iam::1:role/task")
