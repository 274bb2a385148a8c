"""A TLS listener as testssl.sh (Debian's) sees it: nothing above LOW, with an ECDSA key and with an RSA one."""

import json
import shutil
import subprocess

import pytest
from support.stage import Stage

HARMLESS = {"OK", "INFO", "LOW"}
# What it holds against a certificate of the tests, and not against a listener: signed by an authority that no
# system trusts, for two days, without the addresses at which its revocation could be asked for.
TEST_CERTIFICATE = {"cert_chain_of_trust", "cert_expirationStatus", "cert_notAfter", "cert_revocation"}
# Debian's OpenSSL has no GOST engine, so testssl.sh cannot ask whether the listener offers GOST.
TEST_MACHINE = {"engine_problem"}
IGNORED = TEST_CERTIFICATE | TEST_MACHINE

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", params=["ec", "rsa"])
def findings(request, binary, authority, tmp_path_factory):
    """{id: (severity, text)} of everything that it looked at."""
    if shutil.which("testssl") is None:
        pytest.fail("testssl is missing: tests/run.sh --long installs it", pytrace=False)
    name = f"gateway-{request.param}"
    authority.signed(name, "DNS:localhost,IP:127.0.0.1", request.param)
    files = {"certificate": str(authority.folder / f"{name}.pem"), "private_key": str(authority.folder / f"{name}.key")}
    folder = tmp_path_factory.mktemp("testssl")
    stage = Stage(binary, folder, {"listen": [{"address": "127.0.0.1:0", "tls": files}], "log": {"level": "info"}})
    try:
        stage.start()
        subprocess.run(["testssl", "--quiet", "--color", "0", "--warnings", "batch", "--jsonfile", "found.json",
                        f"127.0.0.1:{stage.gateway.port}"],
                       cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=800)
    finally:
        stage.stop()
    rows = json.loads((folder / "found.json").read_text())
    return {row["id"]: (row["severity"], row["finding"]) for row in rows}


def test_nothing_above_low_is_found(findings):
    found = {name: what for name, what in findings.items() if what[0] not in HARMLESS}
    assert {name: what for name, what in found.items() if name not in IGNORED} == {}
    assert TEST_CERTIFICATE & found.keys(), "nothing is found in a certificate of the tests: was it looked at?"


def test_only_tls_1_2_and_1_3_are_offered(findings):
    offered = {name for name in ("SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3")
               if not findings[name][1].startswith("not offered")}
    assert offered == {"TLS1_2", "TLS1_3"}


def test_every_cipher_has_forward_secrecy_and_authenticated_encryption(findings):
    ciphers = [text.split()[1] for name, (_, text) in findings.items() if name.startswith("cipher_x")]
    assert len(ciphers) >= 6
    for cipher in ciphers:
        assert cipher.startswith(("TLS_", "ECDHE-")) and "SHA1" not in cipher, cipher
        assert "GCM" in cipher or "CHACHA20" in cipher.upper(), cipher


def test_only_groups_of_the_intermediate_profile_are_offered(findings):
    assert set(findings["PFS_ECDHE_curves"][1].split()) == {"X25519", "prime256v1", "secp384r1"}
