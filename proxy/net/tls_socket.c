#include "net/tls_socket.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>

#include <openssl/bio.h>

#include "net/stream.h"

static pthread_mutex_t lock =
    PTHREAD_MUTEX_INITIALIZER; /* over method, until it is made */
static BIO_METHOD *method;

static bool may_come_later(int errnum)
{
    return errnum == EAGAIN || errnum == EWOULDBLOCK || errnum == EINTR;
}

/* Less than was asked for is all there was: the event loop tells of what comes later. */
static int on_read(BIO *bio, char *buffer, int capacity)
{
    struct stream *stream = BIO_get_data(bio);
    ssize_t got;

    BIO_clear_retry_flags(bio);
    if (stream->is_dry) {
        errno = EAGAIN;
        BIO_set_retry_read(bio);
        return -1;
    }
    got = recv(stream->fd, buffer, (size_t)capacity, 0);
    if (got < 0 && may_come_later(errno))
        BIO_set_retry_read(bio);
    else if (got == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    stream->is_dry = got > 0 && got < capacity;
    return (int)got;
}

static int on_write(BIO *bio, const char *bytes, int len)
{
    struct stream *stream = BIO_get_data(bio);
    ssize_t put = send(stream->fd, bytes, (size_t)len, MSG_NOSIGNAL);

    BIO_clear_retry_flags(bio);
    if (put < 0 && may_come_later(errno))
        BIO_set_retry_write(bio);
    return (int)put;
}

static long on_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1; /* nothing is kept back */
    case BIO_CTRL_EOF:
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    default:
        return 0;
    }
}

static void make_method(void)
{
    BIO_METHOD *made =
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "psgate stream");

    if (made != NULL && BIO_meth_set_read(made, on_read) == 1 &&
        BIO_meth_set_write(made, on_write) == 1 &&
        BIO_meth_set_ctrl(made, on_control) == 1) {
        method = made;
        return;
    }
    BIO_meth_free(made);
}

/* Without memory for it now, the next connection tries again. */
static bool has_method(void)
{
    bool is_made;

    (void)pthread_mutex_lock(&lock);
    if (method == NULL)
        make_method();
    is_made = method != NULL;
    (void)pthread_mutex_unlock(&lock);
    return is_made;
}

bool tls_socket_attach(struct stream *stream)
{
    BIO *bio = has_method() ? BIO_new(method) : NULL;

    if (bio == NULL)
        return false;
    BIO_set_data(bio, stream);
    BIO_set_init(bio, 1);
    SSL_set_bio(stream->ssl, bio, bio);
    return true;
}
