#include "access/certificate.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/crypto_error.h"

/* UTF-8 is left alone: RFC 4514 2.4, where RFC 2253 implementations write \C3\BC. */
static const unsigned long subject_flags =
    (unsigned long)XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;

/* Neither control characters, C1 ones included, nor what is no UTF-8. */
static bool is_printable(struct span text)
{
    for (size_t i = 0; i < text.len;) {
        struct span rest = span_make(text.at + i, text.len - i);
        unsigned char c = (unsigned char)rest.at[0];
        size_t len = c < 0x80 ? 1 : text_utf8_length(rest);

        if (len == 0 || c < 0x20 || c == 0x7f ||
            (c == 0xc2 && (unsigned char)rest.at[1] < 0xa0))
            return false;
        i += len;
    }
    return text.len > 0;
}

static bool is_printable_ascii(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < 0x20 || text.at[i] > 0x7e)
            return false;
    }
    return text.len > 0;
}

/* The kinds: each adds its value in its one spelling, or nothing, which is false. */

static bool add_as_is(struct text *out, struct span value)
{
    text_add(out, value);
    return is_printable_ascii(value);
}

static bool add_utf8(struct text *out, struct span value)
{
    text_add(out, value);
    return is_printable(value);
}

static bool add_dns(struct text *out, struct span value)
{
    for (size_t i = 0; i < value.len; i++)
        text_add_byte(out, ascii_lower(value.at[i]));
    return is_printable_ascii(value);
}

/* RFC 5280 7.5: the local part is compared as it is, the domain without case. */
static bool add_email(struct text *out, struct span value)
{
    const char *at = memrchr(value.at, '@', value.len);
    size_t local = at != NULL ? (size_t)(at - value.at) : value.len;

    text_add(out, span_make(value.at, local));
    return local > 0 && local < value.len &&
           is_printable_ascii(span_make(value.at, local)) &&
           add_dns(out, span_make(value.at + local, value.len - local));
}

static bool add_ip(struct text *out, struct span value)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char bytes[sizeof(struct in6_addr)];
    int family = memchr(value.at, ':', value.len) != NULL ? AF_INET6 : AF_INET;

    if (value.len >= sizeof(text))
        return false;
    memcpy(text, value.at, value.len);
    text[value.len] = '\0';
    if (strlen(text) != value.len || inet_pton(family, text, bytes) != 1 ||
        inet_ntop(family, bytes, text, sizeof(text)) == NULL)
        return false;
    text_add(out, span_of(text));
    return true;
}

enum kind { KIND_DNS, KIND_URI, KIND_EMAIL, KIND_IP, KIND_DIR_NAME, KIND_RID, KIND_UPN };

static const struct {
    struct span prefix;
    bool (*add)(struct text *out, struct span value);
} kinds[] = {
    [KIND_DNS] = {{"DNS:", 4}, add_dns},           [KIND_URI] = {{"URI:", 4}, add_as_is},
    [KIND_EMAIL] = {{"email:", 6}, add_email},     [KIND_IP] = {{"IP:", 3}, add_ip},
    [KIND_DIR_NAME] = {{"dirName:", 8}, add_utf8}, [KIND_RID] = {{"RID:", 4}, add_as_is},
    [KIND_UPN] = {{"UPN:", 4}, add_utf8},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static const struct span subject_prefix = {"DN:", 3};

/* Adds a name with the NUL behind it; takes back what turns out to be none. */
static bool add_name(struct text *list, struct span prefix,
                     bool (*add)(struct text *out, struct span value), struct span value)
{
    size_t before = list->len;

    if (value.len == 0 || value.len > CERTIFICATE_MOST_NAME_BYTES)
        return false;
    text_add(list, prefix);
    if (!add(list, value)) {
        list->len = before;
        return false;
    }
    text_add_byte(list, '\0');
    return !list->failed;
}

bool certificate_next_name(struct span *list, struct span *name)
{
    size_t len = list->len > 0 ? strnlen(list->at, list->len) : 0;

    if (len == 0)
        return false;
    *name = span_make(list->at, len);
    *list = span_make(list->at + len + 1, list->len - len - 1);
    return true;
}

/* A certificate's names */

static void count_name(struct certificate_names *names, struct span prefix,
                       bool (*add)(struct text *out, struct span value),
                       struct span value)
{
    if (add_name(&names->list, prefix, add, value))
        names->count++;
}

static void read_string(struct certificate_names *names, enum kind kind,
                        const ASN1_STRING *string)
{
    struct span value = span_make((const char *)ASN1_STRING_get0_data(string),
                                  (size_t)ASN1_STRING_length(string));

    count_name(names, kinds[kind].prefix, kinds[kind].add, value);
}

/* The text of a name says control characters as \0A: they must be looked for before. */
static bool has_printable_values(const X509_NAME *name)
{
    for (int i = 0; i < X509_NAME_entry_count(name); i++) {
        const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
        unsigned char *bytes = NULL;
        int len = ASN1_STRING_to_UTF8(&bytes, X509_NAME_ENTRY_get_data(entry));
        bool is_good = len > 0 && is_printable(span_make((char *)bytes, (size_t)len));

        OPENSSL_free(bytes);
        if (!is_good)
            return false;
    }
    return true;
}

static void read_name(struct certificate_names *names, struct span prefix,
                      const X509_NAME *name)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *bytes;
    long len;

    if (out == NULL)
        return; /* memory: the queue of errors says so */
    if (has_printable_values(name) &&
        X509_NAME_print_ex(out, name, 0, subject_flags) >= 0) {
        len = BIO_get_mem_data(out, &bytes);
        if (len > 0)
            count_name(names, prefix, add_utf8, span_make(bytes, (size_t)len));
    }
    BIO_free(out);
}

