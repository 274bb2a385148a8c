"""Schemas and program agree: what one accepts the other does, on files made from the schemas themselves.

A new member of a schema is tried here by itself: with ANY, with what its kind has in VALUES, with its bounds and
choices. Add to FILES where it names a file, and to AROUND where it needs another member beside it.
"""

import copy
import json
import re
import shutil
import subprocess

import pytest
from jsonschema import Draft201909Validator

from conftest import DEADLINE, ROOT
from schemas import CONF, NAMES, Schema, dotted

SCHEMAS = {name: Schema(name) for name in NAMES}
DIGEST = "0123456789abcdefABCDEF" + "0" * 42
GONE = object()  # in place of a value: the member is not there

BASES = {
    "psgate": {"credentials": {"default": {"api_key_file": "api-key"}}, "clients_file": "clients.json",
               "audit": {"directory": "audit"}},
    "clients": {"clients": [{"name": "ci", "token_sha256": DIGEST}]},
    "operations": {"operations": [{"id": "getThing", "method": "GET", "path": "/v1/{id}"}]},
}

# For every member at or below a place: what must stand in the object at another one.
LISTENER, CLIENT, OPERATION = ("listen", 0), ("clients", 0), ("operations", 0)
TLS = (*LISTENER, "tls")
ISSUER = ("jwt", 0)
AROUND = [
    ("psgate", LISTENER, LISTENER, {"address": "127.0.0.1:8080"}),
    ("psgate", TLS, TLS, {"certificate": "tls.pem", "private_key": "tls.key"}),
    ("psgate", (*TLS, "client_crl"), TLS, {"client_ca": "ca.pem", "client_auth": "optional"}),
    ("psgate", (*TLS, "client_auth"), TLS, {"client_ca": "ca.pem"}),
    ("psgate", ("audit", "syslog"), ("audit", "syslog"), {"url": "tls://localhost"}),
    ("psgate", ("limits", "upstream_burst"), ("limits",), {"upstream_rate": "5/s"}),
    ("psgate", ("credentials", "NAME"), ("credentials", "NAME"), {"api_key_file": "api-key"}),
    ("psgate", ("credentials", "NAME", "api_key_env"), ("credentials", "NAME"), {"api_key_file": GONE}),
    ("psgate", ("cluster",), ("cluster",), {"redis": "redis://localhost:6379"}),
    ("psgate", ISSUER, ISSUER, {"issuer": "https://issuer.test", "audience": ["psgate"], "jwks_url": "https://issuer.test/jwks"}),
    ("psgate", (*ISSUER, "jwks_file"), ISSUER, {"jwks_url": GONE}),
    ("clients", (*CLIENT, "jwt"), (*CLIENT, "jwt"), {"issuer": "https://issuer.test", "claims": {"sub": "x"}}),
    ("clients", (*CLIENT, "burst"), CLIENT, {"rate": "5/s"}),
    ("operations", (*OPERATION, "resource"), (*OPERATION, "resource"), {"type": "thing", "name": "id"}),
    ("operations", (*OPERATION, "cache"), (*OPERATION, "cache"), {"scope": "things", "ttl": "5s"}),
]

ANY = [None, True, False, 0, 1, -1, 3.5, "", "word", "two words", [], ["word"], [None], [""], [1], {}, {"word": 1}]

DURATIONS = ["1ms", "0s", "00s", "007s", "1d", "24h", "25h", "2d", "1440m", "1441m", "86400s", "86401s", "86400000ms",
             "86400001ms", "366d", "367d", "99999999999999999999s", "5", "5 s", " 5s", "5S", "5sec", "-5s", "+5s", "5.5s", "s"]
SIZES = ["0", "0B", "1", "1B", "1023", "1024", "01KiB", "1KiB", "1MiB", "1025KiB", "2MiB", "1GiB", "1025MiB", "2GiB",
         "1024GiB", "1025GiB", "1TiB", "1kB", "1K", "1 KiB", "-1KiB", "1.5KiB", "KiB", 1023, 1024, 1048576, 1048577, 2**30,
         2**30 + 1, 2**40, 2**40 + 1]
