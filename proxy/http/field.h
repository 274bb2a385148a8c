/*
 * The fields that a gateway must know by name, and what kind each is. Everything else
 * goes through untouched and unnamed.
 */
#ifndef PSGATE_HTTP_FIELD_H
#define PSGATE_HTTP_FIELD_H

#include "base/span.h"

enum http_field_id {
    HTTP_FIELD_OTHER,
    HTTP_FIELD_AUTHORIZATION,
    HTTP_FIELD_CACHE_CONTROL,
    HTTP_FIELD_CONNECTION,
    HTTP_FIELD_CONTENT_LENGTH,
    HTTP_FIELD_COOKIE,
    HTTP_FIELD_EXPECT,
    HTTP_FIELD_FORWARDED,
    HTTP_FIELD_HOST,
    HTTP_FIELD_IF_MATCH,
    HTTP_FIELD_IF_MODIFIED_SINCE,
    HTTP_FIELD_IF_NONE_MATCH,
    HTTP_FIELD_IF_RANGE,
    HTTP_FIELD_IF_UNMODIFIED_SINCE,
    HTTP_FIELD_KEEP_ALIVE,
    HTTP_FIELD_OVERRIDE, /* every spelling of the method and target overrides */
    HTTP_FIELD_PRAGMA,
    HTTP_FIELD_PROXY_AUTHENTICATE,
    HTTP_FIELD_PROXY_AUTHORIZATION,
    HTTP_FIELD_PROXY_CONNECTION,
    HTTP_FIELD_RANGE,
    HTTP_FIELD_SET_COOKIE,
    HTTP_FIELD_TE,
    HTTP_FIELD_TRACEPARENT,
    HTTP_FIELD_TRANSFER_ENCODING,
    HTTP_FIELD_UPGRADE,
    HTTP_FIELD_X_API_KEY,
    HTTP_FIELD_X_FORWARDED_FOR,
    HTTP_FIELD_X_REQUEST_ID,
    HTTP_FIELD_COUNT
};

enum http_field_trait {
    HTTP_TRAIT_HOP_BY_HOP =
        1, /* RFC 9110 7.6.1, and the Proxy- fields of RFC 9110 11.7 */
    HTTP_TRAIT_FRAMING = 2,
    HTTP_TRAIT_CREDENTIAL = 4,
    HTTP_TRAIT_OVERRIDE = 8,
};

/* The field's id, found without regard to case. */
enum http_field_id http_field_find(struct span name);

/* The traits of an id, as bits. */
unsigned http_field_traits(enum http_field_id id);

/*
 * Whether the name, read with '-' for each '_', is a field with the traits framing,
 * credential or override. Servers that fold the two (CGI's habit) would take it for that.
 */
bool http_field_is_disguised(struct span name);

#endif