static void read_ip(struct certificate_names *names, const ASN1_OCTET_STRING *address)
{
    char text[INET6_ADDRSTRLEN];
    int len = ASN1_STRING_length(address);

    if ((len == 4 || len == 16) &&
        inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), text,
                  sizeof(text)) != NULL)
        count_name(names, kinds[KIND_IP].prefix, add_ip, span_of(text));
}

static void read_rid(struct certificate_names *names, const ASN1_OBJECT *object)
{
    char text[CERTIFICATE_MOST_NAME_BYTES + 1];
    int len = OBJ_obj2txt(text, sizeof(text), object, 1);

    if (len > 0 && (size_t)len < sizeof(text))
        count_name(names, kinds[KIND_RID].prefix, add_as_is, span_of(text));
}

static void read_other(struct certificate_names *names, const OTHERNAME *other)
{
    if (OBJ_obj2nid(other->type_id) == NID_ms_upn &&
        other->value->type == V_ASN1_UTF8STRING)
        read_string(names, KIND_UPN, other->value->value.utf8string);
}

static void read_alternative(struct certificate_names *names, const GENERAL_NAME *name)
{
    switch (name->type) {
    case GEN_DNS:
        read_string(names, KIND_DNS, name->d.dNSName);
        break;
    case GEN_URI:
        read_string(names, KIND_URI, name->d.uniformResourceIdentifier);
        break;
    case GEN_EMAIL:
        read_string(names, KIND_EMAIL, name->d.rfc822Name);
        break;
    case GEN_IPADD:
        read_ip(names, name->d.iPAddress);
        break;
    case GEN_DIRNAME:
        read_name(names, kinds[KIND_DIR_NAME].prefix, name->d.directoryName);
        break;
    case GEN_RID:
        read_rid(names, name->d.registeredID);
        break;
    case GEN_OTHERNAME:
        read_other(names, name->d.otherName);
        break;
    default:
        break;
    }
}

/* -1: there is none; anything else without names: broken, or there twice. */
static void read_alternatives(struct certificate_names *names, const X509 *certificate)
{
    int critical;
    GENERAL_NAMES *all =
        X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, NULL);

    if (all == NULL) {
        names->is_unusable |= critical != -1;
        return;
    }
    if (sk_GENERAL_NAME_num(all) >= CERTIFICATE_MOST_NAMES)
        names->is_unusable = true;
    for (int i = 0; i < sk_GENERAL_NAME_num(all) && !names->is_unusable; i++)
        read_alternative(names, sk_GENERAL_NAME_value(all, i));
    GENERAL_NAMES_free(all);
}

void certificate_read_names(X509 *certificate, struct certificate_names *names)
{
    *names = (struct certificate_names){.count = 0};
    (void)crypto_error_was_memory(); /* what was there is not ours */
    read_name(names, subject_prefix, X509_get_subject_name(certificate));
    read_alternatives(names, certificate);
    names->was_starved = crypto_error_was_memory() || names->list.failed;
    names->is_unusable |= names->was_starved;
    if (names->is_unusable) {
        text_clear(&names->list);
        names->count = 0;
    }
}

void certificate_names_fini(struct certificate_names *names)
{
    text_fini(&names->list);
    names->count = 0;
}

/* What the clients file says */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Turns \C3\BC, as RFC 2253 has it, into the bytes; every other escape stays. */
static bool add_subject(struct text *out, struct span value)
{
    size_t before = out->len;

    for (size_t i = 0; i < value.len; i++) {
        int high = i + 2 < value.len ? hex_value(value.at[i + 1]) : -1;
        int low = i + 2 < value.len ? hex_value(value.at[i + 2]) : -1;

        if (value.at[i] != '\\' || i + 1 == value.len) {
            text_add_byte(out, value.at[i]);
        } else if (high >= 8 && low >= 0) {
            text_add_byte(out, (char)(high << 4 | low));
            i += 2;
        } else {
            text_add(out, span_make(value.at + i, 2));
            i++;
        }
    }
    return !out->failed &&
           is_printable(span_make(out->bytes + before, out->len - before));
}

