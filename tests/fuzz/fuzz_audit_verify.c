/*
 * Verifying a trail: a sound one of some mutations is changed as the input says, and if
 * it is still called intact, every line but the last is as it was written. Or the input
 * is the trail.
 */
#include <fcntl.h>

#include "audit/chain.h"
#include "audit/record.h"
#include "audit/verify.h"
#include "fuzz/support.h"

enum { MUTATIONS = 4, WALL_MS = 1000, MOST_TRAIL_BYTES = 65536 };

static char folder[] = "/dev/shm/psgate-fuzz-XXXXXX", path[64];
static struct text sound; /* the trail, its lines with their newlines */

static void add_line(struct audit_chain *chain, struct audit_hasher *hasher,
                     struct text *body)
{
    fuzz_require(audit_chain_add(chain, hasher, fuzz_text(body),
                                 chain->sequence == 0 ? AUDIT_NONE_OPEN : 0, &sound),
                 "no line");
    text_clear(body);
}

static void add_mutation(struct audit_chain *chain, struct audit_hasher *hasher, int i)
{
    const struct audit_outcome outcome = {.outcome = "success", .status = 200};
    struct text subject = {0}, body = {0};
    char id[AUDIT_ID_HEX + 1];
    const struct audit_subject about = {.id = id,
                                        .category = "iam",
                                        .action = SPAN("updateTeamMember"),
                                        .client = SPAN("ci"),
                                        .client_auth = "bearer",
                                        .method = SPAN("PUT")};

    (void)snprintf(id, sizeof(id), "%032d", i);
    audit_record_subject(&about, &subject);
    audit_record_intent(fuzz_text(&subject), SPAN("PUT"), WALL_MS, &body);
    add_line(chain, hasher, &body);
    audit_record_result(fuzz_text(&subject), SPAN("PUT"), WALL_MS, &outcome, &body);
    add_line(chain, hasher, &body);
    text_fini(&subject);
    text_fini(&body);
}

static void remove_folder(void)
{
    (void)unlink(path);
    (void)rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct audit_chain chain = {.last_hash = AUDIT_HASH_NONE};
    struct error error;
    struct audit_hasher *hasher = audit_hasher_new(&error);

    (void)argc;
    (void)argv;
    (void)snprintf(chain.id, sizeof(chain.id), "%032d", 7);
    fuzz_require(hasher != NULL && mkdtemp(folder) != NULL, "no hasher or no folder");
    (void)snprintf(path, sizeof(path), "%s/audit.jsonl", folder);
    (void)atexit(remove_folder);
    for (int i = 0; i < MUTATIONS; i++)
        add_mutation(&chain, hasher, i);
    audit_hasher_free(hasher);
    return 0;
}

static bool verify(struct span trail, struct audit_verdict *verdict, struct error *error)
{
    const struct audit_verify_request request = {.folder = folder};
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    fuzz_require(fd >= 0 && write(fd, trail.at, trail.len) == (ssize_t)trail.len &&
                     close(fd) == 0,
                 "cannot write the trail");
    return audit_verify(&request, verdict, error);
}

/* Takes the start of some line, or the end of the trail. */
static size_t line_start(const struct text *trail, unsigned number)
{
    size_t at = 0;

    while (number-- > 0 && at < trail->len) {
        const char *end = memchr(trail->bytes + at, '\n', trail->len - at);

        at = end != NULL ? (size_t)(end - trail->bytes) + 1 : trail->len;
    }
    return at;
}

static void replace(struct text *trail, size_t from, size_t to, struct span with)
{
    struct text changed = {0};

    (void)text_reserve(&changed, 1);
    text_add(&changed, span_make(trail->bytes, from));
    text_add(&changed, with);
    text_add(&changed, span_make(trail->bytes + to, trail->len - to));
    text_fini(trail);
    *trail = changed;
}

/* One change: bytes, or whole lines. */
static void change(struct text *trail, struct span *script)
{
    unsigned what = fuzz_byte(script) % 5;
    size_t a = line_start(trail, fuzz_byte(script) % (2 * MUTATIONS + 1));
    size_t b = line_start(trail, fuzz_byte(script) % (2 * MUTATIONS + 1));
    size_t at = a + fuzz_byte(script) * 4 % 600;
    struct span line;

    at = at < trail->len ? at : trail->len;
    switch (what) {
    case 0: /* some bytes become others */
        line = fuzz_take_until(script, '\0');
        replace(trail, at, at + line.len < trail->len ? at + line.len : trail->len, line);
        break;
    case 1: /* bytes more */
        replace(trail, at, at, fuzz_take_until(script, '\0'));
        break;
    case 2: /* lines less */
        replace(trail, a < b ? a : b, a < b ? b : a, SPAN(""));
        break;
    case 3: /* lines twice */
        line =
            fuzz_copy(span_make(trail->bytes + (a < b ? a : b), a < b ? b - a : a - b));
        replace(trail, at, at, line);
        fuzz_free(line);
        break;
    default: /* the end is cut off */
        replace(trail, at, trail->len, SPAN(""));
    }
}

/* All whole lines but the last are those that were written, in their order. */
static void require_unchanged(const struct text *trail)
{
    size_t whole = 0, but_last = 0;

    for (size_t i = 0; i < trail->len; i++) {
        if (trail->bytes[i] != '\n')
            continue;
        but_last = whole;
        whole = i + 1;
    }
    fuzz_require(
        but_last <= sound.len && memcmp(trail->bytes, sound.bytes, but_last) == 0,
        "a trail that was changed is called intact: %s", fuzz_shown(fuzz_text(trail)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span script = fuzz_span(data, size);
    struct audit_verdict verdict = {.records = 0};
    struct error error;
    struct text trail = {0};

    if ((fuzz_byte(&script) & 1) != 0) {
        if (verify(script, &verdict, &error))
            fuzz_require(verdict.mutations <= verdict.records, "more than there is");
        return 0;
    }
    text_add(&trail, fuzz_text(&sound));
    if (script.len == 0)
        fuzz_require(verify(fuzz_text(&trail), &verdict, &error) &&
                         verdict.records == 2 * MUTATIONS,
                     "a sound trail is refused: %s", error.text);
    while (script.len > 0 &&
           trail.len < MOST_TRAIL_BYTES) /* lines twice, and twice again */
        change(&trail, &script);
    if (verify(fuzz_text(&trail), &verdict, &error))
        require_unchanged(&trail);
    text_fini(&trail);
    return 0;
}
