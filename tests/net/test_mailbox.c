/* Letters from other threads: each is opened once, on the reader's thread, in order. */
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>

#include "net/mailbox.h"
#include "support/suite.h"

enum { SENDERS = 4, LETTERS = 3000, ROUNDS = 1000 };

static struct event_base *base;
static struct mailbox *mailbox;
static pthread_t reader;

static void set_up(void)
{
    struct error error = {{0}};

    base = event_base_new();
    ck_assert_ptr_nonnull(base);
    mailbox = mailbox_new(base, &error);
    ck_assert_msg(mailbox != NULL, "%s", error.text);
    reader = pthread_self();
}

static void tear_down(void)
{
    mailbox_free(mailbox);
    event_base_free(base);
}

static void turn(void)
{
    ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
}

/* A letter that knows what to count; its envelope is not at its start. */
struct note {
    int number;
    int *opened;
    struct letter letter;
};

static struct note *note_of(struct letter *letter)
{
    return (struct note *)(void *)((char *)letter - offsetof(struct note, letter));
}

static void count(struct letter *letter)
{
    ck_assert(pthread_equal(pthread_self(), reader));
    (*note_of(letter)->opened)++;
}

/* Many senders at once */

struct sender {
    struct note *notes;
    int opened;
    pthread_t thread;
};

static int all_opened;

static void open_in_order(struct letter *letter)
{
    struct note *note = note_of(letter);

    ck_assert(pthread_equal(pthread_self(), reader));
    ck_assert_int_eq(note->number, *note->opened);
    (*note->opened)++;
    all_opened++;
    *note = (struct note){.number = -1}; /* it is the opener's now */
}

static void *send_all(void *arg)
{
    struct sender *sender = arg;

    for (int i = 0; i < LETTERS; i++)
        mailbox_send(mailbox, &sender->notes[i].letter);
    return NULL;
}

START_TEST(letters_of_many_senders_all_arrive_once_and_in_order_of_each)
{
    struct sender senders[SENDERS] = {{0}};

    all_opened = 0;
    for (int i = 0; i < SENDERS; i++) {
        struct sender *sender = &senders[i];

        sender->notes = calloc(LETTERS, sizeof(struct note));
        for (int j = 0; j < LETTERS; j++)
            sender->notes[j] = (struct note){j, &sender->opened, {.open = open_in_order}};
        ck_assert_int_eq(pthread_create(&sender->thread, NULL, send_all, sender), 0);
    }
    while (all_opened < SENDERS * LETTERS)
        turn();
    for (int i = 0; i < SENDERS; i++) {
        ck_assert_int_eq(pthread_join(senders[i].thread, NULL), 0);
        ck_assert_int_eq(senders[i].opened, LETTERS);
        free(senders[i].notes);
    }
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
    ck_assert_int_eq(all_opened, SENDERS * LETTERS);
}
END_TEST

/* One at a time: the reader sleeps before each, so no wake-up may be lost. */

struct exchange {
    struct note note;
    sem_t opened;
    int count;
};

static void answer(struct letter *letter)
{
    struct exchange *exchange =
        (struct exchange *)(void *)((char *)note_of(letter) -
                                    offsetof(struct exchange, note));

    exchange->count++;
    (void)sem_post(&exchange->opened);
}

static void *send_one_by_one(void *arg)
{
    struct exchange *exchange = arg;

    for (int i = 0; i < ROUNDS; i++) {
        mailbox_send(mailbox, &exchange->note.letter);
        while (sem_wait(&exchange->opened) != 0)
            continue;
    }
    return NULL;
}

START_TEST(every_letter_wakes_a_sleeping_reader)
{
    struct exchange exchange = {.note = {.letter = {.open = answer}}};
    pthread_t thread;

    ck_assert_int_eq(sem_init(&exchange.opened, 0, 0), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, send_one_by_one, &exchange), 0);
    while (exchange.count < ROUNDS)
        turn();
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(sem_destroy(&exchange.opened), 0);
}
END_TEST

/* On the reader's own thread */

START_TEST(a_letter_is_opened_on_the_loop_and_not_when_it_is_sent)
{
    int opened = 0;
    struct note note = {0, &opened, {.open = count}};

    mailbox_send(mailbox, &note.letter);
    ck_assert_int_eq(opened, 0);
    turn();
    ck_assert_int_eq(opened, 1);
}
END_TEST

START_TEST(a_letter_may_be_sent_again_once_it_was_opened)
{
    int opened = 0;
    struct note note = {0, &opened, {.open = count}};

    for (int i = 0; i < 3; i++) {
        mailbox_send(mailbox, &note.letter);
        turn();
    }
    ck_assert_int_eq(opened, 3);
}
END_TEST

static void send_on(struct letter *letter)
{
    struct note *note = note_of(letter);

    (*note->opened)++;
    if (--note->number > 0)
        mailbox_send(mailbox, letter);
}

START_TEST(a_letter_may_send_another_while_it_is_opened)
{
    int opened = 0;
    struct note note = {5, &opened, {.open = send_on}};

    mailbox_send(mailbox, &note.letter);
    while (opened < 5)
        turn();
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
    ck_assert_int_eq(opened, 5);
}
END_TEST

static void count_and_free(struct letter *letter)
{
    struct note *note = note_of(letter);

    (*note->opened)++;
    free(note);
}

static void send_new(int *opened)
{
    struct note *note = malloc(sizeof(*note));

    *note = (struct note){0, opened, {.open = count_and_free}};
    mailbox_send(mailbox, &note->letter);
}

START_TEST(a_letter_may_free_itself)
{
    int opened = 0;

    for (int i = 0; i < 10; i++)
        send_new(&opened);
    while (opened < 10)
        turn();
}
END_TEST

START_TEST(what_is_unread_is_opened_before_the_mailbox_goes)
{
    int opened = 0;

    for (int i = 0; i < 10; i++)
        send_new(&opened);
    mailbox_free(mailbox);
    mailbox = NULL;
    ck_assert_int_eq(opened, 10);
}
END_TEST

START_TEST(what_is_sent_while_the_last_letters_are_opened_is_opened_too)
{
    int opened = 0;
    struct note note = {3, &opened, {.open = send_on}};

    mailbox_send(mailbox, &note.letter);
    mailbox_free(mailbox);
    mailbox = NULL;
    ck_assert_int_eq(opened, 3);
}
END_TEST

START_TEST(freeing_no_mailbox_is_fine)
{
    mailbox_free(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net/mailbox");
    TCase *threads = suite_case(suite, "threads");
    TCase *letters = suite_case(suite, "letters");

    tcase_add_checked_fixture(threads, set_up, tear_down);
    tcase_add_checked_fixture(letters, set_up, tear_down);
    tcase_add_test(threads, letters_of_many_senders_all_arrive_once_and_in_order_of_each);
    tcase_add_test(threads, every_letter_wakes_a_sleeping_reader);
    tcase_add_test(letters, a_letter_is_opened_on_the_loop_and_not_when_it_is_sent);
    tcase_add_test(letters, a_letter_may_be_sent_again_once_it_was_opened);
    tcase_add_test(letters, a_letter_may_send_another_while_it_is_opened);
    tcase_add_test(letters, a_letter_may_free_itself);
    tcase_add_test(letters, what_is_unread_is_opened_before_the_mailbox_goes);
    tcase_add_test(letters, what_is_sent_while_the_last_letters_are_opened_is_opened_too);
    tcase_add_test(letters, freeing_no_mailbox_is_fine);
    return run_suite(suite);
}
