#include <getopt.h>
#include <stdio.h>

#include "audit/key.h"
#include "command/audit.h"
#include "command/command.h"

static const char help[] =
    "Usage: psgate audit keygen DIR\n\n"
    "Makes an Ed25519 key pair in DIR:\n\n"
    "  " AUDIT_PRIVATE_KEY_NAME "      0600: what audit.signing_key_file names\n"
    "  " AUDIT_PUBLIC_KEY_NAME "  0644: for psgate audit verify --public-key\n\n"
    "A file that is there is never overwritten. Keep the public key, and now and then a\n"
    "checkpoint from the log, where whoever can write the trail cannot.\n\n"
    "  -h, --help  this text\n";

int command_audit_keygen(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    char id[AUDIT_KEY_ID_HEX + 1];
    struct error error;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option != 'h')
            return command_bad_option("audit keygen", argv);
        (void)fputs(help, stdout);
        return EXIT_FINE;
    }
    if (argc - optind != 1)
        return command_misused("audit keygen", "needs one folder");
    if (!audit_key_generate(argv[optind], id, &error))
        return command_audit_failed("", &error);
    (void)printf("key %s: %s/%s and %s\n", id, argv[optind], AUDIT_PRIVATE_KEY_NAME,
                 AUDIT_PUBLIC_KEY_NAME);
    return EXIT_FINE;
}
