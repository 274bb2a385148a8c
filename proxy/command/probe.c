#include "command/probe.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "gateway/forward.h"
#include "upstream/call.h"

struct probe {
    struct worker *worker;
    struct text head;
    struct upstream_request request;
    struct text body;
    unsigned status;
    bool is_over;
    enum probe_result result;
    char *detail;
    size_t detail_bytes;
};

static void conclude(struct probe *probe, enum probe_result result, const char *detail)
{
    probe->result = result;
    probe->is_over = true;
    (void)snprintf(probe->detail, probe->detail_bytes, "%s", detail);
    worker_stop(probe->worker);
}

static void on_nothing(void *owner)
{
    (void)owner;
}

static void on_interim(void *owner, const struct http_head *head)
{
    (void)owner;
    (void)head;
}

static void on_head(void *owner, const struct http_head *head, enum http_framing framing,
                    uint64_t length)
{
    struct probe *probe = owner;

    (void)framing;
    (void)length;
    probe->status = head->status;
}

/* Only the beginning matters: a session, or null. */
static void on_content(void *owner, struct span content)
{
    struct probe *probe = owner;

    if (probe->body.len < 16)
        text_add(&probe->body, content);
}

static void on_end(void *owner, const struct http_head *trailers)
{
    struct probe *probe = owner;
    struct span body = span_make(probe->body.bytes, probe->body.len);
    char text[64];

    (void)trailers;
    if (probe->status == 401 || probe->status == 403)
        conclude(probe, PROBE_REFUSED, "upstream refused the key");
    else if (probe->status == 200 && span_starts_with(span_trim(body), SPAN("null")))
        conclude(probe, PROBE_REFUSED, "upstream knows no session for the key");
    else if (probe->status == 200)
        conclude(probe, PROBE_ACCEPTED, "accepted");
    else {
        (void)snprintf(text, sizeof(text), "upstream answered %u", probe->status);
        conclude(probe, PROBE_UNREACHABLE, text);
    }
}

static void on_failed(void *owner, enum upstream_failure failure, const char *detail)
{
    struct probe *probe = owner;

    conclude(probe,
             failure == UPSTREAM_TLS_CERTIFICATE ? PROBE_UNVERIFIED : PROBE_UNREACHABLE,
             detail);
}

static const struct upstream_call_events events = {
    on_nothing, on_nothing, on_interim, on_head,
    on_content, on_nothing, on_end,     on_failed,
};

static void prepare(struct probe *probe, const struct snapshot *snapshot,
                    const struct credential *credential, int slot)
{
    size_t key_at;

    (void)forward_session_head(snapshot->config->upstream.authority, &probe->head,
                               &key_at);
    probe->request = (struct upstream_request){
        .head_before = span_make(probe->head.bytes, key_at),
        .api_key = secret_span(credential->api_keys[slot]),
        .head_after = span_make(probe->head.bytes + key_at, probe->head.len - key_at),
        .may_repeat = true,
    };
}

static void run(struct probe *probe, const struct snapshot *snapshot)
{
    struct upstream_pool *pool = upstream_pool_new(probe->worker, snapshot->target);
    struct upstream_call *call =
        pool != NULL ? upstream_call_new(pool, &probe->request, &events, probe) : NULL;

    if (call == NULL) {
        conclude(probe, PROBE_UNREACHABLE, "out of memory");
    } else {
        upstream_call_start(call);
        if (!probe->is_over)
            worker_run(probe->worker);
    }
    upstream_pool_close(pool);
}

enum probe_result probe_credential(const struct snapshot *snapshot,
                                   const struct credential *credential, int slot,
                                   char *detail, size_t detail_bytes)
{
    struct probe probe = {.detail = detail, .detail_bytes = detail_bytes};
    struct error error;

    probe.worker = worker_new(0, &error);
    if (probe.worker == NULL) {
        (void)snprintf(detail, detail_bytes, "%s", error.text);
        return PROBE_UNREACHABLE;
    }
    prepare(&probe, snapshot, credential, slot);
    run(&probe, snapshot);
    worker_free(probe.worker);
    text_fini(&probe.head);
    text_fini(&probe.body);
    return probe.result;
}
