#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/x509.h>

#include "base/file.h"
#include "command/check_parts.h"

static const char renew[] = "renew it, and send SIGHUP";

/* A listener's section, and where in the configuration it stands. */
struct section {
    const struct config_tls *config;
    const struct place *place;
    SSL_CTX *context;
};

/* "2027-01-31"; "?" for what is no time. */
static void format_date(const ASN1_TIME *when, char text[16])
{
    struct tm tm;

    if (when == NULL || ASN1_TIME_to_tm(when, &tm) != 1 ||
        strftime(text, 16, "%Y-%m-%d", &tm) == 0)
        (void)snprintf(text, 16, "?");
}

/* A name as RFC 4514 has it; the caller frees it. */
static char *format_name(const X509_NAME *name)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *bytes = NULL, *text = NULL;
    long len;

    if (out != NULL && X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253) >= 0) {
        len = BIO_get_mem_data(out, &bytes);
        text = strndup(bytes, (size_t)len);
    }
    BIO_free(out);
    return text;
}

/* Adds a row for a certificate whose time is not come, over or nearly over. */
static bool report_certificate(struct findings *findings, const struct place *place,
                               const X509 *certificate, enum finding_mark mark)
{
    const ASN1_TIME *begin = X509_get0_notBefore(certificate);
    const ASN1_TIME *end = X509_get0_notAfter(certificate);
    char *name = format_name(X509_get_subject_name(certificate));
    char date[16];
    int days = 0, seconds = 0;
    bool is_reported = true;

    (void)ASN1_TIME_diff(&days, &seconds, NULL, end);
    if (X509_cmp_current_time(begin) > 0) {
        format_date(begin, date);
        findings_add(findings, mark, place, "wait, or set this machine's clock",
                     "%s is not valid before %s", name, date);
    } else if (X509_cmp_current_time(end) < 0) {
        format_date(end, date);
        findings_add(findings, mark, place, renew, "%s has expired on %s", name, date);
    } else if (days < CHECK_NOTICE_DAYS) {
        format_date(end, date);
        findings_add(findings, FINDING_WARNING, place, renew,
                     "%s expires on %s, in %d days", name, date, days);
    } else {
        is_reported = false;
    }
    free(name);
    return is_reported;
}

/* The certificates of the list, borrowed, and a row for each that is not good. */
static const X509 *report_certificates(struct findings *findings,
                                       const struct place *place,
                                       const STACK_OF(X509) * list,
                                       enum finding_mark mark, bool *is_good)
{
    const X509 *first = NULL; /* to expire */

    *is_good = true;
    for (int i = 0; i < sk_X509_num(list); i++) {
        const X509 *one = sk_X509_value(list, i);

        if (report_certificate(findings, place, one, mark))
            *is_good = false;
        if (first == NULL ||
            ASN1_TIME_compare(X509_get0_notAfter(one), X509_get0_notAfter(first)) < 0)
            first = one;
    }
    return first;
}

static void check_certificate(struct findings *findings, const struct section *section)
{
    const struct place place = {.parent = section->place, .key = "certificate"};
    X509 *leaf = SSL_CTX_get0_certificate(section->context);
    STACK_OF(X509) *list = sk_X509_new_null(), *above = NULL;
    const X509 *first;
    char *name = format_name(X509_get_subject_name(leaf));
    char date[16];
    bool is_good;

    (void)SSL_CTX_get0_chain_certs(section->context, &above);
    (void)sk_X509_push(list, leaf);
    for (int i = 0; i < sk_X509_num(above); i++)
        (void)sk_X509_push(list, sk_X509_value(above, i));
    first = report_certificates(findings, &place, list, FINDING_PROBLEM, &is_good);
    if (is_good && first != NULL) {
        format_date(X509_get0_notAfter(first), date);
        findings_add(findings, FINDING_OK, &place, NULL,
                     "%s, with %d above it, good until %s", name, sk_X509_num(list) - 1,
                     date);
    }
    sk_X509_free(list);
    free(name);
}

