"""An authority for clients' certificates of every kind, and clients that show them."""

import datetime
import ssl
import subprocess

from support import wire
from support.raw import Client

CONFIGURATION = """
[ca]
default_ca = this
[this]
database = {name}.index
new_certs_dir = .
certificate = {name}.pem
private_key = {name}.key
default_md = sha256
policy = any
unique_subject = no
rand_serial = yes
crlnumber = {name}.crlnumber
copy_extensions = copy
[any]
countryName = optional
organizationName = optional
organizationalUnitName = optional
commonName = optional
[req]
distinguished_name = nothing
[nothing]
[leaf]
basicConstraints = CA:FALSE
[issuing]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
"""


def stamp(days):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")


class Issuer:
    """A CA that issues, revokes and lists what it has revoked, by the openssl command."""

    def __init__(self, folder, name, issuer=None):
        self.folder, self.name = folder, name
        (folder / f"{name}.cnf").write_text(CONFIGURATION.format(name=name))
        (folder / f"{name}.index").write_text("")
        (folder / f"{name}.crlnumber").write_text("01\n")
        if issuer:
            issuer.issue(name, f"/CN={name}", section="issuing")
        else:
            self.run("req", "-x509", *self.key(name), "-out", f"{name}.pem", "-days", "30", "-subj", f"/CN={name}",
                     "-config", f"{name}.cnf", "-extensions", "issuing")

    @property
    def file(self):
        return self.folder / f"{self.name}.pem"

    def run(self, *arguments):
        result = subprocess.run(["openssl", *map(str, arguments)], cwd=self.folder, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr

    @staticmethod
    def key(name):
        return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key"

    def issue(self, name, subject, *extensions, begin=-1, end=30, section="leaf"):
        """A certificate of these days; extensions as "subjectAltName=DNS:a"."""
        added = [word for extension in extensions for word in ("-addext", extension)]
        self.run("req", "-new", "-utf8", *self.key(name), "-out", f"{name}.csr", "-subj", subject,
                 "-config", f"{self.name}.cnf", *added)
        self.run("ca", "-batch", "-notext", "-utf8", "-config", f"{self.name}.cnf", "-in", f"{name}.csr",
                 "-out", f"{name}.pem", "-startdate", begin if isinstance(begin, str) else stamp(begin),
                 "-enddate", end if isinstance(end, str) else stamp(end), "-extensions", section)
        return name

    def revoke(self, name):
        self.run("ca", "-config", f"{self.name}.cnf", "-revoke", f"{name}.pem")

    def crl(self, file, begin=-1, end=30):
        """Writes the list of what has been revoked, in force on these days."""
        self.run("ca", "-config", f"{self.name}.cnf", "-gencrl", "-out", file,
                 "-crl_lastupdate", stamp(begin), "-crl_nextupdate", stamp(end))
        return self.folder / file


class CertificateClient(Client):
    """A raw client within TLS that shows a certificate (None: none), perhaps with those between."""

    def __init__(self, stage, folder, server_ca, leaf=None, between=(), version=None, session=None, context=None):
        super().__init__(stage.gateway.port)
        self.context = context or self.make_context(folder, server_ca, leaf, between, version)
        try:
            self.sock = self.context.wrap_socket(self.sock, server_hostname="localhost",
                                                 suppress_ragged_eofs=False, session=session)
        except OSError:
            self.sock.close()
            raise
        self.reader = wire.Reader(self.sock)

    @staticmethod
    def make_context(folder, server_ca, leaf, between, version):
        context = ssl.create_default_context(cafile=server_ca)
        if version:
            context.minimum_version = context.maximum_version = version
        if leaf:
            chain = folder / f"{leaf}.chain.pem"
            chain.write_text("".join((folder / f"{name}.pem").read_text() for name in (leaf, *between)))
            context.load_cert_chain(chain, folder / f"{leaf}.key")
        return context
