#include "audit/sample.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"

/* 2026-11-23T17:00:00Z */
#define START_MS INT64_C(1795453200000)

void sample_init(struct sample *sample)
{
    char id[AUDIT_KEY_ID_HEX + 1];
    struct error error;

    *sample = (struct sample){.next = 1, .wall_ms = START_MS};
    memcpy(sample->hash, AUDIT_HASH_NONE, AUDIT_HASH_HEX);
    folder_make(&sample->folder);
    sample->hasher = audit_hasher_new(&error);
    ck_assert_ptr_nonnull(sample->hasher);
    ck_assert_msg(audit_key_generate(sample->folder.path, id, &error), "%s", error.text);
    ck_assert_msg(
        audit_key_load_private(folder_entry(&sample->folder, AUDIT_PRIVATE_KEY_NAME),
                               &sample->key, &error),
        "%s", error.text);
}

void sample_fini(struct sample *sample)
{
    if (sample->file != NULL)
        (void)fclose(sample->file);
    audit_key_fini(&sample->key);
    audit_hasher_free(sample->hasher);
    folder_remove(&sample->folder);
}

void sample_begin_file(struct sample *sample, const char *name)
{
    if (sample->file != NULL)
        (void)fclose(sample->file);
    sample->name = name;
    sample->file = fopen(folder_entry(&sample->folder, name), "w");
    ck_assert_ptr_nonnull(sample->file);
    sample->is_fresh = true;
}

uint64_t sample_add(struct sample *sample, const char *body)
{
    struct text line = {0};

    text_add_format(&line, "%s,\"event.sequence\":%llu,\"proxy.chain_id\":\"%s\"", body,
                    (unsigned long long)sample->next, SAMPLE_CHAIN);
    if (sample->is_fresh)
        text_add_format(&line, ",\"proxy.trail.oldest_open\":%llu",
                        (unsigned long long)(sample->oldest_open != 0
                                                 ? sample->oldest_open
                                                 : sample->next));
    text_add_format(&line, ",\"proxy.prev_hash\":\"%.*s\"}", AUDIT_HASH_HEX,
                    sample->hash);
    ck_assert(
        audit_hash_hex(sample->hasher, span_make(line.bytes, line.len), sample->hash));
    ck_assert_int_ge(fprintf(sample->file, "%s\n", line.bytes), 0);
    text_fini(&line);
    sample->is_fresh = false;
    return sample->next++;
}

/* What every record of a request has, up to the phase. */
static void add_common(struct sample *sample, struct text *body, unsigned id)
{
    char time[CLOCK_TEXT_BYTES];

    sample->wall_ms += 1000;
    clock_format_utc(sample->wall_ms, time);
    text_add_format(body,
                    "{\"@timestamp\":\"%s\",\"ecs.version\":\"8.11.0\",\"event.id\":"
                    "\"%032x\",\"event.kind\":\"event\",\"event.category\":[\"iam\"],",
                    time, id * 2654435761U);
}

static uint64_t add_phase(struct sample *sample, unsigned id, const char *rest)
{
    struct text body = {0};
    uint64_t sequence;

    add_common(sample, &body, id);
    text_add_format(&body, "%s", rest);
    sequence = sample_add(sample, body.bytes);
    text_fini(&body);
    return sequence;
}

uint64_t sample_intent(struct sample *sample, unsigned id)
{
    return add_phase(sample, id,
                     "\"event.action\":\"updateMember\",\"user.name\":\"J\xc3\xb6rg "
                     "\\\"ci\\\"\",\"proxy.recorded.isAdmin\":true,\"proxy.phase\":"
                     "\"intent\"");
}

uint64_t sample_result(struct sample *sample, unsigned id)
{
    return add_phase(sample, id,
                     "\"event.action\":\"updateMember\",\"proxy.phase\":\"result\","
                     "\"event.outcome\":\"success\",\"event.duration\":1234,"
                     "\"proxy.invalidated\":[\"session\",\"members\"]");
}

uint64_t sample_refused(struct sample *sample)
{
    return add_phase(sample, 0,
                     "\"event.action\":\"createSecret\",\"event.type\":[\"denied\"],"
                     "\"proxy.phase\":\"refused\",\"event.outcome\":\"failure\"");
}

/* The members of a checkpoint of the line before. */
static void add_checkpoint(const struct sample *sample, struct text *text)
{
    char statement[AUDIT_STATEMENT_BYTES], signature[AUDIT_SIGNATURE_TEXT];
    struct error error;
    size_t len = audit_checkpoint_state(SPAN(SAMPLE_CHAIN), sample->next - 1,
                                        span_make(sample->hash, AUDIT_HASH_HEX),
                                        sample->wall_ms, statement);

    ck_assert(audit_checkpoint_sign(&sample->key, span_make(statement, len), signature,
                                    &error));
    text_add_format(
        text,
        "\"proxy.checkpoint.statement\":\"%s\","
        "\"proxy.checkpoint.signature\":\"%s\",\"proxy.checkpoint.key\":\"%s\"",
        statement, signature, sample->key.id);
}

