"""/metrics: its format, that it counts what has happened, and that its labels are bounded."""

import json
import random
import string
import threading

import pytest
from support import wire
from support.admin import endpoint, metrics_door
from support.origin import holding
from support.prometheus import Prometheus, check_metrics
from support.waiting import wait_until

pytest_plugins = ["support.admin"]

PROMISED = """psgate_requests_total psgate_request_duration_seconds psgate_upstream_duration_seconds psgate_upstream_connections
 psgate_cache_bytes psgate_cache_entries psgate_audit_records_total psgate_audit_sync_seconds psgate_audit_writable
 psgate_clients_rejected_total psgate_build_info""".split()
OUTCOMES = {"none", "hit", "stale", "miss", "expired", "revalidated", "collapsed", "bypass"}


@pytest.fixture
def stage(make_admin):
    return make_admin()


def counted(stage, count):
    """The metrics once so many requests have been counted: a moment after their answers have come."""
    return wait_until(lambda: (shown := stage.metrics()).sum("psgate_requests_total") >= count and shown, f"{count} requests")


def make_busy(stage):
    """A bit of everything; how many requests it was."""
    for target in (b"/v1/things/a", b"/v1/things/a", b"/v1/things/b", b"/v1/people/a", b"/v1/plain/a", b"/elsewhere"):
        stage.get(target)
    stage.get(b"/v1/things/a", b"Cache-Control: no-cache")
    stage.get(b"/v1/plain/a", token="psgate_no")
    stage.change(b"POST /v1/things/a", body=b"{}")
    stage.change(b"POST /v1/things/a", body=b"{}", token="psgate_no")
    stage.origin.answer = wire.response(b"HTTP/1.1 503 No")
    stage.get(b"/v1/plain/b")
    stage.origin.answer = wire.response()
    return 11


# Format


def test_everything_that_is_promised_is_there_from_the_start(stage):
    shown = stage.metrics()
    assert set(PROMISED) <= set(shown.types)
    assert all(name.startswith(("psgate_", "process_")) for name in shown.types)
    for name, kind in shown.types.items():
        assert (kind == "counter") == name.endswith("_total") and kind in ("counter", "gauge", "histogram"), name
        assert not name.endswith(("_ms", "_us", "_milliseconds", "_mib", "_percent")), name


def test_promtool_has_nothing_to_say(stage):
    assert check_metrics(stage.metrics().text) == ""
    make_busy(stage)
    assert check_metrics(counted(stage, 11).text) == ""
    assert check_metrics(metrics_door(stage.gateway).ask(b"/metrics").body.decode()) == ""


def test_promtool_would_have_something_to_say():
    assert check_metrics("# TYPE a counter\na 1\n") != ""


def test_the_content_type_is_that_of_the_text_format(stage):
    assert stage.door.ask(b"/metrics").value("Content-Type") == b"text/plain; version=0.0.4; charset=utf-8"


def test_names_with_everything_that_must_be_escaped(make_admin):
    names = ['quote"s', "back\\slash", "line\nbreak", "ümläut", "{le=\"1\"}", "a b", "'"]
    operations = [{"id": "plain", "method": "GET", "path": "/v1/plain/{name}"}]
    credentials = {name: {"api_key_file": "api-key"} for name in names}
    stage = make_admin(start=False, operations=operations, config={"credentials": credentials})
    result = stage.gateway.command("check", "--offline", "-c", stage.gateway.config_file)
    if result.returncode != 0:  # names are bounded already
        assert "credentials" in result.stdout + result.stderr
        return
    stage.start()
    shown = stage.metrics()
    assert check_metrics(shown.text) == ""
    escaped = {dict(labels)["credential"] for labels in shown.of("psgate_credential_state")}
    assert escaped == {name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for name in [*names, "default"]}


def test_prometheus_scrapes_it(stage, tmp_path):
    make_busy(stage)
    counted(stage, 11)
    prometheus = Prometheus(tmp_path, metrics_door(stage.gateway).where)
    try:
        [total] = wait_until(lambda: prometheus.query("sum(psgate_requests_total)"), "a scrape", timeout=60).values()
        assert total == 11
        assert list(prometheus.query("up").values()) == [1]
        by_status = prometheus.query("sum by (status) (psgate_requests_total)")
        assert by_status[(("status", "401"),)] == 2 and by_status[(("status", "503"),)] == 1
        [quantile] = prometheus.query("histogram_quantile(0.9, sum by (le) (psgate_request_duration_seconds_bucket))").values()
        assert 0 < quantile < 60
        types = prometheus.query('count by (__name__) ({__name__=~"psgate_.*"})')
        assert {f"{name}_count" if name.endswith("seconds") else name for name in PROMISED} <= {dict(key)["__name__"] for key in types}
    finally:
        prometheus.stop()


