"""Issuers' keys at a URL: fetched, rotated under load, and a server that hangs, lies and goes away."""

import json
import threading
import time
from contextlib import ExitStack

import pytest
from support import wire
from support.jwt_stage import ISSUER, JwtStage, add_jwt_client, assert_refused
from support.key_server import KeyServer, reply
from support.tokens import Key, encode, hs256, key_set
from support.waiting import wait_until

LEAST_WANTED = 10.0  # seconds between two fetches that tokens ask for


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    names = {"old": "EdDSA", "new": "ES256", "rsa": "RS256", "next": "EdDSA"}
    return {name: Key(folder, name, algorithm) for name, algorithm in names.items()}


@pytest.fixture
def place(binary, tmp_path_factory):
    """Makes key servers and stages; all are stopped in the end."""
    with ExitStack() as stack:

        class Place:
            @staticmethod
            def server(tls=None):
                server = KeyServer(tls)
                stack.callback(server.stop)
                return server

            @staticmethod
            def stage(*jwt, start=True, environment=None, **options):
                stage = JwtStage(binary, tmp_path_factory.mktemp("jwt"), jwt=jwt, **options)
                stack.callback(stage.origin.check)
                stack.callback(stage.stop)
                stage.gateway.environment = environment
                return stage.start() if start else stage

        yield Place


def warnings(stage, issuer=ISSUER):
    """What the log says of keys that cannot be had."""
    return [line for line in stage.gateway.stderr().splitlines() if f"keys of {issuer} cannot" in line]


def await_name(stage, token, name="app"):
    wait_until(lambda: stage.whoami(token) == name, f"{name} by a JWT")


# -- fetching and rotating --------------------------------------------------------------------------------


def test_keys_are_fetched_at_the_start_and_tokens_wait_for_them(place, keys):
    server = place.server()
    ready = threading.Event()

    def slowly(handler):
        ready.wait(20)
        reply(key_set(keys["old"]))(handler)

    server.answers["/keys"] = slowly
    stage = place.stage({"jwks_url": server.url()})
    token = keys["old"].token(stage.claims())
    answer = stage.ask(token)
    assert_refused(answer, 503, "have not been fetched yet")
    assert int(answer.value("Retry-After")) > 0
    assert stage.get(b"/v1/others").status == 200
    ready.set()
    await_name(stage, token)
    head = server.requests
    assert head == ["/keys"]
    assert warnings(stage) == []


def test_the_request_for_keys_is_plain(place, keys):
    server = place.server()
    seen = []

    def answer(handler):
        seen.append((handler.requestline, dict(handler.headers)))
        reply(key_set(keys["old"]))(handler)

    server.answers["/keys?a=%20b"] = answer
    environment = {"PATH": "/usr/bin", "HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1",
                   "all_proxy": "socks5://127.0.0.1:1", "HOME": "/nonexistent"}
    stage = place.stage({"jwks_url": server.url("/keys?a=%20b")}, environment=environment)
    await_name(stage, keys["old"].token(stage.claims()))
    (line, fields), = seen
    assert line == "GET /keys?a=%20b HTTP/1.1"
    assert set(fields) == {"Host", "User-Agent", "Accept"}
    assert fields["User-Agent"].startswith("psgate/")


def test_keys_come_over_tls_that_is_verified(place, keys, authority):
    server = place.server(authority.server_context("right"))
    server.answers["/keys"] = key_set(keys["old"])
    environment = {"PATH": "/usr/bin", "https_proxy": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1"}
    for host in ("127.0.0.1", "localhost"):
        stage = place.stage({"jwks_url": server.url(host=host), "ca_file": str(authority.ca_file)},
                            environment=environment)
        await_name(stage, keys["old"].token(stage.claims()))


class Load:
    """Asks without a pause, on some connections, with one token; counts what is not 200."""

    def __init__(self, stage, token, connections=3):
        self.stage, self.token = stage, token
        self.over = threading.Event()
        self.answers, self.failures = 0, []
        self.threads = [threading.Thread(target=self.run) for _ in range(connections)]

    def run(self):
        head = wire.head(b"GET /v1/a HTTP/1.1", b"Host: gw", b"Authorization: Bearer " + self.token.encode())
        try:
            with self.stage.connect() as client:
                while not self.over.is_set():
                    answer = client.ask(head)
                    self.answers += 1
                    if answer.status != 200:
                        self.failures.append(answer.body)
                        return
        except BaseException as error:
            self.failures.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *failure):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def go_on(self, count=30):
        """So many more are answered."""
        wanted = self.answers + count
        wait_until(lambda: self.answers >= wanted or self.failures, "answers")
        assert self.failures == []