RATES = ["1/s", "20/m", "020/h", "1000000/s", "1000001/s", "0/s", "-1/s", "1/d", "1/", "/s", "1", "1 / s"]
PATTERNS = [["*"], ["word", "*"], "*"]
ADDRESSES = ["127.0.0.1:0", "127.0.0.1:65535", "127.0.0.1:65536", "127.0.0.1", "127.0.0.1:", "127.0.0.1:-1", "127.1:80",
             "127.0.0.256:80", "127.255.255.255:080", "[::1]:80", "[::1]", "::1:80", "[127.0.0.1]:80", "[0:0:0:0:0:0:0:1]:80",
             "0.0.0.0:80", "192.0.2.1:80", "[::]:80", "[2001:db8::1]:80", "localhost:80", ":80", "unix:/run/x.sock", "unix:/",
             "unix:", "unix:relative", "unix:/" + "x" * 106, "unix:/" + "x" * 107, "UNIX:/x"]
URLS = ["https://api.test", "https://api.test/", "https://api.test:443", "https://api.test:0", "https://api.test:65535",
        "https://api.test:65536", "https://api.test:", "https://api.test/v1", "https://api.test?x", "https://u@api.test",
        "HTTPS://api.test", "ftp://api.test", "https://", "https:///", "https://.test", "https://-x", "https://_x.test",
        "https://[::1]:8443", "https://[::1]", "https://::1", "https://[127.0.0.1]", "http://127.0.0.1", "http://127.9.9.9:80/",
        "http://[::1]:80", "http://localhost", "http://192.0.2.1", "http://api.test", "https://" + "x" * 253, "https://" + "x" * 254]
NETWORKS = [[text] for text in (
    "192.0.2.7", "192.0.2.0/24", "0.0.0.0/0", "192.0.2.7/32", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/-1", "10/8", "192.0.2.7:80",
    "2001:db8::1", "2001:DB8::/32", "::/0", "::1/128", "::/129", "[::1]", "localhost", "unix", "unix:/x", "UNIX:")]
SYSLOGS = ["unix:/dev/log", "unix:/", "unix:", "unix:x", "unix:/" + "x" * 106, "unix:/" + "x" * 107, "tcp://h", "tcp://h:514",
           "tls://h:65536", "tls://h:0", "tls://[::1]:6514", "udp://h:514", "tcp://", "tcp://h:", "tls://h/", "tcp://-h", "TLS://h"]
KEY_URLS = ["https://h/", "https://h", "https://h/a?b=c&d", "https://h:8443/a", "https://h:0/a", "https://h/a b", "https://h/#a", "http://h/a",
            "http://127.0.0.1:80/a", "http://[::1]/a", "https://[::1]/a", "https://u@h/a", "https://h/\u00e4", "https://h/{a}", "HTTPS://h/a"]
TIMES = ["2026-01-31T09:00:00Z", "2026-01-31T09:00:00.123Z", "2026-01-31T09:00:00.Z", "2026-01-31T09:00:00+00:00",
         "2026-01-31 09:00:00Z", "2026-01-31", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-32T00:00:00Z",
         "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-31t09:00:00z"]
PATHS = ["/", "/v1", "/v1/", "/v1/{a}/{b}", "/v1/{}", "/v1/{a}b", "/v1/a{b}", "/v1/{a", "/v1/a}", "/v1/{{a}}", "/v1/*", "/**",
         "/v1/**", "/**/v1", "/v1/a*", "/v1/%41", "v1", "//v1", "/v1//a", "/a" * 32, "/a" * 33, "/a" * 32 + "/**"]