# Numbers


def test_requests_are_counted_by_operation_status_and_cache(stage):
    count = make_busy(stage)
    shown = counted(stage, count)
    assert shown.sum("psgate_requests_total") == count
    assert {dict(labels)["cache"] for labels in shown.of("psgate_requests_total")} <= OUTCOMES
    value = lambda operation, status, cache: shown.value(  # noqa: E731
        "psgate_requests_total", operation=operation, status=str(status), cache=cache)
    assert value("lookup", 200, "miss") == 2 and value("lookup", 200, "hit") == 1 and value("lookup", 200, "bypass") == 1
    assert value("people", 200, "miss") == 1 and value("change", 200, "none") == 1 and value("other", 200, "none") == 1
    assert value("plain", 200, "none") == 1 and value("plain", 503, "none") == 1
    assert shown.sum("psgate_requests_total", status="401") == 2
    rejected = shown.by("psgate_clients_rejected_total", "reason")
    assert sum(rejected.values()) == 2 and len(rejected) > 20
    assert sum(shown.by("psgate_errors_total", "reason").values()) == 0, "upstream's own 503 is not the gateway's"
    records = shown.by("psgate_audit_records_total", "phase")
    assert records["intent"] == records["result"] == 1 and records["refused"] in (0, 1)


def test_each_reason_is_counted_as_itself(make_admin):
    stage = make_admin(config={"limits": {"headers": 20}})
    before = stage.metrics().by("psgate_clients_rejected_total", "reason")
    stage.gateway.add_client("denied", deny=["plain"])
    stage.gateway.add_client("late", expires="2020-01-01T00:00:00Z")
    wait_until(lambda: len(stage.door.json(b"/api/clients")["clients"]) == 4, "the clients")
    for asked in (lambda: stage.get(b"/v1/plain/a", token="x"), lambda: stage.get(b"/v1/plain/a", token=stage.gateway.tokens["late"]),
                  lambda: stage.get(b"/v1/plain/a", token=stage.gateway.tokens["denied"]),
                  lambda: stage.get(b"/v1/plain/../a"), lambda: stage.get(b"/v1/plain/a", method=b"TRACE"),
                  lambda: stage.get(b"/v1/plain/a", *[b"X: y"] * 30)):
        assert asked().status >= 400
        now = wait_until(lambda: (shown := stage.metrics().by("psgate_clients_rejected_total", "reason")) != before  # noqa: B023
                         and shown, "the refusal")
        assert [now[reason] - before[reason] for reason in now if now[reason] != before[reason]] == [1]
        before = now
    assert sum(1 for value in before.values() if value) >= 5


def test_histograms_are_whole_and_count_every_request(stage):
    count = make_busy(stage)
    shown = counted(stage, count)
    total = 0
    for name in (name for name, kind in shown.types.items() if kind == "histogram"):
        operations = {labels for (sample, labels) in shown.samples if sample == name + "_count"}
        for labels in operations:
            buckets = sorted(((float(dict(key)["le"]), value) for key, value in shown.of(name + "_bucket", **dict(labels)).items()))
            values = [value for _, value in buckets]
            assert values == sorted(values) and len(buckets) > 10 and buckets[-1][0] == float("inf")
            assert values[-1] == shown.value(name + "_count", **dict(labels))
            assert (shown.value(name + "_sum", **dict(labels)) > 0) == (values[-1] > 0)
            total += values[-1] if name == "psgate_request_duration_seconds" else 0
    assert total == count
    asked = shown.by("psgate_upstream_duration_seconds_count", "operation")
    assert asked == {"lookup": 3, "people": 1, "plain": 2, "change": 1, "other": 1}


def test_a_slow_answer_is_counted_as_slow(stage):
    release = threading.Event()
    stage.origin.answer = holding(release)
    threading.Timer(0.3, release.set).start()
    assert stage.get(b"/v1/plain/a").status == 200
    shown = counted(stage, 1)
    for name in ("psgate_request_duration_seconds", "psgate_upstream_duration_seconds"):
        assert 0.25 < shown.value(name + "_sum", operation="plain") < 20
        assert shown.value(name + "_bucket", operation="plain", le="0.25") == 0
        assert shown.value(name + "_bucket", operation="plain", le="50") == 1


