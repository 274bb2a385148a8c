#include "net/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mailbox {
    pthread_mutex_t lock; /* over first and last */
    struct letter *first, **last;
    int fd;
    struct event *wakeup;
};

static struct letter *take_all(struct mailbox *mailbox)
{
    struct letter *letters;

    (void)pthread_mutex_lock(&mailbox->lock);
    letters = mailbox->first;
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    (void)pthread_mutex_unlock(&mailbox->lock);
    return letters;
}

/* Opens what is there; false when there was nothing. */
static bool open_all(struct mailbox *mailbox)
{
    struct letter *letter = take_all(mailbox);
    bool had_any = letter != NULL;

    while (letter != NULL) {
        struct letter *next = letter->next;

        letter->open(letter);
        letter = next;
    }
    return had_any;
}

static void on_wakeup(evutil_socket_t fd, short what, void *arg)
{
    uint64_t count;

    (void)what;
    (void)!read(fd, &count,
                sizeof(count)); /* before taking: a later letter wakes again */
    (void)open_all(arg);
}

struct mailbox *mailbox_new(struct event_base *base, struct error *error)
{
    struct mailbox *mailbox = calloc(1, sizeof(*mailbox));

    if (mailbox == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    (void)pthread_mutex_init(&mailbox->lock, NULL);
    mailbox->last = &mailbox->first;
    mailbox->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (mailbox->fd < 0) {
        (void)error_set_errno(error, errno, "cannot make an eventfd");
        mailbox_free(mailbox);
        return NULL;
    }
    mailbox->wakeup =
        event_new(base, mailbox->fd, EV_READ | EV_PERSIST, on_wakeup, mailbox);
    if (mailbox->wakeup == NULL || event_add(mailbox->wakeup, NULL) != 0) {
        (void)error_set(error, "cannot watch an eventfd");
        mailbox_free(mailbox);
        return NULL;
    }
    return mailbox;
}

void mailbox_free(struct mailbox *mailbox)
{
    if (mailbox == NULL)
        return;
    while (open_all(mailbox))
        continue; /* a letter may have sent another */
    if (mailbox->wakeup != NULL)
        event_free(mailbox->wakeup);
    if (mailbox->fd >= 0)
        (void)close(mailbox->fd);
    (void)pthread_mutex_destroy(&mailbox->lock);
    free(mailbox);
}

void mailbox_send(struct mailbox *mailbox, struct letter *letter)
{
    const uint64_t one = 1;
    bool was_empty;

    letter->next = NULL;
    (void)pthread_mutex_lock(&mailbox->lock);
    was_empty = mailbox->first == NULL;
    *mailbox->last = letter;
    mailbox->last = &letter->next;
    (void)pthread_mutex_unlock(&mailbox->lock);
    if (was_empty)
        (void)!write(mailbox->fd, &one, sizeof(one));
}