def test_keys_rotate_under_load_without_a_failed_request(place, keys):
    server = place.server()
    server.answers["/keys"] = key_set(keys["old"])
    stage = place.stage({"jwks_url": server.url(), "refresh": "1s"})
    old, new = keys["old"].token(stage.claims()), keys["new"].token(stage.claims())
    await_name(stage, old)
    with Load(stage, old) as by_old:
        by_old.go_on()
        assert_refused(stage.ask(new), 401, "no key of that id")
        server.answers["/keys"] = key_set(keys["new"], keys["old"])
        await_name(stage, new)
        with Load(stage, new) as by_new:
            by_old.go_on()
            by_new.go_on()
            stage.reload()  # what was fetched already goes on
            by_old.go_on()
            by_new.go_on()
            assert by_old.failures == []
            by_old.over.set()
            for thread in by_old.threads:
                thread.join()
            assert by_old.failures == []
            server.answers["/keys"] = key_set(keys["new"])
            wait_until(lambda: stage.whoami(old) == 401, "the old key to be forgotten")
            by_new.go_on()
        assert by_new.failures == []
    assert warnings(stage) == []


def test_a_key_file_rotates_without_a_reload(place, keys):
    stage = place.stage({"refresh": "1s"}, start=False)
    path = stage.gateway.folder / "keys.json"
    path.write_text(key_set(keys["old"]))
    stage.start()
    await_name(stage, keys["old"].token(stage.claims()))
    path.write_text(key_set(keys["new"]))
    await_name(stage, keys["new"].token(stage.claims()))
    path.write_text("{")
    wait_until(lambda: warnings(stage), "the problem in the log")
    assert stage.whoami(keys["new"].token(stage.claims())) == "app"
    path.unlink()
    time.sleep(1.5)  # two more attempts
    assert len(warnings(stage)) == 1 and "keys.json" in warnings(stage)[0]
    path.write_text(key_set(keys["next"]))
    await_name(stage, keys["next"].token(stage.claims()))


@pytest.mark.long
def test_an_unknown_key_is_fetched_soon_and_at_most_once_in_ten_seconds(place, keys):
    server = place.server()
    server.answers["/keys"] = key_set(keys["old"])
    stage = place.stage({"jwks_url": server.url(), "refresh": "1h"})
    await_name(stage, keys["old"].token(stage.claims()))
    begun = time.monotonic()
    server.answers["/keys"] = key_set(keys["old"], keys["new"])
    new = keys["new"].token(stage.claims())
    fetches = []
    while stage.whoami(new) == 401:  # asked without a pause
        fetches.append(server.count())
        assert stage.whoami(keys["old"].token(stage.claims())) == "app"
    assert time.monotonic() - begun < LEAST_WANTED + 5
    assert set(fetches) <= {1, 2} and server.count() == 2
    # Forged tokens make it fetch no more often than that.
    forged = encode({"alg": "EdDSA", "kid": "nobody"}) + "." + encode(stage.claims()) + "." + encode(bytes(64))
    begun = time.monotonic()
    while time.monotonic() - begun < LEAST_WANTED + 2:
        assert_refused(stage.ask(forged), 401, "no key of that id")
    assert server.count() in (3, 4)  # its clock began at the fetch before


# -- a server that lies -----------------------------------------------------------------------------------


