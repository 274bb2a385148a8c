"""The samples in conf/ load, and the schema for editors knows what the program knows."""

import json
import re
import shutil

import pytest
from jsonschema import Draft201909Validator

from conftest import ROOT

CONF = ROOT / "conf"
SCHEMA = json.loads((CONF / "psgate.schema.json").read_text())
SAMPLE = json.loads((CONF / "psgate.json").read_text())
RFC_8037_KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
SECTIONS = ("upstream", "cache", "limits", "log")


def resolved(schema):
    """The schema behind a $ref, or the last of several, with what stands beside it."""
    if "anyOf" in schema:
        return {**resolved(schema["anyOf"][-1]), **schema}
    if "$ref" not in schema:
        return schema
    *_, name = schema["$ref"].split("/")
    return {**resolved(SCHEMA["$defs"][name]), **schema}


def properties(*path):
    """The options that the schema knows at a place."""
    schema = SCHEMA
    for step in path:
        schema = resolved(schema["items"] if step == 0 else schema["properties"][step])
    return schema["properties"]


@pytest.fixture
def check(binary, run, tmp_path):
    """`psgate check` of a configuration beside copies of the samples, as a user puts them."""
    for name in ("psgate.json", "clients.json", "operations.json"):
        shutil.copy(CONF / name, tmp_path)
        (tmp_path / name).chmod(0o600)
    key = tmp_path / "api-key"
    key.touch(0o600)
    key.write_text("a-key\n")
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": RFC_8037_KEY}]}))

    def check(config=None):
        if config is not None:
            (tmp_path / "psgate.json").write_text(json.dumps(config))
        return run(binary, "check", "--offline", "-c", tmp_path / "psgate.json")

    return check


def with_option(path, value):
    """The sample with one option more, or another value for it."""
    config = json.loads(json.dumps(SAMPLE))
    place = config
    for step in path[:-1]:
        if isinstance(step, str) and place.get(step) is None:
            place[step] = {}
        place = place[step]
    if isinstance(place, list) and path[-1] == len(place):
        place.append(None)
    place[path[-1]] = value
    return config


def test_the_samples_load_without_a_warning(check):
    result = check()
    assert result.returncode == 0, result.stderr
    assert [line for line in result.stderr.splitlines() if "is in use" not in line] == []
    assert "6 clients" in result.stdout


def test_the_operation_table_of_the_samples_is_the_built_in_one(check):
    built_in, sample = check(), check(with_option(("operations_file",), "operations.json"))
    assert sample.returncode == 0, sample.stderr
    assert sample.stdout.splitlines()[-1] == built_in.stdout.splitlines()[-1]


def test_the_schema_is_a_schema():
    Draft201909Validator.check_schema(SCHEMA)


def test_the_sample_is_valid_by_the_schema():
    Draft201909Validator(SCHEMA).validate(SAMPLE)


def test_the_sample_has_every_option_that_does_something():
    assert set(SAMPLE) == set(properties())
    for section in SECTIONS:
        assert set(SAMPLE[section]) == set(properties(section))


def test_the_sample_shows_the_defaults():
    for section in (None, *SECTIONS):
        options = properties(section) if section else properties()
        values = SAMPLE[section] if section else SAMPLE
        for key in values.keys() & options.keys():
            if "default" in options[key]:
                assert values[key] == options[key]["default"], (section, key)


def test_every_option_of_the_schema_is_described():
    places = [(), *((section,) for section in (*SECTIONS, "cluster")), ("listen", 0), ("listen", 0, "tls"),
              ("audit", "syslog"), ("jwt", 0)]
    for place in places:
        for key, schema in properties(*place).items():
            assert schema.get("description", "").endswith("."), (place, key)


@pytest.mark.parametrize("place", [(), ("upstream",), ("limits",), ("log",), ("admin",), ("cache",),
                                   ("audit",), ("audit", "syslog"), ("cluster",), ("listen", 0), ("listen", 0, "tls"),
                                   ("jwt", 0)],
                         ids=lambda place: ".".join(map(str, place)) or "top")
def test_program_and_schema_know_the_same_options(check, place):
    stranger = "q" * 60  # too far from any option for "did you mean"
    result = check(with_option((*place, stranger), 1))
    assert result.returncode == 78
    known = re.search(re.escape(stranger) + r": unknown key \(known here: (.*)\)", result.stderr)
    assert set(re.findall(r'"([^"]+)"', known[1])) == set(properties(*place))


def numbers():
    """Every whole number of the schema, by its place."""
    for section in (None, "upstream", "limits"):
        for key, schema in (properties(section) if section else properties()).items():
            if schema.get("type") == "integer":
                yield (section, key) if section else (key,), schema


@pytest.mark.parametrize(("place", "schema"), numbers(), ids=lambda value: ".".join(value)
                         if isinstance(value, tuple) else "")
def test_program_and_schema_have_the_same_bounds(check, place, schema):
    for edge, beyond in ((schema["minimum"], schema["minimum"] - 1), (schema["maximum"], schema["maximum"] + 1)):
        inside, outside = check(with_option(place, edge)), check(with_option(place, beyond))
        assert inside.returncode == 0, inside.stderr
        assert outside.returncode == 78