def test_requests_and_connections_under_way_are_gauges(stage):
    release = threading.Event()
    stage.origin.answer = holding(release)
    clients = [stage.connect() for _ in range(3)]
    for client in clients:
        client.send(stage.request(b"GET /v1/plain/a HTTP/1.1"))
    stage.origin.wait_request(3)
    shown = stage.metrics()
    assert shown.value("psgate_requests_in_flight") == 3 and shown.value("psgate_connections") == 3
    assert shown.value("psgate_upstream_connections", state="active") == 3
    assert shown.value("psgate_upstream_connections", state="idle") == 0
    release.set()
    for client in clients:
        client.read_response()
        client.close()
    shown = wait_until(lambda: (now := stage.metrics()).value("psgate_connections") == 0 and now, "the connections to be gone")
    assert shown.value("psgate_requests_in_flight") == 0 and shown.value("psgate_upstream_connections", state="active") == 0
    assert shown.value("psgate_upstream_connections", state="idle") == 3


def test_times_of_day_are_exact(stage):
    assert stage.get(b"/v1/plain/a").status == 200
    shown = stage.metrics()
    begun = shown.value("process_start_time_seconds")
    success = shown.value("psgate_upstream_last_success_timestamp_seconds")
    loaded = shown.value("psgate_config_loaded_timestamp_seconds")
    assert abs(loaded - begun) < 20 and begun - 1 <= success < begun + 60
    assert any(value != int(value) for value in (begun, success, loaded))


def test_counters_only_rise_over_reloads(stage):
    counters = lambda shown: {key: value for key, value in shown.samples.items()  # noqa: E731
                              if key[0].endswith(("_total", "_bucket", "_count", "_sum"))}
    count = make_busy(stage)
    before = counters(counted(stage, count))
    for generation in (2, 3):
        rows = json.loads((stage.gateway.folder / "operations.json").read_text())["operations"]
        rows.insert(0, {"id": f"new{generation}", "method": "GET", "path": f"/v1/new{generation}"})
        (stage.gateway.folder / "operations.json").write_text(json.dumps({"operations": rows[::-1]}))
        stage.gateway.hang_up()
        wait_until(lambda: stage.metrics().value("psgate_config_generation") == generation, "the reload")  # noqa: B023
        after = counters(stage.metrics())
        assert all(after[key] >= value for key, value in before.items())
        assert stage.get(b"/v1/new%d" % generation).status == 200
        count += 1
        before = counters(counted(stage, count))
        assert before["psgate_requests_total", (("cache", "none"), ("operation", f"new{generation}"), ("status", "200"))] == 1
    assert counted(stage, count).sum("psgate_requests_total") == count
    assert stage.metrics().value("psgate_config_last_reload_successful") == 1


def test_keys_that_upstream_refuses_show(stage):
    def states():
        shown = stage.metrics()
        assert all(len(shown.of("psgate_credential_state", credential="default", state=word)) == 1
                   for word in ("unknown", "accepted", "refused"))
        return {dict(labels)["state"] for labels, value in shown.of("psgate_credential_state").items() if value == 1}

    assert states() == {"unknown"}
    stage.get(b"/v1/plain/a")
    assert states() == {"accepted"}
    stage.origin.answer = wire.response(b"HTTP/1.1 401 No")
    stage.get(b"/v1/plain/a")
    assert states() == {"refused"}
    assert sum(stage.metrics().by("psgate_errors_total", "reason").values()) == 1


def test_upstream_down_and_up_shows(stage):
    assert stage.metrics().value("psgate_upstream_up") == 1
    stage.origin.stop()
    wait_until(lambda: stage.get(b"/v1/plain/a").status >= 500 and stage.metrics().value("psgate_upstream_up") == 0, "upstream to be down")
    stage.origin.open()
    wait_until(lambda: stage.get(b"/v1/plain/a").status == 200, "upstream to be back")
    assert stage.metrics().value("psgate_upstream_up") == 1