uint64_t sample_checkpoint(struct sample *sample)
{
    struct text body = {0};
    uint64_t sequence;

    text_add(&body, SPAN("{\"event.kind\":\"event\",\"event.action\":\"checkpoint\","
                         "\"proxy.phase\":\"checkpoint\","));
    add_checkpoint(sample, &body);
    sequence = sample_add(sample, body.bytes);
    text_fini(&body);
    return sequence;
}

void sample_hold(const struct sample *sample, struct audit_checkpoint *checkpoint)
{
    struct text line = {0};
    struct error error;

    text_add(&line, SPAN("{"));
    add_checkpoint(sample, &line);
    text_add(&line, SPAN("}"));
    ck_assert_int_eq(
        audit_checkpoint_find(span_make(line.bytes, line.len), checkpoint, &error),
        AUDIT_CHECKPOINT_FOUND);
    text_fini(&line);
}

void sample_add_raw(struct sample *sample, const char *bytes)
{
    ck_assert_int_ge(fputs(bytes, sample->file), 0);
}

struct sample_mark sample_mark(const struct sample *sample)
{
    struct sample_mark mark = {.next = sample->next};

    memcpy(mark.hash, sample->hash, AUDIT_HASH_HEX);
    return mark;
}

void sample_resume(struct sample *sample, const char *name,
                   const struct sample_mark *mark, unsigned repeated)
{
    struct text body = {0};

    text_add_format(&body,
                    "{\"event.kind\":\"event\",\"event.action\":\"trail.resumed\","
                    "\"proxy.phase\":\"trail\",\"proxy.trail.suspect_file\":\"%s\","
                    "\"proxy.trail.last_hash\":\"%.*s\",\"proxy.trail.repeated\":%u",
                    sample->name, AUDIT_HASH_HEX, mark->hash, repeated);
    sample->next = mark->next;
    memcpy(sample->hash, mark->hash, AUDIT_HASH_HEX);
    sample_begin_file(sample, name);
    (void)sample_add(sample, body.bytes);
    text_fini(&body);
}

void sample_flush(struct sample *sample)
{
    ck_assert_int_eq(fflush(sample->file), 0);
}

/* The second file's end, and what repeats it in the third. Times are the bodies' too. */
static void fail_and_resume(struct sample *sample)
{
    struct sample_mark mark = sample_mark(sample);
    int64_t wall_ms = sample->wall_ms;

    (void)sample_result(sample, 12);
    (void)sample_intent(sample, 13);
    (void)sample_checkpoint(sample);
    (void)sample_refused(sample);
    sample_add_raw(sample, "{\"@timestamp\":\"2026-11-23T17:00:");
    sample->oldest_open = mark.next - 1;
    sample->wall_ms = wall_ms;
    sample_resume(sample, "audit-c.jsonl", &mark, 3);
    (void)sample_result(sample, 12);
    (void)sample_intent(sample, 13);
    (void)sample_refused(sample);
}

void sample_make(struct sample *sample)
{
    sample_init(sample);
    sample_begin_file(sample, "audit-a.jsonl");
    for (unsigned id = 1; id <= 6; id++) { /* 1 to 14 */
        (void)sample_intent(sample, id);
        (void)sample_result(sample, id);
    }
    (void)sample_checkpoint(sample);
    sample->oldest_open = sample_intent(sample, 7);
    sample_begin_file(sample, "audit-b.jsonl");
    (void)sample_intent(sample, 8); /* 15 to 27 */
    (void)sample_result(sample, 7);
    (void)sample_refused(sample);
    (void)sample_result(sample, 8);
    for (unsigned id = 9; id <= 11; id++) {
        (void)sample_intent(sample, id);
        (void)sample_result(sample, id);
    }
    (void)sample_checkpoint(sample);
    (void)sample_refused(sample);
    (void)sample_intent(sample, 12);
    fail_and_resume(sample);                 /* 28 to 31 */
    for (unsigned id = 14; id <= 16; id++) { /* 32 to 37 */
        (void)sample_intent(sample, id);
        (void)sample_result(sample, id);
    }
    (void)sample_checkpoint(sample);
    sample->oldest_open = 30;
    sample_begin_file(sample, "audit-d.jsonl"); /* 39 to 43 */
    (void)sample_intent(sample, 17);
    (void)sample_result(sample, 17);
    (void)sample_refused(sample);
    (void)sample_intent(sample, 18);
    (void)sample_refused(sample);
    sample_begin_file(sample, "audit.jsonl"); /* 44 to 51 */
    (void)sample_refused(sample);
    (void)sample_result(sample, 13);
    (void)sample_refused(sample);
    (void)sample_intent(sample, 19);
    (void)sample_refused(sample);
    (void)sample_refused(sample);
    (void)sample_checkpoint(sample);
    (void)sample_refused(sample);
    sample_flush(sample);
}