# By kind ($defs) or by place: what to try besides ANY.
VALUES = {
    "duration": DURATIONS, "duration_or_zero": DURATIONS,
    "size_1KiB_to_1MiB": SIZES, "size_1_to_1GiB": SIZES, "size_1_to_1TiB": SIZES, "size_1KiB_to_1TiB": SIZES,
    "size_or_zero": SIZES, "rate": RATES, "key_url": KEY_URLS,
    "duration_to_10m": [*DURATIONS, "600s", "601s", "10m", "11m", "1h"],
    "duration_1s_to_7d": [*DURATIONS, "999ms", "1000ms", "604800000ms", "7d", "8d", "168h", "169h"], "patterns": PATTERNS, "time": TIMES, "syslog_url": SYSLOGS,
    "listen_address": ADDRESSES, "admin_address": ADDRESSES,
    "upstream.url": URLS,
    "listen[].mode": ["0660", "660", "0", "777", "1777", "0000660", "0668", "rw", "0x1", "-1", " 660"],
    "listen[]": [{"address": address, **more} for address in ("0.0.0.0:80", "[::]:80", "127.0.0.1:80", "unix:/x")
                 for more in ({"allow_plaintext": True}, {"allow_plaintext": False},
                              {"allow_plaintext": True, "proxy_protocol": ["unix:"]},
                              {"allow_plaintext": True, "proxy_protocol": ["10.0.0.1"]},
                              {"tls": {"certificate": "tls.pem", "private_key": "tls.key"}}, {"tls": None})],
    "listen[].proxy_protocol": NETWORKS, "trusted_proxies": [*NETWORKS, ["unix:"], ["unix:", "10.0.0.0/8"]],
    "listen[].tls": [{"certificate": "tls.pem", "private_key": "tls.key", **more} for more in (
        {"client_auth": "required"}, {"client_auth": "optional", "client_ca": "ca.pem"}, {"client_ca": "ca.pem"},
        {"client_auth": "none", "client_crl": "ca.crl"}, {"client_ca": "ca.pem", "client_crl": "ca.crl"},
        {"client_auth": "required", "client_ca": "ca.pem", "client_crl": "ca.crl"},
        {"client_auth": "required", "client_ca": None})],
    "upstream": [{"url": url, **more} for url in ("http://192.0.2.1", "http://api.test", "http://127.0.0.1", "https://api.test")
                 for more in ({"allow_plaintext": True}, {"allow_plaintext": False})],
    "credentials": [{"default": {"api_key_file": "api-key"}, "": {"api_key_file": "api-key"}}],
    "credentials.NAME": [{"api_key_file": "api-key"}, {"api_key_env": "TEST_KEY"}, {"api_key_file": "api-key", "api_key_env": "TEST_KEY"},
                         {"api_key_file": None, "api_key_env": "TEST_KEY"}, {"api_key_file": None}, {"next_api_key_file": "api-key"}],
    "limits": [{"upstream_burst": 5}, {"upstream_burst": 5, "upstream_rate": None}, {"upstream_burst": None}],
    "audit.syslog": SYSLOGS + [{"url": url, "ca_file": "ca.pem"} for url in ("tls://h", "tcp://h", "unix:/dev/log")]
                    + [{"url": "tcp://h", "ca_file": None}],
    "clients[].token_sha256": [DIGEST, DIGEST[1:], DIGEST + "0", "g" * 64],
    "clients[].tls_subject": ["CN=ci,O=Acme", "DNS:ci.acme.test", "URI:spiffe://acme.test/ci", "IP:192.0.2.7", "a\tb"],
    "id_or_null": [4294967294, 4294967295],
    "jwt": [[{"issuer": str(i), "audience": ["a"], "jwks_url": "https://h/"} for i in range(count)] for count in (32, 33)],
    "jwt[]": [{"issuer": "i", "audience": ["a"], **more} for more in (
        {}, {"jwks_url": "https://h/"}, {"jwks_file": "jwks.json"}, {"jwks_url": "https://h/", "jwks_file": "jwks.json"},
        {"jwks_url": None, "jwks_file": "jwks.json"}, {"jwks_file": "jwks.json", "ca_file": "ca.pem"},
        {"jwks_file": "jwks.json", "ca_file": None}, {"jwks_url": "https://h/", "ca_file": "ca.pem"})],
    "clients[].jwt.claims": [{"sub": "*"}, {"sub": "**", "aud": "*"}, {"sub": "*", "ref": "main"}, {"admin": True}, {"id": 5},
                             {"id": 5.5}, {"id": None}, {"sub": ""}, {"sub": ["a"]}, {str(i): 1 for i in range(32)},
                             {str(i): 1 for i in range(33)}],
    "clients[]": [{"name": "x", **more} for more in (
        {}, {"uid": 0}, {"gid": 0}, {"uid": None}, {"tls_subject": None}, {"tls_subject": "CN=x"}, {"uid": 1, "gid": 2},
        {"uid": 1, "burst": 5}, {"uid": 1, "burst": 5, "rate": None}, {"uid": 1, "burst": None})],
    "operations[].id": ["a.b-c_9", "other", "a b", "ä", "a/b"],
    "operations[].method": ["GET", "*", "get", "G*", "M-SEARCH", "GET1"],
    "operations[].path": PATHS,
    "operations[].resource": [{"type": "t", "name": "body.x"}, {"type": "t", "name": "id"}],
    "operations[].cache": [{"scope": "s", **more} for more in (
        {}, {"freshness": "upstream"}, {"freshness": "fixed"}, {"ttl": "1s"}, {"ttl": None, "freshness": "upstream"})],
}

