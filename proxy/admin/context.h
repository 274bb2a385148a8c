/* What the endpoint's answers are made from. On the admin thread. */
#ifndef PSGATE_ADMIN_CONTEXT_H
#define PSGATE_ADMIN_CONTEXT_H

#include "access/token.h"
#include "admin/history.h"
#include "admin/trail_reader.h"
#include "gateway/gateway.h"

struct admin_context {
    struct gateway *gateway;
    struct token_hasher *hasher;
    struct history *history;
    struct trail_reader *reader;
    int64_t started_ms; /* wall clock */
};

#endif