def lies(server, keys):
    """Name, what the path answers, a word of the log; none brings a key of use."""
    good = key_set(keys["next"])
    secret = {"kty": "oct", "kid": "old", "alg": "HS256", "k": encode(keys["rsa"].public_pem)}
    private = {**keys["next"].jwk(), "d": encode(bytes(32))}
    yield "html", reply("<!DOCTYPE html><p>Sign in</p>", kind="text/html"), "no JSON object"
    yield "empty", reply(""), "no JSON object"
    yield "json-array", reply("[" + good + "]"), "no JSON object"
    yield "duplicate-member", reply(good[:-1] + ',"keys":[]}'), "no JSON object"
    yield "deep", reply('{"keys":' + "[" * 100000 + "]" * 100000 + "}"), "no JSON object"
    yield "many", reply(key_set(*[keys["next"].jwk(kid=str(number)) for number in range(65)])), "more than 64 keys"
    yield "10-mib", reply(good + " " * 10 * 1024 * 1024), "larger than a key set may be"
    yield "endless-body", server.endless_body, "larger than a key set may be"
    yield "endless-head", server.endless_head, "larger than a key set may be"
    yield "endless-interim", server.endless_interim, "larger than a key set may be"
    yield "no-keys", reply('{"keys":[]}'), "empty"
    yield "not-keys", reply('{"error":"none"}'), "no array"
    yield "empty-key", reply('{"keys":[{}]}'), "neither RSA, EC nor OKP"
    yield "symmetric", reply(key_set(secret)), "private or symmetric"
    yield "private", reply(key_set(private)), "private or symmetric"
    yield "encryption", reply(key_set(keys["next"].jwk(use="enc"))), "not for signatures"
    yield "other-alg", reply(key_set(keys["next"].jwk(alg="ES512"))), "not for EdDSA"
    yield "500", reply(good, "500 Internal Server Error"), "the answer is 500"
    yield "404", reply(good, "404 Not Found"), "the answer is 404"
    yield "401", reply(good, "401 Unauthorized", "WWW-Authenticate: Basic realm=x"), "the answer is 401"
    yield "206", reply(good, "206 Partial Content"), "the answer is 206"
    yield "redirect", reply("", "302 Found", f"Location: {server.url('/stolen')}"), "redirect"
    yield "redirect-away", reply("", "307 Temporary Redirect", "Location: http://127.0.0.2:1/keys"), "redirect"
    yield "redirect-file", reply("", "301 Moved", "Location: file:///etc/passwd"), "redirect"
    yield "half", lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"), ""
    yield "http-0.9", lambda handler: handler.wfile.write(good.encode()), ""
    yield "nothing", lambda handler: None, ""
    yield "gzip", reply(b"\x1f\x8b\x08" + bytes(20), "200 OK", "Content-Encoding: gzip"), "no JSON object"


def add_issuers(stage, names):
    for name in names:
        add_jwt_client(stage.gateway, name, {"sub": "x"}, issuer=f"https://{name}.test")


def ask_all(stage, key, names):
    """What each issuer's token gets: the client's name, or the status."""
    return {name: stage.whoami(key.token(stage.claims("x", issuer=f"https://{name}.test"))) for name in names}


def issuers(server, names):
    return [{"issuer": f"https://{name}.test", "jwks_url": server.url(f"/{name}"), "refresh": "1s"} for name in names]


def test_whatever_the_server_answers_known_keys_go_on_and_the_log_says_so_once(place, keys):
    server = place.server()
    told = list(lies(server, keys))
    names = [name for name, _, _ in told]
    for name in names:
        server.answers[f"/{name}"] = key_set(keys["old"])
    stage = place.stage({"jwks_url": server.url("/keys")}, *issuers(server, names), start=False)
    server.answers["/keys"] = key_set(keys["old"])
    add_issuers(stage, names)
    stage.start()
    known = {name: name for name in names}
    wait_until(lambda: ask_all(stage, keys["old"], names) == known, "all keys")
    for name, answer, _ in told:
        server.answers[f"/{name}"] = answer
    with Load(stage, keys["old"].token(stage.claims())) as load:
        counts = {name: server.count(f"/{name}") for name in names}
        wait_until(lambda: all(server.count(f"/{name}") >= counts[name] + 3 for name in names), "three attempts each")
        assert ask_all(stage, keys["old"], names) == known
        load.go_on()
    assert load.failures == []
    for name, _, word in told:
        said = warnings(stage, f"https://{name}.test")
        assert len(said) == 1, (name, said)
        assert word in said[0] and "the old ones stay in force" in said[0] and "jwks_url" in said[0], said
    assert server.count("/stolen") == 0
    assert set(ask_all(stage, keys["next"], names).values()) == {401}
    forged = hs256(keys["rsa"].public_pem, stage.claims("x", issuer="https://symmetric.test"), kid="old")
    assert_refused(stage.ask(forged), 401, "RS256, ES256 or EdDSA")
    for name in names:
        server.answers[f"/{name}"] = key_set(keys["new"])
    wait_until(lambda: ask_all(stage, keys["new"], names) == known, "the new keys, once the server is honest")
    assert all(len(warnings(stage, f"https://{name}.test")) == 1 for name in names)


