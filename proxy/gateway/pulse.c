#include "gateway/pulse.h"

#include <stdlib.h>

struct beat {
    struct pulse *pulse;
    struct mailbox *worker;
    struct letter there, back;
    bool is_out; /* main thread's */
};

struct pulse {
    struct mailbox *home;
    size_t count, out;
    void (*on_felt)(void *arg);
    void *arg;
    struct beat beats[];
};

#define BEAT_OF(letter_, member)                                                         \
    ((struct beat *)(void *)((char *)(letter_)-offsetof(struct beat, member)))

/* On the worker's thread. */
static void on_there(struct letter *letter)
{
    struct beat *beat = BEAT_OF(letter, there);

    mailbox_send(beat->pulse->home, &beat->back);
}

static void on_back(struct letter *letter)
{
    struct beat *beat = BEAT_OF(letter, back);
    struct pulse *pulse = beat->pulse;

    beat->is_out = false;
    if (--pulse->out == 0 && pulse->on_felt != NULL)
        pulse->on_felt(pulse->arg);
}

struct pulse *pulse_new(struct mailbox *home, size_t capacity)
{
    struct pulse *pulse = calloc(1, sizeof(*pulse) + capacity * sizeof(pulse->beats[0]));

    if (pulse != NULL)
        pulse->home = home;
    return pulse;
}

void pulse_add(struct pulse *pulse, struct mailbox *worker)
{
    pulse->beats[pulse->count++] = (struct beat){.pulse = pulse,
                                                 .worker = worker,
                                                 .there = {.open = on_there},
                                                 .back = {.open = on_back}};
}

bool pulse_feel(struct pulse *pulse, void (*on_felt)(void *arg), void *arg,
                size_t *silent)
{
    for (size_t i = 0; i < pulse->count; i++) {
        *silent = i;
        if (pulse->beats[i].is_out)
            return false;
    }
    pulse->on_felt = on_felt;
    pulse->arg = arg;
    pulse->out = pulse->count;
    for (size_t i = 0; i < pulse->count; i++) {
        pulse->beats[i].is_out = true;
        mailbox_send(pulse->beats[i].worker, &pulse->beats[i].there);
    }
    return true;
}

void pulse_hush(struct pulse *pulse)
{
    pulse->on_felt = NULL;
}

void pulse_free(struct pulse *pulse)
{
    free(pulse);
}
