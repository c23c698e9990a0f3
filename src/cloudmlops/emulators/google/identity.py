"""Tokens over HTTP: oauth2, sts, userinfo, the public keys, and iamcredentials."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs

from cloudmlops.emulators.core.answering import Answer, Asked, answer_json, app
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.emulators.google.access import Access
from cloudmlops.emulators.google.payloads import Many, Type, typed
from cloudmlops.emulators.google.tokens import LIFETIME_SECONDS, TOKEN_URI, Tokens
from cloudmlops.emulators.google.wire import Route, finder, json_object, refusal

_JWT_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_EXCHANGE_GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_AUDIENCES: Final = frozenset({TOKEN_URI, "https://accounts.google.com/o/oauth2/token"})
_TYPES: Final[Mapping[str, Type]] = {
    "audience": "text",
    "delegates": Many("text"),
    "includeEmail": "flag",
    "lifetime": "text",
    "payload": "text",
    "permissions": Many("text"),
    "scope": Many("text"),
}
_ACCOUNT: Final = "/v1/projects/{project}/serviceAccounts/{email}"


def identity_service(surroundings: Surroundings, tokens: Tokens) -> Service:
    """Issue access tokens and tell what they are worth."""
    endpoints = _Endpoints(tokens)
    routes = (
        Route("POST", "/token", "token", endpoints.token),
        Route("POST", "/v4/token", "token", endpoints.token),
        Route("POST", "/o/oauth2/token", "token", endpoints.token),
        Route("POST", "/v1/token", "exchange", endpoints.exchange),
        Route("POST", "/revoke", "revoke", endpoints.revoke),
        Route("GET", "/tokeninfo", "tokeninfo", endpoints.token_info),
        Route("POST", "/tokeninfo", "tokeninfo", endpoints.token_info),
        Route("GET", "/oauth2/v1/tokeninfo", "tokeninfo", endpoints.token_info),
        Route("GET", "/oauth2/v3/tokeninfo", "tokeninfo", endpoints.token_info),
        Route("GET", "/v1/userinfo", "userinfo", endpoints.user_info),
        Route("GET", "/oauth2/v1/userinfo", "userinfo", endpoints.user_info),
        Route("GET", "/oauth2/v3/userinfo", "userinfo", endpoints.user_info),
        Route("GET", "/oauth2/v1/certs", "certs", lambda _: answer_json({tokens.key_id: tokens.public_certificate()})),
        Route("GET", "/oauth2/v3/certs", "certs", lambda _: answer_json({"keys": [tokens.public_jwk()]})),
    )
    # Tokens are no part of the record of calls: what is recorded is read by tests, and printed by them.
    return Service(
        name="identity",
        hosts=(
            "oauth2.googleapis.com",
            "sts.googleapis.com",
            "openidconnect.googleapis.com",
            "accounts.google.com",
            "www.googleapis.com",
        ),
        paths=("/token", "/v4/token", "/o/oauth2", "/oauth2", "/revoke", "/tokeninfo", "/v1/userinfo", "/v1/token"),
        http=app(surroundings, "identity", find=finder(routes), refusal=_refusal),
    )


def credentials_service(surroundings: Surroundings, *, tokens: Tokens, access: Access) -> Service:
    """Act as a service account: tokens and signatures in its name; and say who may."""
    accounts = _Accounts(tokens, access)
    routes = (
        Route("POST", f"{_ACCOUNT}:generateAccessToken", "generateAccessToken", accounts.access_token),
        Route("POST", f"{_ACCOUNT}:generateIdToken", "generateIdToken", accounts.identity_token),
        Route("POST", f"{_ACCOUNT}:signBlob", "signBlob", accounts.sign_blob),
        Route("POST", f"{_ACCOUNT}:signJwt", "signJwt", accounts.sign_jwt),
        Route("GET", f"{_ACCOUNT}/allowedLocations", "getAllowedLocations", _allowed_locations),
        Route("POST", f"{_ACCOUNT}:testIamPermissions", "testIamPermissions", accounts.test_permissions),
    )
    return Service(
        name="iamcredentials",
        hosts=("iamcredentials.googleapis.com", "iam.googleapis.com"),
        paths=("/v1/projects/-/serviceAccounts",),
        http=app(
            surroundings,
            "iamcredentials",
            find=finder(routes),
            refusal=refusal("iamcredentials.googleapis.com"),
        ),
    )


class _Endpoints:
    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def token(self, asked: Asked) -> Answer:
        form = _form(asked)
        grant = form.get("grant_type", "")
        if grant == _JWT_GRANT:
            return self._for_service_account(form.get("assertion", ""))
        if grant == "refresh_token":
            principal = self._tokens.user_of_refresh_token(form.get("refresh_token", ""))
            if principal is None:
                raise Refused("INVALID_ARGUMENT", "Token has been expired or revoked.", reason="invalid_grant")
            return self._issued(principal, form.get("scope", ""))
        raise Refused("INVALID_ARGUMENT", f"Invalid grant_type: {grant}", reason="unsupported_grant_type")

    def exchange(self, asked: Asked) -> Answer:
        form = _form(asked)
        if form.get("grant_type") != _EXCHANGE_GRANT:
            raise Refused("INVALID_ARGUMENT", "Invalid grant_type.", reason="unsupported_grant_type")
        if not form.get("subject_token"):
            raise Refused("INVALID_ARGUMENT", "subject_token is wanted.", reason="invalid_request")
        found = self._tokens.find(form["subject_token"])
        principal = found.principal if found else f"principal:{form.get('audience', '').removeprefix('//')}"
        content = json.loads(self._issued(principal, form.get("scope", "")).body)
        return answer_json({**content, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"})

    def revoke(self, asked: Asked) -> Answer:
        if not self._tokens.revoke(_form(asked).get("token", "")):
            raise Refused("INVALID_ARGUMENT", "Token expired or revoked", reason="invalid_token")
        return answer_json({})

    def token_info(self, asked: Asked) -> Answer:
        sent = {**asked.query, **_form(asked)}
        if identity := sent.get("id_token"):
            try:
                return answer_json({name: str(value) for name, value in self._tokens.claims(identity).items()})
            except ValueError as error:
                raise Refused("INVALID_ARGUMENT", "Invalid Value", reason="invalid_token") from error
        found = self._tokens.find(sent.get("access_token", ""))
        if found is None:
            raise Refused("INVALID_ARGUMENT", "Invalid Value", reason="invalid_token")
        return answer_json(
            {
                "email": found.principal,
                "email_verified": "true",
                "scope": " ".join(found.scopes),
                "exp": str(int(found.expires)),
                "expires_in": str(int(found.expires - time.time())),
                "access_type": "online",
            }
        )

    def user_info(self, asked: Asked) -> Answer:
        principal = self._tokens.principal(asked.headers.get("authorization", "Bearer none"))
        return answer_json({"sub": principal, "id": principal, "email": principal, "email_verified": True})

    def _for_service_account(self, assertion: str) -> Answer:
        try:
            claims = self._tokens.claims(assertion)
        except ValueError as error:
            raise Refused("INVALID_ARGUMENT", str(error), reason="invalid_grant") from error
        if claims.get("aud") not in _AUDIENCES:
            raise Refused("INVALID_ARGUMENT", "Invalid JWT: Failed audience check.", reason="invalid_grant")
        principal = str(claims.get("sub") or claims["iss"])
        if audience := claims.get("target_audience"):
            return answer_json({"id_token": self._tokens.identity(principal, str(audience))})
        if not claims.get("scope"):
            raise Refused("INVALID_ARGUMENT", "Empty or missing scope not allowed.", reason="invalid_scope")
        return self._issued(principal, str(claims["scope"]))

    def _issued(self, principal: str, scope: str) -> Answer:
        token = self._tokens.issue(principal, scope.split())
        content = {"access_token": token, "expires_in": LIFETIME_SECONDS, "token_type": "Bearer"}
        return answer_json({**content, **({"scope": scope} if scope else {})})


class _Accounts:
    def __init__(self, tokens: Tokens, access: Access) -> None:
        self._tokens = tokens
        self._access = access

    def access_token(self, asked: Asked, *, project: str, email: str) -> Answer:
        self._allow(asked, "iam.serviceAccounts.getAccessToken", project, email)
        content = typed(json_object(asked), _TYPES)
        if not content.get("scope"):
            raise Refused("INVALID_ARGUMENT", "Request must include at least one scope.")
        lifetime = str(content.get("lifetime", f"{LIFETIME_SECONDS}s"))
        seconds = int(lifetime.removesuffix("s")) if lifetime.removesuffix("s").isdigit() else 0
        if not 0 < seconds <= 12 * LIFETIME_SECONDS:
            raise Refused("INVALID_ARGUMENT", f"Invalid lifetime {lifetime}: at most 43200s.")
        token = self._tokens.issue(email, content["scope"], seconds=seconds)
        expires = datetime.fromtimestamp(int(time.time()) + seconds, UTC)
        return answer_json({"accessToken": token, "expireTime": expires.strftime("%Y-%m-%dT%H:%M:%SZ")})

    def identity_token(self, asked: Asked, *, project: str, email: str) -> Answer:
        self._allow(asked, "iam.serviceAccounts.getOpenIdToken", project, email)
        audience = typed(json_object(asked), _TYPES).get("audience")
        if not audience:
            raise Refused("INVALID_ARGUMENT", "Audience must not be empty.")
        return answer_json({"token": self._tokens.identity(email, str(audience))})

    def sign_blob(self, asked: Asked, *, project: str, email: str) -> Answer:
        self._allow(asked, "iam.serviceAccounts.signBlob", project, email)
        try:
            content = base64.b64decode(typed(json_object(asked), _TYPES).get("payload", ""), validate=True)
        except ValueError as error:
            raise Refused("INVALID_ARGUMENT", f"Invalid payload: {error}") from error
        signed = base64.b64encode(self._tokens.sign(content)).decode()
        return answer_json({"keyId": self._tokens.key_id, "signedBlob": signed})

    def sign_jwt(self, asked: Asked, *, project: str, email: str) -> Answer:
        self._allow(asked, "iam.serviceAccounts.signJwt", project, email)
        try:
            claims = json.loads(typed(json_object(asked), _TYPES).get("payload", ""))
        except ValueError as error:
            raise Refused("INVALID_ARGUMENT", f"Invalid payload: {error}") from error
        return answer_json({"keyId": self._tokens.key_id, "signedJwt": self._tokens.signed(claims)})

    def test_permissions(self, asked: Asked, *, project: str, email: str) -> Answer:
        principal = self._tokens.principal(asked.headers.get("authorization"))
        wanted = typed(json_object(asked), _TYPES).get("permissions", [])
        granted = self._access.tested(principal, wanted, f"projects/{project}/serviceAccounts/{email}")
        return answer_json({"permissions": granted} if granted else {})

    def _allow(self, asked: Asked, permission: str, project: str, email: str) -> None:
        principal = self._tokens.principal(asked.headers.get("authorization"))
        self._access.check(principal, permission, f"projects/{project}/serviceAccounts/{email}")


def _allowed_locations(_: Asked, *, project: str, email: str) -> Answer:  # noqa: ARG001 all accounts go anywhere
    return answer_json({"locations": [], "encodedLocations": "0x0"})


def _form(asked: Asked) -> Mapping[str, str]:
    if asked.headers.get("content-type", "").startswith("application/json"):
        return {name: str(value) for name, value in json_object(asked).items()}
    return {name: values[-1] for name, values in parse_qs(asked.body.decode("utf-8", "replace")).items()}


def _refusal(refused: Refused) -> Answer:
    """Write a refusal as RFC 6749 wants it."""
    if refused.code == "INVALID_ARGUMENT":
        content: dict[str, Any] = {"error": refused.reason or "invalid_request", "error_description": refused.message}
        return answer_json(content, status=400)
    return refusal("oauth2.googleapis.com")(refused)
