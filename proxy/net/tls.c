#include "net/tls.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

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
    return true;
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
    if (load_identity(context, options, error) &&
        load_client_authority(context, options, error))
        return context;
    SSL_CTX_free(context);
    return NULL;
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