def test_without_any_keys_yet_it_is_503_with_retry_after(place, keys):
    server = place.server()
    told = list(lies(server, keys))[:31]
    names = [name for name, _, _ in told]
    for name, answer, _ in told:
        server.answers[f"/{name}"] = answer
    stage = place.stage(*issuers(server, names), {"jwks_file": "keys.json"}, start=False)
    (stage.gateway.folder / "keys.json").write_text(key_set(keys["old"]))
    add_issuers(stage, names)
    stage.start()
    wait_until(lambda: all(warnings(stage, f"https://{name}.test") for name in names), "all problems")
    for name in names:
        answer = stage.ask(keys["old"].token(stage.claims("x", issuer=f"https://{name}.test")))
        assert_refused(answer, 503, "have not been fetched yet")
        assert answer.value("Retry-After")
        assert "its tokens get 503 meanwhile" in warnings(stage, f"https://{name}.test")[0]
    assert stage.whoami(keys["old"].token(stage.claims())) == "app"
    stage.origin.settle()
    assert stage.origin.requests == []


def test_sound_keys_beside_useless_ones_are_used(place, keys):
    """Duplicate ids, private and symmetric keys and strange ones do not spoil the rest."""
    server = place.server()
    twin = keys["new"].jwk(kid="old")
    server.answers["/keys"] = reply(key_set(
        {}, {"kty": "oct", "kid": "old", "k": "AAAA"}, {**keys["rsa"].jwk(), "d": "AAAA"}, twin, keys["old"],
        keys["next"].jwk(kid="old"), {"kty": "RSA", "kid": "old", "n": "AQAB", "e": "AQAB"}), kind="text/plain")
    stage = place.stage({"jwks_url": server.url()})
    await_name(stage, keys["old"].token(stage.claims()))
    assert stage.whoami(keys["next"].token(stage.claims(), keys["next"].header(kid="old"))) == "app"
    assert stage.whoami(keys["new"].token(stage.claims(), keys["new"].header(kid="old"))) == "app"
    assert stage.whoami(keys["rsa"].token(stage.claims())) == 401  # its private part was there for all to see
    wait_until(lambda: "3, and 4 of no use here" in stage.gateway.stderr(), "how many are of use")


@pytest.mark.parametrize("leaf", ["wrong-name", "expired", "self-signed", "right-without-its-authority", "plain"])
def test_keys_are_not_taken_from_whom_the_certificate_does_not_name(place, keys, authority, leaf):
    plain, without = leaf == "plain", leaf == "right-without-its-authority"
    server = place.server(None if plain else authority.server_context("right" if without else leaf))
    server.answers["/keys"] = key_set(keys["old"])
    url = server.url().replace("http://", "https://")
    stage = place.stage({"jwks_url": url, **({} if without else {"ca_file": str(authority.ca_file)})})
    wait_until(lambda: warnings(stage), "the problem in the log")
    assert_refused(stage.ask(keys["old"].token(stage.claims())), 503)
    assert server.requests == []


def test_a_redirect_from_tls_to_plain_http_is_not_followed(place, keys, authority):
    plain, tls = place.server(), place.server(authority.server_context("right"))
    plain.answers["/keys"] = key_set(keys["old"])
    tls.answers["/keys"] = reply("", "302 Found", f"Location: {plain.url()}")
    stage = place.stage({"jwks_url": tls.url(), "ca_file": str(authority.ca_file)})
    wait_until(lambda: warnings(stage), "the problem in the log")
    assert "redirect" in warnings(stage)[0] and "final address" in warnings(stage)[0]
    assert plain.requests == []


# -- a server that hangs or goes away ---------------------------------------------------------------------

HANGING = ["no_head", "half_a_head", "half_a_body", "drip"]


