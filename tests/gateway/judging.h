/*
 * Requests judged against a configuration of files: clients each with a token of its own,
 * an upstream on loopback that nobody contacts. In requests, {NAME} is that client's
 * token.
 */
#ifndef PSGATE_TESTS_GATEWAY_JUDGING_H
#define PSGATE_TESTS_GATEWAY_JUDGING_H

#include "gateway/admission.h"
#include "support/folder.h"
#include "support/heads.h"

enum { JUDGING_MOST_CLIENTS = 16, JUDGING_NOW = 1767225600 }; /* 2026-01-01 */

struct judging_client {
    const char *name;
    const char *members; /* JSON: further members of its entry */
    char token[TOKEN_BYTES + 1];
};

struct judging {
    struct folder folder;
    struct token_hasher *hasher;
    struct jwt_memo *memo; /* NULL: none */
    struct snapshot *snapshot;
    struct judging_client clients[JUDGING_MOST_CLIENTS];
    size_t count;
    struct identity identity; /* of the connection; tests set it */
};

/* A request that was judged; everything that the admission points into. */
struct judged {
    struct text request;
    struct span bytes;
    char *scratch;
    struct http_head head;
    struct admission admission;
    bool is_admitted;
};

static inline void judging_add_client(struct judging *judging, struct text *json,
                                      const char *name, const char *members)
{
    struct judging_client *client = &judging->clients[judging->count++];
    unsigned char digest[TOKEN_DIGEST_BYTES];
    struct error error;

    *client = (struct judging_client){.name = name, .members = members};
    ck_assert(token_generate(judging->hasher, client->token, &error));
    ck_assert(token_digest(judging->hasher, span_of(client->token), digest));
    text_add_format(json, "%s{\"name\":\"%s\",\"token_sha256\":\"",
                    judging->count > 1 ? "," : "", name);
    for (size_t i = 0; i < sizeof(digest); i++)
        text_add_format(json, "%02x", digest[i]);
    text_add_format(json, "\"%s%s}", members[0] != '\0' ? "," : "", members);
}

/* Rows of name and members, up to a NULL name; upstream holds further members of it. */
static inline void judging_start(struct judging *judging, const char *const (*clients)[2],
                                 const char *upstream)
{
    struct problems problems = {0};
    struct text json = {0}, config = {0};
    struct error error;

    *judging = (struct judging){.count = 0};
    folder_make(&judging->folder);
    judging->hasher = token_hasher_new(&error);
    ck_assert_ptr_nonnull(judging->hasher);
    text_add(&json, SPAN("{\"clients\":["));
    for (; (*clients)[0] != NULL; clients++)
        judging_add_client(judging, &json, (*clients)[0], (*clients)[1]);
    text_add(&json, SPAN("]}"));
    text_add_format(&config,
                    "{\"upstream\":{\"url\":\"http://127.0.0.1:1\"%s},\"clients_file\":"
                    "\"clients.json\",\"credentials\":{\"default\":{\"api_key_file\":"
                    "\"api-key\"}}}",
                    upstream);
    (void)folder_write(&judging->folder, "clients.json", span_make(json.bytes, json.len),
                       0600);
    (void)folder_write(&judging->folder, "api-key", SPAN("the-key\n"), 0600);
    judging->snapshot =
        snapshot_load(folder_write(&judging->folder, "psgate.json",
                                   span_make(config.bytes, config.len), 0600),
                      NULL, NULL, &problems);
    ck_assert_msg(judging->snapshot != NULL, "%s", problems.lines.bytes);
    problems_fini(&problems);
    text_fini(&json);
    text_fini(&config);
}

static inline void judging_stop(struct judging *judging)
{
    snapshot_unref(judging->snapshot);
    token_hasher_free(judging->hasher);
    folder_remove(&judging->folder);
}

/* The token of that client; it must be there. */
static inline struct span judging_token(const struct judging *judging, struct span name)
{
    for (size_t i = 0; i < judging->count; i++) {
        if (span_equal(span_of(judging->clients[i].name), name))
            return span_of(judging->clients[i].token);
    }
    ck_abort_msg("no client '%s'", shown(name));
    return SPAN("");
}

static inline void judging_fill(const struct judging *judging, struct span request,
                                struct text *out)
{
    for (size_t i = 0; i < request.len; i++) {
        const char *end = memchr(request.at + i, '}', request.len - i);

        if (request.at[i] != '{' || end == NULL) {
            text_add_byte(out, request.at[i]);
            continue;
        }
        text_add(out,
                 judging_token(judging, span_make(request.at + i + 1,
                                                  (size_t)(end - request.at) - i - 1)));
        i = (size_t)(end - request.at);
    }
}

/* Judges a whole head, all of it in blocks of exactly its size. */
static inline void judging_judge(const struct judging *judging, struct span request,
                                 struct judged *judged)
{
    *judged = (struct judged){.is_admitted = false};
    judging_fill(judging, request, &judged->request);
    judged->bytes = exact_span(span_make(judged->request.bytes, judged->request.len));
    must_parse(&judged->head, HTTP_REQUEST, judged->bytes);
    judged->scratch = malloc(judged->head.target.len);
    judged->is_admitted = admission_judge(
        &judged->admission, &judged->head, &judging->identity, judging->snapshot,
        judging->hasher, judging->memo, (int64_t)JUDGING_NOW * 1000, judged->scratch);
}

/* With a Host, and the lines, each with its CR LF. */
static inline void judging_ask(const struct judging *judging, const char *method,
                               const char *target, const char *lines,
                               struct judged *judged)
{
    struct text request = {0};

    text_add_format(&request, "%s %s HTTP/1.1\r\nHost: gw.test\r\n%s\r\n", method, target,
                    lines);
    judging_judge(judging, span_make(request.bytes, request.len), judged);
    text_fini(&request);
}

static inline void judged_end(struct judged *judged)
{
    http_head_fini(&judged->head);
    free(judged->scratch);
    free((char *)(uintptr_t)judged->bytes.at);
    text_fini(&judged->request);
}

#endif
