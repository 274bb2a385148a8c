#include "cache/freshness.h"

#include "http/date.h"

static const struct http_field *find_named(const struct http_head *head, struct span name)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        if (span_equal_nocase(http_field_name(head, &head->fields[i]), name))
            return &head->fields[i];
    }
    return NULL;
}

static bool read_date(const struct http_head *head, struct span name, int64_t now_ms,
                      int64_t *wall_ms)
{
    const struct http_field *field = find_named(head, name);

    return field != NULL &&
           http_date_parse(http_field_value(head, field), now_ms, wall_ms);
}

/* RFC 9111 5.1: of a list the first counts; what is no number is ignored. */
static int64_t read_age_ms(const struct http_head *head)
{
    const struct http_field *field = find_named(head, SPAN("age"));
    struct span list, first;
    uint64_t seconds;

    if (field == NULL)
        return 0;
    list = http_field_value(head, field);
    if (!http_list_next(&list, &first))
        return 0;
    if (span_to_number(first, (uint64_t)CACHE_FOREVER_S, &seconds))
        return (int64_t)seconds * 1000;
    for (size_t i = 0; i < first.len; i++) {
        if (first.at[i] < '0' || first.at[i] > '9')
            return 0;
    }
    return CACHE_FOREVER_S * 1000; /* too large a number means the largest */
}

/* RFC 9111 4.2.3. */
static int64_t initial_age_ms(const struct http_head *head,
                              const struct cache_times *times)
{
    int64_t delay_ms = times->received_wall_ms - times->sent_wall_ms;
    int64_t corrected_ms = read_age_ms(head) + (delay_ms > 0 ? delay_ms : 0);
    int64_t date_ms, apparent_ms = 0;

    if (read_date(head, SPAN("date"), times->received_wall_ms, &date_ms))
        apparent_ms = times->received_wall_ms - date_ms;
    return apparent_ms > corrected_ms ? apparent_ms : corrected_ms;
}

static bool has_explicit_lifetime(const struct http_head *head,
                                  const struct cache_directives *answer)
{
    return answer->s_maxage != CACHE_ABSENT || answer->max_age != CACHE_ABSENT ||
           find_named(head, SPAN("expires")) != NULL;
}

/* RFC 9111 4.2.1; an Expires that cannot be read is in the past (5.3). */
static int64_t explicit_lifetime_ms(const struct http_head *head,
                                    const struct cache_directives *answer,
                                    const struct cache_times *times)
{
    int64_t expires_ms, date_ms;

    if (answer->s_maxage != CACHE_ABSENT)
        return answer->s_maxage * 1000;
    if (answer->max_age != CACHE_ABSENT)
        return answer->max_age * 1000;
    if (!read_date(head, SPAN("expires"), times->received_wall_ms, &expires_ms))
        return 0;
    if (!read_date(head, SPAN("date"), times->received_wall_ms, &date_ms))
        date_ms = times->received_wall_ms;
    return expires_ms > date_ms ? expires_ms - date_ms : 0;
}

static bool has_validator(const struct http_head *head)
{
    return find_named(head, SPAN("etag")) != NULL ||
           find_named(head, SPAN("last-modified")) != NULL;
}

/* RFC 9110 15.1: what may be kept without a word about its lifetime. */
static bool is_cacheable_by_default(unsigned status)
{
    return status == 200 || status == 203 || status == 204 || status == 300 ||
           status == 301 || status == 308 || status == 404 || status == 405 ||
           status == 410 || status == 414 || status == 501;
}

/* RFC 6585: these answers are about the request's moment, and never kept. */
static bool is_never_kept(unsigned status)
{
    return status == 428 || status == 429 || status == 431 || status == 511;
}

/* Whose requirements about caching we follow (for must-understand, RFC 9111 5.2.2.3). */
static bool is_understood(unsigned status)
{
    return is_cacheable_by_default(status) || status == 302 || status == 303 ||
           status == 307 || status == 400 || status == 401 || status == 403 ||
           status == 409 || status == 500 || status == 502 || status == 503 ||
           status == 504;
}

static int64_t given_or(int64_t given_s, int64_t otherwise_ms)
{
    return given_s != CACHE_ABSENT ? given_s * 1000 : otherwise_ms;
}

static void work_out(const struct operation_cache *rule, const struct http_head *head,
                     const struct cache_directives *answer,
                     const struct cache_times *times, struct cache_policy *policy)
{
    bool is_explicit = has_explicit_lifetime(head, answer);

    policy->initial_age_ms = initial_age_ms(head, times);
    policy->has_validator = has_validator(head);
    policy->must_validate = answer->no_cache;
    policy->never_stale = answer->must_revalidate || answer->proxy_revalidate ||
                          answer->s_maxage != CACHE_ABSENT || answer->no_cache;
    policy->stale_while_revalidate_ms =
        given_or(answer->stale_while_revalidate, rule->stale_while_revalidate_ms);
    policy->stale_if_error_ms = given_or(answer->stale_if_error, rule->stale_if_error_ms);
    policy->lifetime_ms = is_explicit ? explicit_lifetime_ms(head, answer, times) : 0;
    if (!is_explicit && rule->ttl_ms > 0 && head->status == 200)
        policy->lifetime_ms = rule->ttl_ms;
}

