#include "audit/written.h"

#include <dirent.h>

#include "base/clock.h"

void written_id(unsigned number, char id[AUDIT_ID_HEX + 1])
{
    (void)snprintf(id, AUDIT_ID_HEX + 1, "%032x", number);
}

static struct audit_entry *make(enum audit_phase phase, unsigned number)
{
    struct audit_entry *entry = audit_entry_new(phase);
    struct text subject = {0};
    char name[32];

    ck_assert_ptr_nonnull(entry);
    (void)snprintf(name, sizeof(name), "SECRET_%u", number);
    if (phase != AUDIT_REFUSED)
        written_id(number, entry->id);
    audit_record_subject(
        &(struct audit_subject){.id = phase != AUDIT_REFUSED ? entry->id : NULL,
                                .category = "configuration",
                                .action = SPAN("createTeamSecret"),
                                .client = SPAN("ci"),
                                .method = SPAN("POST"),
                                .resource_name = span_of(name)},
        &subject);
    if (phase == AUDIT_INTENT)
        audit_record_intent(span_make(subject.bytes, subject.len), SPAN("POST"),
                            clock_wall_ms(), &entry->body);
    else if (phase == AUDIT_RESULT)
        audit_record_result(span_make(subject.bytes, subject.len), SPAN("POST"),
                            clock_wall_ms(),
                            &(struct audit_outcome){.outcome = "failure",
                                                    .reason = "refused_by_upstream",
                                                    .status = 409,
                                                    .duration_ns = 1234567890123},
                            &entry->body);
    text_fini(&subject);
    return entry;
}

struct audit_entry *written_intent(unsigned number)
{
    return make(AUDIT_INTENT, number);
}

struct audit_entry *written_result(unsigned number)
{
    return make(AUDIT_RESULT, number);
}

struct audit_entry *written_refusal(unsigned number)
{
    struct audit_entry *entry = audit_entry_new(AUDIT_REFUSED);
    char source[32];

    ck_assert_ptr_nonnull(entry);
    (void)snprintf(source, sizeof(source), "refusal %u", number);
    audit_record_suppressed(span_of(source), 1, clock_wall_ms(), &entry->body);
    entry->is_loose = true;
    return entry;
}

struct audit_verdict written_verify(const char *folder)
{
    const struct audit_verify_request request = {.folder = folder};
    struct audit_verdict verdict;
    struct error error = {""};
    char command[512];
    bool is_intact = audit_verify(&request, &verdict, &error);

    if (!is_intact) {
        (void)snprintf(command, sizeof(command), "head -c 20000 %s/audit* >&2", folder);
        (void)!system(command);
    }
    ck_assert_msg(is_intact, "%s: %s", verdict.place, error.text);
    return verdict;
}

void written_must_be(const char *folder, uint64_t records, uint64_t mutations,
                     uint64_t unfinished)
{
    struct audit_verdict verdict = written_verify(folder);

    ck_assert_uint_eq(verdict.records, records);
    ck_assert_uint_eq(verdict.mutations, mutations);
    ck_assert_uint_eq(verdict.unfinished, unfinished);
    ck_assert(!verdict.is_incomplete);
    ck_assert(!verdict.is_repeating);
}

static void add_file(const char *path, struct text *out)
{
    char bytes[8192];
    FILE *file = fopen(path, "re");
    size_t got;

    ck_assert_msg(file != NULL, "%s", path);
    while ((got = fread(bytes, 1, sizeof(bytes), file)) > 0)
        text_add(out, span_make(bytes, got));
    (void)fclose(file);
}

char *written_file(struct folder *folder, const char *name)
{
    struct text out = {0};

    text_add(&out, SPAN(""));
    add_file(folder_entry(folder, name), &out);
    return out.bytes;
}

static int is_trail(const struct dirent *entry)
{
    return strstr(entry->d_name, ".jsonl") != NULL;
}

char *written_all(const char *folder)
{
    struct dirent **entries;
    struct text out = {0};
    int count = scandir(folder, &entries, is_trail, alphasort);

    ck_assert_int_ge(count, 0);
    text_add(&out, SPAN(""));
    for (int i = 0; i < count; i++) {
        char path[512];

        (void)snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        add_file(path, &out);
        free(entries[i]);
    }
    free(entries);
    return out.bytes;
}

unsigned written_count(char *text, const char *word)
{
    unsigned count = 0;

    for (const char *at = strstr(text, word); at != NULL;
         at = strstr(at + strlen(word), word))
        count++;
    free(text);
    return count;
}

bool written_has(struct folder *folder, const char *name)
{
    return access(folder_entry(folder, name), F_OK) == 0;
}
