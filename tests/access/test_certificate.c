/* What a certificate calls its owner, and what of the clients file names the same. */
#include <openssl/x509v3.h>

#include "access/certificate.h"
#include "support/suite.h"

static X509 *certificate;

static void set_up(void)
{
    certificate = X509_new();
    ck_assert_ptr_nonnull(certificate);
    ck_assert_int_eq(X509_set_version(certificate, X509_VERSION_3), 1);
}

static void tear_down(void)
{
    X509_free(certificate);
}

static void add_to_subject(const char *type, int kind, const char *bytes, int len)
{
    ck_assert_int_eq(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), type,
                                                kind, (const unsigned char *)bytes, len,
                                                -1, 0),
                     1);
}

static ASN1_STRING *string_of(int type, const char *bytes, size_t len)
{
    ASN1_STRING *string = ASN1_STRING_type_new(type);

    ck_assert_int_eq(ASN1_STRING_set(string, bytes, (int)len), 1);
    return string;
}

/* One SAN of a kind whose value is a string. */
static void add_alternative(GENERAL_NAMES *names, int kind, const char *bytes, size_t len)
{
    GENERAL_NAME *name = GENERAL_NAME_new();

    GENERAL_NAME_set0_value(
        name, kind,
        string_of(kind == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING, bytes,
                  len));
    ck_assert_int_gt(sk_GENERAL_NAME_push(names, name), 0);
}

static void set_alternatives(GENERAL_NAMES *names)
{
    ck_assert_int_eq(
        X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND),
        1);
    GENERAL_NAMES_free(names);
}

static void add_one_alternative(int kind, const char *bytes, size_t len)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();

    add_alternative(names, kind, bytes, len);
    set_alternatives(names);
}

/* SANs as an openssl configuration has them: "DNS:a,URI:b". */
static void add_described(const char *text)
{
    X509_EXTENSION *extension =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text);

    ck_assert_ptr_nonnull(extension);
    ck_assert_int_eq(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* Joined with '|'. */
static void assert_names(const char *expected)
{
    struct certificate_names names;
    struct text joined = {0};
    struct span rest, name;

    certificate_read_names(certificate, &names);
    rest = span_make(names.list.bytes, names.list.len);
    for (unsigned i = 0; certificate_next_name(&rest, &name); i++) {
        if (i > 0)
            text_add_byte(&joined, '|');
        text_add(&joined, name);
    }
    text_add_byte(&joined, '\0');
    ck_assert_str_eq(joined.bytes, expected);
    text_fini(&joined);
    certificate_names_fini(&names);
    certificate_names_fini(&names);
}

/* Whether the certificate has a name that the value of the clients file stands for. */
static bool matches(const char *value)
{
    struct certificate_names names;
    struct text wanted = {0};
    struct span left, right, one, other;
    struct error error;
    bool is_found = false;

    ck_assert_msg(certificate_parse_subject(span_of(value), &wanted, &error), "%s: %s",
                  value, error.text);
    certificate_read_names(certificate, &names);
    left = span_make(wanted.bytes, wanted.len);
    while (certificate_next_name(&left, &one)) {
        right = span_make(names.list.bytes, names.list.len);
        while (certificate_next_name(&right, &other))
            is_found |= span_equal(one, other);
    }
    text_fini(&wanted);
    certificate_names_fini(&names);
    return is_found;
}

START_TEST(a_certificate_without_names_has_none)
{
    assert_names("");
}
END_TEST

START_TEST(the_subject_is_told_as_rfc_4514_has_it)
{
    add_to_subject("C", MBSTRING_ASC, "DE", -1);
    add_to_subject("O", MBSTRING_ASC, "Acme", -1);
    add_to_subject("CN", MBSTRING_ASC, "ci", -1);
    assert_names("DN:CN=ci,O=Acme,C=DE");
    ck_assert(matches("CN=ci,O=Acme,C=DE"));
    ck_assert(!matches("CN=ci,O=Acme"));
    ck_assert(!matches("CN=ci"));
    ck_assert(!matches("CN=CI,O=Acme,C=DE"));
    ck_assert(!matches("C=DE,O=Acme,CN=ci"));
    ck_assert(!matches("ci"));
}
END_TEST

/* A name that holds another's spelling is not the other's. */
START_TEST(a_value_cannot_pass_for_more_than_itself)
{
    add_to_subject("CN", MBSTRING_ASC, "ci,O=Acme", -1);
    assert_names("DN:CN=ci\\,O=Acme");
    ck_assert(!matches("CN=ci,O=Acme"));
    ck_assert(matches("CN=ci\\,O=Acme"));
}
END_TEST

START_TEST(a_multi_valued_part_is_no_chain_of_parts)
{
    add_to_subject("O", MBSTRING_ASC, "Acme", -1);
    ck_assert_int_eq(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN",
                                                MBSTRING_ASC, (const unsigned char *)"ci",
                                                -1, -1, -1),
                     1);
    ck_assert(!matches("CN=ci,O=Acme"));
    ck_assert(matches("CN=ci+O=Acme") || matches("O=Acme+CN=ci"));
}
END_TEST