/*
 * The rule's ttl counts from the arrival, however old the answer was by then; its Age is
 * told all the same, and judged where a client sets max-age.
 */
static bool may_store_fixed(const struct operation_cache *rule,
                            const struct http_head *head, struct cache_policy *policy)
{
    int64_t age_ms = read_age_ms(head);

    *policy = (struct cache_policy){
        .initial_age_ms = age_ms,
        .lifetime_ms = rule->ttl_ms + age_ms,
        .stale_while_revalidate_ms = rule->stale_while_revalidate_ms,
        .stale_if_error_ms = rule->stale_if_error_ms,
        .has_validator = has_validator(head),
    };
    return head->status == 200;
}

/* RFC 9111 3. Authorization is no bar: the operator's rule is the permission (3.5). */
static bool may_store_by_rfc(const struct operation_cache *rule,
                             const struct http_head *head,
                             const struct cache_times *times, struct cache_policy *policy)
{
    struct cache_directives answer;

    cache_directives_read(head, &answer);
    if (head->status < 200 || head->status == 206 || head->status == 304 ||
        is_never_kept(head->status) || answer.is_private)
        return false;
    if (answer.must_understand ? !is_understood(head->status) : answer.no_store)
        return false;
    work_out(rule, head, &answer, times, policy);
    if (!has_explicit_lifetime(head, &answer) && !answer.is_public &&
        !is_cacheable_by_default(head->status))
        return false;
    return policy->lifetime_ms > 0 || policy->has_validator;
}

bool cache_may_store(const struct operation_cache *rule,
                     const struct cache_directives *request,
                     const struct http_head *answer, const struct cache_times *times,
                     struct cache_policy *policy)
{
    *policy = (struct cache_policy){0};
    if (request->no_store || http_head_find(answer, HTTP_FIELD_SET_COOKIE, NULL) != NULL)
        return false;
    if (rule->freshness == OPERATION_FRESHNESS_FIXED)
        return may_store_fixed(rule, answer, policy);
    return may_store_by_rfc(rule, answer, times, policy);
}

/* RFC 9111 5.2.1: what the client asks for beyond freshness. */
static bool client_accepts_age(const struct cache_policy *policy, int64_t age_ms,
                               const struct cache_directives *request)
{
    if (request->max_age != CACHE_ABSENT && age_ms > request->max_age * 1000)
        return false;
    return request->min_fresh == CACHE_ABSENT ||
           policy->lifetime_ms - age_ms >= request->min_fresh * 1000;
}

bool cache_is_server_failure(unsigned status)
{
    return status == 500 || status == 502 || status == 503 || status == 504;
}

/* RFC 9111 5.2.1.1: with max-age alone a client wishes no stale answer. */
static bool refuses_stale(const struct cache_directives *request)
{
    return request->max_age != CACHE_ABSENT && request->max_stale == CACHE_ABSENT;
}

enum cache_use cache_judge_use(const struct cache_policy *policy, int64_t age_ms,
                               const struct cache_directives *request)
{
    int64_t stale_ms = age_ms - policy->lifetime_ms;

    if (policy->must_validate || request->no_cache)
        return CACHE_USE_AFTER_ASKING;
    if (stale_ms < 0)
        return client_accepts_age(policy, age_ms, request) ? CACHE_USE_NOW
                                                           : CACHE_USE_AFTER_ASKING;
    if (policy->never_stale || refuses_stale(request) ||
        (request->max_age != CACHE_ABSENT && age_ms > request->max_age * 1000) ||
        request->min_fresh != CACHE_ABSENT)
        return CACHE_USE_AFTER_ASKING;
    if (request->max_stale != CACHE_ABSENT)
        return stale_ms <= request->max_stale * 1000 ? CACHE_USE_NOW
                                                     : CACHE_USE_AFTER_ASKING;
    return stale_ms < policy->stale_while_revalidate_ms ? CACHE_USE_AND_REVALIDATE
                                                        : CACHE_USE_AFTER_ASKING;
}

bool cache_may_serve_on_error(const struct cache_policy *policy, int64_t age_ms,
                              const struct cache_directives *request)
{
    int64_t stale_ms = age_ms - policy->lifetime_ms;

    if (policy->must_validate || request->no_cache ||
        (request->max_age != CACHE_ABSENT && age_ms > request->max_age * 1000))
        return false;
    if (stale_ms < 0)
        return true;
    if (policy->never_stale || refuses_stale(request) ||
        (request->max_stale != CACHE_ABSENT && stale_ms > request->max_stale * 1000))
        return false;
    return stale_ms < policy->stale_if_error_ms;
}