def test_a_trail_that_cannot_be_written_shows(stage):
    assert stage.metrics().value("psgate_audit_writable") == 1
    folder = stage.trail.folder
    folder.rename(folder.with_name("away"))
    assert stage.change(b"POST /v1/things/a", body=b"{}").status == 503
    assert stage.metrics().value("psgate_audit_writable") == 0
    folder.with_name("away").rename(folder)
    wait_until(lambda: stage.metrics().value("psgate_audit_writable") == 1, "the trail to be writable again")


def test_syncs_and_records_are_counted(stage):
    for number in range(5):
        assert stage.change(b"POST /v1/things/%d" % number, body=b"{}").status == 200
    shown = stage.metrics()
    assert shown.value("psgate_audit_records_total", phase="intent") == shown.value("psgate_audit_records_total", phase="result") == 5
    assert 1 <= shown.value("psgate_audit_sync_seconds_count") <= 11 and shown.value("psgate_audit_sequence") >= 10
    assert shown.value("psgate_audit_waiting") == 0


# Bounds


def test_nothing_a_client_chooses_becomes_a_label(stage):
    """Random paths, methods, queries, agents and names make no series beyond operations, statuses and outcomes."""
    rng, word = random.Random(7), "".join
    chosen = [word(rng.choices(string.ascii_letters, k=12)) for _ in range(200)]
    for number, name in enumerate(chosen):
        method = (b"GET", b"PUT", b"DELETE", b"PATCH", name.encode())[number % 5]
        stage.get(b"/%b/%b?%b" % (name.encode(), name[::-1].encode(), name.encode()), b"User-Agent: " + name.encode(), method=method)
    shown = counted(stage, 200)
    assert not any(name in shown.text or name[::-1] in shown.text for name in chosen)
    assert shown.by("psgate_requests_total", "operation").keys() == {"other"}
    sizes = []
    for done in (600, 1000):  # the first round brings the operation's own series
        for name in chosen:
            stage.get(b"/%b" % name[::-1].encode())
            stage.get(b"/v1/plain/" + name.encode(), b"X-Api-Key: " + name.encode())
        sizes.append(len(counted(stage, done).samples))
    assert sizes[0] == sizes[1]


def test_statuses_of_upstream_are_bounded_by_their_digits(stage):
    sent = list(range(200, 600, 7))
    for status in sent:
        stage.origin.answer = wire.response(b"HTTP/1.1 %d X" % status)
        stage.get(b"/v1/plain/a")
    shown = counted(stage, len(sent))
    statuses = set(shown.by("psgate_requests_total", "status"))
    assert all(len(status) == 3 and status.isdigit() for status in statuses), statuses
    assert shown.sum("psgate_requests_total") == len(sent)


def test_clients_that_leave_are_counted_without_a_status(stage):
    release = threading.Event()
    stage.origin.answer = holding(release)
    with stage.connect() as client:
        client.send(stage.request(b"GET /v1/plain/a HTTP/1.1"))
        stage.origin.wait_request()
        client.reset()
    shown = counted(stage, 1)
    release.set()
    [labels] = shown.of("psgate_requests_total")
    assert dict(labels)["status"] in ("0", "499") and dict(labels)["operation"] == "plain"


def test_scrapes_beside_requests_and_reloads_see_sums_that_only_rise(stage):
    """Run under ThreadSanitizer this is also the test that nothing is read without care."""
    stop, failures, totals = threading.Event(), [], []

    def guarded(work):
        def run():
            try:
                while not stop.is_set():
                    work()
            except Exception as failure:  # the test's thread must see it
                failures.append(failure)
                stop.set()

        return threading.Thread(target=run)

    def scrape():
        for target in (b"/metrics", b"/api/status", b"/api/clients", b"/api/audit", b"/readyz"):
            assert stage.door.ask(target).status == 200
        totals.append(stage.metrics().sum("psgate_requests_total"))

    threads = [guarded(lambda: stage.get(b"/v1/things/%d" % random.randrange(20))), guarded(scrape),
               guarded(lambda: stage.change(b"POST /v1/things/a", body=b"{}")),
               guarded(lambda: stage.door.ask(b"/cache/purge?scope=*", method=b"POST"))]
    for thread in threads:
        thread.start()
    for generation in range(2, 12):
        stage.gateway.hang_up()
        wait_until(lambda: stop.is_set() or stage.metrics().value("psgate_config_generation") == generation, "the reload")  # noqa: B023
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert totals == sorted(totals) and totals[-1] > 0
    assert endpoint(stage.gateway).ask(b"/healthz").status == 200
