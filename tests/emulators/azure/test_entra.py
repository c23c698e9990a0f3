from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    DeviceCodeCredential,
    EnvironmentCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from cloudmlops.emulators.azure import azureml_emulator
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.azure.entra.principals import directory, load_directory
from cloudmlops.emulators.core.faults import Refused

if TYPE_CHECKING:
    from conftest import Azure

MANAGEMENT = "https://management.azure.com/.default"


def claims(token: str) -> dict[str, object]:
    found: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    return found


@pytest.mark.parametrize(
    "audience", ["https://management.azure.com", "https://storage.azure.com", "https://ml.azure.com"]
)
def test_a_token_names_service_tenant_and_whose_it_is(azure: Azure, audience: str) -> None:
    token = azure.credential("scientist").get_token(f"{audience}/.default")

    said = claims(token.token)
    who = azure.principal("scientist")
    assert (said["aud"], said["tid"]) == (audience, azure.cloud.tokens.directory.tenant)
    assert (said["oid"], said["appid"]) == (who.object_id, who.client_id)
    assert (
        timedelta(minutes=50) < datetime.fromtimestamp(token.expires_on, UTC) - datetime.now(UTC) < timedelta(hours=2)
    )


def test_a_token_is_signed_by_a_key_that_the_tenant_publishes(azure: Azure) -> None:
    token = azure.credential().get_token(MANAGEMENT).token
    tenant = azure.cloud.tokens.directory.tenant
    base = f"{azure.emulator.url}/{tenant}"
    told = httpx.get(f"{base}/v2.0/.well-known/openid-configuration", trust_env=False, verify=False).json()
    keys = httpx.get(f"{base}/discovery/v2.0/keys", trust_env=False, verify=False).json()

    (key,) = [jwt.PyJWK(one) for one in keys["keys"] if one["kid"] == jwt.get_unverified_header(token)["kid"]]

    read = jwt.decode(
        token, key.key, algorithms=["RS256"], audience="https://management.azure.com", issuer=told["issuer"]
    )
    assert read["oid"] == azure.principal("owner").object_id


@pytest.mark.parametrize(("secret", "told"), [("wrong", "AADSTS7000215"), ("", "AADSTS7000216")])
def test_a_wrong_secret_is_refused(azure: Azure, secret: str, told: str) -> None:
    owner = azure.principal("owner")
    reply = httpx.post(
        f"{azure.emulator.url}/{azure.cloud.tokens.directory.tenant}/oauth2/v2.0/token",
        data={
            "client_id": owner.client_id,
            "client_secret": secret,
            "grant_type": "client_credentials",
            "scope": MANAGEMENT,
        },
        trust_env=False,
        verify=False,
    )

    assert reply.status_code == 401
    assert told in reply.json()["error_description"]


def test_an_unknown_application_and_tenant_are_refused_in_the_sdk_s_own_error(azure: Azure) -> None:
    tenant = azure.cloud.tokens.directory.tenant

    with pytest.raises(ClientAuthenticationError, match="AADSTS700016"):
        ClientSecretCredential(tenant, "0" * 8 + "-0000-0000-0000-" + "0" * 12, "x").get_token(MANAGEMENT)
    with pytest.raises(ClientAuthenticationError, match="tenant"):
        ClientSecretCredential("11111111-0000-0000-0000-000000000000", "x", "x").get_token(MANAGEMENT)


def test_the_environment_of_a_child_says_who_it_is(azure: Azure) -> None:
    for credential in (EnvironmentCredential(), DefaultAzureCredential()):
        assert claims(credential.get_token(MANAGEMENT).token)["oid"] == azure.principal("owner").object_id


