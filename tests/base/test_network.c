#include "base/network.h"
#include "support/suite.h"

static const struct {
    const char *text, *formatted; /* NULL: it is no address */
} addresses[] = {
    {"192.0.2.7", "192.0.2.7"},
    {"0.0.0.0", "0.0.0.0"},
    {"::ffff:192.0.2.7", "192.0.2.7"},
    {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
    {"::1", "::1"},
    {"::", "::"},
    {"", NULL},
    {"192.0.2", NULL},
    {"192.0.2.256", NULL},
    {"192.0.2.07", NULL},
    {"192.0.2.7 ", NULL},
    {"[::1]", NULL},
    {"fe80::1%eth0", NULL},
    {"gateway.example", NULL},
    {"2001:db8:1111:2222:3333:4444:5555:6666:7777:8888:9999", NULL},
};

START_TEST(an_address_is_read_and_written)
{
    struct span text = exact_span(span_of(addresses[_i].text));
    char formatted[IP_TEXT_BYTES];
    struct ip ip;

    ck_assert_int_eq(ip_parse(text, &ip), addresses[_i].formatted != NULL);
    if (addresses[_i].formatted != NULL) {
        ip_format(&ip, formatted);
        ck_assert_str_eq(formatted, addresses[_i].formatted);
    }
    free((char *)(uintptr_t)text.at);
}
END_TEST

START_TEST(a_nul_within_ends_no_address)
{
    struct ip ip;

    ck_assert(!ip_parse(SPAN("192.0.2.7\0.8"), &ip));
    ck_assert(!ip_parse(SPAN("192.0.2.7\0"), &ip));
}
END_TEST

static const struct {
    const char *network, *ip;
    bool has;
} memberships[] = {
    {"10.0.0.0/8", "10.255.255.255", true},
    {"10.0.0.0/8", "11.0.0.0", false},
    {"10.0.0.0/8", "9.255.255.255", false},
    {"10.0.0.0/8", "::ffff:10.1.2.3", true},
    {"10.0.0.0/8", "a00::", false},
    {"192.0.2.128/25", "192.0.2.128", true},
    {"192.0.2.128/25", "192.0.2.127", false},
    {"192.0.2.7", "192.0.2.7", true},
    {"192.0.2.7", "192.0.2.6", false},
    {"192.0.2.7/32", "192.0.2.7", true},
    {"0.0.0.0/0", "203.0.113.1", true},
    {"0.0.0.0/0", "2001:db8::1", false},
    {"::/0", "2001:db8::1", true},
    {"::/0", "203.0.113.1", true},
    {"2001:db8::/32", "2001:db8:ffff::1", true},
    {"2001:db8::/32", "2001:db9::", false},
    {"2001:db8::/33", "2001:db8:8000::", false},
    {"2001:db8::1", "2001:db8::1", true},
    {"2001:db8::1", "2001:db8::2", false},
};

START_TEST(a_network_has_its_addresses_and_no_others)
{
    struct networks networks = {.count = 1};
    struct network network;
    struct error error;
    struct ip ip;

    ck_assert(network_parse(span_of(memberships[_i].network), &network, &error));
    ck_assert(ip_parse(span_of(memberships[_i].ip), &ip));
    networks.list = &network;
    ck_assert_msg(networks_have(&networks, &ip) == memberships[_i].has, "%s and %s",
                  memberships[_i].network, memberships[_i].ip);
}
END_TEST

static const struct {
    const char *text, *told;
} refused[] = {
    {"", "neither"},
    {"/", "neither"},
    {"10.0.0.0/", "neither"},
    {"10.0.0.0/33", "neither"},
    {"10.0.0.0/-1", "neither"},
    {"10.0.0.0/8 ", "neither"},
    {"10.0.0.0/8/8", "neither"},
    {"10/8", "neither"},
    {"::/129", "neither"},
    {"localhost", "neither"},
    {"unix:", "neither"},
    {"10.1.2.3/8", "\"10.0.0.0/8\""},
    {"10.0.0.1/0", "\"0.0.0.0/0\""},
    {"2001:db8::1/64", "\"2001:db8::/64\""},
};

START_TEST(anything_else_is_no_network)
{
    struct span text = exact_span(span_of(refused[_i].text));
    struct network network;
    struct error error;

    ck_assert(!network_parse(text, &network, &error));
    ck_assert_msg(strstr(error.text, refused[_i].told) != NULL, "%s", error.text);
    free((char *)(uintptr_t)text.at);
}
END_TEST

START_TEST(nobody_is_in_an_empty_list)
{
    const struct networks nobody = {0};
    struct ip ip;

    ck_assert(ip_parse(SPAN("127.0.0.1"), &ip));
    ck_assert(networks_are_empty(&nobody));
    ck_assert(!networks_have(&nobody, &ip));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/network");
    TCase *address = suite_case(suite, "addresses");
    TCase *network = suite_case(suite, "networks");

    tcase_add_loop_test(address, an_address_is_read_and_written, 0, ROWS(addresses));
    tcase_add_test(address, a_nul_within_ends_no_address);
    tcase_add_loop_test(network, a_network_has_its_addresses_and_no_others, 0,
                        ROWS(memberships));
    tcase_add_loop_test(network, anything_else_is_no_network, 0, ROWS(refused));
    tcase_add_test(network, nobody_is_in_an_empty_list);
    return run_suite(suite);
}
