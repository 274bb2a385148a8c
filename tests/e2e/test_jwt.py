"""JWTs as identities: who gets in, as whom, and everything that does not."""

import base64
import json
import time

import pytest
from support import wire
from support.gateway import is_sanitized, write_private
from support.jwt_stage import ISSUER, JwtStage, add_jwt_client, assert_refused
from support.stage import SharedStage
from support.tls_clients import CertificateClient, Issuer
from support.tokens import Key, decode, encode, hs256, key_set, openssl
from support.waiting import wait_until

EVIL = "https://evil.test"
BODY = b'{"name":"x","value":"y"}'
FRAMING = (b"Content-Type: application/json", b"Content-Length: %d" % len(BODY))
ORDER_OF_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ORDER_OF_ED25519 = 2**252 + 27742317777372353535851937790883648493


class Keys:
    """Of the issuer: rsa, ec, ed; of others: other, small."""

    def __init__(self, folder):
        self.rsa, self.ec, self.ed = Key(folder, "rsa", "RS256"), Key(folder, "ec", "ES256"), Key(folder, "ed", "EdDSA")
        self.other = Key(folder, "other", "RS256", kid="rsa")
        self.small = Key(folder, "small", "RS256", "rsa_keygen_bits:1024")
        self.folder = folder


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def shared(binary, tmp_path_factory, keys):
    def make():
        stage = JwtStage(binary, tmp_path_factory.mktemp("jwt"), keys.rsa, keys.ec, keys.ed, keys.small)
        add_jwt_client(stage.gateway, "expired", {"sub": "late"}, expires="2026-01-01T00:00:00Z")
        add_jwt_client(stage.gateway, "twin-1", {"sub": "twin", "ref": "*"})
        add_jwt_client(stage.gateway, "twin-2", {"sub": "tw*"})
        add_jwt_client(stage.gateway, "slow", {"sub": "slow"}, rate="1/h", burst=1)
        add_jwt_client(stage.gateway, "claims", {"sub": "*", "team": "ops", "run": 7, "trusted": True})
        return stage

    shared = SharedStage(make)
    yield shared
    shared.stop()


@pytest.fixture
def jwt(shared):
    yield shared.take()
    shared.give_back()


def audit_records(stage):
    return [json.loads(line) for line in (stage.gateway.folder / "audit" / "audit.jsonl").read_text().splitlines()]


# -- who gets in ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rsa", "ec", "ed"])
def test_a_signed_token_is_a_client(jwt, keys, name):
    key = getattr(keys, name)
    for header in (key.header(), key.header(kid=None), key.header(typ=None), key.header(typ="at+jwt")):
        token = key.token(jwt.claims(), header)
        assert jwt.whoami(token) == "app"
        before = len(jwt.origin.requests)
        assert jwt.ask(token, b"/v1/forwarded").status == 200
        assert jwt.origin.requests[before].values("Authorization") == [jwt.fill(b"Bearer @KEY@")]
        assert token.encode() not in jwt.origin.requests[before].head


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER"])
def test_the_scheme_is_in_any_case(jwt, keys, scheme):
    line = b"Authorization: " + scheme + b" " + keys.ed.token(jwt.claims()).encode()
    with jwt.connect() as client:
        assert client.ask(wire.head(b"GET /v1/a HTTP/1.1", b"Host: gw", line)).status == 200


def test_claims_name_the_client(jwt, keys):
    for subject, more, name in (("repo:acme/app:x", {}, "app"), ("repo:acme/lib:x", {}, "lib"),
                                ("any", {"team": ["dev", "ops"], "run": 7, "trusted": True}, "claims"),
                                ("any", {"team": ["dev"], "run": 7, "trusted": True}, 401),
                                ("any", {"team": "ops", "run": "7", "trusted": True}, 401),
                                ("any", {"team": "ops", "run": 7, "trusted": 1}, 401),
                                ("any", {"team": "ops", "run": 7}, 401),
                                ("repo:acme/app", {}, 401), ("REPO:acme/app:x", {}, 401), (None, {}, 401)):
        assert jwt.whoami(keys.ed.token(jwt.claims(subject, **more))) == name, (subject, more)


