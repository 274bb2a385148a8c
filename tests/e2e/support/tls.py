"""Test certificates, made with the openssl command: a CA, and leaves right and wrong."""

import ssl
import subprocess


class Authority:
    """A CA in a folder and the leaves it has signed."""

    def __init__(self, folder):
        self.folder = folder
        self._openssl("req", "-x509", *self._new_key("ca"), "-out", "ca.pem", "-days", "2",
                      "-subj", "/CN=test ca", "-addext", "basicConstraints=critical,CA:TRUE",
                      "-addext", "keyUsage=critical,keyCertSign")
        self.ca_file = folder / "ca.pem"
        self.signed("right", "DNS:localhost,IP:127.0.0.1")
        self.signed("wrong-name", "DNS:other.test")
        self.expired("expired", "DNS:localhost,IP:127.0.0.1")
        self.self_signed("self-signed", "DNS:localhost,IP:127.0.0.1")

    def _openssl(self, *arguments):
        result = subprocess.run(["openssl", *arguments], cwd=self.folder, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def ca_hash(self):
        """The CA's name as a folder of authorities has it (openssl rehash)."""
        return self._openssl("x509", "-noout", "-subject_hash", "-in", "ca.pem").strip()

    @staticmethod
    def _new_key(name, kind="ec"):
        kinds = {"ec": ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"), "rsa": ("rsa:2048",)}
        return ("-newkey", *kinds[kind], "-nodes", "-keyout", f"{name}.key")

    def _request(self, name, kind="ec"):
        self._openssl("req", "-new", *self._new_key(name, kind), "-out", f"{name}.csr", "-subj", f"/CN={name}")

    def signed(self, name, alternatives, kind="ec"):
        """A leaf that the CA has signed for these subject alternative names."""
        (self.folder / f"{name}.ext").write_text(f"subjectAltName={alternatives}\n")
        self._request(name, kind)
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                      "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", f"{name}.ext")

    def expired(self, name, alternatives):
        """A leaf like the right one whose time has passed (only `openssl ca` sets dates)."""
        (self.folder / "index.txt").write_text("")
        (self.folder / "serial").write_text("1000\n")
        (self.folder / "ca.cnf").write_text(CA_CONFIGURATION + f"[leaf]\nsubjectAltName={alternatives}\n")
        self._request(name)
        self._openssl("ca", "-batch", "-notext", "-config", "ca.cnf", "-in", f"{name}.csr",
                      "-out", f"{name}.pem", "-startdate", "20200101000000Z", "-enddate", "20200201000000Z")

    def self_signed(self, name, alternatives):
        self._openssl("req", "-x509", *self._new_key(name), "-out", f"{name}.pem", "-days", "2",
                      "-subj", f"/CN={name}", "-addext", f"subjectAltName={alternatives}")

    def server_context(self, name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context


CA_CONFIGURATION = """
[ca]
default_ca = test
[test]
database = index.txt
serial = serial
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
default_md = sha256
policy = any
x509_extensions = leaf
[any]
commonName = supplied
"""
