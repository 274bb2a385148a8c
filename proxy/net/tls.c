#include "net/tls.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

enum { MOST_INTERMEDIATES = 8 };

struct tls_client {
    SSL_CTX *context;
    char *host;
    bool host_is_literal;
    pthread_mutex_t lock; /* over session */
    SSL_SESSION *session; /* the newest that the host gave us, or NULL */
};

void tls_take_error(char *text, size_t len)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);

    (void)snprintf(text, len, "%s", reason != NULL ? reason : "unknown TLS error");
    ERR_clear_error();
}

enum tls_failure tls_describe_failure(const SSL *ssl, char *text, size_t len)
{
    unsigned long code = ERR_peek_last_error();
    long verdict = SSL_get_verify_result(ssl);
    int reason = ERR_GET_REASON(code);

    if (verdict != X509_V_OK) {
        (void)snprintf(text, len, "%s", X509_verify_cert_error_string(verdict));
        ERR_clear_error();
        return TLS_FAILURE_CERTIFICATE;
    }
    tls_take_error(text, len);
    /* OpenSSL numbers an alert that was received as 1000 and its code. */
    return ERR_GET_LIB(code) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET
               ? TLS_FAILURE_ALERT
               : TLS_FAILURE_PROTOCOL;
}

static SSL_CTX *new_context(const SSL_METHOD *method, struct error *error)
{
    SSL_CTX *context = SSL_CTX_new(method);

    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
        (void)error_set(error, "cannot make a TLS context");
        SSL_CTX_free(context);
        return NULL;
    }
    (void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                           SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context, 1); /* whole records, not each head by itself */
    return context;
}

static bool fail(struct error *error, const char *what, const char *file)
{
    char reason[256];

    tls_take_error(reason, sizeof(reason));
    return error_set(error, "%s %s: %s", what, file, reason);
}

static bool load_identity(SSL_CTX *context, const struct tls_server_options *options,
                          struct error *error)
{
    if (SSL_CTX_use_certificate_chain_file(context, options->certificate) != 1)
        return fail(error, "cannot load the certificate", options->certificate);
    if (SSL_CTX_use_PrivateKey_file(context, options->private_key, SSL_FILETYPE_PEM) != 1)
        return fail(error, "cannot load the private key", options->private_key);
    if (SSL_CTX_check_private_key(context) != 1)
        return fail(error, "the certificate does not belong to the private key",
                    options->private_key);
    return true;
}

/* With lists, every certificate of a chain needs one of its issuer that is in force. */
static bool load_revocations(SSL_CTX *context, const char *file, struct error *error)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());

    if (lookup == NULL || X509_load_crl_file(lookup, file, X509_FILETYPE_PEM) <= 0)
        return fail(error, "cannot load the revocation lists in", file);
    (void)X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return true;
}

/*
 * A resumed session is not verified: what it was made with may have expired or been
 * revoked since. Whoever has shown a certificate shows it again.
 */
static SSL_TICKET_RETURN on_ticket(SSL *ssl, SSL_SESSION *session,
                                   const unsigned char *name, size_t name_len,
                                   SSL_TICKET_STATUS status, void *arg)
{
    (void)ssl;
    (void)name;
    (void)name_len;
    (void)arg;
    switch (status) {
    case SSL_TICKET_SUCCESS:
    case SSL_TICKET_SUCCESS_RENEW:
        if (SSL_SESSION_get0_peer(session) != NULL)
            return SSL_TICKET_RETURN_IGNORE_RENEW;
        return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE
                                            : SSL_TICKET_RETURN_USE_RENEW;
    default:
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    }
}

static bool load_client_authority(SSL_CTX *context,
                                  const struct tls_server_options *options,
                                  struct error *error)
{
    int mode = SSL_VERIFY_PEER;

    if (options->client_ca == NULL)
        return true;
    if (SSL_CTX_load_verify_file(context, options->client_ca) != 1)
        return fail(error, "cannot load the clients' authority", options->client_ca);
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(options->client_ca));
    if (options->requires_client_certificate)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(context, mode, NULL);
    SSL_CTX_set_verify_depth(context, MOST_INTERMEDIATES);
    if (SSL_CTX_set_session_ticket_cb(context, NULL, on_ticket, NULL) != 1)
        return error_set(error, "cannot set up TLS sessions");
    return options->client_crl == NULL ||
           load_revocations(context, options->client_crl, error);
}