START_TEST(a_common_name_is_no_alternative_name)
{
    add_to_subject("CN", MBSTRING_ASC, "DNS:ci.acme.test", -1);
    ck_assert(!matches("DNS:ci.acme.test"));
    ck_assert(!matches("ci.acme.test"));
    ck_assert(matches("CN=DNS:ci.acme.test"));
}
END_TEST

START_TEST(an_alternative_name_is_no_subject)
{
    add_described("URI:CN=ci");
    ck_assert(!matches("CN=ci"));
    ck_assert(matches("URI:CN=ci"));
}
END_TEST

static const int string_types[] = {V_ASN1_UTF8STRING, V_ASN1_BMPSTRING, V_ASN1_T61STRING};
static const struct {
    const char *bytes;
    int len;
} greetings[] = {{"M\xc3\xbcller", 7}, {"\0M\0\xfc\0l\0l\0e\0r", 12}, {"M\xfcller", 6}};

START_TEST(a_subject_in_any_kind_of_string_is_told_in_utf8)
{
    add_to_subject("CN", string_types[_i], greetings[_i].bytes, greetings[_i].len);
    assert_names("DN:CN=M\xc3\xbcller");
    ck_assert(matches("CN=M\xc3\xbcller"));
    ck_assert(matches("CN=M\\C3\\BCller"));
    ck_assert(matches("CN=M\\c3\\bcller"));
    ck_assert(!matches("CN=Muller"));
}
END_TEST

static const struct {
    int type;
    const char *bytes;
    int len;
} unprintable[] = {
    {V_ASN1_UTF8STRING, "ci\0.evil", 8},    {V_ASN1_UTF8STRING, "ci\0", 3},
    {V_ASN1_UTF8STRING, "\0", 1},           {V_ASN1_UTF8STRING, "a\nb", 3},
    {V_ASN1_UTF8STRING, "a\x7f", 2},        {V_ASN1_UTF8STRING, "a\xc2\x85", 3},
    {V_ASN1_UTF8STRING, "\xff", 1},         {V_ASN1_UTF8STRING, "\xc0\x80", 2},
    {V_ASN1_UTF8STRING, "\xed\xa0\x80", 3}, {V_ASN1_PRINTABLESTRING, "ci\0x", 4},
    {V_ASN1_BMPSTRING, "\0c\0\0", 4},
};

START_TEST(a_subject_that_cannot_be_printed_is_none)
{
    add_to_subject("O", MBSTRING_ASC, "Acme", -1);
    add_to_subject("CN", unprintable[_i].type, unprintable[_i].bytes,
                   unprintable[_i].len);
    add_described("DNS:good.test");
    assert_names("DNS:good.test");
}
END_TEST

