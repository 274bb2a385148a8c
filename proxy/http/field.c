#include "http/field.h"

/* By their names, so that a search may end early. */
static const struct {
    struct span name;
    enum http_field_id id;
} known[] = {
    {SPAN("authorization"), HTTP_FIELD_AUTHORIZATION},
    {SPAN("cache-control"), HTTP_FIELD_CACHE_CONTROL},
    {SPAN("connection"), HTTP_FIELD_CONNECTION},
    {SPAN("content-length"), HTTP_FIELD_CONTENT_LENGTH},
    {SPAN("cookie"), HTTP_FIELD_COOKIE},
    {SPAN("expect"), HTTP_FIELD_EXPECT},
    {SPAN("forwarded"), HTTP_FIELD_FORWARDED},
    {SPAN("host"), HTTP_FIELD_HOST},
    {SPAN("if-match"), HTTP_FIELD_IF_MATCH},
    {SPAN("if-modified-since"), HTTP_FIELD_IF_MODIFIED_SINCE},
    {SPAN("if-none-match"), HTTP_FIELD_IF_NONE_MATCH},
    {SPAN("if-range"), HTTP_FIELD_IF_RANGE},
    {SPAN("if-unmodified-since"), HTTP_FIELD_IF_UNMODIFIED_SINCE},
    {SPAN("keep-alive"), HTTP_FIELD_KEEP_ALIVE},
    {SPAN("pragma"), HTTP_FIELD_PRAGMA},
    {SPAN("proxy-authenticate"), HTTP_FIELD_PROXY_AUTHENTICATE},
    {SPAN("proxy-authorization"), HTTP_FIELD_PROXY_AUTHORIZATION},
    {SPAN("proxy-connection"), HTTP_FIELD_PROXY_CONNECTION},
    {SPAN("range"), HTTP_FIELD_RANGE},
    {SPAN("set-cookie"), HTTP_FIELD_SET_COOKIE},
    {SPAN("te"), HTTP_FIELD_TE},
    {SPAN("traceparent"), HTTP_FIELD_TRACEPARENT},
    {SPAN("transfer-encoding"), HTTP_FIELD_TRANSFER_ENCODING},
    {SPAN("upgrade"), HTTP_FIELD_UPGRADE},
    {SPAN("x-api-key"), HTTP_FIELD_X_API_KEY},
    {SPAN("x-forwarded-for"), HTTP_FIELD_X_FORWARDED_FOR},
    {SPAN("x-http-method"), HTTP_FIELD_OVERRIDE},
    {SPAN("x-http-method-override"), HTTP_FIELD_OVERRIDE},
    {SPAN("x-method-override"), HTTP_FIELD_OVERRIDE},
    {SPAN("x-original-url"), HTTP_FIELD_OVERRIDE},
    {SPAN("x-request-id"), HTTP_FIELD_X_REQUEST_ID},
    {SPAN("x-rewrite-url"), HTTP_FIELD_OVERRIDE},
};

static const unsigned char traits_of[HTTP_FIELD_COUNT] = {
    [HTTP_FIELD_AUTHORIZATION] = HTTP_TRAIT_CREDENTIAL,
    [HTTP_FIELD_CONNECTION] = HTTP_TRAIT_HOP_BY_HOP,
    [HTTP_FIELD_CONTENT_LENGTH] = HTTP_TRAIT_FRAMING,
    [HTTP_FIELD_COOKIE] = HTTP_TRAIT_CREDENTIAL,
    [HTTP_FIELD_HOST] = HTTP_TRAIT_FRAMING,
    [HTTP_FIELD_KEEP_ALIVE] = HTTP_TRAIT_HOP_BY_HOP,
    [HTTP_FIELD_PROXY_AUTHENTICATE] = HTTP_TRAIT_HOP_BY_HOP,
    [HTTP_FIELD_PROXY_AUTHORIZATION] = HTTP_TRAIT_HOP_BY_HOP | HTTP_TRAIT_CREDENTIAL,
    [HTTP_FIELD_PROXY_CONNECTION] = HTTP_TRAIT_HOP_BY_HOP,
    [HTTP_FIELD_SET_COOKIE] = HTTP_TRAIT_CREDENTIAL,
    [HTTP_FIELD_TE] = HTTP_TRAIT_HOP_BY_HOP,
    [HTTP_FIELD_TRANSFER_ENCODING] = HTTP_TRAIT_HOP_BY_HOP | HTTP_TRAIT_FRAMING,
    [HTTP_FIELD_UPGRADE] = HTTP_TRAIT_HOP_BY_HOP,
    [HTTP_FIELD_X_API_KEY] = HTTP_TRAIT_CREDENTIAL,
    [HTTP_FIELD_OVERRIDE] = HTTP_TRAIT_OVERRIDE,
};

enum { KNOWN = sizeof(known) / sizeof(known[0]) };

enum http_field_id http_field_find(struct span name)
{
    char first = name.len > 0 ? ascii_lower(name.at[0]) : '\0';

    for (unsigned i = 0; i < KNOWN && known[i].name.at[0] <= first; i++) {
        if (known[i].name.len == name.len && known[i].name.at[0] == first &&
            span_equal_nocase(known[i].name, name))
            return known[i].id;
    }
    return HTTP_FIELD_OTHER;
}

unsigned http_field_traits(enum http_field_id id)
{
    return traits_of[id];
}

bool http_field_is_disguised(struct span name)
{
    char dashed[32];
    unsigned traits;

    if (name.len > sizeof(dashed) || memchr(name.at, '_', name.len) == NULL)
        return false;
    for (size_t i = 0; i < name.len; i++)
        dashed[i] = name.at[i] == '_' ? '-' : name.at[i];
    traits = http_field_traits(http_field_find(span_make(dashed, name.len)));
    return (traits &
            (HTTP_TRAIT_FRAMING | HTTP_TRAIT_CREDENTIAL | HTTP_TRAIT_OVERRIDE)) != 0;
}
