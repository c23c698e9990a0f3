"""login.microsoftonline.com: tokens for secrets, certificates and federated assertions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qs
from uuid import uuid4

import jwt
from cryptography.x509 import load_pem_x509_certificate

from cloudmlops.emulators.azure.entra.principals import Principal
from cloudmlops.emulators.azure.entra.tokens import LOGIN_HOST, Tokens
from cloudmlops.emulators.core.answering import Answer, Asked, Operation, answer_json, app
from cloudmlops.emulators.core.faults import HTTP_STATUS, Refused
from cloudmlops.emulators.core.service import Service, Surroundings

NAME: Final = "entra"
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_TENANT: Final = r"/([^/]+)"
_ALIASES: Final = (LOGIN_HOST, "login.windows.net", "login.microsoft.com", "sts.windows.net")


def entra_service(surroundings: Surroundings, tokens: Tokens) -> Service:
    """Build the service."""
    routes: tuple[tuple[str, str, str, Any], ...] = (
        ("GET", r"/common/discovery/instance", "discovery.instance", lambda _asked, _tenant: _instance()),
        (
            "GET",
            _TENANT + r"(?:/v2\.0)?/\.well-known/openid-configuration",
            "openid-configuration",
            lambda _asked, tenant: _configuration(tenant, tokens),
        ),
        (
            "GET",
            _TENANT + r"/discovery(?:/v2\.0)?/keys",
            "keys",
            lambda _asked, _tenant: answer_json(tokens.public_keys()),
        ),
        ("POST", _TENANT + r"/oauth2(?:/v2\.0)?/token", "token", lambda asked, tenant: _token(asked, tenant, tokens)),
        ("POST", _TENANT + r"/oauth2/v2\.0/devicecode", "devicecode", lambda _asked, _tenant: _no_device_code()),
    )
    compiled = [(method, re.compile(pattern), name, act) for method, pattern, name, act in routes]

    def find(asked: Asked) -> tuple[str, Operation]:
        for method, pattern, name, act in compiled:
            if asked.method == method and (found := pattern.fullmatch(asked.path)) is not None:
                tenant = found.group(1) if found.groups() else ""
                return name, lambda again, act=act, tenant=tenant: act(again, tenant)
        raise Refused("UNIMPLEMENTED", f"{asked.method} {asked.path} is not emulated", reason="not_emulated")

    return Service(
        name=NAME,
        hosts=_ALIASES,
        paths=("/*/oauth2", "/*/v2.0/.well-known", "/*/.well-known", "/*/discovery", "/common/discovery"),
        http=app(surroundings, NAME, find=find, refusal=lambda refused: _refusal(refused, surroundings.clock.now())),
    )


def _instance() -> Answer:
    known = [{"preferred_network": LOGIN_HOST, "preferred_cache": "login.windows.net", "aliases": list(_ALIASES)}]
    return answer_json(
        {
            "tenant_discovery_endpoint": f"https://{LOGIN_HOST}/common/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": known,
        }
    )


def _configuration(tenant: str, tokens: Tokens) -> Answer:
    _check_tenant(tenant, tokens)
    base = f"https://{LOGIN_HOST}/{tenant}"
    return answer_json(
        {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": tokens.issuer,
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "tenant_region_scope": "EU",
            "cloud_instance_name": "microsoftonline.com",
        }
    )


def _token(asked: Asked, tenant: str, tokens: Tokens) -> Answer:
    _check_tenant(tenant, tokens)
    form = {name: values[-1] for name, values in parse_qs(asked.body.decode("utf-8", "replace")).items()}
    grant = form.get("grant_type", "")
    if grant != "client_credentials":
        raise Refused(
            "INVALID_ARGUMENT",
            f"AADSTS70003: The app requested an unsupported grant type '{grant}'.",
            reason="unsupported_grant_type",
        )
    client = form.get("client_id", "")
    principal = tokens.directory.by_client(client)
    if principal is None or principal.resource:
        raise Refused(
            "INVALID_ARGUMENT",
            f"AADSTS700016: Application with identifier '{client}' was not found in the directory "
            f"'{tokens.directory.tenant}'.",
            reason="unauthorized_client",
        )
    _prove(principal, form)
    scope = form.get("scope", form.get("resource", ""))
    audience = scope.split(" ")[0].removesuffix("/.default")
    if not audience:
        raise Refused(
            "INVALID_ARGUMENT",
            "AADSTS900144: The request body must contain the following parameter: 'scope'.",
            reason="invalid_request",
        )
    return answer_json(
        {
            "token_type": "Bearer",
            "expires_in": tokens.lifetime_seconds - 1,
            "ext_expires_in": tokens.lifetime_seconds - 1,
            "access_token": tokens.issue(principal, audience),
        },
        headers={"cache-control": "no-store, no-cache"},
    )


def _prove(principal: Principal, form: Mapping[str, str]) -> None:
    """Let an application prove that it is who it says: by its secret, its certificate, or another party's token."""
    if form.get("client_assertion_type") == _ASSERTION:
        _prove_by_assertion(principal, form.get("client_assertion", ""))
        return
    if not form.get("client_secret"):
        raise Refused(
            "UNAUTHENTICATED",
            "AADSTS7000216: 'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' "
            "grant type.",
            reason="invalid_client",
        )
    if not principal.secret or form["client_secret"] != principal.secret:
        raise Refused(
            "UNAUTHENTICATED",
            f"AADSTS7000215: Invalid client secret provided for app '{principal.client_id}'.",
            reason="invalid_client",
        )