START_TEST(alternative_names_of_every_kind_are_told_in_one_spelling)
{
    add_described("DNS:CI.Acme.Test,URI:spiffe://Acme.test/CI,email:Ci@ACME.test,"
                  "IP:192.0.2.7,IP:2001:db8:0:0::7,RID:1.2.3.4,"
                  "otherName:msUPN;UTF8:ci@ACME.test,otherName:1.2.3.4;UTF8:x");
    assert_names("DNS:ci.acme.test|URI:spiffe://Acme.test/CI|email:Ci@acme.test|"
                 "IP:192.0.2.7|IP:2001:db8::7|RID:1.2.3.4|UPN:ci@ACME.test");
}
END_TEST

static const struct {
    const char *alternative, *value;
    bool matches;
} rules[] = {
    {"DNS:ci.acme.test", "DNS:ci.acme.test", true},
    {"DNS:ci.acme.test", "DNS:CI.ACME.test", true},
    {"DNS:CI.acme.test", "ci.ACME.test", true},
    {"DNS:ci.acme.test", "DNS:acme.test", false},
    {"DNS:ci.acme.test", "DNS:*.acme.test", false},
    {"DNS:*.acme.test", "DNS:ci.acme.test", false},
    {"DNS:*.acme.test", "*.acme.test", true},
    {"DNS:ci.acme.test", "URI:ci.acme.test", false},
    {"DNS:10.0.0.1", "IP:10.0.0.1", false},
    {"DNS:10.0.0.1", "10.0.0.1", true},
    {"URI:spiffe://acme.test/ci", "URI:spiffe://acme.test/ci", true},
    {"URI:spiffe://acme.test/ci", "spiffe://acme.test/ci", true},
    {"URI:spiffe://acme.test/ci", "spiffe://acme.test/CI", false},
    {"URI:spiffe://acme.test/ci", "SPIFFE://acme.test/ci", false},
    {"URI:spiffe://acme.test/ci2", "spiffe://acme.test/ci", false},
    {"URI:https://a.test/?a=b", "https://a.test/?a=b", true},
    {"email:ci@acme.test", "email:ci@ACME.TEST", true},
    {"email:ci@acme.test", "ci@acme.test", true},
    {"email:ci@acme.test", "email:CI@acme.test", false},
    {"email:ci@acme.test", "UPN:ci@acme.test", false},
    {"IP:10.0.0.1", "IP:10.0.0.1", true},
    {"IP:10.0.0.1", "10.0.0.1", true},
    {"IP:10.0.0.1", "IP:10.0.0.10", false},
    {"IP:2001:db8::7", "IP:2001:0DB8:0:0:0:0:0:7", true},
    {"IP:2001:db8::7", "2001:db8:0::7", true},
    {"IP:::ffff:10.0.0.1", "IP:10.0.0.1", false},
    {"RID:1.2.3.4", "RID:1.2.3.4", true},
    {"otherName:msUPN;UTF8:ci@acme.test", "UPN:ci@acme.test", true},
    {"otherName:msUPN;UTF8:ci@acme.test", "ci@acme.test", false},
};

START_TEST(a_value_matches_by_the_rule_of_its_kind)
{
    add_described(rules[_i].alternative);
    ck_assert_msg(matches(rules[_i].value) == rules[_i].matches, "%s and %s",
                  rules[_i].alternative, rules[_i].value);
}
END_TEST

START_TEST(a_directory_name_is_told_as_a_subject_is)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    GENERAL_NAME *name = GENERAL_NAME_new();
    X509_NAME *directory = X509_NAME_new();

    ck_assert_int_eq(X509_NAME_add_entry_by_txt(directory, "CN", MBSTRING_UTF8,
                                                (const unsigned char *)"ci", -1, -1, 0),
                     1);
    GENERAL_NAME_set0_value(name, GEN_DIRNAME, directory);
    ck_assert_int_gt(sk_GENERAL_NAME_push(names, name), 0);
    set_alternatives(names);
    assert_names("dirName:CN=ci");
    ck_assert(matches("dirName:CN=ci"));
    ck_assert(!matches("CN=ci"));
}
END_TEST