ACCEPTED = [
    (("listen",), [{"address": "[::1]:0"}, {"address": "unix:/run/psgate.sock", "mode": "0600"}]),
    (("listen", 0, "tls"), None),
    (("listen", 0), {"address": "0.0.0.0:80", "allow_plaintext": True}),
    (("upstream", "url"), "https://[2001:db8::1]:8443"),
    (("upstream", "url"), "http://127.0.0.1:80/"),
    (("limits", "header_bytes"), 2048),
    (("limits", "header_bytes"), "2048"),
    (("limits", "drain_timeout"), "1d"),
    (("limits", "upstream_rate"), "1000000/h"),
    (("limits",), {"upstream_rate": "100/s", "upstream_burst": 5}),
    (("cache",), {"stale_after": "0s", "memory": "0", "other_invalidates": []}),
    (("audit",), {"directory": "trail", "unreadable_body": "forward", "syslog": None}),
    (("audit", "syslog"), "tcp://logs.example"),
    (("audit", "syslog"), "tls://[2001:db8::1]:6514"),
    (("audit", "syslog"), {"url": "unix:/dev/log", "facility": "local3"}),
    (("audit", "syslog"), {"url": "tls://logs.example:6514", "ca_file": "ca.pem"}),
    (("jwt", 0, "jwks_url"), "http://127.0.0.1:8080/keys"),
    (("jwt", 0, "jwks_url"), "http://[::1]/"),
    (("jwt", 0, "jwks_url"), "https://[2001:db8::1]:8443/keys?v=1"),
    (("jwt", 0, "audience"), ["a", "b"]),
    (("jwt", 0, "leeway"), "0s"),
    (("jwt", 0, "refresh"), "7d"),
    (("jwt", 1), {"issuer": "i", "audience": ["a"], "jwks_file": "keys.json"}),
    (("cluster",), {"redis": "redis://127.0.0.1:6379"}),
    (("cluster",), {"redis": "rediss://redis.example/1", "ca_file": "ca.pem", "prefix": "a:"}),
    (("cluster",), {"redis": "unix:/run/redis.sock", "max_staleness": "500ms"}),
    (("admin",), None),
    (("credentials", "other"), {"api_key_file": "api-key", "api_key_env": None}),
]
REFUSED = [
    (("listen",), []),
    (("listen",), [{}]),
    (("listen", 0, "address"), "localhost:8080"),
    (("listen", 0, "address"), "127.0.0.1"),
    (("listen", 0, "mode"), "0888"),
    (("listen", 0, "tls"), {"certificate": "tls.pem"}),
    (("workers",), "2"),
    (("limits", "upstream_rate"), 100),
    (("limits", "upstream_rate"), "0/s"),
    (("limits", "upstream_rate"), "100/d"),
    (("upstream", "url"), "https://api.paperspace.com/v1"),
    (("upstream", "url"), "api.paperspace.com"),
    (("upstream", "connect_timeout"), "0s"),
    (("upstream", "connect_timeout"), 5),
    (("upstream", "connect_timeout"), "5 s"),
    (("upstream", "encoded_slashes"), "drop"),
    (("credentials",), {}),
    (("credentials", "default"), {}),
    (("credentials", "default"), {"api_key": "inline"}),
    (("credentials", "default"), {"api_key_file": "api-key", "api_key_env": "KEY"}),
    (("clients_file",), None),
    (("limits", "header_bytes"), "32kB"),
    (("audit", "syslog"), "udp://logs.example:514"),
    (("audit", "syslog"), "/dev/log"),
    (("audit", "syslog"), 514),
    (("audit", "syslog"), {"facility": "auth"}),
    (("audit", "syslog"), {"url": "unix:/dev/log", "facility": "AUTH"}),
    (("log", "level"), "notice"),
    (("log", "access"), "on"),
    (("jwt",), {}),
    (("jwt", 0), {"issuer": "i", "audience": ["a"]}),
    (("jwt", 0, "issuer"), ""),
    (("jwt", 0, "audience"), []),
    (("jwt", 0, "audience"), "psgate"),
    (("jwt", 0, "jwks_file"), "keys.json"),
    (("jwt", 0, "jwks_url"), None),
    (("jwt", 0, "jwks_url"), "http://issuer.example/keys"),
    (("jwt", 0, "jwks_url"), "http://localhost/keys"),
    (("jwt", 0, "jwks_url"), "https://issuer.example"),
    (("jwt", 0, "jwks_url"), "https://user@issuer.example/keys"),
    (("jwt", 0, "leeway"), 60),
    (("jwt", 0, "refresh"), "0s"),
    (("cluster",), {}),
    (("cluster",), {"redis": "127.0.0.1:6379"}),
    (("cluster",), {"redis": "redis://user:word@h"}),
    (("cluster",), {"redis": "redis://h", "ca_file": "ca.pem"}),
    (("cluster",), {"redis": "redis://h", "prefix": ""}),
]


def place_name(value):
    return ".".join(map(str, value)) if isinstance(value, tuple) else None


@pytest.mark.parametrize(("place", "value"), ACCEPTED, ids=place_name)
def test_program_and_schema_accept(check, place, value):
    config = with_option(place, value)
    result = check(config)
    assert result.returncode == 0, result.stderr
    Draft201909Validator(SCHEMA).validate(config)


@pytest.mark.parametrize(("place", "value"), REFUSED, ids=place_name)
def test_program_and_schema_refuse(check, place, value):
    config = with_option(place, value)
    assert check(config).returncode == 78
    assert not Draft201909Validator(SCHEMA).is_valid(config)