def test_policy_and_rates_are_the_clients(jwt, keys):
    lib = keys.ed.token(jwt.claims("repo:acme/lib:x"))
    assert jwt.ask(lib, b"/v1/teams/t1/secrets").status == 200
    assert_refused(jwt.ask(lib, b"/v1/teams/t1/secrets", *FRAMING, method=b"POST", body=BODY), 403)
    slow = keys.ed.token(jwt.claims("slow"))
    assert jwt.ask(slow).status == 200
    answer = jwt.ask(keys.ed.token(jwt.claims("slow", jti="another")))
    assert_refused(answer, 429)
    assert answer.value("Retry-After")


def test_the_trail_and_the_log_say_who_it_was_and_never_the_token(jwt, keys):
    token = keys.ed.token(jwt.claims(), keys.ed.header(x="y" * 40))
    agent = b"User-Agent: agent " + token.encode()
    answer = jwt.ask(token, b"/v1/teams/t/secrets?t=" + token.encode(), agent, *FRAMING, method=b"POST", body=BODY)
    assert answer.status == 200
    seen = jwt.origin.requests[-1]
    assert seen.target == b"/v1/teams/t/secrets?t="  # blanked
    assert seen.values("Authorization") == [jwt.fill(b"Bearer @KEY@")]
    intent = [record for record in audit_records(jwt) if record.get("proxy.phase") == "intent"][-1]
    assert (intent["user.name"], intent["client.auth"]) == ("app", "jwt")
    wait_until(lambda: "createTeamSecret" in jwt.gateway.stderr(), "the access log")
    for text in (jwt.gateway.stderr(), json.dumps(audit_records(jwt))):
        for part in token.split("."):
            assert part not in text


def test_a_refused_token_is_nowhere_either(jwt, keys):
    token = keys.other.token(jwt.claims("repo:acme/app:refused"))
    path = b"/v1/teams/t/secrets/" + token.encode() + b"?a=" + token.encode()
    assert_refused(jwt.ask(token, path, method=b"DELETE"), 401)
    wait_until(lambda: any(record.get("proxy.phase") == "refused" for record in audit_records(jwt)), "the record")
    for text in (jwt.gateway.stderr(), json.dumps(audit_records(jwt))):
        assert token not in text and token.split(".")[2] not in text
    assert jwt.origin.requests == []


# -- with other identities --------------------------------------------------------------------------------


def test_an_api_key_beside_it_must_be_the_same_clients(jwt, keys):
    own = keys.ed.token(jwt.claims("tester-by-jwt"))
    tester = b"X-Api-Key: " + jwt.token
    add_jwt_client(jwt.gateway, "tester", {"sub": "tester-by-jwt"})
    wait_until(lambda: jwt.whoami(own) == "tester", "the changed clients file")
    assert jwt.whoami(own, tester) == "tester"
    assert_refused(jwt.ask(keys.ed.token(jwt.claims()), b"/v1/a", tester), 401, "different clients")
    # INTERFACES: X-Api-Key wins over a bearer that is no token of ours, and this one names nobody.
    assert jwt.whoami(keys.other.token(jwt.claims()), tester) == "tester"
    assert_refused(jwt.ask(own, b"/v1/a", b"X-Api-Key: psgate_" + b"A" * 50), 401)
    assert_refused(jwt.ask(own, b"/v1/a", b"Authorization: Bearer " + jwt.token), 400)


