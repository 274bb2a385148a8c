"""JSON Web Tokens and the keys that sign them, made with the openssl command."""

import base64
import hashlib
import hmac
import json
import subprocess
import time

ALGORITHMS = {"RS256": ("RSA", "rsa_keygen_bits:2048"), "ES256": ("EC", "ec_paramgen_curve:P-256"),
              "EdDSA": ("ED25519", None)}


def encode(data):
    """base64url without padding, of bytes, text, or what becomes JSON."""
    if not isinstance(data, (bytes, str)):
        data = json.dumps(data)
    return base64.urlsafe_b64encode(data.encode() if isinstance(data, str) else data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def openssl(*arguments, data=None):
    result = subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def der_parts(data):
    """The contents of the elements in some DER, one behind the other."""
    while data:
        length, at = data[1], 2
        if length & 0x80:
            at += length & 0x7F
            length = int.from_bytes(data[2:at], "big")
        yield data[at : at + length]
        data = data[at + length :]


class Key:
    """A key pair in a file of the folder."""

    def __init__(self, folder, name, algorithm, option=None, kid=None):
        self.name, self.algorithm, self.kid = name, algorithm, kid or name
        kind, usual = ALGORITHMS[algorithm]
        self.file, self.scratch = folder / f"{name}.pem", folder / f"{name}.bin"
        options = ("-pkeyopt", option or usual) if option or usual else ()
        openssl("genpkey", "-algorithm", kind, *options, "-out", self.file)
        self.public = openssl("pkey", "-in", self.file, "-pubout", "-outform", "DER")
        self.public_pem = openssl("pkey", "-in", self.file, "-pubout")

    def sign(self, data):
        """As JWS has it: R and S side by side for ES256."""
        if self.algorithm == "EdDSA":
            self.scratch.write_bytes(data)
            return openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.file, "-in", self.scratch)
        signature = openssl("dgst", "-sha256", "-sign", self.file, data=data)
        return signature if self.algorithm == "RS256" else self.to_pair(signature)

    @staticmethod
    def to_pair(der):
        pair = der_parts(next(der_parts(der)))
        return b"".join(number.lstrip(b"\0").rjust(32, b"\0") for number in pair)

    def jwk(self, **members):
        if self.algorithm == "RS256":
            bits = list(der_parts(next(der_parts(self.public))))[1][1:]
            n, e = der_parts(next(der_parts(bits)))
            own = {"kty": "RSA", "n": encode(n.lstrip(b"\0")), "e": encode(e)}
        elif self.algorithm == "ES256":
            own = {"kty": "EC", "crv": "P-256", "x": encode(self.public[-64:-32]), "y": encode(self.public[-32:])}
        else:
            own = {"kty": "OKP", "crv": "Ed25519", "x": encode(self.public[-32:])}
        return {**own, "kid": self.kid, "use": "sig", **members}

    def header(self, **members):
        own = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT", **members}
        return {name: value for name, value in own.items() if value is not None}

    def token(self, claims, header=None):
        """Signed as it should be; header and claims may be raw text."""
        signed = encode(self.header() if header is None else header) + "." + encode(claims)
        return signed + "." + encode(self.sign(signed.encode()))


def key_set(*keys):
    return json.dumps({"keys": [key.jwk() if isinstance(key, Key) else key for key in keys]})


def hs256(secret, claims, **header):
    signed = encode({"alg": "HS256", "typ": "JWT", **header}) + "." + encode(claims)
    return signed + "." + encode(hmac.new(secret, signed.encode(), hashlib.sha256).digest())


def claims_of(issuer, subject, **members):
    """What a sound token says; a member that is None is left out."""
    now = int(time.time())
    own = {"iss": issuer, "aud": "psgate", "sub": subject, "iat": now, "exp": now + 600, **members}
    return {name: value for name, value in own.items() if value is not None}