# A string at such a member names a file that is there; what happens when it is not is among the EXCEPTIONS.
FILES = {
    "listen[].tls.certificate": "tls.pem", "listen[].tls.private_key": "tls.key", "listen[].tls.client_ca": "ca.pem",
    "listen[].tls.client_crl": "ca.crl", "upstream.ca_file": "ca.pem", "credentials.NAME.api_key_file": "api-key",
    "credentials.NAME.api_key_env": "TEST_KEY", "credentials.NAME.next_api_key_file": "api-key",
    "clients_file": "clients.json", "operations_file": "operations.json", "audit.signing_key_file": "audit-signing-key.pem",
    "operations[].team": "id", "operations[].user": "id", "operations[].resource.name": "id", "clients[].credential": "default",
    "clients[].tls_subject": "CN=x", "clients[].jwt.issuer": "https://issuer.test", "jwt[].jwks_file": "jwks.json",
    "jwt[].ca_file": "ca.pem",
}

# What the program refuses and a schema cannot: the file's JSON path, a value, and why.
EXCEPTIONS = [
    ("psgate", "trusted_proxies", ["192.0.2.7/24"], "whether bits stand beyond a network's"),
    ("psgate", "trusted_proxies", ["1.2.3.4.5.6.7"], "whether it is an address"),
    ("psgate", "listen[].proxy_protocol", ["2001:db8::1/32"], "whether bits stand beyond a network's"),
    ("psgate", "listen[].tls.certificate", "no-such-file", "whether a file is there"),
    ("psgate", "listen[].tls.private_key", "other.key", "whether a key belongs to a certificate"),
    ("psgate", "upstream.ca_file", "no-such-file", "whether a file is there"),
    ("psgate", "clients_file", "no-such-file", "whether a file is there"),
    ("psgate", "operations_file", "no-such-file", "whether a file is there"),
    ("psgate", "audit.signing_key_file", "no-such-file", "whether a file is there"),
    ("psgate", "credentials.NAME.api_key_file", "no-such-file", "whether a file is there"),
    ("psgate", "credentials.NAME.api_key_env", "NO_SUCH_VARIABLE", "whether a variable is set"),
    ("psgate", "clients_file", "${NO_SUCH_VARIABLE}/clients.json", "whether a variable is set"),
    ("psgate", "clients_file", "${TEST_KEY", "braces that do not pair: the pattern would say less than the program"),
    ("psgate", "listen", [{"address": "127.0.0.1:80"}, {"address": "127.0.0.1:80", "mode": "0600"}], "the same address twice"),
    ("psgate", "listen[].address", "[::0::1]:80", "a whole IPv6 address"),
    ("psgate", "listen[].address", "unix:/" + "ä" * 60, "lengths in bytes"),
    ("psgate", "upstream.url", "https://[::1::]", "a whole IPv6 address"),
    ("psgate", "workers", 2.0, "2.0 is a whole number to JSON schema"),
    ("psgate", "limits.header_bytes", "1048577", "of a size as text in a small unit the schema counts the digits"),
    ("psgate", "limits.header_bytes", "1000", "of a size as text in a small unit the schema counts the digits"),
    ("psgate", "limits.header_bytes", "1023", "of a size as text in a small unit the schema counts the digits"),
    ("psgate", "audit.rotate_size", "1023", "of a size as text in a small unit the schema counts the digits"),
    ("psgate", "jwt[].jwks_file", "no-such-file", "whether a file is there"),
    ("psgate", "jwt", [{"issuer": "i", "audience": ["a"], "jwks_url": "https://h/"}] * 2, "one issuer twice"),
    ("psgate", "jwt[].refresh", "604801s", "of times in small units the schema counts the digits"),
    ("clients", "clients[].jwt.issuer", "word", "whether the configuration has it"),
    ("clients", "clients[].allow", ["word"], "whether the operation table has it"),
    ("clients", "clients[].allow", ["word", "*"], "whether the operation table has it"),
    ("clients", "clients[].deny", ["word"], "whether the operation table has it"),
    ("clients", "clients[].deny", ["word", "*"], "whether the operation table has it"),
    ("clients", "clients[].credential", "word", "whether the configuration has it"),
    ("clients", "clients[].tls_subject", "email:nobody", "which kind of name it is"),
    ("clients", "clients[].expires", "2026-02-30T00:00:00Z", "the calendar"),
    ("clients", "clients[].created", "2026-02-30T00:00:00Z", "the calendar"),
    ("clients", "clients", [{"name": "a", "uid": 1}, {"name": "b", "uid": 1}], "one identity for two clients"),
    ("operations", "operations[].team", "word", "whether the path has the parameter"),
    ("operations", "operations[].user", "word", "whether the path has the parameter"),
    ("operations", "operations[].resource.name", "word", "whether the path has the parameter"),
    ("operations", "operations[].cache.ttl", "8785h", "of long times in small units the schema counts the digits"),
    ("operations", "operations", [{"id": "a", "method": "GET", "path": "/a"}] * 2, "one id twice"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, binary):
    """Every file that a configuration may name, good."""
    folder = tmp_path_factory.mktemp("schemas")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=DEADLINE)

    for name in ("tls", "ca", "other"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "100",
                "-subj", f"/CN={name}.test", "-keyout", f"{name}.key", "-out", f"{name}.pem")
    (folder / "index.txt").touch()
    (folder / "ca.cnf").write_text("[ca]\ndefault_ca=a\n[a]\ndatabase=index.txt\ndefault_md=sha256\ndefault_crl_days=100\n")
    openssl("ca", "-config", "ca.cnf", "-gencrl", "-keyfile", "ca.key", "-cert", "ca.pem", "-out", "ca.crl")
    (folder / "api-key").touch(0o600)
    (folder / "api-key").write_text("a-key\n")
    subprocess.run([binary, "audit", "keygen", folder], check=True, capture_output=True, timeout=DEADLINE)
    key = {"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    (folder / "jwks.json").write_text(json.dumps({"keys": [key]}))
    shutil.copy(CONF / "operations.json", folder)
    return folder


def write(folder, name, document):
    path = folder / f"{name}.json"
    path.touch(0o600)
    path.write_text(json.dumps(document))


@pytest.fixture
def accepts(folder, binary):
    """Whether the program takes a document as the file of this name; a refusal is returned as text."""

    def accepts(name, document):
        documents = {**copy.deepcopy(BASES), name: document}
        if name == "clients":
            issuer = {"issuer": "https://issuer.test", "audience": ["psgate"], "jwks_url": "https://issuer.test/jwks"}
            documents["psgate"]["jwt"] = [issuer]
        if name == "operations":
            documents["psgate"]["operations_file"] = "operations.json"
        else:
            shutil.copy(CONF / "operations.json", folder)
            del documents["operations"]
        for file, content in documents.items():
            write(folder, file, content)
        result = subprocess.run([binary, "check", "--offline", "-c", folder / "psgate.json"], capture_output=True, text=True,
                                timeout=DEADLINE, env={"TEST_KEY": "a-key"})
        assert result.returncode in (0, 1, 78), result.stderr
        return result.returncode != 78, result.stderr

    return accepts


def surroundings(name, place):
    """The base document, with what must stand beside the member at the place."""
    document = copy.deepcopy(BASES[name])
    for schema, below, where, members in AROUND:
        if schema != name or below != place[:len(below)]:
            continue
        target = reach(document, where)
        for key, value in members.items():
            if value is GONE:
                target.pop(key, None)
            else:
                target.setdefault(key, value)
    return document


def reach(document, place):
    """The object or array at the place, made where there is none."""
    for step, following in zip(place, (*place[1:], "")):
        empty = [] if following == 0 else {}
        if step == 0:
            if not document:
                document.append(empty)
            document = document[0]
        else:
            document = document.setdefault("default" if step == "NAME" else step, empty)
    return document


def with_value(name, place, value):
    """A document that is good but for what the value makes of it."""
    document = surroundings(name, place)
    if not place:
        return value
    parent = reach(document, place[:-1])
    if place[-1] == 0:
        parent[:] = [value]
    elif value is GONE:
        parent.pop(place[-1], None)
    else:
        parent["default" if place[-1] == "NAME" else place[-1]] = value
    return document


def values_of(place, schema):
    """What to try at a member."""
    there = FILES.get(dotted(place))
    yield from (there if there and isinstance(value, str) and value else value for value in ANY)
    if place and place[-1] != 0:
        yield GONE
    yield from VALUES.get(schema.get("kind"), ())
    yield from VALUES.get(dotted(place), ())
    for choice in schema.get("enum", ()):
        yield from (choice, choice.upper(), choice + "x")
    for bound in ("minimum", "maximum"):
        if bound in schema:
            yield from (schema[bound] - 1, schema[bound], schema[bound] + 1, str(schema[bound]))


def places():
    """Every member of every schema, and every element and named member on the way."""
    for name, schema in SCHEMAS.items():
        members = dict(schema.members())
        for place in schema.objects():
            if place not in members:
                members[place] = {}
        for place, member in members.items():
            yield pytest.param(name, place, member, id=f"{name}:{dotted(place) or 'top'}")


def cases(name, place, schema):
    """Documents about one member, none of them twice."""
    seen = set()
    for value in values_of(place, schema):
        document = with_value(name, place, value)
        text = json.dumps(document)
        if text not in seen:
            seen.add(text)
            yield value, document
    if place in SCHEMAS[name].objects() and place != ("credentials",):
        document = surroundings(name, (*place, "stranger"))
        reach(document, place)["stranger"] = 1
        yield "a stranger", document


def is_excepted(name, place, value):
    return any((schema, path) == (name, dotted(place)) and value == example for schema, path, example, _ in EXCEPTIONS)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_a_schema(name):
    Draft201909Validator.check_schema(SCHEMAS[name].text)


@pytest.mark.parametrize(("name", "place", "schema"), places())
def test_program_and_schema_agree(accepts, name, place, schema):
    validator = Draft201909Validator(SCHEMAS[name].text)
    disagreements = []
    for value, document in cases(name, place, schema):
        by_program, why = accepts(name, document)
        if by_program != validator.is_valid(document) and not is_excepted(name, place, value):
            disagreements.append((value, "program accepts" if by_program else f"schema accepts: {why}"))
    assert not disagreements


def place_of(path):
    return tuple(0 if step == "[]" else step for step in re.findall(r"\[\]|[^.\[]+", path))


@pytest.mark.parametrize(("name", "path", "value", "reason"), EXCEPTIONS, ids=lambda value: str(value)[:40])
def test_what_a_schema_cannot_say_the_program_does(accepts, name, path, value, reason):
    document = with_value(name, place_of(path), value)
    assert not accepts(name, document)[0], reason
    assert Draft201909Validator(SCHEMAS[name].text).is_valid(document), "the schema can say it: take it off the list"


def test_there_are_enough_cases():
    assert sum(1 for parameter in places() for _ in cases(*parameter.values)) > 1000


# -- what users copy -----------------------------------------------------------------------------------


def schema_of(document):
    """The name of the schema for a document, or None: it is no configuration."""
    marks = {"clients": "clients", "operations": "operations", "credentials": "psgate", "clients_file": "psgate"}
    return next((name for mark, name in marks.items() if isinstance(document, dict) and mark in document), None)


def samples():
    """Every JSON file of conf/ and deploy/, and every piece of JSON that README.md has people write."""
    for path in sorted([*CONF.rglob("*.json"), *(ROOT / "deploy").rglob("*.json")]):
        document = json.loads(path.read_text())
        if "$defs" not in document and schema_of(document):
            yield pytest.param(document, id=str(path.relative_to(ROOT)))
    readme = (ROOT / "README.md").read_text()
    for i, text in enumerate(re.findall(r"<<'JSON'\n(.*?)^JSON$|^```json\n(.*?)^```$", readme, re.M | re.S)):
        yield pytest.param(whole(text[0] or text[1]), id=f"README.md[{i}]")


def whole(text):
    """The document of which a text may be a part: members of a configuration, or one client."""
    if text.startswith('"'):
        return {**BASES["psgate"], **json.loads("{" + text + "}")}
    document = json.loads(text)
    return {"clients": [document]} if "name" in document else document


SAMPLES = list(samples())


@pytest.mark.parametrize("document", SAMPLES)
def test_a_sample_is_valid_by_its_schema(document):
    Draft201909Validator(SCHEMAS[schema_of(document)].text).validate(document)


def test_the_samples_are_found():
    names = {parameter.id for parameter in SAMPLES}
    assert {"conf/psgate.json", "conf/clients.json", "conf/operations.json", "README.md[0]"} <= names


@pytest.mark.parametrize("name", NAMES)
def test_every_member_of_a_schema_is_described(name):
    undescribed = [dotted(place) for place, schema in SCHEMAS[name].members() if not schema.get("description", "").endswith(".")]
    assert not undescribed