def test_a_machine_has_an_identity_of_its_own_in_all_three_forms(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = azure.principal("machine")

    assert claims(ManagedIdentityCredential().get_token(MANAGEMENT).token)["oid"] == machine.object_id
    for variables in (
        azure.cloud.identities.environment(machine),
        azure.cloud.identities.app_service_environment(machine),
    ):
        with monkeypatch.context() as process:
            for name, value in variables.items():
                process.setenv(name, value)
            assert claims(ManagedIdentityCredential().get_token(MANAGEMENT).token)["oid"] == machine.object_id


def test_a_process_gets_tokens_of_its_own_identity_and_of_no_other(
    azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = azure.principal("machine")
    for name, value in azure.cloud.identities.app_service_environment(azure.principal("reader")).items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ClientAuthenticationError):
        ManagedIdentityCredential(client_id=machine.client_id).get_token(MANAGEMENT)
    (call,) = azure.emulator.calls.list("managed-identity/process.token")
    assert call.status == "INVALID_ARGUMENT"


def test_device_codes_are_refused_by_name(azure: Azure) -> None:
    tenant = azure.cloud.tokens.directory.tenant
    credential = DeviceCodeCredential(client_id=azure.principal("owner").client_id, tenant_id=tenant)

    with pytest.raises(ClientAuthenticationError, match="the device code flow is not emulated"):
        credential.get_token(MANAGEMENT)

    (call,) = azure.emulator.calls.list("entra/devicecode")
    assert call.status == "UNIMPLEMENTED"


def test_nobody_gets_a_token_as_the_principal_of_a_resource(azure: Azure) -> None:
    known = azure.cloud.tokens.system_identities.assign(f"{azure.workspace_id}/onlineEndpoints/live")
    forged = jwt.encode({"sub": known.name, "iss": known.client_id}, "anything-at-all-of-32-bytes-or-more", "HS256")
    credential = ClientAssertionCredential(azure.cloud.tokens.directory.tenant, known.client_id, lambda: forged)

    with pytest.raises(ClientAuthenticationError, match="AADSTS700016"):
        credential.get_token(MANAGEMENT)


def test_a_process_with_another_s_header_gets_no_token(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in azure.cloud.identities.app_service_environment(azure.principal("machine")).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("IDENTITY_HEADER", "guessed")

    with pytest.raises(ClientAuthenticationError):
        ManagedIdentityCredential().get_token(MANAGEMENT)


def certified(name: str) -> tuple[bytes, bytes]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)


def test_a_certificate_and_a_federated_token_prove_who_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, certificate = certified("deployer")
    _, others = certified("another")
    principals = tmp_path / "principals.toml"
    principals.write_text(
        f'[[principals]]\nname = "deployer"\ncertificate = """{certificate.decode()}"""\n'
        '[[principals]]\nname = "repo:contoso/flights:ref:refs/heads/main"\n'
    )
    federated = tmp_path / "token"
    with azureml_emulator(principals=principals) as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        known = emulator.cloud(AzureCloud).tokens.directory
        deployer, ci = known.principals

        signed = CertificateCredential(known.tenant, deployer.client_id, certificate_data=private + certificate)
        assert claims(signed.get_token(MANAGEMENT).token)["oid"] == deployer.object_id

        forged, _ = certified("deployer")
        with pytest.raises(ClientAuthenticationError, match="AADSTS700027"):
            CertificateCredential(known.tenant, deployer.client_id, certificate_data=forged + others).get_token(
                MANAGEMENT
            )

        federated.write_text(jwt.encode({"sub": ci.name, "iss": "https://ci.example"}, "k" * 32))
        of_ci = WorkloadIdentityCredential(
            tenant_id=known.tenant, client_id=ci.client_id, token_file_path=str(federated)
        )
        assert claims(of_ci.get_token(MANAGEMENT).token)["oid"] == ci.object_id

        federated.write_text(jwt.encode({"sub": "repo:mallory/flights", "iss": "https://ci.example"}, "k" * 32))
        with pytest.raises(ClientAuthenticationError, match="AADSTS700213"):
            WorkloadIdentityCredential(
                tenant_id=known.tenant, client_id=ci.client_id, token_file_path=str(federated)
            ).get_token(MANAGEMENT)


def test_a_token_of_before_is_refused_once_all_are_expired(azure: Azure) -> None:
    tokens = azure.cloud.tokens
    audience = "https://management.azure.com"
    before = f"Bearer {tokens.issue(azure.principal('owner'), audience)}"
    assert tokens.caller(before, audiences=(audience,)).name == "owner"

    tokens.expire()

    with pytest.raises(Refused) as raised:
        tokens.caller(before, audiences=(audience,))
    assert raised.value.reason == "ExpiredAuthenticationToken"
    after = f"Bearer {tokens.issue(azure.principal('owner'), audience)}"
    assert tokens.caller(after, audiences=(audience,)).name == "owner"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "AuthenticationFailed"),
        ("Basic b3duZXI6", "AuthenticationFailedInvalidHeader"),
        ("Bearer nonsense", "InvalidAuthenticationToken"),
        (f"Bearer {jwt.encode({'oid': 'x'}, 'k' * 32)}", "InvalidAuthenticationToken"),
    ],
)
def test_what_is_no_token_of_this_tenant_is_refused(azure: Azure, header: str | None, reason: str) -> None:
    reply = httpx.get(
        f"{azure.emulator.url}{azure.workspace_id}?api-version=2024-10-01",
        headers={"authorization": header} if header else {},
        trust_env=False,
        verify=False,
    )

    assert reply.status_code == 401
    assert reply.json()["error"]["code"] == reason


