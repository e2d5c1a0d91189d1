# SPDX-License-Identifier: Apache-2.0
"""Fakes of Google's token endpoint and of the metadata server: neither of the
real ones is to be had outside of Google.

They are strict: a path, header or parameter that is not known, or is not of its
form, is answered 400 and kept in `problems`.  Before the program under test each
has to satisfy google-auth (test_gcs_credentials.py).
"""

import base64
import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
IAM_SCOPE = "https://www.googleapis.com/auth/iam"
# google-auth names it, wherever it asks; both are the same in the world.
AUDIENCE = "https://oauth2.googleapis.com/token"
# What clients send of themselves.
USUAL = {
    *("host", "user-agent", "accept", "accept-encoding", "connection"),
    *("content-length", "content-type", "x-goog-api-client"),
}


class Refused(Exception):
    """An answer that is no success: status, OAuth's error, its description."""


@dataclass
class Asked:
    method: str
    path: str
    query: dict
    headers: dict
    body: bytes


def unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Fake:
    """start(), stop(); url; asked (what came), problems (what was wrong with it),
    tokens (given out, the newest last), life (of those to come, in seconds).

    fail: answer each request with this status instead (None: as usual).
    """

    def __init__(self):
        self.asked, self.problems, self.tokens = [], [], []
        self.fail = None
        self.life = 3599
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                fake.serve(self)

            do_GET = do_POST = do_PUT = handle_one

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}"

    def start(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def serve(self, h):
        parts = urlsplit(h.path)
        asked = Asked(
            h.command,
            parts.path,
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            {k.lower(): v for k, v in h.headers.items()},
            h.rfile.read(int(h.headers.get("Content-Length", 0))),
        )
        self.asked.append(asked)
        status, answer = 200, None
        try:
            if self.fail:
                raise Refused(self.fail, "internal_failure", "as told")
            answer = self.answer(asked)
        except Refused as e:
            status, code, words = e.args
            answer = {"error": code, "error_description": words}
            if status == 400 and code == "invalid_request":
                self.problems.append(words)
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        h.send_response(status)
        for name, value in self.more_headers().items():
            h.send_header(name, value)
        h.send_header("Content-Type", "application/json")
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        h.wfile.write(body)

    def more_headers(self):
        return {}

    def bad(self, words):
        raise Refused(400, "invalid_request", words)

    def only(self, what, known):
        if more := set(what) - set(known):
            self.bad(f"not known: {sorted(more)}")

    def token(self):
        self.tokens.append(f"ya29.token-{len(self.tokens) + 1}")
        return {
            "access_token": self.tokens[-1],
            "expires_in": self.life,
            "token_type": "Bearer",
        }


class Tokens(Fake):
    """POST /token, for service accounts with their keys, and for users."""

    scopes = (SCOPE, IAM_SCOPE)

    def __init__(self):
        super().__init__()
        self.keys = {}  # (email, key's id): public key
        self.users = {}  # (client's id, its secret, refresh token)

    def new_key(self, email="job@project.iam.gserviceaccount.com", kid="k1"):
        """The file of a key."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.keys[email, kid] = key.public_key()
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": kid,
            "private_key": pem.decode(),
            "client_email": email,
            "client_id": "1",
            "token_uri": f"{self.url}/token",
        }

    def new_user(self):
        """The file of a login."""
        user = ("client-1", "client-secret-1", "1//refresh")
        self.users = {user}
        names = ("client_id", "client_secret", "refresh_token")
        return {
            "type": "authorized_user",
            **dict(zip(names, user, strict=True)),
            "token_uri": f"{self.url}/token",
        }

    def answer(self, asked):
        if (asked.method, asked.path, asked.query) != ("POST", "/token", {}):
            self.bad(f"{asked.method} {asked.path}")
        self.only(asked.headers, USUAL)
        kind = asked.headers.get("content-type", "").partition(";")[0]
        if kind != "application/x-www-form-urlencoded":
            self.bad(f"content type {kind}")
        pairs = parse_qsl(asked.body.decode(), strict_parsing=True)
        form = dict(pairs)
        if len(form) != len(pairs):
            self.bad("a name twice")
        grant = form.pop("grant_type", None)
        if grant == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            self.only(form, {"assertion"})
            self.check_assertion(form.get("assertion", ""))
        elif grant == "refresh_token":
            self.only(form, {"client_id", "client_secret", "refresh_token", "scope"})
            names = ("client_id", "client_secret", "refresh_token")
            if tuple(form.get(n) for n in names) not in self.users:
                raise Refused(400, "invalid_grant", "Token has been revoked.")
        else:
            self.bad(f"grant_type {grant}")
        return self.token()

    def check_assertion(self, text):
        try:
            head, claims, signature = text.split(".")
            header = json.loads(unbase64url(head))
            said = json.loads(unbase64url(claims))
        except ValueError:
            self.bad("that is no token")
        if (header.pop("alg", None), header.pop("typ", None)) != ("RS256", "JWT"):
            self.bad(f"header {header}")
        key = self.keys.get((said.get("iss"), header.pop("kid", None)))
        if header or not key:
            raise Refused(400, "invalid_grant", "Invalid grant: account not found")
        self.only(said, {"iss", "scope", "aud", "iat", "exp"})
        if said["scope"] not in self.scopes or said["aud"] not in {
            AUDIENCE,
            f"{self.url}/token",
        }:
            self.bad(f"claims {said}")
        life, late = said["exp"] - said["iat"], time.time() - said["iat"]
        if not 0 < life <= 3600 or not -300 < late < 300:
            raise Refused(400, "invalid_grant", "Invalid JWT: not a short-lived token")
        try:
            key.verify(
                unbase64url(signature),
                f"{head}.{claims}".encode(),
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
        except Exception:
            raise Refused(400, "invalid_grant", "Invalid JWT Signature.") from None


class Federation(Fake):
    """GET /subject gives another provider's token, POST /v1/token takes that for one
    of ours, and POST …:generateAccessToken that for a service account's."""

    accounts = "/v1/projects/-/serviceAccounts/"
    audience = "//iam.googleapis.com/projects/1/locations/global/x/providers/y"
    kind = "urn:ietf:params:oauth:token-type:jwt"

    def __init__(self):
        super().__init__()
        self.subject = "another's+token/="
        self.client = None  # (id, secret) it wants to hear
        self.email = "act@project.iam.gserviceaccount.com"
        self.others = None  # whose tokens IAM takes, too

    def account(self, source, act=False, **more):
        """The file of an external account; source: its credential_source."""
        made = {
            "type": "external_account",
            "audience": self.audience,
            "subject_token_type": self.kind,
            "token_url": f"{self.url}/v1/token",
            "credential_source": source,
            **more,
        }
        if act:
            made["service_account_impersonation_url"] = self.act_url()
        return made

    def act_url(self):
        return f"{self.url}{self.accounts}{self.email}:generateAccessToken"

    def answer(self, asked):
        if asked.path == "/subject":
            if (asked.method, asked.headers.pop("x-job", None)) != ("GET", "7"):
                self.bad(f"{asked.method} without the header")
            self.only(asked.headers, USUAL)
            return {"value": self.subject}
        if asked.method != "POST" or asked.query:
            self.bad(f"{asked.method} {asked.path}")
        said = asked.headers.pop("authorization", None)
        self.only(asked.headers, USUAL)
        if asked.path == "/v1/token":
            return self.exchange(asked, said)
        if asked.path == f"{self.accounts}{self.email}:generateAccessToken":
            return self.act(asked, said)
        return self.bad(asked.path)

    def exchange(self, asked, said):
        form = dict(parse_qsl(asked.body.decode(), strict_parsing=True))
        wanted = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "audience": self.audience,
            "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "subject_token_type": self.kind,
        }
        token, scope = form.pop("subject_token", None), form.pop("scope", None)
        if form != wanted or scope not in {SCOPE, IAM_SCOPE}:
            self.bad(f"form {form} {scope}")
        if self.client:
            pair = base64.b64encode(":".join(self.client).encode()).decode()
            if said != f"Basic {pair}":
                raise Refused(401, "invalid_client", "Who are you?")
        elif said:
            self.bad("a client that was not asked for")
        if token != self.subject:
            raise Refused(400, "invalid_grant", "The token is not the provider's.")
        self.scope = scope
        kind = "urn:ietf:params:oauth:token-type:access_token"
        return self.token() | {"issued_token_type": kind}

    def act(self, asked, said):
        body = json.loads(asked.body)
        if set(body) != {"delegates", "scope", "lifetime"} or body["scope"] != [SCOPE]:
            self.bad(f"body {body}")
        tokens = self.tokens + (self.others.tokens if self.others else [])
        if said not in {f"Bearer {t}" for t in tokens}:
            raise Refused(401, "invalid_request", f"Authorization {said}")
        until = time.time() + int(body["lifetime"].removesuffix("s"))
        made = self.token()["access_token"]
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))
        return {"accessToken": made, "expireTime": stamp}


class Metadata(Fake):
    """The metadata server of a machine; flavor: what it says it is."""

    top = "/computeMetadata/v1"

    def __init__(self):
        super().__init__()
        self.flavor = "Google"

    def more_headers(self):
        return {"Metadata-Flavor": self.flavor, "Server": "Metadata Server for VM"}

    def answer(self, asked):
        if asked.method != "GET" or asked.body:
            self.bad(asked.method)
        if asked.headers.pop("metadata-flavor", None) != "Google":
            self.bad("no Metadata-Flavor")
        self.only(asked.headers, USUAL - {"content-type"})
        account = f"{self.top}/instance/service-accounts/default"
        if asked.path == "/":
            return b"computeMetadata/\n"
        if asked.path == f"{self.top}/project/project-id":
            return b"project"
        if asked.path == f"{account}/":
            self.only(asked.query, {"recursive"})
            return {"aliases": ["default"], "email": "vm@x", "scopes": [SCOPE]}
        if asked.path == f"{self.top}/universe/universe-domain":
            raise Refused(404, "not_found", "")
        if asked.path == f"{account}/token":
            self.only(asked.query, {"scopes"})
            return self.token()
        return self.bad(asked.path)
