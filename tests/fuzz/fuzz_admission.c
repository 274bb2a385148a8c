/*
 * Whole request heads and what clients may, where encoded slashes are forwarded: upstream
 * may take %2F for a slash or for a byte of a segment. Who is let in with one must be let
 * in with both, and only then; what is audited in one reading is taken for something that
 * is; and nothing with such a slash is plain enough for the cache.
 *
 * Byte 0 chooses the method; then a target.
 */
#include "fuzz/heads.h"
#include "gateway/admission.h"

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddee"

enum { NOW_MS = 1000, MOST_TARGET = 1024 };

static const char clients_text[] =
    "{\"clients\":["
    "{\"name\":\"all\",\"token_sha256\":\"" DIGEST "01\"},"
    "{\"name\":\"reader\",\"token_sha256\":\"" DIGEST
    "02\",\"allow\":[\"get*\",\"list*\"]},"
    "{\"name\":\"team\",\"token_sha256\":\"" DIGEST "03\",\"teams\":[\"t1\"]},"
    "{\"name\":\"careful\",\"token_sha256\":\"" DIGEST "04\","
    "\"deny\":[\"*Secret\",\"other\"]},"
    "{\"name\":\"others\",\"token_sha256\":\"" DIGEST "05\",\"allow\":[\"other\"]}]}";

static struct snapshot *snapshot;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct problems problems = {0};
    char key[32], clients[32];
    struct text config = {0};

    (void)argc;
    (void)argv;
    fuzz_new_file(SPAN("the-key"), key);
    fuzz_new_file(span_of(clients_text), clients);
    text_add_format(
        &config,
        "{\"upstream\":{\"url\":\"http://127.0.0.1:1\",\"encoded_slashes\":"
        "\"forward\"},\"credentials\":{\"default\":{\"api_key_file\":\"%s\"}},"
        "\"clients_file\":\"%s\"}",
        key, clients);
    snapshot = snapshot_load(fuzz_file(fuzz_text(&config)), NULL, NULL, &problems);
    fuzz_require(snapshot != NULL, "%s", problems.lines.bytes);
    text_fini(&config);
    return 0;
}

/* What becomes of a client's request for a target. */
struct judged {
    bool is_admitted, is_own, is_exact, is_audited;
    enum reason reason;
};

static struct judged judge(const struct client *client, const char *method,
                           struct span target)
{
    char scratch[MOST_TARGET * 2];
    struct admission admission;
    struct judged judged = {.is_admitted = false};
    struct text text = {0};
    struct fuzz_head head;

    text_add_format(&text, "%s ", method);
    text_add(&text, target);
    text_add(&text, SPAN(" HTTP/1.1\r\nHost: a\r\n\r\n"));
    fuzz_head_parse(&head, HTTP_REQUEST, fuzz_text(&text));
    if (head.parse == HTTP_PARSE_DONE) {
        judged.is_admitted =
            admission_judge_as(&admission, &head.head, snapshot, client, NOW_MS, scratch);
        judged.reason = admission.reason;
        judged.is_own = admission.is_own;
        judged.is_exact = judged.is_admitted && admission.is_exact;
        judged.is_audited = judged.is_admitted && admission.operation != NULL &&
                            admission.operation->is_audited;
    }
    fuzz_head_end(&head);
    text_fini(&text);
    return judged;
}

static bool is_encoded_slash(struct span text)
{
    return text.len >= 3 && text.at[0] == '%' && text.at[1] == '2' &&
           (text.at[2] == 'f' || text.at[2] == 'F');
}

/* The target with other bytes for each encoded slash of its path; how many those are. */
static unsigned respell(struct span target, char byte, struct text *out)
{
    unsigned count = 0;

    while (target.len > 0 && target.at[0] != '?') {
        bool is_slash = is_encoded_slash(target);
        char next = is_slash ? byte : target.at[0];

        count += is_slash;
        if (next != '/' || out->len == 0 || out->bytes[out->len - 1] != '/')
            text_add_byte(out, next);
        (void)fuzz_take(&target, is_slash ? 3 : 1);
    }
    text_add(out, target);
    return count;
}

static void compare(const struct client *client, const char *method, struct span target,
                    struct span as_slash, struct span as_byte)
{
    struct judged one = judge(client, method, target);
    struct judged slash = judge(client, method, as_slash);
    struct judged byte = judge(client, method, as_byte);

    if (one.is_own)
        return; /* it is never forwarded */
    if (!one.is_admitted && one.reason != REASON_OPERATION_FORBIDDEN &&
        one.reason != REASON_TEAM_FORBIDDEN)
        return; /* its form is refused */
    fuzz_require(one.is_admitted == (slash.is_admitted && byte.is_admitted),
                 "%s is let in with '%s': %d, but as '%s': %d, and otherwise: %d",
                 client->name, fuzz_shown(target), one.is_admitted, fuzz_shown(as_slash),
                 slash.is_admitted, byte.is_admitted);
    fuzz_require(!one.is_admitted || one.is_audited ||
                     !(slash.is_audited || byte.is_audited),
                 "'%s' escapes the trail, and '%s' does not", fuzz_shown(target),
                 fuzz_shown(as_slash));
    fuzz_require(!one.is_exact, "'%s' is plain", fuzz_shown(target));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = {"GET", "PUT", "POST", "DELETE"};
    struct span target = fuzz_span(data, size);
    const char *method = methods[fuzz_byte(&target) & 3];
    struct text as_slash = {0}, as_byte = {0};

    if (target.len > 0 && target.len <= MOST_TARGET && target.at[0] == '/' &&
        respell(target, '/', &as_slash) > 0) {
        (void)respell(target, '-', &as_byte);
        for (size_t i = 0; i < snapshot->clients->count; i++)
            compare(&snapshot->clients->clients[i], method, target, fuzz_text(&as_slash),
                    fuzz_text(&as_byte));
    }
    text_fini(&as_slash);
    text_fini(&as_byte);
    return 0;
}