static const struct {
    int kind;
    const char *bytes;
    size_t len;
} tricks[] = {
    {GEN_DNS, "ci.acme.test\0.evil.test", 23},
    {GEN_DNS, "ci.acme.test\0", 13},
    {GEN_DNS, "\0ci.acme.test", 13},
    {GEN_DNS, "ci\xc3\xbc.test", 9},
    {GEN_DNS, "ci\n.test", 8},
    {GEN_DNS, "", 0},
    {GEN_URI, "spiffe://a\0b", 12},
    {GEN_URI, "spiffe://a\tb", 12},
    {GEN_EMAIL, "a\0@b", 4},
    {GEN_EMAIL, "a@b\0", 4},
    {GEN_EMAIL, "nobody", 6},
    {GEN_IPADD, "abc", 3},
    {GEN_IPADD, "abcde", 5},
    {GEN_IPADD, "", 0},
    {GEN_IPADD, "12345678", 8},
};

START_TEST(a_name_with_a_trick_in_it_is_none)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();

    add_alternative(names, tricks[_i].kind, tricks[_i].bytes, tricks[_i].len);
    add_alternative(names, GEN_DNS, "good.test", 9);
    set_alternatives(names);
    assert_names("DNS:good.test");
}
END_TEST

START_TEST(names_beyond_the_limit_make_all_of_them_nothing)
{
    for (size_t extra = 0; extra < 2; extra++) {
        GENERAL_NAMES *alternatives = sk_GENERAL_NAME_new_null();
        struct certificate_names names;

        tear_down();
        set_up();
        for (size_t i = 1; i < CERTIFICATE_MOST_NAMES + extra; i++)
            add_alternative(alternatives, GEN_DNS, "a.test", 6);
        set_alternatives(alternatives);
        certificate_read_names(certificate, &names);
        ck_assert(names.is_unusable == (extra > 0));
        ck_assert_uint_eq(names.count, extra > 0 ? 0 : CERTIFICATE_MOST_NAMES - 1);
        certificate_names_fini(&names);
    }
}
END_TEST

START_TEST(a_name_beyond_the_limit_is_none)
{
    char name[CERTIFICATE_MOST_NAME_BYTES + 2];

    memset(name, 'a', sizeof(name));
    add_one_alternative(GEN_URI, name, CERTIFICATE_MOST_NAME_BYTES + 1);
    assert_names("");
}
END_TEST

START_TEST(broken_or_doubled_alternatives_make_all_names_nothing)
{
    struct certificate_names names;
    ASN1_OCTET_STRING *junk = string_of(V_ASN1_OCTET_STRING, "\x30\x05\x82", 3);
    X509_EXTENSION *extension =
        X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, junk);

    add_to_subject("CN", MBSTRING_ASC, "ci", -1);
    if (_i == 0) {
        ck_assert_int_eq(X509_add_ext(certificate, extension, -1), 1);
    } else {
        add_described("DNS:a.test");
        add_described("DNS:b.test");
    }
    certificate_read_names(certificate, &names);
    ck_assert(names.is_unusable);
    ck_assert_uint_eq(names.count, 0);
    certificate_names_fini(&names);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(junk);
}
END_TEST

static const struct {
    const char *value, *error;
} wrongs[] = {
    {"", "name"},
    {"dns:ci.acme.test", "DNS:"},
    {"Email:a@b", "email:"},
    {"DNS:", "name"},
    {"DNS:\xc3\xbc.test", "name"},
    {"IP:10.0.0.256", "name"},
    {"IP:10.0.0.1/8", "name"},
    {"email:nobody", "name"},
    {"cn=ci", "\"cn\""},
    {"commonName=ci", "\"CN\""},
    {"2.5.4.3=ci", "\"CN\""},
    {"CN=ci, O=Acme", "RFC 4514"},
    {"CN = ci", "RFC 4514"},
    {"CN= ci", "RFC 4514"},
    {"/O=Acme/CN=ci", "RFC 4514"},
    {"CN=ci,Acme", "RFC 4514"},
    {"CN=ci,,O=Acme", "RFC 4514"},
    {"CN=ci,O=Acme,", "RFC 4514"},
    {"CN=a\nb", "name"},
    {"CN=a\\FFb", "name"},
    {"dirName:ci", "RFC 4514"},
    {"two words", "name"},
};

