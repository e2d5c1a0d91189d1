# SPDX-License-Identifier: Apache-2.0
"""Fakes of Entra ID and of the instance metadata of Azure, strict as those of
fake_google.py: each first has to satisfy azure-identity (test_azure_credentials.py).
"""

from urllib.parse import parse_qsl

from fake_google import Fake, Refused

TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
SECRET = "a secret+of/the=application~"
RESOURCE = "https://storage.azure.com"
# What the vendor's library sends of itself, and does not have to.
LIBRARY = {"client_info", "claims"}


class AzureFake(Fake):
    def token(self):
        self.tokens.append(f"eyJ.token-{len(self.tokens) + 1}")
        return {
            "access_token": self.tokens[-1],
            "expires_in": self.life,
            "token_type": "Bearer",
        }


class Entra(AzureFake):
    """POST /TENANT/oauth2/v2.0/token, with a secret or an assertion."""

    def __init__(self):
        super().__init__()
        self.assertion = "eyJ.what-the-platform-vouches-for"

    def answer(self, asked):
        if asked.path == f"/{TENANT}/v2.0/.well-known/openid-configuration":
            root = f"https://authority.test/{TENANT}"
            return {
                "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                "token_endpoint": f"{root}/oauth2/v2.0/token",
                "issuer": f"{root}/v2.0",
            }
        if asked.method != "POST" or asked.path != f"/{TENANT}/oauth2/v2.0/token":
            self.bad(f"not known: {asked.method} {asked.path}")
        if asked.headers.get("content-type") != "application/x-www-form-urlencoded":
            self.bad("the body is no form")
        form = dict(parse_qsl(asked.body.decode(), strict_parsing=True))
        form = {k: v for k, v in form.items() if k not in LIBRARY}
        common = {
            "client_id": CLIENT,
            "grant_type": "client_credentials",
            "scope": f"{RESOURCE}/.default",
        }
        if wrong := {k for k, v in common.items() if form.pop(k, None) != v}:
            self.bad(f"wrong: {sorted(wrong)}")
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        known = [
            {"client_secret": SECRET},
            {"client_assertion_type": kind, "client_assertion": self.assertion},
        ]
        if {frozenset(form)} - {frozenset(k) for k in known}:
            self.bad(f"not known: {sorted(form)}")
        if form not in known:
            words = "AADSTS7000215: Invalid client secret provided."
            raise Refused(401, "invalid_client", words)
        return self.token()


class Instance(AzureFake):
    """GET /metadata/identity/oauth2/token."""

    def answer(self, asked):
        if asked.method != "GET" or asked.path != "/metadata/identity/oauth2/token":
            self.bad(f"not known: {asked.method} {asked.path}")
        if asked.headers.get("metadata", "").lower() != "true":
            # a probe, of the vendor's library too: no mistake
            raise Refused(400, "no_metadata_header", "Required metadata header")
        want = {"api-version": "2018-02-01", "client_id": CLIENT}
        got = dict(asked.query, resource=asked.query.get("resource", "").rstrip("/"))
        if got != {**want, "resource": RESOURCE}:
            self.bad(f"query {asked.query}")
        # In strings, as the real one has them.
        token = self.token()
        return {**token, "expires_in": str(token["expires_in"]), "resource": RESOURCE}