static bool is_type_char(char c)
{
    return (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || (c >= '0' && c <= '9') ||
           c == '.' || c == '-';
}

/* "CN=", "CN =" or "/CN=": somebody means a subject. */
static bool looks_like_subject(struct span value)
{
    size_t i = value.len > 0 && value.at[0] == '/' ? 1 : 0;
    size_t start = i;

    while (i < value.len && is_type_char(value.at[i]))
        i++;
    if (i == start)
        return false;
    while (i < value.len && value.at[i] == ' ')
        i++;
    return i < value.len && value.at[i] == '=';
}

/* The type must be spelled as OpenSSL prints it, or the name would match nothing. */
static bool check_type(struct span type, struct error *error)
{
    char name[64];
    int nid;

    if (type.len == 0 || type.len >= sizeof(name) || type.at[0] == ' ' ||
        type.at[0] == '/' || type.at[type.len - 1] == ' ')
        return error_set(error, "is not a subject in the form of RFC 4514 (such as "
                                "\"CN=ci,O=Acme\", the most specific part first, without "
                                "spaces between: openssl x509 -noout -subject -nameopt "
                                "RFC2253 prints it)");
    memcpy(name, type.at, type.len);
    name[type.len] = '\0';
    (void)ERR_set_mark();
    nid = OBJ_txt2nid(name);
    (void)ERR_pop_to_mark();
    if (nid == NID_undef && name[0] >= '0' && name[0] <= '9')
        return true;
    if (nid == NID_undef)
        return error_set(error,
                         "\"%s\" is no attribute of a subject (CN, O, OU, C, ST, "
                         "L, DC, UID, emailAddress, …; case counts)",
                         name);
    if (strcmp(OBJ_nid2sn(nid), name) != 0)
        return error_set(error, "the attribute \"%s\" is spelled \"%s\" in a subject",
                         name, OBJ_nid2sn(nid));
    return true;
}

static bool check_subject(struct span value, struct error *error)
{
    size_t i = 0;

    for (;;) {
        size_t start = i;

        while (i < value.len && value.at[i] != '=' && value.at[i] != ',')
            i++;
        if (!check_type(i < value.len && value.at[i] == '='
                            ? span_make(value.at + start, i - start)
                            : SPAN(""),
                        error))
            return false;
        if (i + 1 < value.len && value.at[i + 1] == ' ')
            return check_type(SPAN(""), error);
        while (i < value.len && value.at[i] != ',' && value.at[i] != '+')
            i += value.at[i] == '\\' ? 2 : 1;
        if (i >= value.len)
            return true;
        i++;
    }
}

static bool is_host_name(struct span value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (!is_type_char(value.at[i]) && strchr("*_", value.at[i]) == NULL)
            return false;
    }
    return true;
}

/* A bare value stands for every kind of SAN that may be written so. */
static bool add_bare(struct span value, struct text *list)
{
    bool may_be[KINDS] = {
        [KIND_DNS] = is_host_name(value),
        [KIND_URI] = memchr(value.at, ':', value.len) != NULL,
        [KIND_EMAIL] = memchr(value.at, '@', value.len) != NULL,
        [KIND_IP] = true,
    };
    bool is_any = false;

    for (size_t i = 0; i < KINDS; i++) {
        if (may_be[i])
            is_any |= add_name(list, kinds[i].prefix, kinds[i].add, value);
    }
    return is_any;
}

static bool refuse_value(struct error *error)
{
    return error_set(error, "is no name that a certificate can have (a subject such as "
                            "\"CN=ci,O=Acme\", or a SAN such as \"DNS:ci.acme.test\", "
                            "\"URI:spiffe://acme.test/ci\", \"email:ci@acme.test\", "
                            "\"IP:192.0.2.7\")");
}

bool certificate_parse_subject(struct span value, struct text *list, struct error *error)
{
    for (size_t i = 0; i < KINDS; i++) {
        struct span prefix = kinds[i].prefix;
        struct span rest;

        if (value.len < prefix.len ||
            !span_equal_nocase(span_make(value.at, prefix.len), prefix))
            continue;
        if (!span_starts_with(value, prefix))
            return error_set(error, "this kind of name is written \"%s…\"", prefix.at);
        rest = span_make(value.at + prefix.len, value.len - prefix.len);
        if (i == KIND_DIR_NAME && !check_subject(rest, error))
            return false;
        return add_name(list, prefix, i == KIND_DIR_NAME ? add_subject : kinds[i].add,
                        rest) ||
               refuse_value(error);
    }
    if (looks_like_subject(value))
        return check_subject(value, error) &&
               (add_name(list, subject_prefix, add_subject, value) ||
                refuse_value(error));
    return (value.len > 0 && add_bare(value, list)) || refuse_value(error);
}