/*
 * What Mozilla's intermediate profile offers, without finite-field Diffie-Hellman:
 * forward secrecy and authenticated encryption only. TLS 1.3 has nothing weaker to begin
 * with.
 */
static bool set_algorithms(SSL_CTX *context, struct error *error)
{
    static const char ciphers[] =
        "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
        "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
        "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
    char groups[] = "X25519:P-256:P-384"; /* OpenSSL's macro casts const away */

    return (SSL_CTX_set_cipher_list(context, ciphers) == 1 &&
            SSL_CTX_set1_groups_list(context, groups) == 1) ||
           error_set(error, "cannot set up the TLS ciphers");
}

SSL_CTX *tls_server_context(const struct tls_server_options *options, struct error *error)
{
    static const unsigned char session_scope[] = "psgate";
    SSL_CTX *context = new_context(TLS_server_method(), error);

    if (context == NULL)
        return NULL;
    (void)SSL_CTX_set_session_id_context(context, session_scope,
                                         sizeof(session_scope) - 1);
    /* Tickets only: a session cache would be a lock that all workers share. */
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    /* One a connection, as Go has it: OpenSSL makes two, and the other is hardly used. */
    (void)SSL_CTX_set_num_tickets(context, 1);
    if (set_algorithms(context, error) && load_identity(context, options, error) &&
        load_client_authority(context, options, error))
        return context;
    SSL_CTX_free(context);
    return NULL;
}

static int64_t to_wall_ms(const ASN1_TIME *when)
{
    struct tm tm;

    if (when == NULL || ASN1_TIME_to_tm(when, &tm) != 1)
        return INT64_MIN;
    return (int64_t)timegm(&tm) * 1000;
}

int64_t tls_chain_valid_until_ms(const STACK_OF(X509) * chain)
{
    int64_t until_ms = chain != NULL ? INT64_MAX : INT64_MIN;

    for (int i = 0; i < sk_X509_num(chain); i++) {
        int64_t end_ms = to_wall_ms(X509_get0_notAfter(sk_X509_value(chain, i)));

        until_ms = end_ms < until_ms ? end_ms : until_ms;
    }
    return until_ms;
}

bool tls_verify_client(SSL_CTX *context, X509 *certificate, STACK_OF(X509) * chain,
                       int64_t *valid_until_ms, char *why, size_t len)
{
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    bool is_good = false;

    (void)snprintf(why, len, "out of memory");
    if (check != NULL &&
        X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(context), certificate, chain) ==
            1 &&
        X509_STORE_CTX_set_default(check, "ssl_client") == 1) {
        X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(check),
                                         SSL_CTX_get_security_level(context));
        X509_STORE_CTX_set_depth(check, MOST_INTERMEDIATES);
        is_good = X509_verify_cert(check) == 1;
        (void)snprintf(why, len, "%s",
                       X509_verify_cert_error_string(X509_STORE_CTX_get_error(check)));
        if (is_good)
            *valid_until_ms = tls_chain_valid_until_ms(X509_STORE_CTX_get0_chain(check));
    }
    X509_STORE_CTX_free(check);
    ERR_clear_error();
    return is_good;
}

bool tls_is_about_crl(const SSL *ssl)
{
    switch (SSL_get_verify_result(ssl)) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
    case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
        return true;
    default:
        return false;
    }
}

static void describe_crl(const X509_CRL *crl, const char *what, const ASN1_TIME *when,
                         char *text, size_t len)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *bytes;
    long put;

    if (out == NULL)
        return;
    (void)X509_NAME_print_ex(out, X509_CRL_get_issuer(crl), 0, XN_FLAG_RFC2253);
    (void)BIO_printf(out, " %s ", what);
    (void)ASN1_TIME_print(out, when);
    put = BIO_get_mem_data(out, &bytes);
    (void)snprintf(text, len, "%.*s", (int)put, bytes);
    BIO_free(out);
}

