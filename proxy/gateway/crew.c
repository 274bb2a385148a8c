#include "gateway/crew.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "gateway/pulse.h"

/* A worker's thread with what it serves, and the letters that the main thread sends it.
 */
struct hand {
    struct crew *crew;
    struct worker *worker;
    struct station *station;
    pthread_t thread;
    bool has_thread;
    struct letter adopt, drain, stop, idle;
    bool is_idle; /* drained; main thread's */
};

struct crew {
    struct stations *shared;
    struct mailbox *home;
    struct hand *hands;
    size_t count, idle_count;
    struct pulse *pulse;
    void (*on_drained)(void *arg);
    void *arg;

    pthread_mutex_t lock; /* over adoption */
    pthread_cond_t adopted;
    size_t adoptions_left;
    struct snapshot *snapshot; /* to be adopted: the main thread waits meanwhile */
    const struct listeners *listeners;
    struct error adoption_error; /* of the last adoption that failed */
    bool has_adoption_failed;
};

#define HAND_OF(letter_, member)                                                         \
    ((struct hand *)(void *)((char *)(letter_)-offsetof(struct hand, member)))

/* Letters to the workers */

static void on_adopt(struct letter *letter)
{
    struct hand *hand = HAND_OF(letter, adopt);
    struct crew *crew = hand->crew;
    struct error error;
    bool is_adopted = station_adopt(hand->station, crew->snapshot, crew->listeners->list,
                                    crew->listeners->count, &error);

    (void)pthread_mutex_lock(&crew->lock);
    if (!is_adopted) {
        crew->has_adoption_failed = true;
        crew->adoption_error = error;
    }
    crew->adoptions_left--;
    (void)pthread_cond_signal(&crew->adopted);
    (void)pthread_mutex_unlock(&crew->lock);
}

static void on_drain(struct letter *letter)
{
    station_drain(HAND_OF(letter, drain)->station);
}

static void on_stop(struct letter *letter)
{
    struct hand *hand = HAND_OF(letter, stop);

    station_close_all(hand->station);
    worker_stop(hand->worker);
}

/* Letter back: this worker has drained. */
static void on_idle(struct letter *letter)
{
    struct hand *hand = HAND_OF(letter, idle);
    struct crew *crew = hand->crew;

    if (hand->is_idle)
        return;
    hand->is_idle = true;
    if (++crew->idle_count == crew->count)
        crew->on_drained(crew->arg);
}

static void on_station_idle(void *arg)
{
    struct hand *hand = arg;

    mailbox_send(hand->crew->home, &hand->idle);
}

/* Beginning */

static void *run(void *arg)
{
    struct hand *hand = arg;

    worker_run(hand->worker);
    return NULL;
}

static bool start_hand(struct hand *hand, struct crew *crew, unsigned index,
                       struct error *error)
{
    int errnum;

    hand->crew = crew;
    hand->adopt.open = on_adopt;
    hand->drain.open = on_drain;
    hand->stop.open = on_stop;
    hand->idle.open = on_idle;
    hand->worker = worker_new(index, error);
    if (hand->worker == NULL)
        return false;
    hand->station = station_new(crew->shared, hand->worker, error);
    if (hand->station == NULL)
        return false;
    hand->station->on_idle = on_station_idle;
    hand->station->arg = hand;
    errnum = pthread_create(&hand->thread, NULL, run, hand);
    if (errnum != 0)
        return error_set_errno(error, errnum, "cannot start a worker's thread");
    hand->has_thread = true;
    pulse_add(crew->pulse, hand->worker->mailbox);
    return true;
}

static bool start_hands(struct crew *crew, size_t count, struct error *error)
{
    crew->hands = calloc(count, sizeof(*crew->hands));
    crew->pulse = pulse_new(crew->home, count);
    if (crew->hands == NULL || crew->pulse == NULL)
        return error_set(error, "out of memory");
    while (crew->count < count) {
        struct hand *hand = &crew->hands[crew->count++];

        if (!start_hand(hand, crew, (unsigned)crew->count - 1, error))
            return false;
    }
    return true;
}

struct crew *crew_new(struct stations *shared, struct mailbox *home, size_t count,
                      void (*on_drained)(void *arg), void *arg, struct error *error)
{
    struct crew *crew = calloc(1, sizeof(*crew));

    if (crew == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    crew->shared = shared;
    crew->home = home;
    crew->on_drained = on_drained;
    crew->arg = arg;
    (void)pthread_mutex_init(&crew->lock, NULL);
    (void)pthread_cond_init(&crew->adopted, NULL);
    if (start_hands(crew, count, error))
        return crew;
    /* Nobody has heard of these workers yet: no letters of theirs are under way. */
    crew_stop(crew);
    crew_clear(crew);
    crew_free(crew);
    return NULL;
}

size_t crew_count(const struct crew *crew)
{
    return crew->count;
}

/* In between */

bool crew_adopt(struct crew *crew, struct snapshot *snapshot,
                const struct listeners *listeners, struct error *error)
{
    (void)pthread_mutex_lock(&crew->lock);
    crew->snapshot = snapshot;
    crew->listeners = listeners;
    crew->adoptions_left = crew->count;
    crew->has_adoption_failed = false;
    for (size_t i = 0; i < crew->count; i++)
        mailbox_send(crew->hands[i].worker->mailbox, &crew->hands[i].adopt);
    while (crew->adoptions_left > 0)
        (void)pthread_cond_wait(&crew->adopted, &crew->lock);
    *error = crew->adoption_error;
    (void)pthread_mutex_unlock(&crew->lock);
    return !crew->has_adoption_failed;
}

bool crew_ask(struct crew *crew, void (*on_alive)(void *arg), void *arg, size_t *silent)
{
    return pulse_feel(crew->pulse, on_alive, arg, silent);
}

void crew_drain(struct crew *crew)
{
    for (size_t i = 0; i < crew->count; i++)
        mailbox_send(crew->hands[i].worker->mailbox, &crew->hands[i].drain);
}

/* The end */

void crew_stop(struct crew *crew)
{
    if (crew == NULL)
        return;
    if (crew->pulse != NULL)
        pulse_hush(crew->pulse);
    for (size_t i = 0; i < crew->count; i++) {
        struct hand *hand = &crew->hands[i];

        if (!hand->has_thread)
            continue;
        mailbox_send(hand->worker->mailbox, &hand->stop);
        (void)pthread_join(hand->thread, NULL);
    }
}

/* Only when the last has stopped: until then they may send each other letters. */
void crew_clear(struct crew *crew)
{
    for (size_t i = 0; crew != NULL && i < crew->count; i++) {
        worker_free(crew->hands[i].worker); /* opens the last letters */
        station_free(crew->hands[i].station);
    }
}

void crew_free(struct crew *crew)
{
    if (crew == NULL)
        return;
    pulse_free(crew->pulse);
    free(crew->hands);
    (void)pthread_cond_destroy(&crew->adopted);
    (void)pthread_mutex_destroy(&crew->lock);
    free(crew);
}