static void check_key(struct findings *findings, const struct section *section)
{
    const struct place place = {.parent = section->place, .key = "private_key"};
    struct error error;

    if (file_is_private(section->config->private_key, &error))
        findings_add(findings, FINDING_OK, &place, NULL,
                     "is the certificate's, and private");
    else
        findings_add(
            findings, FINDING_WARNING, &place,
            "let only the user that the gateway runs as, or root, own and read it", "%s",
            error.text);
}

static STACK_OF(X509_OBJECT) * objects_of(const struct section *section)
{
    return X509_STORE_get0_objects(SSL_CTX_get_cert_store(section->context));
}

static void check_authorities(struct findings *findings, const struct section *section)
{
    const struct place place = {.parent = section->place, .key = "client_ca"};
    STACK_OF(X509_OBJECT) *objects = objects_of(section);
    STACK_OF(X509) *list = sk_X509_new_null();
    const X509 *first;
    char date[16];
    bool is_good;

    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        X509 *one = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));

        if (one != NULL)
            (void)sk_X509_push(list, one);
    }
    first = report_certificates(findings, &place, list, FINDING_WARNING, &is_good);
    if (is_good && first != NULL) {
        format_date(X509_get0_notAfter(first), date);
        findings_add(findings, FINDING_OK, &place, NULL, "%d authorities, good until %s",
                     sk_X509_num(list), date);
    }
    sk_X509_free(list);
}

static bool report_list(struct findings *findings, const struct place *place,
                        const X509_CRL *list)
{
    const ASN1_TIME *begin = X509_CRL_get0_lastUpdate(list);
    const ASN1_TIME *end = X509_CRL_get0_nextUpdate(list);
    bool is_early = X509_cmp_current_time(begin) > 0;
    char *issuer;
    char date[16];

    if (!is_early && (end == NULL || X509_cmp_current_time(end) > 0))
        return false;
    issuer = format_name(X509_CRL_get_issuer(list));
    format_date(is_early ? begin : end, date);
    findings_add(findings, FINDING_PROBLEM, place,
                 is_early ? "wait, or set this machine's clock" : renew,
                 "the list of %s %s %s: the certificates of that issuer are refused",
                 issuer, is_early ? "is not in force before" : "has expired on", date);
    free(issuer);
    return true;
}

static void check_lists(struct findings *findings, const struct section *section)
{
    const struct place place = {.parent = section->place, .key = "client_crl"};
    STACK_OF(X509_OBJECT) *objects = objects_of(section);
    const ASN1_TIME *first = NULL; /* to be out of date */
    bool is_good = true;
    char date[16];
    int count = 0;

    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        const X509_CRL *list =
            X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(objects, i));
        const ASN1_TIME *end = list != NULL ? X509_CRL_get0_nextUpdate(list) : NULL;

        if (list == NULL)
            continue;
        count++;
        if (report_list(findings, &place, list))
            is_good = false;
        if (end != NULL && (first == NULL || ASN1_TIME_compare(end, first) < 0))
            first = end;
    }
    format_date(first, date);
    if (is_good)
        findings_add(findings, FINDING_OK, &place, NULL, "%d lists, good until %s", count,
                     date);
}

static void check_section(struct findings *findings, const struct section *section)
{
    const struct place client_ca = {.parent = section->place, .key = "client_ca"};

    check_certificate(findings, section);
    check_key(findings, section);
    if (section->config->client_auth != CONFIG_CLIENT_AUTH_NONE) {
        check_authorities(findings, section);
        if (section->config->client_crl != NULL)
            check_lists(findings, section);
    } else if (section->config->client_ca != NULL) {
        findings_add(findings, FINDING_WARNING, &client_ca,
                     "add \"client_auth\": \"optional\" or \"required\", or remove it",
                     "is without effect: clients are not asked for certificates");
    }
}

void check_tls(struct findings *findings, const struct snapshot *snapshot)
{
    const struct place root = {0};
    const struct place list = {.parent = &root, .key = "listen"};

    for (size_t i = 0; i < snapshot->config->listen_count; i++) {
        const struct place element = {.parent = &list, .index = i};
        const struct place tls = {.parent = &element, .key = "tls"};
        const struct section section = {
            .config = &snapshot->config->listen[i].tls,
            .place = &tls,
            .context = snapshot->tls[i],
        };

        if (section.context != NULL)
            check_section(findings, &section);
    }
}
