#!/bin/sh
# psgate (the dev build) under memcheck, for the end-to-end tests: exit status 99 after an error
# or a leak. Takes nothing from the environment, of which some tests leave nothing.
root=$(dirname "$(realpath "$0")")/../..
# Clients are made by the hundred, and by a process that ends after that.
if [ "$1 $2" = "token create" ]; then
    exec "$root/build/dev/psgate" "$@"
fi
exec valgrind --quiet --tool=memcheck --num-callers=30 \
    --leak-check=full --show-leak-kinds=definite,indirect,possible \
    --errors-for-leak-kinds=definite,indirect,possible --error-exitcode=99 \
    --suppressions="$root/tests/memcheck/libraries.supp" \
    --log-file="$root/build/results/memcheck/%p.log" \
    "$root/build/dev/psgate" "$@"
