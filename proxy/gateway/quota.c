#include "gateway/quota.h"

#include "base/clock.h"
#include "gateway/exchange.h"

enum quota quota_admit(struct exchange *exchange, enum reason *reason)
{
    const struct client *client = exchange->admission.client;

    *reason = REASON_CLIENT_BUSY;
    if (!rate_slot_acquire(&exchange->slot, client->bucket))
        return QUOTA_REFUSED;
    *reason = REASON_CLIENT_RATE;
    if (client->limits.rate.count == 0)
        return QUOTA_ADMITTED;
    if (fleet_ask_token(exchange, FLEET_CLIENT))
        return QUOTA_ASKED;
    return rate_bucket_ask(client->bucket, clock_monotonic_us()).is_admitted
               ? QUOTA_ADMITTED
               : QUOTA_REFUSED;
}

enum quota quota_admit_upstream(struct exchange *exchange)
{
    struct rate_bucket *bucket = rates_upstream(exchange->station->shared->rates);
    bool is_limited = exchange->snapshot->config->limits.upstream_rate.count != 0;

    if (exchange->upstream_token == TOKEN_NONE && is_limited &&
        fleet_ask_token(exchange, FLEET_UPSTREAM))
        return QUOTA_ASKED;
    if (exchange->upstream_token == TOKEN_NONE)
        exchange->upstream_token =
            !is_limited || rate_bucket_ask(bucket, clock_monotonic_us()).is_admitted
                ? TOKEN_TAKEN
                : TOKEN_REFUSED;
    return exchange->upstream_token == TOKEN_TAKEN ? QUOTA_ADMITTED : QUOTA_REFUSED;
}

/* What was refused just now: none are left, whatever has dripped in since. */
static void add_rate_lines(const char *name, const struct units_rate *rate,
                           const struct rate_bucket *bucket, struct text *out)
{
    struct rate_answer answer = rate_bucket_look(bucket, clock_monotonic_us());

    if (answer.retry_after_s < 1)
        answer.retry_after_s = 1;
    if (answer.reset_s < answer.retry_after_s)
        answer.reset_s = answer.retry_after_s;
    text_add_format(out,
                    "Retry-After: %lld\r\nRateLimit-Policy: \"%s\";q=%lld;w=%lld\r\n"
                    "RateLimit: \"%s\";r=0;t=%lld\r\n",
                    (long long)answer.retry_after_s, name, (long long)rate->count,
                    (long long)rate->period_s, name, (long long)answer.reset_s);
}

void quota_add_lines(const struct exchange *exchange, enum reason reason,
                     struct text *out)
{
    const struct client *client = exchange->admission.client;
    const struct config_limits *limits = &exchange->snapshot->config->limits;

    if (reason == REASON_CLIENT_RATE)
        add_rate_lines("client", &client->limits.rate, client->bucket, out);
    else if (reason == REASON_UPSTREAM_RATE)
        add_rate_lines("upstream", &limits->upstream_rate,
                       rates_upstream(exchange->station->shared->rates), out);
    else if (reason == REASON_CLIENT_BUSY)
        text_add_format(
            out,
            "Retry-After: 1\r\nRateLimit-Policy: \"concurrency\";q=%lld;"
            "qu=\"concurrent-requests\"\r\nRateLimit: \"concurrency\";r=0\r\n",
            (long long)client->limits.concurrency);
}
