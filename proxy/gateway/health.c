#include "gateway/health.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* Workers do not fight for the line of memory more often than anybody looks at it. */
enum { GRAIN_MS = 1000 };

void health_init(struct health *health)
{
    *health = (struct health){.error = ""};
    (void)pthread_mutex_init(&health->lock, NULL);
}

void health_fini(struct health *health)
{
    (void)pthread_mutex_destroy(&health->lock);
}

/* other_ms is the opposite's time: which of the two came last is always told. */
static void note_time(_Atomic int64_t *when_ms, const _Atomic int64_t *other_ms,
                      int64_t now_ms)
{
    int64_t before = atomic_load_explicit(when_ms, memory_order_relaxed);
    int64_t other = atomic_load_explicit(other_ms, memory_order_relaxed);

    if (now_ms - before >= GRAIN_MS || now_ms < before || other >= before)
        atomic_store_explicit(when_ms, now_ms, memory_order_relaxed);
}

static void note_key(struct credential_key_state *state, bool is_accepted, int64_t now_ms)
{
    enum credential_verdict verdict =
        is_accepted ? CREDENTIAL_ACCEPTED : CREDENTIAL_REFUSED;

    if (atomic_load_explicit(&state->verdict, memory_order_relaxed) != (int)verdict)
        atomic_store(&state->verdict, (int)verdict);
    if (is_accepted)
        note_time(&state->success_ms, &state->failure_ms, now_ms);
    else
        note_time(&state->failure_ms, &state->success_ms, now_ms);
}

void health_note_answer(struct health *health, const struct credential *credential,
                        int key_slot, unsigned status, int64_t now_wall_ms)
{
    char text[HEALTH_ERROR_BYTES];

    if (status >= 500) {
        (void)snprintf(text, sizeof(text), "upstream answered %u", status);
        health_note_failure(health, text, now_wall_ms);
        return; /* says nothing of the key */
    }
    note_time(&health->success_ms, &health->failure_ms, now_wall_ms);
    if (credential != NULL)
        note_key(&credential->state->keys[key_slot], status != 401, now_wall_ms);
}

/* Cut between characters, if it must be: it goes into JSON. */
static void copy_text(char copy[HEALTH_ERROR_BYTES], const char *text)
{
    size_t len = strlen(text), used = 0, next;

    while ((next = text_utf8_length(span_make(text + used, len - used))) > 0 &&
           used + next < HEALTH_ERROR_BYTES)
        used += next;
    memcpy(copy, text, used);
    copy[used] = '\0';
}

void health_note_failure(struct health *health, const char *text, int64_t now_wall_ms)
{
    (void)pthread_mutex_lock(&health->lock);
    copy_text(health->error, text);
    (void)pthread_mutex_unlock(&health->lock);
    atomic_store_explicit(&health->failure_ms, now_wall_ms, memory_order_relaxed);
}

void health_read_error(struct health *health, char text[HEALTH_ERROR_BYTES])
{
    (void)pthread_mutex_lock(&health->lock);
    memcpy(text, health->error, sizeof(health->error));
    (void)pthread_mutex_unlock(&health->lock);
}
