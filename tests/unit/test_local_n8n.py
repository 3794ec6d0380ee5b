"""n8n is pinned, hardened, and told no secret on a command line."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from panpan.errors import ServerError
from panpan.local import n8n, n8n_install
from panpan.local.initialise import initialise
from panpan.local.n8n_credentials import credentials
from panpan.local.n8n_deploy import credentials_digest
from panpan.settings import Settings

LOCK = n8n_install.RUNTIME / "package-lock.json"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return initialise(tmp_path / "home").model_copy(update={"tools_dir": tmp_path / "tools"})


def test_lock_file_pins_every_package_and_names_no_registry() -> None:
    packages = json.loads(LOCK.read_text(encoding="utf-8"))["packages"]

    installed = [package for path, package in packages.items() if path]
    assert n8n_install.pinned_version() == "2.40.7"
    assert all(package["integrity"].startswith("sha512-") for package in installed if not package.get("inBundle"))
    assert not any("resolved" in package for package in installed)
    assert LOCK.stat().st_size < 1_000_000


def test_environment_is_hardened(settings: Settings) -> None:
    environment = n8n.environment(settings)

    assert environment["N8N_LISTEN_ADDRESS"] == "127.0.0.1"
    assert environment["N8N_RESTRICT_FILE_ACCESS_TO"] == str(settings.inbox)
    assert environment["N8N_BLOCK_ENV_ACCESS_IN_NODE"] == "true"
    assert "n8n-nodes-base.executeCommand" in json.loads(environment["NODES_EXCLUDE"])
    assert "n8n-nodes-base.code" in json.loads(environment["NODES_EXCLUDE"])
    assert "mcp-registry" in environment["N8N_DISABLED_MODULES"].split(",")


def test_environment_inherits_no_setting_of_ours(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANPAN_OWNER_PASSWORD", "not for n8n")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for n8n")

    assert "not for n8n" not in n8n.environment(settings).values()


def test_npm_and_n8n_trust_what_the_machine_trusts(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a proxy that opens TLS with a certificate of its own, which the machine's administrator installed."""
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    script = f"fetch('https://127.0.0.1:{server.server_port}/', {{method: 'HEAD'}}).then(r => console.log(r.status))"
    try:
        for environment in (n8n_install.npm_environment(n8n_install.node_program()), n8n.environment(settings)):
            answer = subprocess.run(
                [n8n_install.node_program(), "-e", script], env=environment, capture_output=True, text=True, check=False
            )
            assert answer.stdout.strip() == "200", answer.stderr
    finally:
        server.shutdown()
        server.server_close()


def self_signed(folder: Path) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


def test_credentials_have_their_fixed_ids_and_the_loader_only(settings: Settings) -> None:
    by_id = {credential["id"]: credential for credential in credentials(settings)}

    assert list(by_id) == [
        "whLoader00000001",
        "webhookToken0001",
        "posApiToken00001",
        "crmToken00000001",
        "inventoryToken01",
    ]
    assert by_id["whLoader00000001"]["data"]["user"] == "loader"
    assert by_id["crmToken00000001"]["data"]["value"] == f"Bearer {settings.crm_token.get_secret_value()}"


def test_changed_password_changes_the_digest_of_the_credentials(settings: Settings) -> None:
    changed = settings.model_copy(update={"crm_token": settings.pos_api_token})

    assert credentials_digest(settings) == credentials_digest(settings)
    assert credentials_digest(settings) != credentials_digest(changed)


def test_failed_install_leaves_nothing_and_says_why(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def npm_without_network(command: list[str], **arguments: object) -> subprocess.CompletedProcess[bytes]:
        assert "--ignore-scripts" in command
        arguments["stdout"].write(b"npm error network getaddrinfo ENOTFOUND registry\n")  # type: ignore[attr-defined]
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(n8n_install.subprocess, "run", npm_without_network)

    with pytest.raises(ServerError) as caught:
        n8n_install.install(settings)

    assert "ENOTFOUND" in str(caught.value.cause)
    assert [file.name for file in settings.tools_dir.iterdir()] == ["n8n.lock"]


def test_install_that_was_killed_is_cleared_away(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    left = settings.tools_dir / ".n8n-0123456789ab"
    left.mkdir(parents=True)

    def npm(command: list[str], cwd: Path, **_: object) -> subprocess.CompletedProcess[bytes]:
        (cwd / "node_modules" / "n8n" / "bin").mkdir(parents=True)
        (cwd / "node_modules" / "n8n" / "bin" / "n8n").touch()
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(n8n_install.subprocess, "run", npm)

    installed = n8n_install.install(settings)

    assert (installed / "node_modules" / "n8n" / "bin" / "n8n").exists()
    assert not left.exists()
