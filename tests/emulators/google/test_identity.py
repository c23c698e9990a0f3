from __future__ import annotations

import base64
import json
import time
from typing import Any
from urllib.parse import urlencode

import google.auth.exceptions
import google.auth.jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.auth import credentials as auth_credentials
from google.auth import impersonated_credentials
from google.auth.transport.requests import Request
from google.oauth2 import credentials as user_credentials
from google.oauth2 import id_token, service_account

from cloudmlops.emulators.core.faults import Refused

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
OAUTH = "https://oauth2.googleapis.com/token"
CREDENTIALS = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts"
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@pytest.fixture
def sealed(google: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The real libraries in this process, with a child's environment."""
    for name, value in google.emulator.environment().items():
        monkeypatch.setenv(name, value)
    return google


def account(google: Any, email: str = "trainer@p.iam.gserviceaccount.com") -> dict[str, str]:
    made: dict[str, str] = google.cloud.tokens.service_account(email, google.project)
    return made


def grant(google: Any, assertion: str) -> tuple[int, dict[str, Any]]:
    form = urlencode({"grant_type": JWT_GRANT, "assertion": assertion})
    headers = {"host": "oauth2.googleapis.com", "content-type": "application/x-www-form-urlencoded"}
    answer = google.http.post("/token", content=form, headers=headers)
    return answer.status_code, answer.json()


def test_a_service_account_gets_a_token_that_names_it(sealed: Any) -> None:
    made = service_account.Credentials.from_service_account_info(account(sealed), scopes=SCOPES)

    made.refresh(Request())

    assert sealed.cloud.tokens.principal(f"Bearer {made.token}") == "trainer@p.iam.gserviceaccount.com"
    info = sealed.ask("GET", f"https://oauth2.googleapis.com/tokeninfo?access_token={made.token}").json()
    assert (info["email"], info["scope"]) == ("trainer@p.iam.gserviceaccount.com", SCOPES[0])
    who = sealed.ask("GET", "https://openidconnect.googleapis.com/v1/userinfo", token=made.token).json()
    assert who["email"] == "trainer@p.iam.gserviceaccount.com"


def test_a_token_that_a_service_account_signed_itself_names_it_too(google: Any) -> None:
    made = service_account.Credentials.from_service_account_info(account(google), always_use_jwt_access=True)

    made._create_self_signed_jwt("https://pubsub.googleapis.com/")
    made.refresh(None)

    assert google.cloud.tokens.principal(f"Bearer {made.token}") == "trainer@p.iam.gserviceaccount.com"


def test_an_authorised_user_refreshes(sealed: Any) -> None:
    info = sealed.cloud.tokens.authorized_user("ada@example.com", sealed.project)
    made = user_credentials.Credentials.from_authorized_user_info({**info, "token_uri": OAUTH})

    made.refresh(Request())

    assert sealed.cloud.tokens.principal(f"Bearer {made.token}") == "ada@example.com"


def test_an_unknown_refresh_token_is_an_error_of_google_auth(sealed: Any) -> None:
    made = user_credentials.Credentials(None, refresh_token="other", client_id="c", client_secret="s", token_uri=OAUTH)

    with pytest.raises(google.auth.exceptions.RefreshError, match="expired or revoked"):
        made.refresh(Request())


def test_the_default_credentials_of_a_child_are_an_account_of_the_emulator(sealed: Any) -> None:
    made, project = google.auth.default(scopes=SCOPES)

    assert isinstance(made, auth_credentials.Scoped)
    assert project == "emulated"
    made.refresh(Request())
    assert made.valid


def test_an_identity_token_is_fetched_and_verified_by_the_public_keys(sealed: Any) -> None:
    made = service_account.IDTokenCredentials.from_service_account_info(
        account(sealed), target_audience="https://mine.example"
    )
    made.refresh(Request())

    claims = id_token.verify_oauth2_token(made.token, Request(), audience="https://mine.example")

    assert (claims["email"], claims["iss"]) == ("trainer@p.iam.gserviceaccount.com", "https://accounts.google.com")
    keys = sealed.ask("GET", "https://www.googleapis.com/oauth2/v3/certs").json()["keys"]
    assert [key["kid"] for key in keys] == [google.auth.jwt.decode_header(made.token)["kid"]]


def test_an_account_is_impersonated_unless_that_was_denied(sealed: Any) -> None:
    source = service_account.Credentials.from_service_account_info(account(sealed), scopes=SCOPES)
    made = impersonated_credentials.Credentials(source, "deployer@p.iam.gserviceaccount.com", SCOPES)

    made.refresh(Request())

    assert sealed.cloud.tokens.principal(f"Bearer {made.token}") == "deployer@p.iam.gserviceaccount.com"
    sealed.cloud.access.deny("iam.serviceAccounts.getAccessToken", principal="trainer@*")
    with pytest.raises(google.auth.exceptions.RefreshError, match=r"iam\.serviceAccounts\.getAccessToken"):
        made.refresh(Request())


def test_a_blob_is_signed_by_the_account_that_was_asked_for(google: Any) -> None:
    payload = base64.b64encode(b"sign me").decode()

    signed = google.ask("POST", f"{CREDENTIALS}/a@p.iam.gserviceaccount.com:signBlob", {"payload": payload}).json()

    google.cloud.tokens.key.public_key().verify(
        base64.b64decode(signed["signedBlob"]), b"sign me", padding.PKCS1v15(), hashes.SHA256()
    )
    assert signed["keyId"] == account(google)["private_key_id"]


def test_accounts_may_go_anywhere(google: Any) -> None:
    answer = google.ask("GET", f"{CREDENTIALS}/a@p.iam.gserviceaccount.com/allowedLocations")

    assert answer.json() == {"locations": [], "encodedLocations": "0x0"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"exp": 1000}, "reasonable timeframe"),
        ({"iat": time.time() + 4000, "exp": time.time() + 5000}, "reasonable timeframe"),
        ({"exp": time.time() + 90_000}, "reasonable timeframe"),
        ({"aud": "https://other.example"}, "audience"),
        ({"iss": None}, "iss"),
        ({"scope": ""}, "scope"),
        ({"exp": "soon"}, "iat and exp"),
    ],
    ids=["expired", "from the future", "too long-lived", "for others", "nobody's", "for nothing", "no time"],
)
def test_a_faulty_assertion_is_refused(google: Any, changes: dict[str, object], said: str) -> None:
    now = int(time.time())
    claims = {"iss": "a@p.iam.gserviceaccount.com", "aud": OAUTH, "iat": now, "exp": now + 600, "scope": SCOPES[0]}

    status, answer = grant(google, google.cloud.tokens.signed({**claims, **changes}))

    assert status == 400
    assert answer["error"] in ("invalid_grant", "invalid_scope")
    assert said in answer["error_description"]


