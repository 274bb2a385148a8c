#include "http/chars.h"
#include "support/suite.h"

/* The grammar's words, each as the RFC that defines it lists them. */
#define ALPHA "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"
#define TCHAR "!#$%&'*+-.^_`|~" DIGIT ALPHA /* RFC 9110 5.6.2 */
#define UNRESERVED ALPHA DIGIT "-._~"       /* RFC 3986 2.3 */
#define SUB_DELIMS "!$&'()*+,;="            /* RFC 3986 2.2 */

static bool is_in(int byte, const char *set)
{
    return byte != 0 && strchr(set, byte) != NULL;
}

START_TEST(every_byte_is_in_the_classes_that_the_rfcs_say)
{
    for (int byte = 0; byte < 256; byte++) {
        bool is_visible = byte > 0x20 && byte < 0x7f;
        bool is_high = byte >= 0x80;
        char c = (char)byte;

        ck_assert_msg(http_is(c, HTTP_CHAR_TOKEN) == is_in(byte, TCHAR), "token %02x",
                      (unsigned)byte);
        /* RFC 9110 5.5: field-vchar = VCHAR / obs-text, with SP and HTAB between. */
        ck_assert_msg(http_is(c, HTTP_CHAR_TEXT) ==
                          (is_visible || is_high || byte == ' ' || byte == '\t'),
                      "text %02x", (unsigned)byte);
        ck_assert_msg(http_is(c, HTTP_CHAR_TARGET) ==
                          ((is_visible && byte != '#') || is_high),
                      "target %02x", (unsigned)byte);
        ck_assert_msg(http_is(c, HTTP_CHAR_HEX) == is_in(byte, DIGIT "abcdefABCDEF"),
                      "hex %02x", (unsigned)byte);
        /* RFC 3986 3.2.2, 3.2.3: reg-name, IP-literal, port; no user information. */
        ck_assert_msg(http_is(c, HTTP_CHAR_HOST) ==
                          is_in(byte, UNRESERVED SUB_DELIMS "%:[]"),
                      "host %02x", (unsigned)byte);
    }
}
END_TEST

START_TEST(hexadecimal_digits_have_their_values)
{
    static const char digits[] = "0123456789abcdef";

    for (unsigned i = 0; i < 16; i++) {
        char digit = digits[i];

        ck_assert_uint_eq(http_hex_value(digit), i);
        ck_assert_uint_eq(http_hex_value(i > 9 ? (char)(digit - 32) : digit), i);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http/chars");
    TCase *classes = suite_case(suite, "classes");

    tcase_add_test(classes, every_byte_is_in_the_classes_that_the_rfcs_say);
    tcase_add_test(classes, hexadecimal_digits_have_their_values);
    return run_suite(suite);
}