bool tls_certificate_until(SSL_CTX *context, int64_t *until_ms)
{
    const X509 *certificate = SSL_CTX_get0_certificate(context);

    if (certificate == NULL)
        return false;
    *until_ms = to_wall_ms(X509_get0_notAfter(certificate));
    return true;
}

bool tls_has_stale_crl(SSL_CTX *context, char *text, size_t len)
{
    STACK_OF(X509_OBJECT) *objects =
        X509_STORE_get0_objects(SSL_CTX_get_cert_store(context));
    bool is_stale = false;

    for (int i = 0; i < sk_X509_OBJECT_num(objects) && !is_stale; i++) {
        X509_CRL *crl = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(objects, i));
        const ASN1_TIME *begin = crl != NULL ? X509_CRL_get0_lastUpdate(crl) : NULL;
        const ASN1_TIME *end = crl != NULL ? X509_CRL_get0_nextUpdate(crl) : NULL;

        if (end != NULL && X509_cmp_current_time(end) < 0) {
            describe_crl(crl, "has expired on", end, text, len);
            is_stale = true;
        } else if (begin != NULL && X509_cmp_current_time(begin) > 0) {
            describe_crl(crl, "is not in force before", begin, text, len);
            is_stale = true;
        }
    }
    ERR_clear_error();
    return is_stale;
}

/* Keeps the newest session; OpenSSL gives us its reference when we return 1. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_client *client = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION *old;

    (void)pthread_mutex_lock(&client->lock);
    old = client->session;
    client->session = session;
    (void)pthread_mutex_unlock(&client->lock);
    SSL_SESSION_free(old);
    return 1;
}

static bool load_trust(SSL_CTX *context, const char *ca_file, struct error *error)
{
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (ca_file != NULL) {
        if (SSL_CTX_load_verify_file(context, ca_file) != 1)
            return fail(error, "cannot load the certificate authorities in", ca_file);
        return true;
    }
    if (SSL_CTX_set_default_verify_paths(context) != 1)
        return fail(error, "cannot load", "the system's certificate authorities");
    return true;
}

static bool is_literal(const char *host)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

struct tls_client *tls_client_new(const char *host, const char *ca_file,
                                  struct error *error)
{
    struct tls_client *client = calloc(1, sizeof(*client));

    if (client == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    (void)pthread_mutex_init(&client->lock, NULL);
    client->host = strdup(host);
    client->host_is_literal = is_literal(host);
    client->context = new_context(TLS_client_method(), error);
    if (client->host == NULL || client->context == NULL ||
        !load_trust(client->context, ca_file, error)) {
        tls_client_free(client);
        return NULL;
    }
    SSL_CTX_set_app_data(client->context, client);
    (void)SSL_CTX_set_session_cache_mode(client->context, SSL_SESS_CACHE_CLIENT |
                                                              SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client->context, on_new_session);
    return client;
}

void tls_client_free(struct tls_client *client)
{
    if (client == NULL)
        return;
    SSL_SESSION_free(client->session);
    SSL_CTX_free(client->context);
    free(client->host);
    (void)pthread_mutex_destroy(&client->lock);
    free(client);
}

/* An empty name would turn the check off: tls_client_new's callers never pass one. */
static bool expect_host(SSL *ssl, const struct tls_client *client)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    if (client->host[0] == '\0')
        return false;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (client->host_is_literal)
        return X509_VERIFY_PARAM_set1_ip_asc(param, client->host) == 1;
    return SSL_set1_host(ssl, client->host) == 1 &&
           SSL_set_tlsext_host_name(ssl, client->host) == 1;
}

static void offer_session(SSL *ssl, struct tls_client *client)
{
    (void)pthread_mutex_lock(&client->lock);
    if (client->session != NULL)
        (void)SSL_set_session(ssl, client->session);
    (void)pthread_mutex_unlock(&client->lock);
}

SSL *tls_client_connection(struct tls_client *client, struct error *error)
{
    SSL *ssl = SSL_new(client->context);

    if (ssl == NULL || !expect_host(ssl, client)) {
        (void)error_set(error, "cannot set up TLS");
        SSL_free(ssl);
        return NULL;
    }
    offer_session(ssl, client);
    SSL_set_connect_state(ssl);
    return ssl;
}