def test_what_our_key_did_not_sign_is_refused_in_its_name(google: Any) -> None:
    now = int(time.time())
    claims = {"iss": "a@p.iam.gserviceaccount.com", "aud": OAUTH, "iat": now, "exp": now + 600, "scope": SCOPES[0]}
    header, body, _ = google.cloud.tokens.signed(claims).split(".")
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = other.sign(f"{header}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())

    status, answer = grant(google, f"{header}.{body}.{base64.urlsafe_b64encode(forged).decode()}")

    assert (status, answer["error_description"]) == (400, "Invalid JWT Signature.")


@pytest.mark.parametrize("assertion", ["", "a.b", "!.!.!", "e30.e30.e30", "W10.W10.W10"])
def test_what_is_no_assertion_is_refused(google: Any, assertion: str) -> None:
    assert grant(google, assertion)[0] == 400


def test_an_unknown_or_expired_token_is_unauthenticated(google: Any) -> None:
    token = google.token("a@example.com")
    assert google.cloud.tokens.principal(f"Bearer {token}") == "a@example.com"

    google.http.post("/-/emulator/google/tokens", json={"expire": True})

    for sent in (f"Bearer {token}", "Bearer nonsense", "Basic abc"):
        with pytest.raises(Refused) as raised:
            google.cloud.tokens.principal(sent)
        assert raised.value.code == "UNAUTHENTICATED"
    assert google.cloud.tokens.principal(None) == "anonymous"
    answer = google.ask("GET", f"https://cloudresourcemanager.googleapis.com/v3/projects/{google.project}", token=token)
    assert answer.status_code == 401


def test_another_process_gets_credentials_from_the_control(google: Any) -> None:
    made = google.http.post(
        "/-/emulator/google/credentials", json={"service_account": "b@p.iam.gserviceaccount.com", "project": "p-1"}
    ).json()

    assert service_account.Credentials.from_service_account_info(made).service_account_email.startswith("b@p.")
    assert json.loads(json.dumps(made))["project_id"] == "p-1"