def test_a_token_for_another_service_is_refused(azure: Azure) -> None:
    token = azure.cloud.tokens.issue(azure.principal("owner"), "https://storage.azure.com")

    reply = httpx.get(
        f"{azure.emulator.url}{azure.workspace_id}?api-version=2024-10-01",
        headers={"authorization": f"Bearer {token}"},
        trust_env=False,
        verify=False,
    )

    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "InvalidAuthenticationTokenAudience")


def test_all_that_is_wrong_with_a_file_of_principals_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "principals.toml"
    file.write_text(
        'tenants = 1\n[[principals]]\nkind = "Robot"\n'
        '[[principals]]\nname = "a"\nrole = "Owner"\n[[principals]]\nname = "a"\n'
    )

    with pytest.raises(ValueError, match="malformed") as raised:
        load_directory(file)

    for fault in (
        "unknown key 'tenants'",
        "principals[0] has no name",
        "'a' is there twice",
        "unknown key 'role'",
        "'Robot'",
    ):
        assert fault in str(raised.value)


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        ("", ["nobody is in it"]),
        ('tenant = "mine"', ["nobody is in it"]),
        ("principals = 3", ["principals are tables", "nobody is in it"]),
        ('[[principals]]\nname = "ada"\nkind = "User"', ["'ada' is the first one", "and a User"]),
        ('[[principals]]\nname = "all"\nkind = "Group"\nsecret = "s"', ["'all' is the first one", "and a Group"]),
        ('[[principals]]\nname = "vm"\nkind = "ManagedIdentity"', ["'vm' is the first one", "and a ManagedIdentity"]),
        ('[[principals]]\nname = "ci"', ["'ci' is the first one", "has no secret"]),
        (
            '[[principals]]\nname = "ci"\nsecret = ""\nroles = "Owner"\n[[principals]]\nname = "b"\nmembers = [1]',
            ["'ci': roles is a list of texts, not 'Owner'", "'b': members is a list of texts", "has no secret"],
        ),
        ("[[principals]]\nname = 3\nsecret = 4", ["3: name is a text", "3: secret is a text"]),
    ],
)
def test_a_file_that_nobody_could_log_in_by_is_refused(tmp_path: Path, content: str, faults: list[str]) -> None:
    file = tmp_path / "principals.toml"
    file.write_text(content)

    with pytest.raises(ValueError, match="malformed") as raised:
        load_directory(file)

    assert [fault for fault in faults if fault not in str(raised.value)] == []


def test_the_same_file_gives_the_same_ids() -> None:
    content = {"tenant": "contoso", "principals": [{"name": "a"}, {"name": "b"}]}

    one, other = directory(content), directory(content)

    assert one == other
    assert len({id_ for known in one.principals for id_ in (known.client_id, known.object_id)}) == 4