START_TEST(what_no_certificate_can_have_is_refused)
{
    struct text list = {0};
    struct error error = {0};
    bool is_good = certificate_parse_subject(span_of(wrongs[_i].value), &list, &error);

    text_fini(&list);
    ck_assert_msg(!is_good, "'%s' is accepted", wrongs[_i].value);
    ck_assert_msg(strstr(error.text, wrongs[_i].error) != NULL, "%s", error.text);
}
END_TEST

static const char *const rights[] = {
    "CN=ci,O=Acme",
    "emailAddress=a@b,CN=c",
    "UID=x,DC=acme,DC=test",
    "CN=a\\+b\\,c,O=d",
    "1.2.3.4.5=#0c0161,CN=a",
    "CN=a+OU=b,O=c",
    "CN=a=b",
    "serialNumber=1",
    "CN=\\ a",
    "CN=a b,O=Acme \\#1",
};

START_TEST(a_subject_as_openssl_prints_it_is_accepted)
{
    struct text list = {0};
    struct error error = {0};

    ck_assert_msg(certificate_parse_subject(span_of(rights[_i]), &list, &error), "%s: %s",
                  rights[_i], error.text);
    ck_assert_str_eq(list.bytes + strlen("DN:"), rights[_i]);
    text_fini(&list);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access/certificate");
    TCase *subject = suite_case(suite, "subject");
    TCase *alternatives = suite_case(suite, "alternatives");
    TCase *values = suite_case(suite, "values");

    tcase_add_checked_fixture(subject, set_up, tear_down);
    tcase_add_checked_fixture(alternatives, set_up, tear_down);
    tcase_add_test(subject, a_certificate_without_names_has_none);
    tcase_add_test(subject, the_subject_is_told_as_rfc_4514_has_it);
    tcase_add_test(subject, a_value_cannot_pass_for_more_than_itself);
    tcase_add_test(subject, a_multi_valued_part_is_no_chain_of_parts);
    tcase_add_test(subject, a_common_name_is_no_alternative_name);
    tcase_add_test(subject, an_alternative_name_is_no_subject);
    tcase_add_loop_test(subject, a_subject_in_any_kind_of_string_is_told_in_utf8, 0,
                        ROWS(string_types));
    tcase_add_loop_test(subject, a_subject_that_cannot_be_printed_is_none, 0,
                        ROWS(unprintable));
    tcase_add_test(alternatives,
                   alternative_names_of_every_kind_are_told_in_one_spelling);
    tcase_add_loop_test(alternatives, a_value_matches_by_the_rule_of_its_kind, 0,
                        ROWS(rules));
    tcase_add_test(alternatives, a_directory_name_is_told_as_a_subject_is);
    tcase_add_loop_test(alternatives, a_name_with_a_trick_in_it_is_none, 0, ROWS(tricks));
    tcase_add_test(alternatives, names_beyond_the_limit_make_all_of_them_nothing);
    tcase_add_test(alternatives, a_name_beyond_the_limit_is_none);
    tcase_add_loop_test(alternatives,
                        broken_or_doubled_alternatives_make_all_names_nothing, 0, 2);
    tcase_add_loop_test(values, what_no_certificate_can_have_is_refused, 0, ROWS(wrongs));
    tcase_add_loop_test(values, a_subject_as_openssl_prints_it_is_accepted, 0,
                        ROWS(rights));
    return run_suite(suite);
}
