#include "fuzz/wire.h"

#include <errno.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "fuzz/support.h"

enum { RECORD_BYTES = 1024, VALID_S = 86400 * 365 };

/* Certificates */

static void add_extension(X509 *certificate, int id, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, id, value);

    fuzz_require(extension != NULL && X509_add_ext(certificate, extension, -1) == 1,
                 "no extension");
    X509_EXTENSION_free(extension);
}

static X509 *make_certificate(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    X509_NAME *name;

    fuzz_require(certificate != NULL, "out of memory");
    name = X509_get_subject_name(certificate);
    (void)X509_set_version(certificate, X509_VERSION_3);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), -VALID_S);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), VALID_S);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                     (const unsigned char *)"scene", -1, -1, 0);
    (void)X509_set_issuer_name(certificate, name);
    (void)X509_set_pubkey(certificate, key);
    add_extension(certificate, NID_subject_alt_name, "IP:127.0.0.1");
    fuzz_require(X509_sign(certificate, key, NULL) > 0, "no certificate");
    return certificate;
}

/* A file in memory, to be written; it stays open, as the path leads to it. */
static FILE *open_file(char path[32])
{
    FILE *file = fdopen(fuzz_new_file(SPAN(""), path), "w");

    fuzz_require(file != NULL, "no file in memory");
    return file;
}

static SSL_CTX *make_context(const SSL_METHOD *method)
{
    SSL_CTX *context = SSL_CTX_new(method);

    fuzz_require(context != NULL, "no TLS");
    (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* Nothing of one scene is resumed in the next. */
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    (void)SSL_CTX_set_num_tickets(context, 0);
    return context;
}

void wire_trust_make(struct wire_trust *trust)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    X509 *certificate;
    FILE *file;

    fuzz_require(key != NULL, "no key");
    certificate = make_certificate(key);
    file = open_file(trust->certificate);
    fuzz_require(PEM_write_X509(file, certificate) == 1 && fflush(file) == 0,
                 "no certificate in memory");
    file = open_file(trust->private_key);
    fuzz_require(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1 &&
                     fflush(file) == 0,
                 "no key in memory");
    trust->client = make_context(TLS_client_method());
    trust->server = make_context(TLS_server_method());
    fuzz_require(SSL_CTX_use_certificate(trust->server, certificate) == 1 &&
                     SSL_CTX_use_PrivateKey(trust->server, key) == 1,
                 "no server");
    X509_free(certificate);
    EVP_PKEY_free(key);
}

/* Wires */

struct wire wire_new(int fd, SSL_CTX *context, bool is_server)
{
    struct wire wire = {.fd = fd};

    if (fd < 0 || context == NULL)
        return wire;
    wire.ssl = SSL_new(context);
    fuzz_require(wire.ssl != NULL && SSL_set_fd(wire.ssl, fd) == 1, "no TLS");
    if (is_server)
        SSL_set_accept_state(wire.ssl);
    else
        SSL_set_connect_state(wire.ssl);
    return wire;
}

bool wire_shake(struct wire *wire)
{
    bool is_done = wire->ssl == NULL || SSL_do_handshake(wire->ssl) == 1;

    ERR_clear_error();
    return is_done;
}

size_t wire_send(struct wire *wire, const char *bytes, size_t len)
{
    ssize_t n;

    if (wire->fd < 0 || len == 0 || wire->has_sent_end)
        return 0;
    if (wire->ssl == NULL) {
        n = send(wire->fd, bytes, len, MSG_NOSIGNAL);
        return n > 0 ? (size_t)n : 0;
    }
    if (wire->retry > 0 || len > RECORD_BYTES)
        len = wire->retry > 0 ? wire->retry : RECORD_BYTES;
    n = SSL_write(wire->ssl, bytes, (int)len);
    wire->retry =
        n <= 0 && SSL_get_error(wire->ssl, (int)n) == SSL_ERROR_WANT_WRITE ? len : 0;
    ERR_clear_error();
    return n > 0 ? (size_t)n : 0;
}

static bool is_waiting(const struct wire *wire, int n)
{
    int error = SSL_get_error(wire->ssl, n);

    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

size_t wire_receive(struct wire *wire, char *buffer, size_t len, bool *has_ended)
{
    ssize_t n;

    if (wire->ssl == NULL) {
        n = recv(wire->fd, buffer, len, 0);
        *has_ended = n == 0 || (n < 0 && errno != EAGAIN);
    } else {
        n = SSL_read(wire->ssl, buffer, (int)len);
        *has_ended = n <= 0 && !is_waiting(wire, (int)n);
        ERR_clear_error();
    }
    return n > 0 ? (size_t)n : 0;
}

void wire_finish(struct wire *wire)
{
    if (wire->fd < 0 || wire->has_sent_end)
        return;
    wire->has_sent_end = true;
    if (wire->ssl == NULL)
        (void)shutdown(wire->fd, SHUT_WR);
    else if (SSL_is_init_finished(wire->ssl))
        (void)SSL_shutdown(wire->ssl);
    ERR_clear_error();
}

void wire_close(struct wire *wire)
{
    SSL_free(wire->ssl);
    if (wire->fd >= 0)
        (void)close(wire->fd);
    *wire = (struct wire){.fd = -1};
}