def _prove_by_assertion(principal: Principal, assertion: str) -> None:
    try:
        claims = jwt.decode(assertion, options={"verify_signature": False, "verify_exp": True, "verify_aud": False})
        if principal.certificate and claims.get("iss") == principal.client_id:
            key = load_pem_x509_certificate(principal.certificate.encode()).public_key()
            jwt.decode(assertion, key, algorithms=["RS256", "PS256"], options={"verify_aud": False})  # type: ignore[arg-type] # of an application: RSA
            return
    except jwt.PyJWTError as error:
        raise Refused(
            "UNAUTHENTICATED",
            f"AADSTS700027: The certificate with identifier used to sign the client assertion is not registered on "
            f"application, or the assertion is malformed: {error}",
            reason="invalid_client",
        ) from error
    if claims.get("sub") != principal.name:
        raise Refused(
            "UNAUTHENTICATED",
            f"AADSTS700213: No matching federated identity record found for presented assertion subject "
            f"'{claims.get('sub')}'.",
            reason="invalid_client",
        )


def _no_device_code() -> Answer:
    raise Refused(
        "UNIMPLEMENTED",
        "the device code flow is not emulated: it needs a person at a browser",
        reason="not_emulated",
    )


def _check_tenant(tenant: str, tokens: Tokens) -> None:
    if tenant.lower() not in (tokens.directory.tenant, "common", "organizations"):
        raise Refused(
            "INVALID_ARGUMENT",
            f"AADSTS90002: Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are "
            "signing into the correct cloud.",
            reason="invalid_tenant",
        )


def _refusal(refused: Refused, now: datetime) -> Answer:
    trace, moment = str(uuid4()), now.strftime("%Y-%m-%d %H:%M:%SZ")
    codes = [int(number) for number in re.findall(r"AADSTS(\d+)", refused.message)]
    body = {
        "error": refused.reason or "temporarily_unavailable",
        "error_description": f"{refused.message} Trace ID: {trace} Correlation ID: {trace} Timestamp: {moment}",
        "error_codes": codes,
        "timestamp": moment,
        "trace_id": trace,
        "correlation_id": trace,
    }
    if codes:
        body["error_uri"] = f"https://{LOGIN_HOST}/error?code={codes[0]}"
    return answer_json(body, status=HTTP_STATUS.get(refused.code, 500))