def test_with_a_certificate_all_must_be_the_same_clients(binary, tmp_path, authority, keys):
    authority.signed("gateway", "DNS:localhost,IP:127.0.0.1")
    ca = Issuer(tmp_path, "root")
    ca.issue("app", "/CN=app")
    ca.issue("lib", "/CN=lib")
    ca.issue("stranger", "/CN=stranger")
    tls = {"certificate": str(authority.folder / "gateway.pem"), "private_key": str(authority.folder / "gateway.key"),
           "client_ca": str(ca.file), "client_auth": "optional"}
    stage = JwtStage(binary, tmp_path, keys.ed, config={"listen": [{"address": "127.0.0.1:0", "tls": tls}]})
    for name in ("app", "lib"):
        stage.gateway.add_client(name, tls_subject=f"CN={name}")
    try:
        stage.start()
        for leaf, subject, owner, wanted in (
                (None, "app", None, "app"), ("app", "app", None, "app"), ("lib", "app", None, 401),
                ("stranger", "app", None, "app"), ("app", None, None, "app"), ("app", "app", "app", "app"),
                ("lib", "app", "app", 401), ("app", "app", "lib", 401), ("app", "lib", "app", 401),
                ("app", "nobody", None, 401), ("app", "nobody", "app", "app")):
            lines = [b"Host: gateway.test"]
            if subject:
                token = keys.ed.token(stage.claims(f"repo:acme/{subject}:main"))
                lines.append(b"Authorization: Bearer " + token.encode())
            if owner:
                lines.append(b"X-Api-Key: " + stage.gateway.tokens[owner].encode())
            with CertificateClient(stage, tmp_path, authority.ca_file, leaf) as client:
                answer = client.ask(wire.head(b"GET /.psgate/whoami HTTP/1.1", *lines))
            assert (json.loads(answer.body).get("client") or answer.status) == wanted, (leaf, subject, owner)
        stage.gateway.check_output()
    finally:
        stage.stop()


# -- forms ------------------------------------------------------------------------------------------------


def malleable(ed, claims):
    """The same signature with S + L in the place of S (RFC 8032 5.1.7)."""
    signed, _, signature = ed.token(claims).rpartition(".")
    raw = decode(signature)
    s = int.from_bytes(raw[32:], "little") + ORDER_OF_ED25519
    return signed + "." + encode(raw[:32] + s.to_bytes(32, "little"))


def with_signature(token, change):
    signed, _, signature = token.rpartition(".")
    return signed + "." + encode(change(decode(signature)))


