/*
 * Operations and policy. A path is matched as regular expressions would match it; then it
 * is spelled anew in ways that a server like Express takes for the same (letters of
 * literals in the other case, escapes, a slash at the end, HEAD for GET), and each client
 * must be told the same of both spellings.
 *
 * Byte 0 chooses the method; then a path, a NUL, and bytes that choose how to spell.
 */
#include <ctype.h>

#include "access/client.h"
#include "access/policy.h"
#include "fuzz/matching.h"

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddee"

static const char clients_text[] =
    "{\"clients\":["
    "{\"name\":\"all\",\"token_sha256\":\"" DIGEST "01\"},"
    "{\"name\":\"reader\",\"token_sha256\":\"" DIGEST
    "02\",\"allow\":[\"get*\",\"list*\"]},"
    "{\"name\":\"team\",\"token_sha256\":\"" DIGEST "03\",\"teams\":[\"t1\"]},"
    "{\"name\":\"careful\",\"token_sha256\":\"" DIGEST "04\","
    "\"deny\":[\"*Secret\",\"other\"]},"
    "{\"name\":\"keys\",\"token_sha256\":\"" DIGEST
    "05\",\"allow\":[\"manageTeamApiKeys\"],"
    "\"teams\":[\"t1\",\"t\xc3\xa9\"]}]}";

static struct config_credential credentials[] = {
    {.name = "default", .api_key_file = "/k"}};
static const struct config config = {
    .path = "psgate.json", .credentials = credentials, .credential_count = 1};
static struct operation_table *table;
static struct client_set *clients;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct problems problems = {0};

    (void)argc;
    (void)argv;
    table = operation_table_load(NULL, &problems);
    if (table != NULL)
        clients =
            client_set_load(fuzz_file(span_of(clients_text)), &config, table, &problems);
    fuzz_require(clients != NULL, "%s", problems.lines.bytes);
    return 0;
}

/* What the gateway makes of one spelling. */
struct judged {
    struct span path, scratch;
    struct http_path split;
    const struct operation *operation;
    bool is_taken;
};

static void judge(struct span path, struct span method, struct judged *judged)
{
    enum http_fault fault;

    judged->path = fuzz_copy(path);
    judged->scratch = fuzz_copy(path);
    judged->is_taken =
        http_path_split(judged->path, false, (char *)(uintptr_t)judged->scratch.at,
                        &judged->split, &fault);
    judged->operation =
        judged->is_taken ? operation_match(table, method, &judged->split) : NULL;
}

static void judged_end(struct judged *judged)
{
    fuzz_free(judged->path);
    fuzz_free(judged->scratch);
}

/* Exact: as it came, the path is the template's text, letter by letter. */
static void check_exactness(const struct judged *judged)
{
    struct text path = {0};

    if (judged->operation == NULL || judged->operation->has_rest)
        return;
    text_add(&path, judged->path);
    fuzz_require(operation_is_exact(judged->operation, judged->path) ==
                     matching_path(judged->operation, path.bytes, 0),
                 "'%s' is exact, or is not", fuzz_shown(judged->path));
    text_fini(&path);
}

static void check_match(const struct judged *judged, const char *method)
{
    struct text joined = {0};
    const struct operation *wanted;

    if (judged->split.count > HTTP_PATH_SEGMENTS)
        return;
    matching_join(&judged->split, &joined);
    wanted = matching_find(table, method, joined.bytes);
    fuzz_require(wanted == judged->operation, "%s %s is %s, not %s", method, joined.bytes,
                 judged->operation != NULL ? judged->operation->id : "other",
                 wanted != NULL ? wanted->id : "other");
    check_exactness(judged);
    text_fini(&joined);
}

/* Whether the operation's template has a literal in that place. */
static bool is_literal(const struct operation *operation, unsigned segment)
{
    return operation != NULL && segment < (unsigned)operation->segment_count &&
           operation->segments[segment] != NULL;
}

static void spell_byte(struct text *out, char byte, bool is_literal_byte, unsigned how)
{
    if ((how & 3) == 1)
        text_add_format(out, "%%%02X", (unsigned)(unsigned char)byte);
    else if ((how & 3) == 2)
        text_add_format(out, "%%%02x", (unsigned)(unsigned char)byte);
    else if ((how & 3) == 3 && is_literal_byte && isalpha((unsigned char)byte))
        text_add_byte(out, (char)(byte ^ 0x20));
    else if (byte == '%' || byte == '?' || byte == '#')
        text_add_format(out, "%%%02X", (unsigned)(unsigned char)byte);
    else
        text_add_byte(out, byte);
}

/* The same path in another spelling. */
static void spell(const struct judged *judged, struct span choices, struct text *out)
{
    for (unsigned i = 0; i < judged->split.count; i++) {
        struct span segment = judged->split.segments[i];
        bool literal = is_literal(judged->operation, i);

        text_add_byte(out, '/');
        for (size_t k = 0; k < segment.len; k++)
            spell_byte(out, segment.at[k], literal, fuzz_byte(&choices));
    }
    if (out->len == 0 || (fuzz_byte(&choices) & 1) != 0)
        text_add_byte(out, '/');
}

static void require_same(const struct judged *one, const struct judged *other)
{
    fuzz_require(other->is_taken, "one spelling is refused: '%s'",
                 fuzz_shown(other->path));
    fuzz_require(one->operation == other->operation, "'%s' and '%s' are two operations",
                 fuzz_shown(one->path), fuzz_shown(other->path));
    for (size_t i = 0; i < clients->count; i++) {
        const struct client *client = &clients->clients[i];

        fuzz_require(client_judge(clients, client, one->operation, &one->split) ==
                         client_judge(clients, client, other->operation, &other->split),
                     "client %s may '%s' or '%s', not both", client->name,
                     fuzz_shown(one->path), fuzz_shown(other->path));
    }
}

/* What is explained is what was decided. */
static void check_explanation(const struct judged *judged)
{
    for (size_t i = 0; i < clients->count; i++) {
        const struct client *client = &clients->clients[i];
        struct client_explanation explanation;

        client_explain(clients, client, judged->operation, &judged->split, &explanation);
        fuzz_require(explanation.verdict ==
                         client_judge(clients, client, judged->operation, &judged->split),
                     "the explanation says something else than the policy");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = {"GET",   "HEAD",   "PUT",     "POST",
                                          "PATCH", "DELETE", "OPTIONS", "put"};
    struct span choices = fuzz_span(data, size);
    unsigned first = fuzz_byte(&choices);
    const char *method = methods[first & 7];
    struct span path = fuzz_take_until(&choices, '\0');
    struct text again = {0};
    struct judged judged, other;

    if (path.len == 0 || path.at[0] != '/')
        return 0;
    judge(path, span_of(method), &judged);
    if (judged.is_taken && judged.split.count <= HTTP_PATH_SEGMENTS) {
        check_match(&judged, method);
        check_explanation(&judged);
        spell(&judged, choices, &again);
        judge(fuzz_text(&again),
              strcmp(method, "GET") == 0 ? SPAN("HEAD") : span_of(method), &other);
        require_same(&judged, &other);
        judged_end(&other);
        text_fini(&again);
    }
    judged_end(&judged);
    return 0;
}