@pytest.mark.parametrize("how", HANGING)
def test_while_the_server_hangs_all_else_goes_on_and_the_end_comes_at_once(place, keys, how):
    server = place.server()
    server.answers["/keys"] = key_set(keys["old"])
    stage = place.stage({"jwks_url": server.url(), "refresh": "1s"})
    old, new = keys["old"].token(stage.claims()), keys["new"].token(stage.claims())
    await_name(stage, old)
    server.answers["/keys"] = getattr(server, how)
    before = server.count()
    wait_until(lambda: server.count() > before, "a fetch that hangs")
    with Load(stage, old) as load:
        assert_refused(stage.ask(new), 401, "no key of that id")
        load.go_on(100)
        stage.reload()  # its own fetch hangs too
        load.go_on(100)
    assert load.failures == []
    begun = time.monotonic()
    stage.stop()
    assert time.monotonic() - begun < 8  # nothing like the fetch's own limit of ten seconds


@pytest.mark.long
def test_a_fetch_that_hangs_is_given_up_and_repeated(place, keys):
    server = place.server()
    names = [how.replace("_", "-") for how in HANGING]
    for name in names:
        server.answers[f"/{name}"] = key_set(keys["old"])
    stage = place.stage(*issuers(server, names), {}, start=False)
    add_issuers(stage, names)
    (stage.gateway.folder / "keys.json").write_text(key_set(keys["old"]))
    stage.start()
    known = {name: name for name in names}
    wait_until(lambda: ask_all(stage, keys["old"], names) == known, "all keys")
    for name, how in zip(names, HANGING):
        server.answers[f"/{name}"] = getattr(server, how)
    wait_until(lambda: all(warnings(stage, f"https://{name}.test") for name in names), "all problems", 40)
    assert ask_all(stage, keys["old"], names) == known
    for name in names:
        server.answers[f"/{name}"] = key_set(keys["new"])
    wait_until(lambda: ask_all(stage, keys["new"], names) == known, "the new keys", 40)
    assert all(len(warnings(stage, f"https://{name}.test")) == 1 for name in names)


def test_a_server_that_goes_away_takes_no_key_along(place, keys):
    server = place.server()
    server.answers["/keys"] = key_set(keys["old"])
    stage = place.stage({"jwks_url": server.url(), "refresh": "1s"})
    old = keys["old"].token(stage.claims())
    await_name(stage, old)
    server.stop()
    wait_until(lambda: warnings(stage), "the problem in the log")
    stage.reload()
    assert stage.whoami(old) == "app"
    assert_refused(stage.ask(keys["new"].token(stage.claims())), 401, "no key of that id")
    assert stage.get(b"/v1/others").status == 200


def test_reloads_in_a_row_while_requests_run(place, keys):
    server = place.server()
    server.answers["/keys"] = key_set(keys["old"])
    stage = place.stage({"jwks_url": server.url(), "refresh": "1s"})
    old = keys["old"].token(stage.claims())
    await_name(stage, old)
    with Load(stage, old) as load:
        for number in range(12):
            stage.reload()
            load.go_on(5)
            if number == 6:
                server.answers["/keys"] = server.no_head
    assert load.failures == []


def maps_libcurl(gateway):
    """Whether the process has loaded it."""
    with open(f"/proc/{gateway.pid}/maps") as maps:
        return "libcurl" in maps.read()


def test_an_issuer_may_come_and_go_with_reloads(place, keys):
    server = place.server()
    server.answers["/keys"] = key_set(keys["old"])
    stage = place.stage(start=False)
    (stage.gateway.folder / "keys.json").write_text(key_set(keys["new"]))
    with_issuer = json.loads(json.dumps(stage.gateway.config))
    token_client = [client for client in stage.gateway.read_clients() if "token_sha256" in client]
    jwt_client = {"name": "app", "jwt": {"issuer": ISSUER, "claims": {"sub": "repo:*"}}}
    old = keys["old"].token(stage.claims())

    def put(jwt, clients):
        stage.gateway.clients_file.write_text(json.dumps({"clients": clients}))
        stage.gateway.write_config({**with_issuer, "jwt": jwt})

    put(None, token_client)
    stage.start()
    assert not maps_libcurl(stage.gateway), "it brings some 40 libraries along, which nobody needs yet"
    assert stage.whoami(old) == 401
    for _ in range(2):
        put([{"issuer": ISSUER, "audience": ["psgate"], "jwks_url": server.url()}], [*token_client, jwt_client])
        stage.reload()
        await_name(stage, old)
        assert maps_libcurl(stage.gateway)
        put(None, token_client)
        stage.reload()
        assert stage.whoami(old) == 401