def non_canonical(text):
    """The same bytes with other bits behind them."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(text) % 4 in (2, 3)
    return text[:-1] + alphabet[alphabet.index(text[-1]) + 1]


def forged(jwt, keys):
    """Name, token, and a word of the answer."""
    claims, rsa, ec, ed = jwt.claims(), keys.rsa, keys.ec, keys.ed
    good = rsa.token(claims)
    head, payload, signature = good.split(".")
    unsigned = encode({"alg": "none"}) + "." + encode(claims)
    secret = rsa.public_pem
    for alg in ("none", "None", "NONE", "nOnE", "", "HS256", "HS512", "PS256", "ES384", "rs256", "RS256 "):
        yield f"alg-{alg}", encode({"alg": alg}) + "." + encode(claims) + ".", "RS256, ES256 or EdDSA"
        yield f"signed-alg-{alg}", rsa.token(claims, rsa.header(alg=alg)), "RS256, ES256 or EdDSA"
    yield "two-parts", unsigned, ""
    yield "no-signature", head + "." + payload + ".", "signature"
    yield "hmac-pem", hs256(secret, claims, kid="rsa"), "RS256, ES256 or EdDSA"
    yield "hmac-der", hs256(rsa.public, claims, kid="rsa"), "RS256, ES256 or EdDSA"
    yield "hmac-as-rs256", hs256(secret, claims, alg="RS256", kid="rsa"), "signature"
    yield "other-key", keys.other.token(claims), "signature"
    yield "embedded-jwk", keys.other.token(claims, rsa.header(jwk=keys.other.jwk())), "jwk"
    yield "embedded-jwk-alone", keys.other.token(claims, {"alg": "RS256", "jwk": keys.other.jwk()}), "jwk"
    for name in ("jku", "x5u"):
        yield name, keys.other.token(claims, rsa.header(**{name: "https://127.0.0.1:1/evil"})), name
        yield name + "-well-signed", rsa.token(claims, rsa.header(**{name: "https://issuer.test/keys"})), name
    yield "x5c", keys.other.token(claims, rsa.header(x5c=["MIIB"])), "x5c"
    for crit in (["exp"], [], ["b64"], "b64", None):
        yield f"crit-{crit}", rsa.token(claims, {**rsa.header(), "crit": crit}), "crit"
    for typ in ("logout+jwt", "secevent+jwt", "JWE", "", 7):
        yield f"typ-{typ}", rsa.token(claims, rsa.header(typ=typ)), "typ"
    yield "kid-unknown", rsa.token(claims, rsa.header(kid="nobody")), "no key of that id"
    yield "kid-of-another-kind", rsa.token(claims, rsa.header(kid="ec")), "no key of that id"
    yield "kid-huge", rsa.token(claims, rsa.header(kid="k" * 4000)), "no key of that id"
    yield "kid-path", rsa.token(claims, rsa.header(kid="../../../../dev/null")), "no key of that id"
    yield "kid-number", rsa.token(claims, rsa.header(kid=7)), "sound JSON"
    yield "kid-null", rsa.token(claims, json.dumps({**rsa.header(), "kid": None})), "sound JSON"
    yield "small-rsa", keys.small.token(claims), "no key of that id"
    # claims
    for name, more, word in (("iss", {"iss": EVIL}, "issuer"), ("iss-missing", {"iss": None}, "issuer"),
                             ("iss-slash", {"iss": ISSUER + "/"}, "issuer"),
                             ("iss-array", {"iss": [ISSUER]}, "issuer"),
                             ("aud", {"aud": "other"}, "somebody else"), ("aud-missing", {"aud": None}, "somebody"),
                             ("aud-case", {"aud": "PSGATE"}, "somebody"), ("aud-part", {"aud": "psgate-x"}, "somebody"),
                             ("aud-none-of", {"aud": ["a", "b"]}, "somebody"), ("aud-empty", {"aud": []}, "somebody"),
                             ("aud-object", {"aud": {"psgate": "psgate"}}, "somebody"),
                             ("exp-missing", {"exp": None}, "exp"), ("exp-past", {"exp": time.time() - 90}, "expired"),
                             ("exp-text", {"exp": "2999999999"}, "sound"), ("exp-true", {"exp": True}, "sound"),
                             ("exp-zero", {"exp": 0}, "expired"), ("exp-negative", {"exp": -1}, "sound"),
                             ("exp-huge", {"exp": 1e300}, "sound"), ("exp-array", {"exp": [2999999999]}, "sound"),
                             ("nbf-ahead", {"nbf": time.time() + 90}, "not valid yet"),
                             ("nbf-text", {"nbf": "0"}, "sound"),
                             ("iat-ahead", {"iat": time.time() + 90}, "not valid yet")):
        yield name, rsa.token(jwt.claims(**more)), word
    yield "nobody", rsa.token(jwt.claims("stranger")), "name no client"
    yield "two-clients", rsa.token(jwt.claims("twin", ref="x")), "two clients"
    yield "expired-client", rsa.token(jwt.claims("late")), "has expired"
    # JSON
    text = json.dumps(claims)
    for name, raw in (("duplicate-sub", text[:-1] + ',"sub":"repo:acme/app:x"}'),
                      ("duplicate-spelled", text[:-1] + ',"\\u0073ub":"repo:acme/app:x"}'),
                      ("deep", text[:-1] + ',"x":' + "[" * 900 + "]" * 900 + "}"),
                      ("wide", text[:-1] + ',"x":[' + ",".join("0" * 1500) + "]}"),
                      ("array", "[" + text + "]"), ("null", "null"), ("empty", ""), ("cut", text[:-1]),
                      ("tail", text + "x"), ("two", text + text), ("nan", text[:-1] + ',"x":NaN}'),
                      ("nul", text[:-1] + ',"x":"\\u0000"}'), ("lone-surrogate", text[:-1] + ',"x":"\\ud800"}'),
                      ("bom", "\ufeff" + text)):
        yield "json-" + name, rsa.token(raw), "sound" if raw else ""
    yield "json-utf8", rsa.token(text.encode()[:-1] + b',"x":"\xff"}'), "sound"
    yield "header-duplicate-alg", rsa.token(claims, '{"alg":"RS256","alg":"none"}'), "sound"
    yield "header-array", rsa.token(claims, '["RS256"]'), "sound"
    # spelling
    for at, part in (("header", 0), ("payload", 1), ("signature", 2)):
        parts = good.split(".")
        for name, change in (("padded", lambda part: part + "="), ("padded-fully", lambda part: part + "=="),
                             ("space", lambda part: part[:4] + " " + part[4:]), ("tab", lambda part: part[:9] + "\t" + part[9:]),
                             ("plus", lambda part: "+" + part[1:]), ("slash", lambda part: part[:-1] + "/"),
                             ("percent", lambda part: "%" + f"{ord(part[0]):02x}" + part[1:]),
                             ("one-too-many", lambda part: part + "A" * ((1 - len(part)) % 4 or 4)),
                             ("empty", lambda part: "")):
            yield f"{at}-{name}", ".".join([*parts[:part], change(parts[part]), *parts[part + 1 :]]), ""
    yield "signature-bits", head + "." + payload + "." + non_canonical(signature), "sound"
    yield "four-parts", good + "." + signature, ""
    yield "five-parts", good + "..", ""
    yield "leading-dot", "." + good, ""
    yield "only-dots", "..", ""
    yield "standard-alphabet", head + "." + payload + "." + base64.b64encode(decode(signature)).decode(), ""
    # signatures
    yield "swapped", head + "." + payload + "." + rsa.token(jwt.claims(jti="x")).split(".")[2], "signature"
    yield "swapped-payload", head + "." + encode(jwt.claims("repo:acme/app:y")) + "." + signature, "signature"
    yield "cut", with_signature(good, lambda raw: raw[:-1]), "signature"
    yield "longer", with_signature(good, lambda raw: raw + b"\0"), "signature"
    yield "rsa-zero", with_signature(good, lambda raw: bytes(len(raw))), "signature"
    yield "rsa-one", with_signature(good, lambda raw: bytes(len(raw) - 1) + b"\1"), "signature"
    yield "signature-of-2-kib", with_signature(good, lambda raw: raw * 8), ""
    signed = ec.token(claims).rpartition(".")[0]
    der = openssl("dgst", "-sha256", "-sign", ec.file, data=signed.encode())
    yield "ec-der", signed + "." + encode(der), "signature"
    n, one = ORDER_OF_P256.to_bytes(32, "big"), (1).to_bytes(32, "big")
    for name, pair in (("zero", bytes(64)), ("r-zero", bytes(32) + one), ("s-zero", one + bytes(32)), ("n", n + n),
                       ("r-n", n + one), ("ones", b"\xff" * 64)):
        yield f"ec-{name}", signed + "." + encode(pair), "signature"
    yield "ed-zero", with_signature(ed.token(claims), lambda raw: bytes(64)), "signature"
    yield "ed-malleable", malleable(ed, claims), "signature"
    yield "ed-identity", with_signature(ed.token(claims), lambda raw: b"\1" + bytes(63)), "signature"
    # sizes
    yield "9-kib", rsa.token(jwt.claims(x="y" * 6800)), "longer than 8 KiB"
    yield "24-kib-of-dots", "." * 24000, ""
    yield "24-kib-of-as", "A" * 24000, ""
    yield "24-kib-in-a-part", head + "." + "A" * 24000 + "." + signature, "longer than 8 KiB"


def test_no_forged_token_gets_in_and_each_refusal_says_what_to_do(jwt, keys):
    names = set()
    for name, token, word in forged(jwt, keys):
        answer = jwt.ask(token)
        assert answer.status == 401, (name, answer.start, answer.body)
        assert_refused(answer, 401, word)
        assert name not in names
        names.add(name)
    jwt.origin.settle()
    assert jwt.origin.requests == [] and len(names) > 120
    assert jwt.whoami(keys.rsa.token(jwt.claims())) == "app"


@pytest.mark.parametrize("more", [{"exp": -30}, {"nbf": 30}, {"iat": 30}, {"nbf": 0.5}, {"aud": ["x", "psgate"]}])
def test_clocks_may_differ_by_the_leeway(jwt, keys, more):
    now = time.time()
    times = {name: value if isinstance(value, list) else now + value for name, value in more.items()}
    assert jwt.whoami(keys.ec.token(jwt.claims(**times))) == "app"


def test_the_largest_token_is_let_in_and_one_byte_more_is_not(jwt, keys):
    def of_size(size):
        """Three bytes become four characters, so the header makes up for the rest."""
        for filler in range(size // 4 * 3 - 700, size // 4 * 3):
            for more in range(3):
                signed = encode(keys.ed.header(x="x" * more)) + "." + encode(jwt.claims(x="y" * filler))
                if len(signed) == size - 87:
                    return signed + "." + encode(keys.ed.sign(signed.encode()))
        raise AssertionError(size)

    assert jwt.whoami(of_size(8192)) == "app"
    assert_refused(jwt.ask(of_size(8193)), 401, "longer than 8 KiB")


def test_a_token_larger_than_a_head_may_be_is_refused_as_that(jwt):
    token = encode({"alg": "RS256"}) + "." + "A" * 1048576 + ".AAAA"
    assert_refused(jwt.ask(token), 431)
    assert jwt.origin.requests == []


def test_memory_stays_constant_whatever_is_sent(jwt, keys):
    tokens = [keys.rsa.token(jwt.claims(x="y" * 5000)), keys.other.token(jwt.claims(x="y" * 5000)),
              keys.rsa.token(json.dumps(jwt.claims())[:-1] + ',"x":' + "[" * 2500 + "]" * 2500 + "}"),
              encode({"alg": "RS256"}) + "." + "A" * 24000 + ".AAAA", "A." * 12000, "ey" * 12000,
              keys.ec.token(json.dumps(jwt.claims())[:-1] + ',"x":[' + ",".join("0" * 900) + "]}")]

    def ask_all(rounds):
        for _ in range(rounds):
            for token in tokens:
                with jwt.connect() as client:
                    for _ in range(10):
                        head = wire.head(b"GET /.psgate/whoami HTTP/1.1", b"Host: gw",
                                         b"Authorization: Bearer " + token.encode())
                        if client.ask(head).value("Connection") == b"close":
                            break

    ask_all(3)
    before = jwt.gateway.resident_kib()
    ask_all(40)
    assert is_sanitized() or jwt.gateway.resident_kib() - before < 1024


# -- what changes while it runs ---------------------------------------------------------------------------


def test_the_clients_file_maps_claims_anew_within_a_second(binary, tmp_path, keys):
    stage = JwtStage(binary, tmp_path, keys.ed)
    token = keys.ed.token(stage.claims())
    try:
        stage.start()
        with stage.connect() as client:
            def name():
                head = wire.head(b"GET /.psgate/whoami HTTP/1.1", b"Host: gw", b"Authorization: Bearer " + token.encode())
                answer = client.ask(head)
                return json.loads(answer.body).get("client")

            assert name() == "app"
            tester = [client for client in stage.gateway.read_clients() if "token_sha256" in client]
            for clients, wanted in (([], None), ([{"name": "new", "jwt": {"issuer": ISSUER, "claims": {"sub": "repo:*"}}}], "new"),
                                    ([{"name": "old", "expires": "2026-01-01T00:00:00Z",
                                       "jwt": {"issuer": ISSUER, "claims": {"sub": "repo:*"}}}], None)):
                write_private(stage.gateway.clients_file, json.dumps({"clients": tester + clients}))
                begun = time.monotonic()
                wait_until(lambda: name() == wanted, f"{wanted} as the client")
                assert is_sanitized() or time.monotonic() - begun < 3  # the promise is 1 s; machines are shared
        # An issuer that the configuration does not have is a problem, and the clients before stay.
        before = len(stage.gateway.stderr())
        add_jwt_client(stage.gateway, "stray", {"sub": "x"}, issuer=EVIL)
        wait_until(lambda: "is no issuer of" in stage.gateway.stderr()[before:], "the problem in the log")
        stage.check()
    finally:
        stage.stop()


@pytest.mark.parametrize("which", ["token", "client"])
def test_what_is_used_all_the_time_ends_with_its_time(binary, tmp_path, keys, which):
    """A worker remembers tokens that were good, and must not do so for longer than they are."""
    stage = JwtStage(binary, tmp_path, keys.ed, jwt=[{"leeway": "0s"}])
    end = int(time.time()) + 4
    if which == "client":
        add_jwt_client(stage.gateway, "brief", {"sub": "brief"},
                       expires=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end)))
    token = keys.ed.token(stage.claims("brief" if which == "client" else "repo:acme/app:x",
                                       **({"exp": end} if which == "token" else {})))
    head = wire.head(b"GET /v1/a HTTP/1.1", b"Host: gw", b"Authorization: Bearer " + token.encode())
    try:
        stage.start()
        answers = 0
        with stage.connect() as client:
            while (answer := client.ask(head)).status == 200:
                answers += 1
                assert time.time() < end + 2
        assert_refused(answer, 401, "has expired", "renew" if which == "client" else "fresh")
        assert time.time() >= end and answers > 0
        stage.check()
    finally:
        stage.stop()


def test_a_reload_changes_issuers_audiences_and_keys(binary, tmp_path, keys):
    stage = JwtStage(binary, tmp_path, keys.ed)
    try:
        stage.start()
        token = keys.ed.token(stage.claims())
        assert stage.whoami(token) == "app"
        (tmp_path / "keys.json").write_text(key_set(keys.ec))
        stage.reload()
        assert_refused(stage.ask(token), 401, "no key of that id")
        assert stage.whoami(keys.ec.token(stage.claims())) == "app"
        stage.gateway.config["jwt"][0]["audience"] = ["else"]
        stage.gateway.write_config(stage.gateway.config)
        stage.reload()
        assert_refused(stage.ask(keys.ec.token(stage.claims())), 401, "somebody else")
        assert stage.whoami(keys.ec.token(stage.claims(aud="else"))) == "app"
        (tmp_path / "keys.json").write_text("{}")
        assert "jwt[0].jwks_file" in stage.gateway.refused_reload()
        assert stage.whoami(keys.ec.token(stage.claims(aud="else"))) == "app"
        # Without issuers, no client may have a JWT, and a bearer that looks like one is no token.
        write_private(stage.gateway.clients_file, json.dumps({"clients": [
            client for client in stage.gateway.read_clients() if "token_sha256" in client]}))
        stage.gateway.config["jwt"] = None
        stage.gateway.write_config(stage.gateway.config)
        stage.reload()
        assert stage.whoami(keys.ec.token(stage.claims(aud="else"))) == 401
        assert stage.get(b"/v1/a").status == 200
        stage.check()
    finally:
        stage.stop()
