#include "gateway/access_log.h"

#include "base/clock.h"
#include "base/log.h"
#include "gateway/exchange.h"
#include "gateway/source.h"
#include "gateway/subject.h"
#include "gateway/trace.h"

enum { MOST_FIELDS = 16 };

struct line {
    struct log_field fields[MOST_FIELDS];
    unsigned count;
};

static void add_text(struct line *line, const char *name, struct span value)
{
    if (value.len > 0)
        line->fields[line->count++] = (struct log_field){.name = name, .value = value};
}

static void add_number(struct line *line, const char *name, int64_t number)
{
    line->fields[line->count++] = (struct log_field){.name = name, .number = number};
}

/* A path is logged without its query, and only if no token can stand in it. */
static void add_request(struct line *line, const struct exchange *exchange)
{
    const struct admission *admission = &exchange->admission;
    const struct operation *operation = admission->operation;

    add_text(line, "http.request.method", subject_method(exchange));
    if (admission->has_loggable_path)
        add_text(line, "url.path", admission->target.path);
    if (admission->client != NULL) {
        add_text(line, "user.name", span_of(admission->client->name));
        add_text(line, "event.action",
                 operation != NULL ? span_of(operation->id) : SPAN("other"));
    }
}

/* In nanoseconds, as ECS has it; a time that did not pass is left out. */
static void add_times(struct line *line, const struct exchange *exchange)
{
    const struct exchange_times times = exchange_times(exchange, clock_monotonic_us());

    add_number(line, "event.duration", times.total * 1000);
    if (times.upstream > 0)
        add_number(line, "proxy.upstream_duration", times.upstream * 1000);
    if (times.audit > 0)
        add_number(line, "proxy.audit_duration", times.audit * 1000);
}

/*
 * The client's name for the request, or one of ours; its records' in the trail; and the
 * trace it is part of. own_id is where ours is written.
 */
static void add_ids(struct line *line, const struct exchange *exchange,
                    char own_id[AUDIT_ID_HEX + 1])
{
    struct span request_id = subject_request_id(exchange);

    if (request_id.len == 0 && exchange->record_id[0] == '\0')
        station_make_record_id(exchange->station, own_id);
    else
        memcpy(own_id, exchange->record_id, AUDIT_ID_HEX + 1);
    add_text(line, "http.request.id", request_id.len > 0 ? request_id : span_of(own_id));
    add_text(line, "event.id", span_of(exchange->record_id));
    add_text(line, "trace.id", trace_id(&exchange->head));
}

static void add_sizes(struct line *line, const struct exchange *exchange)
{
    const struct operation *operation = exchange->admission.operation;

    if (operation != NULL && operation->is_audited)
        return; /* the length of a secret's value is nobody's business */
    add_number(line, "http.request.body.bytes", (int64_t)exchange->request_body_bytes);
    add_number(line, "http.response.body.bytes", (int64_t)exchange->response_body_bytes);
}

void access_log_write(const struct exchange *exchange)
{
    enum cache_outcome outcome = exchange->caching.outcome;
    char own_id[AUDIT_ID_HEX + 1];
    struct line line;

    if (!exchange->snapshot->config->log.access || !log_is_on(LOG_INFO))
        return;
    line.count = 0;
    add_text(&line, "source.address", source_address(exchange));
    add_request(&line, exchange);
    add_number(&line, "http.response.status_code", exchange->status);
    if (outcome != CACHE_OUTCOME_NONE)
        add_text(&line, "proxy.cache", span_of(cache_outcome_word(outcome)));
    add_times(&line, exchange);
    add_sizes(&line, exchange);
    add_ids(&line, exchange, own_id);
    if (exchange->error != NULL)
        add_text(&line, "error.type", span_of(exchange->error));
    log_write_fields(exchange->is_background ? "background fetch" : "request",
                     line.fields, line.count);
}
